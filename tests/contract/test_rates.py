"""Rates: all processes together admit what the rate allows, never more, and the store is not asked about each request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from fiveways.clock import ManualClock, SystemClock
from fiveways.deployment.settings import Rate
from fiveways.ledger.rates import Rates, Verdict
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio


class Counting(GroupWriter):
    """A group writer that counts what it is asked."""

    asked = 0

    async def submit(self, statement: Any, rows: Any, *, synced: bool = True) -> Any:
        self.asked += 1
        return await super().submit(statement, rows, synced=synced)


@pytest.fixture
async def writers(url: str) -> AsyncIterator[list[Counting]]:
    """The group writers of two processes."""
    databases = [Database.open(url, SystemClock()) for _ in range(2)]
    writers = [Counting(database) for database in databases]
    yield writers
    for writer in writers:
        await writer.close()
    for database in databases:
        await database.close()


async def many(limiter: Rates, key: str, rate: Rate, count: int) -> list[Verdict]:
    return await asyncio.gather(*(limiter.take(key, rate) for _ in range(count)))


async def test_two_processes_together_admit_a_quota_exactly(writers: list[Counting]) -> None:
    clock, rate = ManualClock(), Rate(100, 60)
    first, second = (Rates(writer, clock) for writer in writers)
    both = await asyncio.gather(many(first, "k", rate, 150), many(second, "k", rate, 150))
    verdicts = both[0] + both[1]
    assert sum(verdict.allowed for verdict in verdicts) == 100
    refused = next(verdict for verdict in verdicts if not verdict.allowed)
    assert (refused.limit, refused.remaining, refused.reset, refused.retry_after) == (100, 0, 60, 60)
    clock.advance(timedelta(seconds=60))
    assert (await first.take("k", rate)).allowed


async def test_a_quota_counts_down_and_says_when_it_starts_anew(writers: list[Counting]) -> None:
    clock, rate = ManualClock(), Rate(3, 60)
    clock.advance(timedelta(seconds=45))
    limiter = Rates(writers[0], clock)
    verdicts = [await limiter.take("k", rate) for _ in range(4)]
    assert [(verdict.allowed, verdict.remaining) for verdict in verdicts] == [(True, 2), (True, 1), (True, 0), (False, 0)]
    assert {verdict.reset for verdict in verdicts} == {15}
    assert verdicts[3].retry_after == 15


async def test_keys_and_rates_are_apart(writers: list[Counting]) -> None:
    limiter = Rates(writers[0], ManualClock())
    for key, rate in (("a", Rate(1, 60)), ("b", Rate(1, 60)), ("a", Rate(1, 3600))):
        assert (await limiter.take(key, rate)).allowed
        assert not (await limiter.take(key, rate)).allowed


async def test_a_bucket_gives_its_burst_and_then_its_rate(writers: list[Counting]) -> None:
    clock, rate = ManualClock(), Rate(5, 1)
    first, second = (Rates(writer, clock) for writer in writers)
    both = await asyncio.gather(many(first, "k", rate, 10), many(second, "k", rate, 10))
    verdicts = both[0] + both[1]
    assert sum(verdict.allowed for verdict in verdicts) == 5
    assert next(verdict for verdict in verdicts if not verdict.allowed).retry_after == 1
    admitted = 0
    for _ in range(100):
        clock.advance(timedelta(milliseconds=20))
        admitted += (await first.take("k", rate)).allowed + (await second.take("k", rate)).allowed
    assert admitted == 10


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
async def test_a_bucket_never_admits_more_than_burst_and_rate(writers: list[Counting], limit: int) -> None:
    clock, rate = ManualClock(), Rate(limit, 1)
    limiters = [Rates(writer, clock) for writer in writers]
    admitted: list[tuple[float, int]] = []
    for step in range(40):
        clock.advance(timedelta(milliseconds=[1, 7, 30, 400][step % 4]))
        verdicts = await asyncio.gather(*(many(limiter, "k", rate, max(2, limit // 10)) for limiter in limiters))
        admitted.append((clock.time(), sum(verdict.allowed for some in verdicts for verdict in some)))
    for start in range(len(admitted)):
        total = 0
        for moment, count in admitted[start:]:
            total += count
            assert total <= limit + limit * (moment - admitted[start][0]) + 1e-6
    assert sum(count for _, count in admitted) > 0.5 * limit * (admitted[-1][0] - admitted[0][0])


async def test_the_store_is_asked_for_chunks_and_not_for_requests(writers: list[Counting]) -> None:
    clock, rate = ManualClock(), Rate(100_000, 3600)
    limiter = Rates(writers[0], clock)
    for _ in range(20_000):
        if limiter.take_now("k", rate) is None:
            assert (await limiter.take("k", rate)).allowed
    assert writers[0].asked < 30


async def test_a_flood_of_refused_requests_asks_the_store_nothing(writers: list[Counting]) -> None:
    clock, rate = ManualClock(), Rate(5, 60)
    limiter = Rates(writers[0], clock)
    await many(limiter, "k", rate, 10)
    asked = writers[0].asked
    for _ in range(1000):
        verdict = limiter.take_now("k", rate)
        assert verdict is not None
        assert not verdict.allowed
    assert writers[0].asked == asked


async def test_unused_permits_go_back_when_idle_and_on_close(writers: list[Counting]) -> None:
    clock, rate = SystemClock(), Rate(1000, 86400)
    first, second = (Rates(writer, clock) for writer in writers)
    for _ in range(30):  # now it holds some
        await first.take("k", rate)
    await first.close()
    await writers[0].flush()
    verdicts = await many(second, "k", rate, 1000)
    assert sum(verdict.allowed for verdict in verdicts) == 970
    await second.close()


async def test_idle_permits_are_had_by_another_process_within_a_second(writers: list[Counting]) -> None:
    clock, rate = SystemClock(), Rate(200, 86400)
    first, second = (Rates(writer, clock) for writer in writers)
    for _ in range(10):
        await first.take("k", rate)
    deadline, admitted = clock.time() + 3, 10
    while admitted < 200 and clock.time() < deadline:
        verdict = await second.take("k", rate)
        admitted += verdict.allowed
        if not verdict.allowed:
            await asyncio.sleep(0.05)
    assert admitted == 200
    assert not (await second.take("k", rate)).allowed
    await first.close()
    await second.close()


async def test_a_process_whose_clock_is_behind_takes_from_the_newer_window(writers: list[Counting]) -> None:
    ahead, behind, rate = ManualClock(), ManualClock(), Rate(10, 60)
    ahead.advance(timedelta(seconds=61))
    first, second = Rates(writers[0], ahead), Rates(writers[1], behind)
    admitted = await asyncio.gather(many(first, "k", rate, 8), many(second, "k", rate, 8))
    await first.close()
    assert sum(verdict.allowed for some in admitted for verdict in some) <= 20
    ahead_now = await many(first, "k", rate, 20)
    assert sum(verdict.allowed for verdict in admitted[0] + ahead_now) <= 10


async def test_rows_that_say_nothing_any_more_are_purged(writers: list[Counting]) -> None:
    clock = ManualClock()
    limiter = Rates(writers[0], clock)
    await limiter.take("k", Rate(1, 60))
    assert await limiter.purge(clock.now()) == 0
    clock.advance(timedelta(minutes=3))
    assert await limiter.purge(clock.now()) == 1
    assert (await limiter.take("k", Rate(1, 60))).allowed


PROGRAM = """
import asyncio, sys
from fiveways.clock import SystemClock
from fiveways.deployment.settings import Rate
from fiveways.ledger.rates import Rates
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

async def main():
    clock = SystemClock()
    database = Database.open(sys.argv[1], clock)
    writer = GroupWriter(database)
    limiter = Rates(writer, clock)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    verdicts = await asyncio.gather(*(limiter.take("k", Rate(500, 86400)) for _ in range(400)))
    print(sum(verdict.allowed for verdict in verdicts), flush=True)
    await limiter.close()
    await writer.close()
    await database.close()

asyncio.run(main())
"""


async def test_two_real_processes_admit_a_quota_exactly(url: str, child: Callable[..., Any]) -> None:
    processes = [await child(PROGRAM, url) for _ in range(2)]
    for process in processes:
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        process.stdin.write(b"go\n")
    admitted = [int(await process.stdout.readline()) for process in processes]
    assert sum(admitted) == 500
