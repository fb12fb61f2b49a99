"""The audit: nothing durable is lost, and nobody can change it unseen."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from fiveways.clock import ManualClock, SystemClock, micros
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.ledger.audit import AuditEvent, AuditLog, AuditSettings
from fiveways.ledger.audit.chain import GENESIS, hash_event, prefix
from fiveways.ledger.audit.event import Provisional
from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.audit.verify import verify
from fiveways.ledger.replay import claim, use
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio
rows = audit_events.c
SMALL = AuditSettings(segment_rows=5)


def event(number: int = 0, **more: Any) -> AuditEvent:
    return AuditEvent(at=1_700_000_000_000_000 + number, kind="interaction", **{"id": new_id(), "status": 200, **more})


@asynccontextmanager
async def running(database: Database, folder: Path, settings: AuditSettings = SMALL, clock: Any = None) -> AsyncIterator[AuditLog]:
    """The audit of one process, from start to graceful stop."""
    group = GroupWriter(database)
    log = await AuditLog.open(database, group, folder, "node", clock or SystemClock(), settings)
    try:
        yield log
    finally:
        try:
            await log.close()
        finally:
            await group.close()


async def filled(database: Database, folder: Path, count: int = 12) -> None:
    """`count` events in groups of two, stopped gracefully."""
    async with running(database, folder) as log:
        for number in range(0, count, 2):
            log.record(event(number, application="one"))
            await log.durable(event(number + 1, application="two"))


async def test_recorded_events_are_in_the_chain_in_order_and_verify(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        for number in range(100):
            log.record(event(number))
        await log.flush()
        assert (await verify(database, tmp_path)).events == 100
    report = await verify(database, tmp_path)
    assert report.ok
    assert (report.events, report.chains, report.gaps) == (100, ["node"], [])
    async with database.read() as connection:
        seqs = (await connection.scalars(select(rows.seq).order_by(rows.seq))).all()
    assert seqs == list(range(1, 101))


async def test_a_write_waits_for_its_event_and_a_read_does_not(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        await log.durable(event())
        async with database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(audit_events)) == 1
        log.record(event())
        async with database.read() as connection:
            assert await connection.scalar(select(func.count()).select_from(audit_events)) == 1


async def test_the_chain_goes_on_after_a_graceful_stop(database: Database, tmp_path: Path) -> None:
    for _ in range(3):
        await filled(database, tmp_path, 4)
    report = await verify(database, tmp_path)
    assert report.ok
    assert report.events == 12
    assert not report.gaps


async def test_processes_of_one_node_have_chains_of_their_own(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as first, running(database, tmp_path) as second:
        assert (first.chain, second.chain) == ("node", "node-2")
        first.record(event(correlation_id="c"))
        second.record(event(correlation_id="c"))
        await first.flush()
        await second.flush()
        assert len(await first.trace("c")) == 2
    report = await verify(database, tmp_path)
    assert report.ok
    assert report.chains == ["node", "node-2"]


async def test_a_trace_finds_events_by_each_of_their_ids_in_order_of_time(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        ours = [event(9 - n, correlation_id="conversation", request_id=f"request-{n}") for n in range(3)]
        for n in range(50):
            log.record(event(n, correlation_id=f"other-{n}", request_id=f"other-{n}"))
        refused = event(60, outcome="FORBIDDEN", id=new_id())
        for one in (*ours, refused):
            log.record(one)
        await log.flush()
        assert await log.trace("conversation") == sorted(ours, key=lambda e: e.at)
        assert await log.trace("request-1") == [ours[1]]
        assert await log.trace(refused.id) == [refused], "a fault shows its message id"
        assert await log.trace(ours[2].id) == [], "nobody is shown that of a success"
        assert await log.trace("nothing") == []
        assert await log.trace("") == []


async def test_an_event_of_a_write_is_in_its_commit_and_says_whether_it_was_made(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:

        async def told(value: bytes) -> None:
            provisional = Provisional(event(1, correlation_id="done"), event(2, correlation_id="again"))
            log.record(provisional)
            step = claim, use("test", value, micros(SystemClock()))
            await log._group.transact(step, guarded=1, settled=lambda results: provisional.settle(results[0].rowcount == 1))

        for value in (b"a", b"b", b"a"):
            await told(value)
            assert log._durable == log._accepted[0], "nothing had to be waited for"
        await asyncio.gather(*(told(b"c") for _ in range(4)))
        assert (len(await log.trace("done")), len(await log.trace("again"))) == (3, 4)
    assert (await verify(database, tmp_path)).ok


async def test_an_event_that_comes_while_a_group_is_written_waits_for_its_own_write(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        for number in range(200):
            log.record(event(number))
            others = [asyncio.create_task(log._group.submit(*_used(f"{number} {each}"))) for each in range(5)]
            for _ in range(3):
                await asyncio.sleep(0)  # a group of these is being written now, and gathers the audit's events at any moment
            done, otherwise = event(correlation_id="made"), event(correlation_id="not made")
            settle = log.attest(done, otherwise)

            def settled(results: list[Any], settle: Callable[[bool], None] = settle) -> None:
                settle(True)

            await log._group.transact(_used(f"mine {number}"), settled=settled)
            await asyncio.gather(*others)
        assert len(await log.trace("made")) == 200
        assert await log.trace("not made") == []


def _used(value: str) -> tuple[Any, dict[str, Any]]:
    """A write."""
    return claim, use("test", value.encode(), micros(SystemClock()))


async def test_details_that_json_cannot_hold_do_not_stop_the_chain(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        await log.durable(event(correlation_id="c", details={"object": object()}))
        assert (await log.trace("c"))[0].details == {"unencodable": True}


async def test_a_full_queue_makes_room_by_being_written(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path, AuditSettings(queue=10)) as log:
        for number in range(10):
            assert not log.full
            log.record(event(number))
        assert log.full
        async with asyncio.timeout(5):
            await log.room()
        assert not log.full


async def test_while_the_store_fails_nothing_is_acknowledged_and_nothing_is_dropped(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        await log.durable(event())
        await execute(database, text("ALTER TABLE audit_events RENAME TO away"))
        log.record(event(1))
        with pytest.raises(StoreError):
            await log.durable(event(2, correlation_id="refused"))
        for number in range(50):
            log.record(event(number))
        with pytest.raises(StoreError):
            await log.flush()
        await execute(database, text("ALTER TABLE away RENAME TO audit_events"))
        await log.durable(event(3))
        assert len(await log.trace("refused")) == 1
    report = await verify(database, tmp_path)
    assert report.findings == []
    assert (report.events, report.gaps) == (54, [])


class Losing:
    """Stands in for a log in the group writer: the rows of its one commit are there, and the log is told that they are not."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self.pending, self.gather, self.failed, self.settled = log.pending, log.gather, log.failed, log.settled

    def committed(self) -> None:
        self._log._group.detach(self)
        self._log.failed(StoreError("the connection was lost"))


