"""Revocations kept in the store: durable before they are acknowledged, and known to every node within a second.

A node reads what was recorded since it last looked, and a little before that, as nodes' clocks differ and a transaction may
commit late; having one twice changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import BigInteger, Column, Index, Table, Text, delete, insert, select

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.security.revocations import Revocation, Revocations
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

OVERLAP = timedelta(minutes=2)
"""How far back each look goes again."""

revocations = Table(
    "revocations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("application", Text, nullable=False),
    Column("jti", Text, nullable=False),
    Column("issued_before", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Index(None, "recorded_at"),
    Index(None, "until"),
)

_INSERT = insert(revocations)


class StoredRevocations:
    """What this and other nodes revoke, in the store and in `memory`, where token verifiers look. `load` before the first
    request, and `refresh` once a second from then on."""

    def __init__(self, database: Database, group: GroupWriter, clock: Clock) -> None:
        self.memory = Revocations()
        self.database = database
        self._group = group
        self._clock = clock
        self._looked = 0

    async def revoke(self, revocation: Revocation) -> None:
        """Revoke: durable, and in force on this node, when it returns. StoreError, and nothing revoked, where it cannot be."""
        await self._group.submit(
            _INSERT,
            {
                "id": new_id(),
                "application": revocation.application,
                "jti": revocation.jti,
                "issued_before": _micros(revocation.issued_before),
                "until": _micros(revocation.until),
                "recorded_at": _micros(self._clock.time()),
            },
        )
        self.memory.apply(revocation)

    async def load(self) -> None:
        """Apply everything that may still cover a valid token."""
        await self._apply_since(0)

    async def refresh(self) -> None:
        """Apply what was recorded since the last look; drop what no longer matters. StoreError where the store cannot be
        read: what is known then stays in force."""
        await self._apply_since(self._looked - _micros(OVERLAP.total_seconds()))
        self.memory.forget(self._clock.time())

    async def purge(self, now: datetime) -> int:
        """Delete what can cover no valid token any more; how many rows that were."""
        async with self.database.write() as connection:
            result = await connection.execute(delete(revocations).where(revocations.c.until < _micros(now.timestamp())))
        return result.rowcount

    async def _apply_since(self, since: int) -> None:
        now = _micros(self._clock.time())
        wanted = select(revocations).where(revocations.c.recorded_at >= since, revocations.c.until >= now)
        async with self.database.read() as connection:
            rows = (await connection.execute(wanted)).all()
        for row in rows:
            self.memory.apply(Revocation(row.application, row.until / 1e6, row.jti, row.issued_before / 1e6))
        self._looked = now


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
