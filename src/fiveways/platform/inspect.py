"""Looking into the store of a deployment, whether or not it is running: the audit and its timelines."""

from __future__ import annotations

from pathlib import Path

from fiveways.clock import SystemClock
from fiveways.ledger.audit import AuditEvent
from fiveways.ledger.audit import trace as timeline
from fiveways.ledger.audit import verify as verification
from fiveways.platform.foundation import open_database
from fiveways.platform.model import load


async def audit_report(file: Path, data: Path, public_key: bytes | None, elsewhere: tuple[str, ...]) -> verification.Report:
    """What `fiveways audit verify` finds."""
    database = open_database(load(file)[0].store, data, file.parent, SystemClock())
    try:
        return await verification.verify(database, data, public_key, elsewhere=elsewhere)
    finally:
        await database.close()


async def trace(file: Path, data: Path, correlation: str) -> list[AuditEvent]:
    """The events under a correlation, request or message id, in order of time."""
    database = open_database(load(file)[0].store, data, file.parent, SystemClock())
    try:
        return await timeline.trace(database, correlation)
    finally:
        await database.close()