async def test_a_commit_whose_success_was_not_learned_of_is_no_obstacle(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        await log.durable(event())
        standing = (log._standing.next, log._standing.link, log._standing.rows)
        log._group.detach(log)
        log._group.attach(Losing(log))
        with pytest.raises(StoreError):
            await log.durable(event(1))
        assert (log._standing.next, log._standing.link, log._standing.rows) == standing
        log._group.attach(log)
        await log.durable(event(2))
    report = await verify(database, tmp_path)
    assert report.findings == []
    assert report.events == 3


async def test_a_row_put_in_the_way_is_not_taken_for_the_event(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        await log.durable(event())
        body = b'{"at":1,"kind":"interaction"}'
        await execute(database, insert(audit_events).values(chain="node", seq=2, at=1, body=body, hash=bytes(32)))
        with pytest.raises(StoreError):
            await log.durable(event(1))
        assert not (await verify(database, tmp_path)).ok
        await execute(database, delete(audit_events).where(rows.seq == 2))
        await log.durable(event(2))
    assert (await verify(database, tmp_path)).ok


async def test_a_store_that_fails_to_the_end_leaves_an_exact_gap(database: Database, tmp_path: Path) -> None:
    with suppress(StoreError):
        async with running(database, tmp_path) as log:
            await log.durable(event())
            await execute(database, text("ALTER TABLE audit_events RENAME TO away"))
            for number in range(7):
                log.record(event(number))
    await execute(database, text("ALTER TABLE away RENAME TO audit_events"))
    async with running(database, tmp_path):
        pass
    report = await verify(database, tmp_path)
    assert report.findings == []
    assert [(gap.first, gap.lost) for gap in report.gaps] == [(2, 7)]


async def test_verification_while_events_are_recorded_raises_no_false_alarm(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path, AuditSettings(segment_rows=50)) as log:

        async def record() -> None:
            for number in range(600):
                log.record(event(number))
                if number % 7 == 0:
                    await asyncio.sleep(0.001)

        recording = asyncio.create_task(record())
        while not recording.done():
            report = await verify(database, tmp_path)
            assert report.findings == []
        await recording


async def test_a_new_node_may_not_take_the_name_of_a_chain_kept_elsewhere(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path / "one", 4)
    with pytest.raises(StoreError, match="another name"):
        async with running(database, tmp_path / "two"):
            pass
    await filled(database, tmp_path / "one", 4)


# --- tampering -----------------------------------------------------------------------------------------------------------


async def execute(database: Database, *statements: Any) -> None:
    async with database.write() as connection:
        for statement in statements:
            await connection.execute(statement)


async def alter(database: Database) -> None:
    await execute(database, update(audit_events).where(rows.seq == 4).values(body=b'{"at":1,"kind":"interaction"}'))


async def alter_a_column(database: Database) -> None:
    await execute(database, update(audit_events).where(rows.seq == 4).values(at=1))


async def hide_from_traces(database: Database) -> None:
    await execute(database, update(audit_events).where(rows.seq == 4).values(correlation_key=0))


async def remove_one(database: Database) -> None:
    await execute(database, delete(audit_events).where(rows.seq == 7))


async def remove_the_first(database: Database) -> None:
    await execute(database, delete(audit_events).where(rows.seq == 1))


async def remove_the_newest(database: Database) -> None:
    await execute(database, delete(audit_events).where(rows.seq == 12))


async def remove_the_newest_group(database: Database) -> None:
    await execute(database, delete(audit_events).where(rows.seq >= 11))


async def remove_a_segment(database: Database) -> None:
    await execute(database, delete(audit_events).where(rows.seq <= 6))


async def remove_all(database: Database) -> None:
    await execute(database, delete(audit_events))


async def swap(database: Database) -> None:
    await execute(
        database,
        update(audit_events).where(rows.seq == 3).values(seq=-1),
        update(audit_events).where(rows.seq == 4).values(seq=3),
        update(audit_events).where(rows.seq == -1).values(seq=4),
    )


async def strip_a_signature(database: Database) -> None:
    await execute(database, update(audit_events).where(rows.seq == 4).values(signature=None))


async def strip_the_newest_signature(database: Database) -> None:
    await execute(database, update(audit_events).where(rows.seq == 12).values(signature=None))


async def append(database: Database) -> None:
    async with database.write() as connection:
        last = (await connection.execute(select(audit_events).where(rows.seq == 12))).one()
        body = b'{"at":1,"kind":"interaction"}'
        hash_ = hash_event(last.hash + last.signature, prefix("node"), 13, body)
        forged = {"chain": "node", "seq": 13, "at": 1, "body": body, "hash": hash_, "signature": last.signature}
        await connection.execute(insert(audit_events).values(forged))


async def another_chain(database: Database) -> None:
    body = b'{"at":1,"kind":"interaction"}'
    forged = {"chain": "mode", "seq": 1, "at": 1, "body": body, "hash": hash_event(GENESIS, prefix("mode"), 1, body)}
    await execute(database, insert(audit_events).values(forged))


async def compute_anew(database: Database) -> None:
    """Another status in the fourth event, and every hash after it as it would have been; signatures as they stand."""
    async with database.write() as connection:
        link = GENESIS
        for row in (await connection.execute(select(audit_events).order_by(rows.seq))).all():
            body = row.body.replace(b"200", b"403") if row.seq == 4 else row.body
            hash_ = hash_event(link, prefix("node"), row.seq, body)
            await connection.execute(update(audit_events).where(rows.seq == row.seq).values(body=body, hash=hash_))
            link = hash_ + (row.signature or b"")


async def compute_anew_unsigned(database: Database) -> None:
    async with database.write() as connection:
        link = GENESIS
        for row in (await connection.execute(select(audit_events).order_by(rows.seq))).all():
            body = row.body.replace(b"200", b"403") if row.seq == 4 else row.body
            hash_ = hash_event(link, prefix("node"), row.seq, body)
            values = {"body": body, "hash": hash_, "signature": None}
            await connection.execute(update(audit_events).where(rows.seq == row.seq).values(values))
            link = hash_


TAMPERING = [
    alter, alter_a_column, hide_from_traces, remove_one, remove_the_first, remove_the_newest, remove_the_newest_group,
    remove_a_segment, remove_all, swap, strip_a_signature, strip_the_newest_signature, append, another_chain, compute_anew,
    compute_anew_unsigned,
]  # fmt: skip


@pytest.mark.parametrize("tamper", TAMPERING)
async def test_tampering_in_the_database_is_found(
    database: Database, tmp_path: Path, tamper: Callable[[Database], Awaitable[None]]
) -> None:
    await filled(database, tmp_path)
    assert (await verify(database, tmp_path)).ok
    await tamper(database)
    report = await verify(database, tmp_path)
    assert report.findings
    assert not report.gaps


@pytest.mark.parametrize("tamper", [remove_the_newest, remove_the_newest_group, remove_all, append, compute_anew])
async def test_tampering_is_found_even_after_the_platform_was_started_again(
    database: Database, tmp_path: Path, tamper: Callable[[Database], Awaitable[None]]
) -> None:
    await filled(database, tmp_path)
    await tamper(database)
    await filled(database, tmp_path)
    await filled(database, tmp_path)
    assert not (await verify(database, tmp_path)).ok


async def copied(database: Database) -> list[dict[str, Any]]:
    async with database.read() as connection:
        return [dict(row._mapping) for row in await connection.execute(select(audit_events))]


async def test_an_older_copy_of_the_database_is_found(database: Database, tmp_path: Path) -> None:
    await filled(database, tmp_path)
    copy = await copied(database)
    await filled(database, tmp_path)
    await execute(database, delete(audit_events), insert(audit_events).values(copy))
    report = await verify(database, tmp_path)
    assert "events 13 to 24, the newest, were removed" in report.findings[0].what
    await filled(database, tmp_path)
    assert not (await verify(database, tmp_path)).ok


@pytest.mark.parametrize("fate", ["emptied", "removed", "older", "forged"])
async def test_an_older_copy_together_with_a_spoilt_head_is_found(database: Database, tmp_path: Path, fate: str) -> None:
    await filled(database, tmp_path)
    copy = await copied(database)
    head = tmp_path / "audit" / "node.head"
    older = head.read_bytes()
    await filled(database, tmp_path)
    await execute(database, delete(audit_events), insert(audit_events).values(copy))
    if fate == "removed":
        head.unlink()
    else:
        head.write_bytes({"emptied": b"", "older": older, "forged": b"e30=" + older[4:]}[fate])
    assert not (await verify(database, tmp_path)).ok


@pytest.mark.parametrize("fate", ["last line removed", "first line removed", "altered", "removed"])
async def test_tampering_with_the_segments_file_is_found(database: Database, tmp_path: Path, fate: str) -> None:
    await filled(database, tmp_path)
    path = tmp_path / "audit" / "node.segments"
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 2
    match fate:
        case "last line removed":
            path.write_bytes(b"".join(lines[:-1]))
        case "first line removed":
            path.write_bytes(b"".join(lines[1:]))
        case "altered":
            path.write_bytes(b"".join(lines).replace(b'"rows":6', b'"rows":5'))
        case _:
            path.unlink()
    assert not (await verify(database, tmp_path)).ok


async def test_a_public_key_kept_elsewhere_finds_a_node_that_was_replaced(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        await log.durable(event())
        kept = log.public_key
    assert (await verify(database, tmp_path, kept)).ok
    await execute(database, delete(audit_events))
    shutil.rmtree(tmp_path / "audit")
    shutil.rmtree(tmp_path / "keys")
    await filled(database, tmp_path)
    assert (await verify(database, tmp_path)).ok
    assert not (await verify(database, tmp_path, kept)).ok


# --- retention -----------------------------------------------------------------------------------------------------------


async def test_retention_removes_whole_sealed_segments_and_says_so(database: Database, tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    settings = AuditSettings(segment_rows=5, retention=timedelta(days=10))
    async with running(database, tmp_path, settings, clock) as log:
        for number in range(12):
            await log.durable(event(number))
        clock.advance(timedelta(days=11))
        await log.durable(event(12))
        assert await log.purge(clock.now()) == 10
        assert await log.purge(clock.now()) == 0
        report = await verify(database, tmp_path)
        assert report.findings == []
        assert report.removed == {"node": 10}
        assert report.events == 4  # the three that were not sealed by then, and the one that tells of the removal
    async with database.read() as connection:
        bodies = (await connection.scalars(select(rows.body).order_by(rows.seq.desc()))).all()
    assert b'"segments.removed"' in bodies[0]
    await filled(database, tmp_path, 2)
    assert (await verify(database, tmp_path)).ok


async def test_rows_a_crash_kept_from_being_removed_verify_and_go_at_the_next_run(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    async with running(database, tmp_path, SMALL, clock) as log:
        for number in range(12):
            await log.durable(event(number))

        async def killed(*_: object) -> int:
            raise StoreError("killed")

        with monkeypatch.context() as patched:
            patched.setattr("fiveways.ledger.audit.log.remove", killed)
            with pytest.raises(StoreError):
                await log.retain(clock.now() + timedelta(days=1))
        report = await verify(database, tmp_path)
        assert report.findings == []
        assert report.events == 12
        assert await log.retain(clock.now()) == 10
        assert (await verify(database, tmp_path)).findings == []


async def test_a_removed_event_that_comes_back_is_found(database: Database, tmp_path: Path) -> None:
    async with running(database, tmp_path) as log:
        for number in range(12):
            await log.durable(event(number))
        copy = await copied(database)
        await log.retain(datetime.now(UTC) + timedelta(days=1))
        await execute(database, insert(audit_events).values(copy[2]))
        assert not (await verify(database, tmp_path)).ok
