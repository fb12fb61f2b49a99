"""Runs by the schedule: each is promised once, made by one node, made up for where no node was up, tried again where it failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.acceptance.bulk.errands.partner import Partner

from fiveways.clock import AdjustableClock, SystemClock, moment_of
from fiveways.delivery import records
from fiveways.delivery.deadletters import DeadLetters
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.worker import Worker
from fiveways.ledger.rates import Rates
from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.errands import QUEUE, Busy, Errands, NoErrand, run_id
from fiveways.methods.bulk.errands.folder import Folder
from fiveways.methods.bulk.errands.settings import Errand
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio
HOURLY = {"every": "1h"}
Node = Callable[..., Errands]


@pytest.fixture
def clock() -> AdjustableClock:
    """A clock that can be put ahead."""
    return AdjustableClock(SystemClock())


@pytest.fixture
def node(partner: Partner, ours: Path, clock: AdjustableClock, group: GroupWriter) -> Node:
    """Makes the errands of a node."""

    def make(name: str = "north", over: GroupWriter = group, server: dict[str, Any] | None = None, **settings: Any) -> Errands:
        said = {"do": "push", "partner": "rxn", "from": "/", "to": "/in", "schedule": HOURLY, **settings}
        reached = partner.reached(**(server or {}))
        return Errands(
            {"errand": TypeAdapter[Any](Errand).validate_python(said)}, lambda name: reached, lambda name, secured: Folder(ours),
            Book(over, clock, name), Deliveries(over, open_payloads("memory://"), LocalBus(), clock, name), clock, partner.base,
            rest=0.01,
        )  # fmt: skip

    return make


@asynccontextmanager
async def at_work(errands: Errands, clock: AdjustableClock) -> AsyncIterator[Worker]:
    """A worker of a node's runs."""
    deliveries = errands._deliveries
    rates = Rates(deliveries.group, clock)
    worker = Worker(deliveries, rates, [errands.queue()], poll=0.02)
    worker.start()
    try:
        yield worker
    finally:
        await worker.close()
        await rates.close()


async def until(what: Callable[[], Awaitable[Any]]) -> Any:
    """Wait until something is there."""
    for _ in range(500):
        if found := await what():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come")


async def said(group: GroupWriter) -> Sequence[tuple[str, str]]:
    """What has happened to runs, and why, in order."""
    async with group.database.read() as connection:
        found = (await connection.execute(records.delivery_events.select().order_by(records.delivery_events.c.at))).all()
    return [(row.happening, row.reason) for row in found if row.happening not in ("promise", "claim")]


async def test_a_run_is_promised_once_and_made_when_it_is_due(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner, ours: Path
) -> None:
    (ours / "a.csv").write_bytes(b"x")
    north, south = node("north"), node("south")
    await north.promise()
    await asyncio.gather(north.promise(), south.promise(), south.promise())
    assert (await north._deliveries.depth(QUEUE)).waiting == 1
    async with at_work(north, clock), at_work(south, clock):
        await asyncio.sleep(0.1)
        assert partner.asked == []
        clock.advance(timedelta(hours=1))
        assert await until(lambda: said(group)) == [("deliver", "1 moved")]
    assert partner.files("in") == {"a.csv": b"x"}
    await north.promise()
    assert (await north._deliveries.depth(QUEUE)).waiting == 1, "the next"


async def test_a_run_is_made_up_for_where_no_node_was_up(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner, ours: Path
) -> None:
    (ours / "a.csv").write_bytes(b"x")
    await node().promise()
    clock.advance(timedelta(hours=50))
    north = node("north")
    await north.promise()
    async with at_work(north, clock):
        assert await until(lambda: said(group)) == [("deliver", "1 moved")]


async def test_a_run_that_was_overtaken_by_the_next_is_not_made(node: Node, clock: AdjustableClock, group: GroupWriter) -> None:
    north = node()
    for _ in range(3):
        await north.promise()
        clock.advance(timedelta(hours=1))
    async with at_work(north, clock):
        await until(lambda: enough(group, 3))
    assert await said(group) == [("deliver", "the next run is due already")] * 2 + [("deliver", "0 moved")]


async def enough(group: GroupWriter, count: int) -> bool:
    """Whether so much has happened."""
    return len(await said(group)) >= count


