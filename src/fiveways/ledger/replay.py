"""What may be used once only, across restarts and nodes: the `jti` of a signed assertion (RFC 7523 §3, point 7), a mailbox's token.

What a value was used for can be kept with it, so that the very same use, sent again, can be told from another.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import micros_of
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

replays = Table(
    "replays",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("value", LargeBinary, primary_key=True),  # SHA-256: of one length, and never a credential in the database
    Column("until", BigInteger, nullable=False, index=True),
    Column("purpose", LargeBinary),
    sqlite_with_rowid=False,
)

claim = insert(replays).on_conflict_do_nothing()
"""A claim for `GroupWriter.transact(…, guarded=1)`, with a row made by `use`."""
purpose_of = select(replays.c.purpose).where(
    replays.c.namespace == bindparam("b_namespace", type_=Text), replays.c.value == bindparam("b_value", type_=LargeBinary)
)


def use(namespace: str, value: bytes, until: int, purpose: bytes | None = None) -> dict[str, Any]:
    """A row of `claim`, remembered until a moment (microseconds since the Unix epoch).

    Values that begin alike lie together: what is used within one minute had better begin with the minute.
    """
    return {"namespace": namespace, "value": value, "until": until, "purpose": purpose}


class ReplayGuard:
    """Claims values; a value can be claimed once until it expires."""

    def __init__(self, group: GroupWriter) -> None:
        self._group = group

    async def claim(self, namespace: str, value: str, until: datetime) -> bool:
        """Whether `value` is new in `namespace`; remembered, durably when this returns, until `until`.

        Raises StoreError if the store cannot be written: what cannot be remembered must be refused.
        """
        row = use(namespace, hashlib.sha256(value.encode()).digest(), micros_of(until))
        return (await self._group.submit(claim, row)).rowcount == 1

    async def purge(self, now: datetime) -> int:
        """Forget what has expired; how many."""
        async with self._group.database.write() as connection:
            result = await connection.execute(delete(replays).where(replays.c.until < micros_of(now)))
            return int(result.rowcount)
