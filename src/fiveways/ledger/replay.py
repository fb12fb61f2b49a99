"""What may be used once only: the `jti` of a signed assertion, across restarts and nodes (RFC 7523 §3, point 7)."""

from __future__ import annotations

import hashlib
from datetime import datetime

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, delete
from sqlalchemy.dialects.postgresql import insert

from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

replays = Table(
    "replays",
    metadata,
    Column("namespace", Text, primary_key=True),
    Column("value", LargeBinary, primary_key=True),  # SHA-256: of one length, and never a credential in the database
    Column("until", BigInteger, nullable=False, index=True),
)

_claim = insert(replays).on_conflict_do_nothing()


class ReplayGuard:
    """Claims values; a value can be claimed once until it expires."""

    def __init__(self, group: GroupWriter) -> None:
        self._group = group

    async def claim(self, namespace: str, value: str, until: datetime) -> bool:
        """Whether `value` is new in `namespace`; remembered, durably when this returns, until `until`.

        Raises StoreError if the store cannot be written: what cannot be remembered must be refused.
        """
        row = {"namespace": namespace, "value": hashlib.sha256(value.encode()).digest(), "until": int(until.timestamp() * 1e6)}
        return (await self._group.submit(_claim, row)).rowcount == 1

    async def purge(self, now: datetime) -> int:
        """Forget what has expired; how many."""
        async with self._group.database.write() as connection:
            result = await connection.execute(delete(replays).where(replays.c.until < int(now.timestamp() * 1e6)))
            return int(result.rowcount)
