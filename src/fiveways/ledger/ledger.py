"""Everything that is remembered of interactions, opened together."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from fiveways.clock import Clock
from fiveways.ledger.audit import AuditLog, AuditSettings
from fiveways.ledger.idempotency import Duplicates
from fiveways.ledger.outbox import Outbox
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.ledger.rates import Rates
from fiveways.ledger.replay import ReplayGuard
from fiveways.store.bus import Bus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import Payloads

_KEPT = timedelta(days=7)
"""How long events of the outbox are kept after every consumer has read them."""


class Ledger:
    """The parts of the ledger, over one group writer. Use `open`; `close` writes what is pending."""

    def __init__(
        self, database: Database, group: GroupWriter, payloads: Payloads, bus: Bus, clock: Clock, audit: AuditLog, data: Path
    ) -> None:
        self.database = database
        self.group = group
        self.payloads = payloads
        self.audit = audit
        self.duplicates = Duplicates(group, clock)
        self.replay = ReplayGuard(group)
        self.rates = Rates(group, clock)
        self.outbox = Outbox(database, bus, clock)
        self.pseudonyms = Pseudonyms.open(data)

    @classmethod
    async def open(
        cls,
        data: Path,
        database: Database,
        payloads: Payloads,
        bus: Bus,
        clock: Clock,
        node: str,
        audit: AuditSettings | None = None,
    ) -> Ledger:
        """The ledger of this process, over a migrated `database`; keys and the audit's heads are in the folder `data`.

        Raises StoreError where the store, or the audit's chain, is not as it must be.
        """
        settings = audit or AuditSettings()
        group = GroupWriter(database, linger=settings.linger.total_seconds())
        try:
            log = await AuditLog.open(database, group, data, node, clock, settings)
            return cls(database, group, payloads, bus, clock, log, data)
        except BaseException:
            await group.close()
            raise

    async def purge(self, now: datetime) -> None:
        """Forget what has expired, in every part; for a scheduler, once a minute or so."""
        for payload in await self.duplicates.purge(now):
            await self.payloads.delete(payload)
        await self.replay.purge(now)
        await self.rates.purge(now)
        await self.outbox.purge(now - _KEPT)
        await self.audit.purge(now)

    async def close(self) -> None:
        """Give back permits, write everything pending, seal the audit. The database stays open."""
        await self.rates.close()
        try:
            await self.audit.close()
        finally:
            await self.group.close()
