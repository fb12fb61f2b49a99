"""Whether what is committed is on a second machine too before anybody is told that it is, as the database declares it (A30)."""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from fiveways.store.database import Database

_DECLARED: Final = text("SELECT current_setting('synchronous_commit'), current_setting('synchronous_standby_names')")
_WAITING: Final = ("on", "remote_write", "remote_apply")
"""Values of `synchronous_commit` with which a commit waits for those that `synchronous_standby_names` names."""


async def replicated(database: Database) -> bool:
    """Whether a commit waits for a standby of PostgreSQL; never of SQLite. StoreError where the store cannot be asked.

    It is what the server declares: a standby that is named and away makes commits wait, and loses nothing.
    """
    if database.kind == "sqlite":
        return False
    async with database.read() as connection:
        commit, standbys = (await connection.execute(_DECLARED)).one()
    return commit in _WAITING and bool(standbys.strip())
