"""The outbox: what was committed is delivered, in order, at least once, to each consumer; what was not never is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from datetime import timedelta

import pytest

from fiveways.clock import ManualClock, SystemClock
from fiveways.ledger.outbox import Event, Outbox
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def outbox(database: Database, clock: ManualClock) -> Outbox:
    return Outbox(database, LocalBus(), clock, poll=0.02, lease=30)


async def add(database: Database, outbox: Outbox, *keys: str, topic: str = "orders") -> None:
    async with database.write() as connection:
        for key in keys:
            await outbox.add(connection, topic, key, b"{}")


async def take(events: AsyncIterator[Event], count: int) -> list[str]:
    async with asyncio.timeout(5):
        return [(await anext(events)).key for _ in range(count)]


async def test_every_consumer_gets_the_events_of_its_topic_in_order(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "1", "2")
    await add(database, outbox, "elsewhere", topic="other")
    await add(database, outbox, "3")
    for consumer in ("a", "b"):
        async with aclosing(outbox.follow(consumer, "orders")) as events:
            assert await take(events, 3) == ["1", "2", "3"]


async def test_what_was_rolled_back_is_never_delivered(database: Database, outbox: Outbox) -> None:
    with suppress(RuntimeError):
        async with database.write() as connection:
            await outbox.add(connection, "orders", "no", b"")
            raise RuntimeError
    await add(database, outbox, "yes")
    async with aclosing(outbox.follow("a", "orders")) as events:
        assert await take(events, 1) == ["yes"]


async def test_the_event_that_was_not_dealt_with_comes_again(database: Database, outbox: Outbox) -> None:
    await add(database, outbox, "1", "2", "3")
    async with aclosing(outbox.follow("a", "orders")) as events:
        assert await take(events, 2) == ["1", "2"]
    async with aclosing(outbox.follow("a", "orders")) as events:
        assert await take(events, 2) == ["2", "3"]


async def test_of_two_processes_one_delivers_and_the_other_takes_over_when_it_dies(
    database: Database, outbox: Outbox, clock: ManualClock
) -> None:
    await add(database, outbox, "1", "2")
    dead = outbox.follow("a", "orders")
    assert await take(dead, 1) == ["1"]
    async with aclosing(outbox.follow("a", "orders")) as other:
        waiting = asyncio.create_task(take(other, 2))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        clock.advance(timedelta(seconds=31))
        assert await waiting == ["1", "2"]
        late = asyncio.create_task(take(dead, 1))
        await asyncio.sleep(0.1)
        assert not late.done()  # its lease is another's now
        late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    await dead.aclose()


async def test_a_wake_up_is_quick_and_its_loss_costs_only_time(database: Database, clock: ManualClock) -> None:
    bus = LocalBus()
    woken = Outbox(database, bus, clock, poll=60)
    async with aclosing(woken.follow("a", "orders")) as events:
        waiting = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0.1)
        await add(database, woken, "1")
        await woken.wake("orders")
        assert await waiting == ["1"]
    polling = Outbox(database, bus, clock, poll=0.05)
    async with aclosing(polling.follow("b", "orders")) as events:
        assert await take(events, 1) == ["1"]
        waiting = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0.1)
        await add(database, polling, "2")
        assert await waiting == ["2"]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)  # SQLite has one writing transaction at a time
async def test_an_event_committed_late_is_not_skipped(url: str, database: Database, outbox: Outbox) -> None:
    other = Database.open(url, SystemClock())
    async with aclosing(outbox.follow("a", "orders")) as events:
        async with other.write() as slow:
            await outbox.add(slow, "orders", "1", b"")
            await add(database, outbox, "2")
            waiting = asyncio.create_task(take(events, 2))
            await asyncio.sleep(0.1)
            assert not waiting.done()
        assert await waiting == ["1", "2"]
    await other.close()


async def test_only_what_every_consumer_has_read_is_purged(database: Database, outbox: Outbox, clock: ManualClock) -> None:
    await add(database, outbox, "1", "2", "3")
    async with aclosing(outbox.follow("a", "orders")) as fast, aclosing(outbox.follow("b", "orders")) as slow:
        await take(fast, 3)
        await take(slow, 2)
        assert await outbox.purge(clock.now()) == 0
        clock.advance(timedelta(days=1))
        assert await outbox.purge(clock.now()) == 1
        assert await take(slow, 1) == ["3"]