async def test_a_run_of_a_schedule_that_is_another_by_now_is_not_made(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner
) -> None:
    await node(schedule={"every": "7m"}).promise()
    clock.advance(timedelta(minutes=7))
    async with at_work(node(schedule={"at": "02:00"}), clock):
        assert await until(lambda: said(group)) == [("deliver", "its schedule is another by now")]
    await node(schedule={"every": "7m"}).promise()
    clock.advance(timedelta(minutes=7))
    async with at_work(node(schedule=None), clock):
        await until(lambda: enough(group, 2))
    assert (await said(group))[1] == ("deliver", "it is not run by a schedule any more")
    assert partner.asked == []


async def test_a_server_that_is_another_is_for_a_person(node: Node, clock: AdjustableClock, group: GroupWriter) -> None:
    north = node(server={"host_keys": ["SHA256:" + "x" * 43]})
    await north.promise()
    clock.advance(timedelta(hours=1))
    async with at_work(north, clock):
        ((happening, reason),) = await until(lambda: said(group))
    assert happening == "give up"
    assert "none of those that are pinned" in reason
    (dead,) = await DeadLetters(north._deliveries, "somebody", lambda *_: lambda _: None).list(QUEUE)
    assert dead.target == "errand"


async def test_a_run_that_failed_is_tried_again(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner, ours: Path
) -> None:
    (ours / "a.csv").write_bytes(b"x")
    (partner.root / "in").rename(partner.root / "elsewhere")
    north = node()
    await north.promise()
    clock.advance(timedelta(hours=1))
    async with at_work(north, clock):
        ((happening, reason),) = await until(lambda: said(group))
        assert (happening, reason) == ("fail", "0 moved, 1 failed; the file, or the folder that it goes to, is not there")
        (partner.root / "elsewhere").rename(partner.root / "in")
        clock.advance(timedelta(seconds=15))
        await until(lambda: enough(group, 2))
    assert (await said(group))[1] == ("deliver", "1 moved")


async def test_files_that_are_not_still_yet_have_the_run_come_back(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner, ours: Path
) -> None:
    partner.put("out/a.csv", b"x")
    north = node(do="pull", **{"from": "/out", "to": "/", "complete_when": {"still_for": "10m"}})
    await north.promise()
    clock.advance(timedelta(hours=1))
    async with at_work(north, clock):
        assert await until(lambda: said(group)) == [("fail", "0 moved, 1 not whole yet")]
        clock.advance(timedelta(minutes=11))
        await until(lambda: enough(group, 2))
    assert (ours / "a.csv").read_bytes() == b"x"


async def test_one_errand_is_run_by_one_node_at_a_time(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner, ours: Path, tmp_path: Path
) -> None:
    for number in range(20):
        (ours / f"{number}.csv").write_bytes(b"x")
    database = Database.open(f"sqlite:///{tmp_path}/fiveways.db")
    other = GroupWriter(database)
    north, south = node("north"), node("south", other)
    running: list[int] = []

    def on(partner: Partner, asked: str) -> None:
        running.append(len([each for each in partner.connections if not each.is_closed()]))

    partner.on = on
    await north.promise()
    clock.advance(timedelta(hours=1))
    async with at_work(north, clock), at_work(south, clock):
        await until(lambda: asyncio.sleep(0, partner.asked))
        for each in (north, south):
            with pytest.raises(Busy):
                await each.run_now("errand")
        assert await until(lambda: said(group)) == [("deliver", "20 moved")]
    assert set(running) == {1}
    assert partner.asked.count("rename") == 20
    assert (await south.run_now("errand")).say() == "0 moved"
    with pytest.raises(NoErrand):
        await south.run_now("another")
    await other.close()
    await database.close()


async def test_a_run_that_is_asked_for_waits_for_nobody_and_keeps_others_out(
    node: Node, clock: AdjustableClock, group: GroupWriter, partner: Partner, ours: Path
) -> None:
    (ours / "a.csv").write_bytes(b"x")
    north = node()
    await north.promise()
    clock.advance(timedelta(hours=1))
    entered = asyncio.Event()
    partner.on = lambda partner, asked: entered.set()
    asked_for = asyncio.create_task(north.run_now("errand"))
    await asyncio.wait_for(entered.wait(), 5)
    async with at_work(north, clock):
        assert [each.path for each in (await asked_for).moved] == ["/a.csv"]
        assert await until(lambda: said(group)) == [("deliver", "0 moved")]


async def test_a_run_has_one_id(clock: AdjustableClock) -> None:
    due = moment_of(1_800_000_000_000_000)
    assert run_id("a", due) == run_id("a", due) != run_id("b", due)
