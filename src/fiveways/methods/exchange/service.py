"""Jobs: a request that was accepted, is worked on, and has an outcome that waits for its consumer. All of it is in the store before
anybody is told of it (A10).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from fiveways.clock import Clock, micros, micros_in
from fiveways.delivery import records as delivery_records
from fiveways.delivery.engine import Deliveries, Promise, Step
from fiveways.methods.exchange import records
from fiveways.methods.exchange.states import OPEN, State
from fiveways.store.group import Settled
from fiveways.store.payloads import Payload
from fiveways.types import Headers

REPEATS: Final = timedelta(days=1)
"""How long a job is still known that has no outcome any more: a repeat of its request finds it."""
JOBS: Final = "/_jobs"
"""Where an API's jobs are, below its base path."""
_AT_ONCE: Final = 50
_TOPIC: Final = "exchange."


def queue_of(api: str) -> str:
    """The queue of an API's jobs."""
    return f"exchange.jobs.{api}"


def topic(job: str) -> str:
    """What the bus calls news of a job."""
    return _TOPIC + job


@dataclass(frozen=True, slots=True)
class Job:
    """A job, as it was when it was looked for. Times are microseconds since the Unix epoch."""

    id: str
    api: str
    application: str
    request_id: str
    correlation: str
    fingerprint: bytes
    at: int
    expires: int
    url: str
    location: str = ""
    progress: str = ""
    status: int = 0
    headers: bytes | None = None
    size: int = 0
    body: bytes | None = None
    payload: str | None = None
    state: State = State.SUBMITTED
    number: int = 0
    """How often something has happened to it since it was submitted."""

    @property
    def is_open(self) -> bool:
        """Whether there may be an outcome yet."""
        return self.state in OPEN

    @property
    def fields(self) -> Headers:
        """The outcome's header fields."""
        return list(_fields(self.headers)) if self.headers is not None else []


_STATE: Final = len(records.jobs.columns)
"""Where the state is among the columns of `records.find`."""
_fields: Final = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]]).decode


