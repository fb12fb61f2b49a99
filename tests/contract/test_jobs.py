"""Jobs of HTTP exchange, on both stores: what is open is counted, what is forgotten may come again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from fiveways.clock import ManualClock, micros, micros_in
from fiveways.delivery.engine import Deliveries
from fiveways.methods.exchange.service import REPEATS, Job, Jobs, queue_of
from fiveways.methods.exchange.states import State
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import IN_ROW, keep, open_payloads

pytestmark = pytest.mark.anyio
KEEP = timedelta(days=7)


@pytest.fixture
def clock() -> ManualClock:
    """The time of the test."""
    return ManualClock()


@pytest.fixture
def jobs(group: GroupWriter, clock: ManualClock) -> Jobs:
    """The jobs of a store."""
    return Jobs(Deliveries(group, open_payloads("memory://"), LocalBus(), clock, "north"), clock)


async def submit(jobs: Jobs, id_: str, body: bytes = b"{}", application: str = "ward") -> bool:
    """Accept a job, or find that it is there."""
    kept = await keep(jobs.deliveries.payloads, body)
    promise = await jobs.deliveries.promise(queue_of("risk"), target="/", body=kept, id=id_, new=True)
    now = micros(jobs.clock)
    job = Job(id_, "risk", application, id_, "c", b"print", now, now + micros_in(timedelta(hours=1)), f"/risk/_jobs/{id_}")
    return await jobs.submit(job, promise, None)


async def found(jobs: Jobs, id_: str) -> Job:
    """A job that is there."""
    job = await jobs.find(id_)
    assert job is not None
    return job


async def test_a_job_is_what_it_was_submitted_as_until_something_happens_to_it(jobs: Jobs) -> None:
    assert await submit(jobs, "one")
    assert not await submit(jobs, "one")
    job = await found(jobs, "one")
    assert (job.state, job.number, job.status, job.fingerprint) == (State.SUBMITTED, 0, 0, b"print")
    assert await jobs.begin(job)
    assert not await jobs.begin(job), "of two nodes one begins it"
    assert await jobs.end(await found(jobs, "one"), 201, [(b"content-type", b"text/plain")], b"done", KEEP)
    assert not await jobs.end(job, 200, [], b"again", KEEP), "there is one outcome"
    job = await found(jobs, "one")
    assert (job.state, job.status, job.body, job.fields) == (State.COMPLETED, 201, b"done", [(b"content-type", b"text/plain")])


async def test_only_what_is_open_is_counted(jobs: Jobs, clock: ManualClock) -> None:
    for number in range(5):
        await submit(jobs, str(number))
    await submit(jobs, "other", application="other")
    assert await jobs.count_open("risk", "ward") == 5
    await jobs.cancel(await found(jobs, "0"))
    await jobs.begin(await found(jobs, "1"))
    assert await jobs.count_open("risk", "ward") == 4, "a running one is open"
    for id_, status in (("1", 200), ("2", 422)):
        await jobs.begin(await found(jobs, id_))
        assert await jobs.end(await found(jobs, id_), status, [], b"", KEEP)
    assert await jobs.count_open("risk", "ward") == 2
    clock.advance(timedelta(hours=2))
    assert await jobs.expire_late() == 3
    assert await jobs.count_open("risk", "ward") == await jobs.count_open("risk", "other") == 0
    assert [(await found(jobs, each)).status for each in ("0", "1", "2", "3")] == [404, 200, 422, 410]


async def test_what_is_open_is_counted_by_an_index_of_it(jobs: Jobs, database: Database) -> None:
    query = "SELECT count(*) FROM jobs WHERE api = 'a' AND application = 'b' AND status = 0"
    async with database.read() as connection:
        if database.kind == "sqlite":
            plan = [row.detail for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
        else:  # which would read an empty table as a whole
            plan = list(await connection.scalars(text("SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_jobs_open'")))
    assert "ix_jobs_open" in plan[0]


async def test_an_id_may_be_used_again_once_its_job_is_forgotten(jobs: Jobs, clock: ManualClock) -> None:
    large = b"x" * (IN_ROW + 1)
    assert await submit(jobs, "one", large)
    await jobs.cancel(await found(jobs, "one"))
    clock.advance(REPEATS - timedelta(minutes=1))
    assert await jobs.purge() == 0
    assert not await submit(jobs, "one", large), "a repeat is known for a while"
    clock.advance(timedelta(minutes=2))
    assert await jobs.purge() == 1
    assert await jobs.find("one") is None
    assert [each async for each in jobs.deliveries.payloads.list()] == [], "nor is its body kept"
    assert await submit(jobs, "one", large)
    assert (await jobs.deliveries.depth(queue_of("risk"))).waiting == 1
