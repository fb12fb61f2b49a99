"""The operator administers mailboxes and workflows beside the running platform: every process has them within a second."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import inspect

from fiveways.clock import Clock, SystemClock
from fiveways.errors import FivewaysError
from fiveways.methods.messaging.administration import Actor, Administration
from fiveways.methods.messaging.registry import Registry, entries
from fiveways.platform import mailboxes
from fiveways.platform.desk import account, desk
from fiveways.store.bus import open_bus


@asynccontextmanager
async def register(
    file: Path, data: Path, node: str = "", clock: Clock | None = None
) -> AsyncIterator[tuple[Administration, Actor]]:
    """The administration of a deployment's mailboxes and workflows, and who administers. FivewaysError where it has not run yet."""
    clock = clock or SystemClock()
    async with desk(file, data, node, clock) as opened:
        async with opened.database.read() as connection:
            if not await connection.run_sync(lambda known: inspect(known).has_table(entries.name)):
                raise FivewaysError(f"{data} is of an older release: start `fiveways serve` of this one first")
        bus = await open_bus(opened.deployment.store.bus)
        try:
            registry = Registry(opened.database, opened.group, bus, clock)
            await registry.load()
            administration = mailboxes.administration(opened.deployment, registry, opened.audit, clock, file.parent)
            yield administration, Actor({"by": "operator", "account": account()})
        finally:
            await bus.close()
