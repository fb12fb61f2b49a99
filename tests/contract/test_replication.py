"""Whether the store is replicated is what the database declares (A30)."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from fiveways.store.database import Database
from fiveways.store.replication import replicated

pytestmark = pytest.mark.anyio


async def test_a_store_that_declares_no_second_machine_is_not_replicated(database: Database) -> None:
    assert await replicated(database) is False


@pytest.mark.parametrize(("commit", "expected"), [("on", True), ("remote_apply", True), ("local", False), ("off", False)])
async def test_postgresql_says_whether_commits_wait_for_a_standby(database: Database, commit: str, expected: bool) -> None:
    if database.kind == "sqlite":
        pytest.skip("SQLite has none")
    name = database.url.database
    async with database.write() as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit TO {commit}'))
    await database.close()
    assert await replicated(database) is False, "no standby is named"
    await _set(database, "ALTER SYSTEM SET synchronous_standby_names TO 'other'")
    try:
        assert await replicated(database) is expected
    finally:
        await _set(database, "ALTER SYSTEM RESET synchronous_standby_names")


async def _set(database: Database, statement: str) -> None:
    async with database.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        await connection.execute(text(statement))
        await connection.execute(text("SELECT pg_reload_conf(), pg_sleep(0.3)"))
