"""The same for programs without an event loop: what `Fiveways` and `Job` do, waited for.

Jobs are followed while something is waited for; in between nothing is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from fiveways.client.answer import Answer
from fiveways.client.errors import ClientError
from fiveways.client.fiveways import Fiveways
from fiveways.client.following import Status
from fiveways.client.job import Job
from fiveways.client.polling import Step
from fiveways.client.states import State

P = ParamSpec("P")
R = TypeVar("R")


def _waited(
    method: Callable[Concatenate[Fiveways, P], Coroutine[Any, Any, R]],
) -> Callable[Concatenate[BlockingFiveways, P], R]:
    def wait(self: BlockingFiveways, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(method(self.five, *args, **kwargs))

    wait.__doc__ = method.__doc__
    return wait


def _of_job(
    method: Callable[Concatenate[Fiveways, P], Coroutine[Any, Any, Job]],
) -> Callable[Concatenate[BlockingFiveways, P], BlockingJob]:
    def wait(self: BlockingFiveways, /, *args: P.args, **kwargs: P.kwargs) -> BlockingJob:
        return BlockingJob(self, self.run(method(self.five, *args, **kwargs)))

    wait.__doc__ = method.__doc__
    return wait


class BlockingFiveways:
    """A deployment, and its own event loop: for one thread."""

    def __init__(self, five: Fiveways) -> None:
        self.five = five
        self._runner = asyncio.Runner()

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Wait for anything else."""
        return self._runner.run(work)

    call = _waited(Fiveways.call)
    stream = _waited(Fiveways.stream)
    submit = _of_job(Fiveways.submit)
    submit_message = _of_job(Fiveways.submit_message)

    def job(self, id_: str) -> BlockingJob:
        """A job by its id, or by what we call it. Raises ClientError where the ledger has none."""
        return BlockingJob(self, self.five.job(id_))

    def open_jobs(self) -> list[BlockingJob]:
        """Jobs at this deployment that have not come to their end, the oldest first."""
        return [BlockingJob(self, job) for job in self.run(self.five.open_jobs())]

    def outcomes(
        self, jobs: Iterable[BlockingJob], timeout: timedelta | None = None
    ) -> Iterator[tuple[BlockingJob, Answer | ClientError]]:
        """Each job with its outcome, or with why there is none, in the order in which they come; until `timeout` is over."""
        named = {job.id: job for job in jobs}
        following = self.five.outcomes([job.job for job in named.values()], timeout)

        async def one() -> tuple[Job, Answer | ClientError] | None:
            return await anext(following, None)

        while (found := self.run(one())) is not None:
            yield named[found[0].id], found[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.five.close())
        self._runner.close()


class BlockingJob:
    """A job, waited for."""

    def __init__(self, five: BlockingFiveways, job: Job) -> None:
        self._five = five
        self.job = job

    @property
    def id(self) -> str:
        """The X-Request-ID under which it was submitted."""
        return self.job.id

    @property
    def state(self) -> State:
        """Where it is, as far as the ledger knows."""
        return self.job.state

    def outcome(self, timeout: timedelta | None = None) -> Answer:
        """The outcome. Raises StillRunning when `timeout` is over, Gone, …: as `Job.outcome`."""
        return self._five.run(self.job.outcome(timeout))

    def status(self) -> Status:
        """Ask after it once, now."""
        return self._five.run(self.job.status())

    def cancel(self) -> None:
        """Have the other side let go of it."""
        self._five.run(self.job.cancel())

    def progress(self) -> Iterator[Step]:
        """Each step that the other side tells of, until the job has come to its end."""
        steps = self.job.progress()

        async def one() -> Step | None:
            return await anext(steps, None)

        while (step := self._five.run(one())) is not None:
            yield step
