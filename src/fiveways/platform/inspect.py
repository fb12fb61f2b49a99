"""Looking into the store of a deployment, whether or not it is running: the audit and its timelines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path

from sqlalchemy import select

from fiveways.clock import SystemClock
from fiveways.errors import FivewaysError, StoreError
from fiveways.ledger.audit import AuditEvent
from fiveways.ledger.audit import trace as timeline
from fiveways.ledger.audit import verify as verification
from fiveways.methods.exchange.records import jobs
from fiveways.methods.synchronous.transformation.counts import Row, found
from fiveways.platform.foundation import open_database
from fiveways.platform.model import Deployment, load
from fiveways.store.database import Database


async def audit_report(file: Path, data: Path, public_key: bytes | None, elsewhere: tuple[str, ...]) -> verification.Report:
    """What `fiveways audit verify` finds."""
    database = existing_database(load(file)[0], file, data)
    try:
        return await verification.verify(database, data, public_key, elsewhere=elsewhere)
    finally:
        await database.close()


async def trace(file: Path, data: Path, correlation: str) -> list[AuditEvent]:
    """The events under a correlation, request or message id, or a job's, in order of time."""
    database = existing_database(load(file)[0], file, data)
    try:
        of_job = ""
        with suppress(StoreError):  # a store from before there were jobs
            async with database.read() as connection:
                of_job = await connection.scalar(select(jobs.c.correlation).where(jobs.c.id == correlation)) or ""
        return await timeline.trace(database, of_job or correlation)
    finally:
        await database.close()


async def transformed(file: Path, data: Path, since: date, api: str) -> Sequence[Row]:
    """What became of values that were transformed from a day on."""
    database = existing_database(load(file)[0], file, data)
    try:
        return await found(database, since, api)
    finally:
        await database.close()


def existing_database(deployment: Deployment, file: Path, data: Path) -> Database:
    """The database of a deployment that has run; FivewaysError where it has not, with this data folder."""
    if not (data / "keys").exists() or (deployment.store.url is None and not (data / "fiveways.db").exists()):
        raise FivewaysError(f"nothing has been recorded in {data} yet: has `fiveways serve` run with this data folder?")
    return open_database(deployment.store, data, file.parent, SystemClock())