class Jobs:
    """The jobs of every API, over one store."""

    def __init__(self, deliveries: Deliveries, clock: Clock) -> None:
        self.deliveries = deliveries
        self.clock = clock
        self._group = deliveries.group

    # --- beginning -------------------------------------------------------------------------------------------------------

    async def submit(self, job: Job, promise: Promise, settled: Settled | None) -> bool:
        """Accept a job, and promise that it is worked on; False where there was one of its id. StoreError where nothing was kept.

        `settled` is told how many steps were done.
        """
        values: dict[str, Any] = {f"v_{column.name}": getattr(job, column.name) for column in records.jobs.columns}
        values["b_by"] = self.deliveries.node
        steps: list[Step] = [(records.submit, values), (records.begin_life, values), *promise.steps]
        results = await self._group.transact(*steps, guarded=1, settled=settled)
        if len(results) > 1:
            self.deliveries.wake(queue_of(job.api))
            return True
        await self.deliveries.drop(promise)
        return False

    async def count_open(self, api: str, application: str) -> int:
        """How many an application has open."""
        asked = {"b_api": api, "b_application": application}
        return int((await self._group.submit(records.count_open, asked, synced=False)).rows[0][0])

    async def find(self, id: str) -> Job | None:  # noqa: A002
        """A job; None where there is none of this id."""
        rows = await self._group.ask(records.find, {"b_id": id})
        if not rows:
            return None
        columns = list(rows[0])
        columns[_STATE] = State(columns[_STATE])
        return Job(*columns)

    # --- its life --------------------------------------------------------------------------------------------------------

    async def begin(self, job: Job, by: str = "") -> bool:
        """The back end is about to be asked; False where the job is not, or no longer, to be begun."""
        return await self._happens(records.begin, job, by)

    async def locate(self, job: Job, location: str, progress: str) -> None:
        """Where the back end tells of it, and how far it is."""
        row = {"b_id": job.id, "v_location": location, "v_progress": progress}
        await self._group.submit(records.locate, row)
        await self.deliveries.bus.publish(topic(job.id))

    async def end(
        self, job: Job, status: int, headers: Headers, body: bytes | Payload, keep: timedelta, by: str = "", *more: Step
    ) -> bool:
        """There is an outcome, kept for `keep`; False where the job is not waiting for one any more, and then nothing is kept.

        `more` is done in the same transaction.
        """
        size, small, ref = (body.size, None, body.ref) if isinstance(body, Payload) else (len(body), body, None)
        row = {
            "b_id": job.id, "v_expires": micros(self.clock) + micros_in(keep), "v_status": status,
            "v_headers": msgspec.msgpack.encode(headers), "v_size": size, "v_body": small, "v_payload": ref, "v_progress": "",
        }  # fmt: skip
        happening = records.complete if status < 400 else records.fail
        ended = await self._happens(happening, job, by, f"status {status}", (records.keep_outcome, row), *more)
        if not ended and ref is not None:
            await self.deliveries.payloads.delete(ref)
        if ended:
            await self.deliveries.bus.publish(topic(job.id))
        return ended

    async def collected(self, job: Job) -> None:
        """Its consumer has been given the outcome."""
        await self._happens(records.collect, job, job.application, synced=False)

    async def cancel(self, job: Job, by: str = "", reason: str = "") -> bool:
        """Its consumer wants no more of it; False where that was so already."""
        return await self._let_go(records.cancel, job, 404, by, reason)

    async def expire_late(self) -> int:
        """End the jobs for whose outcome it is too late; how many. StoreError where the store fails."""
        asked = {"b_now": micros(self.clock), "b_most": _AT_ONCE}
        late = (await self._group.submit(records.find_late, asked, synced=False)).rows
        done = 0
        for id_, *_ in late:
            job = await self.find(id_)
            done += job is not None and await self._let_go(records.expire, job, 410, "", "no outcome in time")
        return done

    async def purge(self) -> int:
        """Forget jobs whose outcome need not be kept any more; how many. StoreError where the store fails."""
        forgotten = 0
        while True:
            async with self._group.database.read() as connection:
                asked = {"b_now": micros(self.clock), "b_most": _AT_ONCE}
                old = (await connection.execute(records.find_old, asked)).all()
            for row in old:
                if row.payload is not None:
                    await self.deliveries.payloads.delete(row.payload)  # first: a crash in between leaves the row
            ids: Sequence[Mapping[str, Any]] = [{"b_id": row.id} for row in old]
            if ids:
                await self.deliveries.forget([row.id for row in old])  # or its id could not be used again
                await self._group.transact((records.forget_events, ids), (records.forget, ids))
            forgotten += len(ids)
            if len(ids) < _AT_ONCE:
                return forgotten

    # --- looking ---------------------------------------------------------------------------------------------------------

    def content(self, job: Job) -> AsyncIterator[bytes]:
        """The outcome's body. StoreError, while it is read, where it cannot be."""
        return self.deliveries.content(job.body, job.payload)

    async def list(self, api: str = "", state: str = "", most: int = 100) -> Sequence[Any]:
        """Jobs, newest first, of an API and in a state, where these are said: rows of `records.find_listed`."""
        async with self._group.database.read() as connection:
            asked = {"b_api": api, "b_reason": state, "b_most": most}
            return (await connection.execute(records.find_listed, asked)).all()

    async def news(self, since: int) -> Sequence[tuple[str, int]]:
        """The jobs to which something has happened since a moment, and how often something had happened to them then."""
        rows = (await self._group.submit(records.find_news, {"b_at": since}, synced=False)).rows
        return [(job, number) for job, number in rows]

    async def history(self, id: str) -> Sequence[Any]:  # noqa: A002
        """What happened to a job, in order: rows of `job_events`."""
        async with self._group.database.read() as connection:
            return (await connection.execute(records.find_events, {"b_id": id})).all()

    async def _let_go(self, happening: Any, job: Job, status: int, by: str, reason: str) -> bool:
        """`status`: what its consumer is told from now on."""
        row = {"b_id": job.id, "v_expires": micros(self.clock) + micros_in(REPEATS), "v_status": status}
        delivery = {"b_id": job.id, "b_at": micros(self.clock), "b_by": by or self.deliveries.node, "b_reason": reason}
        steps = (records.let_go, row), (delivery_records.discard, delivery), (delivery_records.look_again, delivery)
        if not await self._happens(happening, job, by, reason, *steps):
            return False
        if job.payload is not None:
            await self.deliveries.payloads.delete(job.payload)
        await self.deliveries.bus.publish(topic(job.id))
        return True

    async def _happens(self, happening: Any, job: Job, by: str = "", reason: str = "", *more: Step, synced: bool = True) -> bool:
        event = {"b_id": job.id, "b_at": micros(self.clock), "b_by": by or self.deliveries.node, "b_reason": reason}
        results = await self._group.transact((happening, event), *more, guarded=1, synced=synced)
        return results[0].rowcount > 0
