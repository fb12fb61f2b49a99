"""Killed at any moment, the audit has lost nothing it acknowledged, and says exactly how much of the rest."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from fiveways.clock import SystemClock
from fiveways.ledger.audit import AuditEvent, AuditLog, AuditSettings
from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.audit.verify import verify
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio

PROGRAM = """
import asyncio, sys
from pathlib import Path
from fiveways.clock import SystemClock
from fiveways.ledger.audit import AuditEvent, AuditLog, AuditSettings
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

async def main():
    database = Database.open(sys.argv[1])
    group = GroupWriter(database, linger=0.005)
    log = await AuditLog.open(database, group, Path(sys.argv[2]), "node", SystemClock(), AuditSettings(segment_rows=20))
    print("ready", flush=True)
    number = 0

    async def write(name):
        nonlocal number
        while True:
            number += 1
            mine = f"{sys.argv[3]}-{number}"
            log.record(AuditEvent(at=number, kind="read"))
            await log.durable(AuditEvent(at=number, kind="write", id=mine))
            print(mine, flush=True)

    await asyncio.gather(*(write(name) for name in range(4)))

asyncio.run(main())
"""


def accepted(folder: Path) -> int:
    (number,) = struct.unpack("@Q", (folder / "audit" / "node.accepted").read_bytes())
    return int(number)


@asynccontextmanager
async def restarted(database: Database, folder: Path) -> Any:
    group = GroupWriter(database)
    log = await AuditLog.open(database, group, folder, "node", SystemClock(), AuditSettings(segment_rows=20))
    yield log
    await log.close()
    await group.close()


async def test_nothing_acknowledged_is_lost_and_the_gap_is_exact(
    url: str, database: Database, tmp_path: Path, child: Callable[..., Any]
) -> None:
    moments = random.Random(5)
    acknowledged: set[str] = set()
    gaps = []
    for run in range(3):
        process = await child(PROGRAM, url, str(tmp_path), str(run))
        assert await process.stdout.readline() == b"ready\n"
        await asyncio.sleep(moments.uniform(0.02, 0.25))
        process.kill()
        acknowledged |= {line.decode() for line in (await process.stdout.read()).split(b"\n")[:-1]}
        await process.wait()
        report = await verify(database, tmp_path)
        assert report.findings == []  # before anybody has recovered anything
        async with database.read() as connection:
            newest = await connection.scalar(select(func.max(audit_events.c.seq)))
        lost = accepted(tmp_path) - newest
        async with restarted(database, tmp_path):
            pass
        if lost:
            gaps.append((newest + 1, newest + lost))
        report = await verify(database, tmp_path)
        assert report.findings == []
        assert [(gap.first, gap.last) for gap in report.gaps] == gaps
        assert all(gap.lost == gap.last - gap.first + 1 for gap in report.gaps)
    async with restarted(database, tmp_path) as log:
        for name in moments.sample(sorted(acknowledged), 10):
            assert len(await log.trace(name)) == 1
    async with database.read() as connection:
        bodies = (await connection.scalars(select(audit_events.c.body))).all()
    kept = b"\n".join(bodies)
    assert all(f'"id":"{name}"'.encode() in kept for name in acknowledged)


async def killed(url: str, tmp_path: Path, child: Callable[..., Any]) -> None:
    process = await child(PROGRAM, url, str(tmp_path), "0")
    assert await process.stdout.readline() == b"ready\n"
    for _ in range(20):
        await process.stdout.readline()
    process.kill()
    await process.wait()


async def test_rows_removed_after_a_crash_are_not_taken_for_its_gap(
    url: str, database: Database, tmp_path: Path, child: Callable[..., Any]
) -> None:
    await killed(url, tmp_path, child)
    async with database.write() as connection:
        newest = await connection.scalar(select(func.max(audit_events.c.seq)))
        await connection.execute(delete(audit_events).where(audit_events.c.seq > newest - 10))
    assert not (await verify(database, tmp_path)).ok
    async with restarted(database, tmp_path):
        pass
    report = await verify(database, tmp_path)
    assert not report.ok
    assert any("tampering was found when the platform started" in finding.what for finding in report.findings)


async def test_rows_committed_before_their_head_was_written_count_if_this_node_signed_them(
    url: str, database: Database, tmp_path: Path, child: Callable[..., Any]
) -> None:
    async with restarted(database, tmp_path):
        head = (tmp_path / "audit" / "node.head").read_bytes()
    await killed(url, tmp_path, child)
    (tmp_path / "audit" / "node.head").write_bytes(head)  # as a power cut might have left it
    assert (await verify(database, tmp_path)).ok
    async with restarted(database, tmp_path):
        pass
    assert (await verify(database, tmp_path)).ok


async def test_a_counter_that_a_power_cut_took_back_means_an_unknown_loss(database: Database, tmp_path: Path) -> None:
    async with restarted(database, tmp_path) as log:
        for number in range(5):
            await log.durable(AuditEvent(at=number, kind="x"))
    (tmp_path / "audit" / "node.accepted").write_bytes(struct.pack("@Q", 2))
    async with restarted(database, tmp_path):
        pass
    report = await verify(database, tmp_path)
    assert report.ok
    assert [gap.lost for gap in report.gaps] == [None]


async def test_a_segments_line_that_a_power_cut_left_incomplete_is_cut_off(database: Database, tmp_path: Path) -> None:
    async with restarted(database, tmp_path):
        pass
    with (tmp_path / "audit" / "node.segments").open("ab") as file:
        file.write(b'{"kind":"sealed","num')
    async with restarted(database, tmp_path):
        pass
    assert (await verify(database, tmp_path)).ok
