"""Work that is nobody's request: done again and again, whatever becomes of it, and ended when the platform ends."""

from __future__ import annotations

import asyncio

import pytest

from fiveways.platform.jobs import Job, Jobs

pytestmark = pytest.mark.anyio


async def test_a_job_that_fails_is_done_again() -> None:
    done = asyncio.Event()
    runs = 0

    async def fail() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            done.set()
        raise RuntimeError("no")

    jobs = Jobs([Job("failing", 0.001, fail)])
    jobs.start()
    await asyncio.wait_for(done.wait(), 5)
    await jobs.close()


async def test_a_job_that_turns_its_cancelling_into_another_failure_ends_all_the_same() -> None:
    running = asyncio.Event()

    async def stubborn() -> None:
        running.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ConnectionError("broken off") from None

    jobs = Jobs([Job("stubborn", 0.001, stubborn)])
    jobs.start()
    await asyncio.wait_for(running.wait(), 5)
    await asyncio.wait_for(jobs.close(), 5)
