"""Revocations kept in the store: durable before they are acknowledged, and known to every node within a poll.

A node reads what was recorded since it last looked, and a little before that, as nodes' clocks differ and a transaction may
commit late; having one twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy import BigInteger, Column, Index, Table, Text, delete, insert, select

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.security.revocations import Revocation, Revocations
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

OVERLAP = timedelta(minutes=2)
"""How far back a poll looks again."""

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
_log = logging.getLogger(__name__)


class StoredRevocations:
    """Adds to `known`, which token verifiers look at, what this and other nodes revoke. `load` before the first request."""

    def __init__(self, known: Revocations, database: Database, group: GroupWriter, clock: Clock) -> None:
        self._known = known
        self._database = database
        self._group = group
        self._clock = clock
        self._looked = 0

    async def __call__(self, revocation: Revocation) -> None:
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
        self._known.apply(revocation)

    async def load(self) -> None:
        """Apply everything that may still cover a valid token."""
        await self._apply_since(0)

    async def poll(self) -> None:
        """Apply what was recorded since the last look; drop what no longer matters."""
        await self._apply_since(self._looked - _micros(OVERLAP.total_seconds()))
        self._known.forget(self._clock.time())

    async def follow(self, every: timedelta = timedelta(seconds=1)) -> None:
        """Poll for ever. While the store is down, what is known stays in force."""
        while True:
            try:
                await self.poll()
            except StoreError as error:
                _log.warning("revocations could not be read", extra={"reason": str(error)})
            await asyncio.sleep(every.total_seconds())

    async def purge(self) -> int:
        """Delete what can cover no valid token any more; how many rows that were."""
        async with self._database.write() as connection:
            result = await connection.execute(delete(revocations).where(revocations.c.until < _micros(self._clock.time())))
        return result.rowcount

    async def _apply_since(self, since: int) -> None:
        now = _micros(self._clock.time())
        wanted = select(revocations).where(revocations.c.recorded_at >= since, revocations.c.until >= now)
        async with self._database.read() as connection:
            rows = (await connection.execute(wanted)).all()
        for row in rows:
            self._known.apply(Revocation(row.application, row.until / 1e6, row.jti, row.issued_before / 1e6))
        self._looked = now


def _micros(seconds: float) -> int:
    return round(seconds * 1e6)
