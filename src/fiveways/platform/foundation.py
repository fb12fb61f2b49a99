"""What stands once, under every deployment: database, payloads, bus, ledger, keys, what is revoked, who is registered."""

from __future__ import annotations

import asyncio
import platform as machine
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from fiveways.clock import Clock, micros
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries
from fiveways.errors import DeploymentError
from fiveways.ledger.audit import AuditEvent
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.registry import Registry
from fiveways.platform.model import Deployment
from fiveways.security.keys import PlatformKeys
from fiveways.security.revoked import StoredRevocations
from fiveways.security.users.records import Records
from fiveways.store import leftovers
from fiveways.store.bus import Bus, open_bus
from fiveways.store.database import Database
from fiveways.store.migrate import migrate
from fiveways.store.payloads import open_payloads
from fiveways.store.payloads_folder import FolderPayloads
from fiveways.store.settings import Store


@dataclass(slots=True)
class Foundation:
    """The parts that no reload touches."""

    database: Database
    bus: Bus
    ledger: Ledger
    keys: PlatformKeys
    revocations: StoredRevocations
    registry: Registry
    deliveries: Deliveries
    people: Records

    @classmethod
    async def open(cls, deployment: Deployment, data: Path, base: Path, clock: Clock, node: str = "") -> Foundation:
        """Open everything and bring the tables up to date; StoreError or DeploymentError where that can't be done."""
        await asyncio.to_thread(data.mkdir, mode=0o700, parents=True, exist_ok=True)
        keys = await asyncio.to_thread(
            PlatformKeys.open, data / "keys" / "platform", clock, lead=deployment.identity.tokens.key_lead
        )
        database = open_database(deployment.store, data, base, clock)
        try:
            await migrate(database)
            payloads = open_payloads(deployment.store.payloads or f"file://{data / 'payloads'}")
            bus = await open_bus(deployment.store.bus)
            ledger = await Ledger.open(data, database, payloads, bus, clock, node_name(node), deployment.audit)
        except BaseException:
            await database.close()
            raise
        revocations = StoredRevocations(database, ledger.group, clock)
        await revocations.load()
        registry = Registry(database, ledger.group, bus, clock)
        await registry.load()
        deliveries = Deliveries(ledger.group, payloads, bus, clock, node_name(node))
        people = Records(database, ledger.group, clock)
        return cls(database, bus, ledger, keys, revocations, registry, deliveries, people)

    async def check(self) -> dict[str, str]:
        """How the store is, for `_status`."""
        try:
            async with asyncio.timeout(2), self.database.read() as connection:
                await connection.execute(text("SELECT 1"))
        except Exception as error:
            return {"status": "fail", "outcome": type(error).__name__}
        return {"status": "pass", "outcome": self.database.kind}

    async def sweep(self) -> None:
        """Remove what broken-off writes have left: half-written files of a payload folder, and payloads that no row names."""
        now = self.database.clock.now()
        if isinstance(self.ledger.payloads, FolderPayloads):
            await self.ledger.payloads.purge(now)
        removed = await leftovers.remove(self.database, self.ledger.payloads, now)
        if removed:
            at = micros(self.database.clock)
            await self.ledger.audit.durable(AuditEvent(at=at, kind="payloads.removed", id=new_id(), details={"leftovers": removed}))

    async def close(self) -> None:
        """Write what is pending, seal the audit, close the connections."""
        try:
            await self.ledger.close()
        finally:
            await self.ledger.payloads.close()
            await self.bus.close()
            await self.database.close()


def node_name(given: str) -> str:
    """What a node is called in its audit: the name it was given, or the machine's."""
    return given or machine.node() or "node"


def open_database(store: Store, data: Path, base: Path, clock: Clock) -> Database:
    """The database of a deployment: the one it names, or a file in the data folder."""
    try:
        password = store.password.resolve(base).decode() if store.password is not None else None
    except (KeyError, OSError) as error:
        raise DeploymentError(f"store.password: {store.password} cannot be read") from error
    return Database.open(store.url or f"sqlite:///{data / 'fiveways.db'}", clock, password=password)
