"""Following very many jobs: no task for each, a bounded number of questions, and nobody who waits is forgotten."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from fiveways.client import Answer, ClientError, Denied, Gone, Pace, StillRunning, Unavailable
from fiveways.client.answer import Fields
from fiveways.client.asking import Found
from fiveways.client.jobs import Followed, Jobs
from fiveways.client.polling import Pool
from fiveways.client.verdict import Verdict
from fiveways.clock import SystemClock

pytestmark = pytest.mark.anyio
MANY = 10_000
QUICK = Pace(timedelta(milliseconds=20), timedelta(milliseconds=60), slow=timedelta(seconds=30), look=timedelta(milliseconds=10))
RUNS = Found(Verdict.RUNS, Answer(202, Fields(), b"", "", ""), None, "", "")
OUTCOME = Found(Verdict.OUTCOME, Answer(200, Fields(), b"done", "", ""), None, "", "")
GONE = Found(Verdict.GONE, Answer(404, Fields(), b"", "", ""), None, "", "")


class Kept:
    """What the pool needs of a ledger's jobs, in memory."""

    def __init__(self) -> None:
        self.concluded: dict[str, Answer | ClientError] = {}
        self.order: list[str] = []
        self.rows: list[tuple[str, int, str, str]] = []
        self.broken = 0

    def ended(self, request: str, answer: Answer, _: str) -> Answer:
        self.order.append(request)
        return cast(Answer, self.concluded.setdefault(request, answer))

    def failed(self, request: str, _: str, reason: str) -> None:
        self.order.append(request)
        self.concluded.setdefault(request, Gone(reason))

    def conclusion(self, request: str) -> Answer | ClientError | None:
        return self.concluded.get(request)

    def last_ending(self) -> int:
        return len(self.order)

    def endings(self, after: int) -> list[tuple[int, str]]:
        if self.broken:
            self.broken -= 1
            raise OSError("the disk is full")
        return [(place + 1, request) for place, request in enumerate(self.order) if place >= after]

    def seen(self, rows: Any) -> None:
        self.rows += rows


def pool(kept: Kept, ask: Callable[[str, str, str], Awaitable[Found]], pace: Pace = QUICK) -> Pool:
    return Pool(cast(Jobs, kept), ask, SystemClock(), pace)


def job(name: str, *, url: str = "", callback: bool = False, due: int = 0) -> Followed:
    return Followed(name, url or f"https://a.example/status/{name}", "", callback, due, "", "")


async def test_ten_thousand_jobs_are_followed_cheaply_and_all_end() -> None:
    asked: Counter[str] = Counter()
    at_once, most = 0, 0

    async def ask(url: str, _: str, __: str) -> Found:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        asked[url] += 1
        return RUNS if asked[url] == 1 else OUTCOME

    kept = Kept()
    jobs = [job(str(number)) for number in range(MANY)]
    followed = pool(kept, ask, Pace(timedelta(milliseconds=20), timedelta(seconds=1)))
    tasks = len(asyncio.all_tasks())
    tracemalloc.start()
    for each in jobs:
        followed.follow(each, "conversation")
    grown = tracemalloc.get_traced_memory()[0] / MANY
    tracemalloc.stop()
    assert grown < 1000  # bytes of each
    assert len(asyncio.all_tasks()) == tasks + 1
    last = followed.wait(jobs[-1].request)
    async with asyncio.timeout(9):
        while len(followed):
            await asyncio.sleep(0.05)
            assert len(asyncio.all_tasks()) <= tasks + 1 + 32
    assert (await last).content == b"done"
    assert 1 < most <= 32
    assert set(asked.values()) == {2}
    assert len(kept.concluded) == MANY
    await followed.close()


async def test_nothing_stops_the_others() -> None:
    async def ask(url: str, _: str, __: str) -> Found:
        name = url.rpartition("/")[2]
        if name == "gone":
            return GONE
        if name == "broken":
            raise RuntimeError("a defect")
        if name == "denied":
            raise Denied("not you")
        if name == "away":
            raise Unavailable("away")
        return OUTCOME

    kept = Kept()
    kept.broken = 2
    followed = pool(kept, ask)
    names = ("gone", "broken", "denied", "away", "good")
    for name in names:
        followed.follow(job(name), "")
    waiting = {name: followed.wait(name) for name in names}
    async with asyncio.timeout(5):
        assert (await waiting["good"]).content == b"done"
        for name, error, words in (("gone", Gone, "404"), ("broken", ClientError, "a defect"), ("denied", Denied, "not you")):
            with pytest.raises(error, match=words):
                await waiting[name]
    assert len(followed) == 3
    assert not waiting["away"].done()
    await followed.close()
    with pytest.raises(StillRunning):
        await waiting["away"]
    assert sorted(row[0] for row in kept.rows) == ["away", "broken", "denied"]


async def test_whoever_waits_again_has_it_asked_again_at_once() -> None:
    found: list[Found | ClientError] = [Denied("not you"), OUTCOME]

    async def ask(*_: str) -> Found:
        result = found.pop(0)
        if isinstance(result, ClientError):
            raise result
        return result

    followed = pool(Kept(), ask)
    followed.follow(job("one"), "")
    with pytest.raises(Denied):
        await followed.wait("one")
    async with asyncio.timeout(5):  # and not after half a minute
        assert (await followed.wait("one")).content == b"done"
    await followed.close()


async def test_what_is_brought_or_has_nowhere_to_be_asked_is_seen_in_the_ledger() -> None:
    async def ask(*_: str) -> Found:
        raise AssertionError("it is asked after only when no callback came")

    kept = Kept()
    followed = pool(kept, ask)
    brought = Followed("brought", "", "", True, 0, "", "")
    later = job("later", callback=True, due=int(2e15 * 1000))
    for each in (brought, later):
        followed.follow(each, "")
    waiting = [followed.wait(each.request) for each in (brought, later)]
    await asyncio.sleep(0.05)
    for each in (brought, later):
        kept.ended(each.request, OUTCOME.answer, "callback")
    async with asyncio.timeout(5):
        assert [(await future).content for future in waiting] == [b"done", b"done"]
    await followed.close()


async def test_a_job_is_due_no_later_than_a_day_from_now_whatever_the_clock_said() -> None:
    kept = Kept()
    followed = pool(kept, lambda *_: asyncio.sleep(0, RUNS))
    followed.follow(job("one", due=10**18), "")
    await followed.close()
    assert kept.rows[0][1] <= SystemClock().time() * 1e6 + 86_400_000_000


async def test_one_that_is_held_is_not_asked_until_it_is_released() -> None:
    count = itertools.count()

    async def ask(*_: str) -> Found:
        next(count)
        return RUNS

    followed = pool(Kept(), ask)
    followed.follow(job("one"), "")
    followed.hold("one")
    await asyncio.sleep(0.1)
    assert next(count) == 0
    followed.release("one")
    await asyncio.sleep(0.2)
    assert next(count) > 1
    await followed.close()
