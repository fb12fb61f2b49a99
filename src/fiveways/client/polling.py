"""Open jobs, followed without a task for each: one heap of the times at which they are due, and a bounded number of questions.

    follow ──▶ due ──▶ asked ──runs, failed──▶ due again, later
                         └──outcome, gone──▶ noted in the ledger ──▶ whoever waits is woken

What another process learns, from a callback or by polling itself, is found in the ledger, which is looked into now and then.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from fiveways.client import fields
from fiveways.client.answer import Answer
from fiveways.client.asking import Found
from fiveways.client.errors import ClientError, Denied, Gone, StillRunning, Unavailable
from fiveways.client.jobs import GONE, Followed, Jobs
from fiveways.client.pace import Pace
from fiveways.client.verdict import Verdict
from fiveways.clock import Clock, micros

log = logging.getLogger(__name__)

Ask = Callable[[str, str, str], Awaitable[Found]]
"""Asks after a job: status URL, correlation id, ETag."""


class Step(NamedTuple):
    """How far a job is, in the other side's words; `percent` where these say so."""

    said: str
    percent: float | None


class _Entry:
    """A job that is followed: kept small, since there may be very many."""

    __slots__ = ("correlation", "due", "etag", "held", "id", "place", "said", "slow", "steps", "stuck", "url", "waited", "waiters")

    def __init__(self, job: Followed, correlation: str) -> None:
        self.id, self.url, self.correlation, self.etag, self.said = job.request, job.status_url, correlation, job.etag, job.progress
        self.slow, self.held, self.stuck = job.callback, False, False
        self.due, self.waited, self.place = 0.0, 0.0, 0
        self.waiters: list[asyncio.Future[Answer]] | None = None
        self.steps: list[asyncio.Future[None]] | None = None


