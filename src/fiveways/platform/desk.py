"""Where an operator changes something beside the running platform: through the store, from which every process learns of it.

What is changed is durable before anything is said, and the audit says who did it, in a chain of this node.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fiveways.clock import Clock
from fiveways.errors import FivewaysError
from fiveways.ledger.audit import AuditLog
from fiveways.platform.foundation import node_name
from fiveways.platform.inspect import existing_database
from fiveways.platform.model import Deployment, load
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter


@dataclass(slots=True, frozen=True)
class Desk:
    """What it takes: the deployment as its file has it now, the store, and the audit."""

    deployment: Deployment
    database: Database
    group: GroupWriter
    audit: AuditLog


@asynccontextmanager
async def desk(file: Path, data: Path, node: str, clock: Clock) -> AsyncIterator[Desk]:
    """Open the store of a deployment that has run, whether or not it is running. FivewaysError where it has not."""
    deployment, _ = load(file)
    database = existing_database(deployment, file, data)
    try:
        _may_write(data / "audit")
        group = GroupWriter(database)
        try:
            audit = await AuditLog.open(database, group, data, node_name(node), clock, deployment.audit)
            try:
                yield Desk(deployment, database, group, audit)
            finally:
                await audit.close()
        finally:
            await group.close()
    finally:
        await database.close()


def _may_write(audit: Path) -> None:
    """Files that another user made here would lock the platform out of its own chains."""
    if audit.exists() and audit.stat().st_uid != os.geteuid():
        raise FivewaysError(f"{audit} belongs to another user: run this as the user that the platform runs as")


def account() -> str:
    """The operator's account on this machine."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
