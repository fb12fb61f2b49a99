"""What can be done with a job: wait for its outcome, see how far it is, ask after it once, cancel it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from datetime import timedelta
from typing import NamedTuple, TypeVar

from fiveways.client.answer import Answer
from fiveways.client.asking import ask
from fiveways.client.caller import CORRELATION_ID, REQUEST_ID, Caller
from fiveways.client.errors import ClientError, Denied, Gone, Refused, StillRunning, Unavailable, Unsent
from fiveways.client.jobs import CANCELLED, Followed, Jobs
from fiveways.client.ledger import Ledger, Request
from fiveways.client.pace import Pace
from fiveways.client.polling import Pool, Step
from fiveways.client.resending import PASSING
from fiveways.client.states import ENDED, State
from fiveways.client.transport import Asked
from fiveways.client.verdict import Verdict
from fiveways.correlation import new_id

log = logging.getLogger(__name__)

J = TypeVar("J")

HOLD = timedelta(seconds=25)
"""How long a long poll is asked to be held: less than what connections commonly stand."""
_LET_GO = frozenset((200, 202, 204, 404, 410))
"""Answers to DELETE after which the other side has nothing to do with the job any more."""


class _Known(NamedTuple):
    """What the ledger has of a job."""

    request: Request
    followed: Followed | None

    @property
    def over(self) -> bool:
        """Whether it has come to its end."""
        return self.request.state in ENDED

    @property
    def unsent(self) -> Unsent | None:
        """What is to be said of one that may not have been sent."""
        if self.over or self.followed is not None:
            return None
        return Unsent(f"it may not have been sent: submit it again with local_id={self.request.local_id!r}")


class Status(NamedTuple):
    """Where a job is."""

    state: State
    step: Step


class Following:
    """The jobs of one ledger at one deployment. `long_poll`: hold long polls where the deployment offers them."""

    def __init__(self, caller: Caller, ledger: Ledger, pace: Pace, *, long_poll: bool) -> None:
        self.ledger, self.jobs = ledger, Jobs(ledger)
        self._caller, self._pace, self.long_poll = caller, pace, long_poll
        self.pool = Pool(self.jobs, lambda url, correlation, etag: ask(caller, url, correlation, etag=etag), caller.clock, pace)
        self._listening = 0

    def request(self, job: str) -> Request:
        """A job's request. Raises ClientError where the ledger has none."""
        known = self.ledger.get(job)
        if known is None:
            raise ClientError(f"the ledger has no request {job}")
        return known

    def find(self, name: str, *ours: tuple[str, str]) -> Request:
        """A request by its id or by its local id, for each method and whom of ours in turn."""
        known = self.ledger.get(name)
        for method, own in ours:
            known = known or self.ledger.find(own=own, local_id=name, method=method)
        return known or self.request(name)

    async def outcome(self, job: str, timeout: timedelta | None) -> Answer:
        """The outcome, which is durable by then. Raises StillRunning when `timeout` is over, Gone, Unsent, …"""
        known = (await self._join([job]))[job]
        if known.over or known.followed is None:
            return _given(known.unsent or await self._concluded(job))
        followed = known.followed
        waiting = self.pool.wait(job)
        listening: asyncio.Task[None] | None = None
        if self.long_poll and followed.monitor_url and self._listening < self._pace.monitors:
            self._listening += 1
            listening = asyncio.create_task(self._listen(followed))
        try:
            async with asyncio.timeout(timeout.total_seconds() if timeout is not None else None):
                return await waiting
        except TimeoutError:
            raise StillRunning(f"{job} has no outcome yet") from None
        finally:
            if listening is not None:
                self._listening -= 1
                listening.cancel()
                await asyncio.wait([listening])

    async def outcomes(self, jobs: dict[str, J], timeout: timedelta | None) -> AsyncIterator[tuple[J, Answer | ClientError]]:
        """Outcomes as they come, without a task for each; those that wait their turn wait in the ledger, not in memory."""
        ready: asyncio.Queue[tuple[str, ClientError | None]] = asyncio.Queue()

        def tell(job: str) -> Callable[[asyncio.Future[Answer]], None]:
            def told(future: asyncio.Future[Answer]) -> None:
                error = future.exception() if not future.cancelled() else None
                ready.put_nowait((job, error if isinstance(error, ClientError) else None))

            return told

        end = self._caller.clock.monotonic() + timeout.total_seconds() if timeout is not None else None
        for job, known in (await self._join(jobs)).items():
            if known.over or known.followed is None:
                ready.put_nowait((job, known.unsent))
            else:
                self.pool.wait(job).add_done_callback(tell(job))
        for _ in range(len(jobs)):
            try:
                async with asyncio.timeout(max(0.0, end - self._caller.clock.monotonic()) if end is not None else None):
                    job, error = await ready.get()
            except TimeoutError:
                return
            yield jobs[job], error or await self._concluded(job)

    async def progress(self, job: str) -> AsyncIterator[Step]:
        """Each step that is told of, until the job has come to its end."""
        known = (await self._join([job]))[job]
        if (unsent := known.unsent) is not None:
            raise unsent
        last = ""
        while (step := self.pool.step(job)) is not None:
            changed = self.pool.changed(job)
            if step.said != last:
                last = step.said
                yield step
            await changed

    async def status(self, job: str) -> Status:
        """Where it is: it is asked after once, and where that was too soon (429) nothing is new. Raises Unavailable, Denied, …"""
        known = (await self._join([job]))[job]
        if not known.over and known.followed is not None and known.followed.status_url:
            found = await ask(self._caller, known.followed.status_url, known.request.correlation)
            if found.verdict is Verdict.AGAIN and found.answer.status != 429:
                raise Unavailable(f"the other side answered {found.answer.status}")
            await self.pool.found(job, found)
        return Status(self.request(job).state, self.pool.step(job) or Step("", None))

    async def cancel(self, job: str) -> None:
        """Have the other side let go of it. Raises Unavailable, Denied or Refused where it does not. An outcome of ours stays."""
        request = await asyncio.to_thread(self.request, job)
        followed = await asyncio.to_thread(self.jobs.followed, job)
        if followed is not None and followed.status_url:
            place = self._caller.origins.follow(followed.status_url, self._caller.origins.base)
            ids = [(REQUEST_ID, new_id()), (CORRELATION_ID, request.correlation)]
            answer = await self._caller.call(Asked("DELETE", place), ids)
            if answer.status not in _LET_GO:
                raise _refusal(answer.status)
        await asyncio.to_thread(self.jobs.failed, job, CANCELLED, "it was cancelled")
        conclusion = await asyncio.to_thread(self.jobs.conclusion, job)
        self.pool.end(job, conclusion or Gone("it was cancelled"))

    async def _concluded(self, job: str) -> Answer | ClientError:
        found = await asyncio.to_thread(self.jobs.conclusion, job)
        return found if found is not None else ClientError(f"{job} has not come to its end")

    def _known(self, jobs: Collection[str]) -> dict[str, _Known]:
        return {job: _Known(self.request(job), self.jobs.followed(job)) for job in jobs}

    async def _join(self, jobs: Collection[str]) -> dict[str, _Known]:
        """Follow these jobs from now on, except those that have come to their end."""
        found = await asyncio.to_thread(self._known, jobs)
        left = [job for job, known in found.items() if not known.over]
        while left:
            for job in left:
                if (followed := found[job].followed) is not None:
                    self.pool.follow(followed, found[job].request.correlation)
            found |= await asyncio.to_thread(self._known, left)
            for job in left:
                if found[job].over and job in self.pool:
                    self.pool.end(job, await self._concluded(job))
            # What ends from here on, the pool sees; what ended while we looked is looked at again.
            left = [job for job in left if not found[job].over and found[job].followed is not None and job not in self.pool]
        return found

    async def _listen(self, job: Followed) -> None:
        """Hold one long poll after another; whatever goes wrong, the job is polled again."""
        correlation = self.request(job.request).correlation
        self.pool.hold(job.request)
        try:
            while True:
                pause = asyncio.create_task(asyncio.sleep(self._pace.least.total_seconds()))  # who does not hold is not hurried
                try:
                    found = await ask(self._caller, job.monitor_url, correlation, hold=HOLD, timeout=HOLD + self._caller.timeout)
                    runs = found.verdict is Verdict.RUNS
                    if not runs and not (found.verdict is Verdict.OUTCOME and found.answer.ok):
                        return
                    if await self.pool.found(job.request, found):
                        return
                    await pause
                finally:
                    pause.cancel()
        except ClientError as error:
            log.info("job %s: the long poll: %s", job.request, error)
        finally:
            self.pool.release(job.request)


def _given(conclusion: Answer | ClientError) -> Answer:
    if isinstance(conclusion, ClientError):
        raise conclusion
    return conclusion


def _refusal(status: int) -> ClientError:
    if status in (401, 403):
        return Denied(f"the other side does not let us ({status})")
    if status in PASSING:
        return Unavailable(f"the other side answered {status}")
    return Refused(f"the other side answered {status}")