class Pool:
    """Follows jobs until each has come to its end, which is durable before anybody is told."""

    def __init__(self, jobs: Jobs, ask: Ask, clock: Clock, pace: Pace) -> None:
        self._jobs, self._ask, self._clock, self._pace = jobs, ask, clock, pace
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._places = itertools.count(1)
        self._asking: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = 0
        self._looked = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, request: str) -> bool:
        return request in self._entries

    def follow(self, job: Followed, correlation: str) -> None:
        """Ask after a job from when it is due; one that is followed goes on as it does."""
        if job.request in self._entries:
            return
        entry = self._entries[job.request] = _Entry(job, correlation)
        wait = max(0.0, job.due / 1e6 - self._clock.time())
        self._schedule(entry, min(wait, self._pace.trusted.total_seconds()))  # the clock may have been put back
        if self._task is None:
            self._ending = self._jobs.last_ending()
            self._task = asyncio.get_running_loop().create_task(self._run(), name="open jobs")
        if len(self._entries) == 1:
            self._wake.set()

    def wait(self, request: str) -> asyncio.Future[Answer]:
        """The outcome of a job that is followed. It fails with Gone, Denied, Untrusted, TooLarge, or whatever else came of it."""
        entry = self._entries[request]
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        entry.waiters = [each for each in entry.waiters or () if not each.done()]
        entry.waiters.append(future)
        if entry.stuck:  # whoever waits again may have mended what was wrong
            entry.stuck = False
            self._schedule(entry, 0.0)
        return future

    def changed(self, request: str) -> asyncio.Future[None]:
        """Done when something new is said of a job, or it has ended."""
        entry = self._entries[request]
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry.steps = [each for each in entry.steps or () if not each.done()]
        entry.steps.append(future)
        return future

    def step(self, request: str) -> Step | None:
        """How far a job is; None where it is not followed."""
        entry = self._entries.get(request)
        return Step(entry.said, fields.percent(entry.said)) if entry is not None else None

    def hold(self, request: str) -> None:
        """Somebody learns of a job in another way: it is not asked after for now."""
        if (entry := self._entries.get(request)) is not None:
            entry.held = True

    def release(self, request: str) -> None:
        """Ask after a job again."""
        if (entry := self._entries.get(request)) is not None and entry.held:
            entry.held = False
            self._schedule(entry, self._pace.after(0))

    async def found(self, request: str, found: Found) -> bool:
        """What was learned of a job: whether it has ended by that."""
        entry = self._entries.get(request)
        if entry is None:
            return True
        verdict, answer = found.verdict, found.answer
        if verdict is Verdict.OUTCOME:
            self.end(request, await asyncio.to_thread(self._jobs.ended, request, answer, "status"))
        elif verdict is Verdict.GONE:
            reason = f"the other side knows nothing of the job any more ({answer.status})"
            await asyncio.to_thread(self._jobs.failed, request, GONE, reason)
            conclusion = await asyncio.to_thread(self._jobs.conclusion, request)
            self.end(request, conclusion or Gone(reason))
        elif verdict is Verdict.DENIED:
            raise Denied(f"the other side does not let us ask ({answer.status})")
        else:
            entry.etag = found.etag
            if verdict is Verdict.RUNS and answer.status != 304 and entry.said != found.progress:
                entry.said = found.progress
                _tell(entry)
        return request not in self._entries

    async def close(self) -> None:
        """Follow nothing any more. What is due when is kept for the next time; whoever waits is told that it still runs."""
        tasks = [*self._asking, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        now, monotonic = micros(self._clock), self._clock.monotonic()
        left = list(self._entries.values())
        waits = [0.0 if each.stuck or each.held else max(0.0, each.due - monotonic) for each in left]
        rows = [(each.id, now + int(wait * 1e6), each.etag, each.said) for each, wait in zip(left, waits, strict=True) if each.url]
        if rows:
            await asyncio.to_thread(self._jobs.seen, rows)
        for entry in left:
            self.end(entry.id, StillRunning("nobody asks after it any more"))

    # --- the loop ---------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._look()
            except Exception:
                log.exception("the ledger cannot be read")
            now = self._clock.monotonic()
            while self._heap and self._heap[0][0] <= now and len(self._asking) < self._pace.at_once:
                _, place, request = heapq.heappop(self._heap)
                entry = self._entries.get(request)
                if entry is not None and entry.place == place and not entry.held:
                    task = asyncio.create_task(self._question(entry))
                    self._asking.add(task)
                    task.add_done_callback(self._asked)

    def _pause(self) -> float | None:
        """Seconds until something is due: the next question, or a look into the ledger; None where nothing is."""
        if not self._entries:
            return None
        look = self._pace.look.total_seconds()
        if not self._heap or len(self._asking) >= self._pace.at_once:
            return look
        return min(look, max(0.0, self._heap[0][0] - self._clock.monotonic()))

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        self._wake.set()

    async def _question(self, entry: _Entry) -> None:
        asked: timedelta | None = None
        entry.stuck = False
        try:
            found = await self._ask(entry.url, entry.correlation, entry.etag)
            asked = found.asked
            if await self.found(entry.id, found):
                return
        except Unavailable as error:
            log.info("job %s: %s", entry.id, error)
        except ClientError as error:  # as it stands, asking again brings nothing: whoever waits is told, and it is asked seldom
            log.warning("job %s: %s", entry.id, error)
            entry.stuck = True
            _fail(entry, error)
        except Exception as error:
            log.exception("job %s", entry.id)
            entry.stuck = True
            _fail(entry, ClientError(f"{type(error).__name__}: {error}"))
        entry.waited = self._pace.after(entry.waited, asked, slow=entry.slow or entry.stuck)
        self._schedule(entry, entry.waited)

    def _schedule(self, entry: _Entry, wait: float) -> None:
        if not entry.url:
            return
        entry.due, entry.place = self._clock.monotonic() + wait, next(self._places)
        heapq.heappush(self._heap, (entry.due, entry.place, entry.id))
        if self._heap[0][2] == entry.id:
            self._wake.set()

    async def _look(self) -> None:
        """What has ended without us."""
        now = self._clock.monotonic()
        if not self._entries or now - self._looked < self._pace.look.total_seconds():
            return
        self._looked = now
        for place, request in await asyncio.to_thread(self._jobs.endings, self._ending):
            if request in self._entries:
                conclusion = await asyncio.to_thread(self._jobs.conclusion, request)
                if conclusion is not None:
                    self.end(request, conclusion)
            self._ending = place

    def end(self, request: str, conclusion: Answer | ClientError) -> None:
        """A job has come to an end, and that is durable: whoever waits is told."""
        entry = self._entries.pop(request, None)
        if entry is None:
            return
        if isinstance(conclusion, ClientError):
            _fail(entry, conclusion)
        for waiter in entry.waiters or ():
            if not waiter.done() and isinstance(conclusion, Answer):
                waiter.set_result(conclusion)
        _tell(entry)


def _fail(entry: _Entry, error: ClientError) -> None:
    for waiter in entry.waiters or ():
        if not waiter.done():
            waiter.set_exception(error)
            waiter.exception()  # it may be that nobody looks
    entry.waiters = None


def _tell(entry: _Entry) -> None:
    for each in entry.steps or ():
        if not each.done():
            each.set_result(None)
    entry.steps = None
