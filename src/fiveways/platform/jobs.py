"""Work that is nobody's request: done every so often, one after another, and never the reason that the platform falls over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

log = structlog.get_logger("fiveways.jobs")


@dataclass(slots=True, frozen=True)
class Job:
    """Something to do every so often."""

    name: str
    every: float | Callable[[], float]
    """Seconds; what is asked for them is asked each time, as a reload may change them."""
    run: Callable[[], Awaitable[object]]


class Jobs:
    """Runs jobs until closed; a job that fails is logged and done again when it is next due."""

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin; each job first runs after one period."""
        self._tasks = [asyncio.create_task(self._repeat(job), name=f"job {job.name}") for job in self._jobs]

    async def close(self) -> None:
        """Stop; a job that is running is cancelled."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    async def _repeat(job: Job) -> None:
        while True:
            await asyncio.sleep(job.every() if callable(job.every) else job.every)
            try:
                await job.run()
            except Exception as error:
                log.error("job failed", job=job.name, exc_info=error)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                return  # a client library in between has made another failure of our cancelling it
