"""Working on jobs: each is a delivery to the back end, under a lease that several nodes share; its answer is the outcome.

| The back end's answer | |
|---|---|
| 202 with a Content-Location | it is asked there again, after its Retry-After, until it answers otherwise |
| 202, or any 2xx where outcomes are reported | the outcome will be reported |
| 408, 425, 429, 502, 503, 504, none | another attempt, under the same Idempotency-Key, while there is time |
| any other | the outcome |

Where there is no time left for another attempt, the job expires: a status that says "again" would be no outcome to who is told it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

from fiveways.delivery import envelope
from fiveways.delivery.envelope import Envelope
from fiveways.delivery.outbound import retry_after
from fiveways.delivery.queue import Capacity, Delivery, Queue, Retry
from fiveways.errors import Fault
from fiveways.fhir import asynchronous
from fiveways.methods.exchange.answers import LONGEST_PROGRESS
from fiveways.methods.exchange.conclusion import Conclusion
from fiveways.methods.exchange.service import JOBS, Job, Jobs, queue_of
from fiveways.methods.exchange.settings import ExchangeSettings
from fiveways.methods.exchange.states import State
from fiveways.store.payloads import keep
from fiveways.types import Headers, Interaction, Outcome

AGAIN: Final = frozenset((408, 425, 429, 502, 503, 504))
"""Statuses that say that asking has failed, and not the job: they are no outcome."""
_NOT_KEPT: Final = frozenset(
    (b"connection", b"content-length", b"transfer-encoding", b"set-cookie", b"date", b"server", b"retry-after", b"x-progress",
     b"x-request-id", b"x-correlation-id", b"etag", b"age", b"via", b"keep-alive", b"trailer")
)  # fmt: skip
"""Header fields of an answer that are about that answer and say nothing of the outcome."""
_HANDED_OVER: Final = "-"
"""In place of where the back end tells of a job: it does not, and reports its outcome."""
_WITHDRAWING: Final = 5.0
"""Seconds that a back end has to take in that a job is not wanted any more."""
LARGEST: Final = 2**40
"""Bytes of an outcome."""


class Misled(Fault):
    """A back end that has accepted a request does not say where its outcome is told."""

    status, code, party, issue, display = 500, "BAD_GATEWAY", "provider", "processing", "The back end leads nowhere"


Render = Callable[[Fault, str], Outcome]
"""A fault as the API says it, with the id that it has."""


class BackEnd(Protocol):
    """An API as those see it who have been let in: what stands behind it, with its resilience and its audit."""

    name: str
    base: bytes
    url: str
    """Where its back end is; '' where that is not one address."""

    async def ask(self, interaction: Interaction) -> Outcome:
        """Make a call of it."""
        ...


class Working:
    """Works on the jobs of one API."""

    def __init__(
        self, settings: ExchangeSettings, jobs: Jobs, conclude: Conclusion, back_end: Callable[[], BackEnd], render: Render
    ) -> None:
        """`back_end` is the API as it is running just now; `render` says how it words faults."""
        self._settings = settings
        self._jobs = jobs
        self._back_end = back_end
        self._render = render
        self._conclude = conclude

    async def __call__(self, delivery: Delivery) -> str:
        """Ask the back end once; what it said. Raises Retry."""
        job = await self._jobs.find(delivery.id)
        if job is None or not job.is_open:
            return "nobody waits for it any more"
        if job.state is State.SUBMITTED:
            await self._jobs.begin(job)
        elif self._settings.outcome == "reported" and job.location == _HANDED_OVER:
            return "handed over"
        outcome = await self._back_end().ask(self._question(job, delivery))
        status = outcome.status
        fields = dict(outcome.headers)
        asked = retry_after(_text(fields, b"retry-after") or None, self._jobs.clock.now())
        if status in AGAIN:
            await outcome.aclose()
            fault = outcome.fault
            raise Retry(f"answered {status}" if fault is None else f"{fault.code}: {fault.diagnostics}", asked)
        if status == 202 or (self._settings.outcome == "reported" and 200 <= status < 300 and not job.location):
            await outcome.aclose()
            return await self._goes_on(job, outcome, asked)
        body = await keep(self._jobs.deliveries.payloads, _body(outcome), limit=LARGEST)
        kept: Headers = [field for field in outcome.headers if field[0] not in _NOT_KEPT]
        await self._conclude(job, status, kept, body)
        return f"answered {status}"

    async def _faulty(self, job: Job, why: str) -> str:
        """The back end has done what leads nowhere: that is the outcome."""
        outcome = self._render(Misled(why), job.id)
        kept: Headers = [field for field in outcome.headers if field[0] not in _NOT_KEPT]
        assert isinstance(outcome.body, bytes)
        await self._conclude(job, outcome.status, kept, outcome.body)
        return why

    async def withdraw(self, job: Job, interaction: Interaction) -> None:
        """Tell a back end that is polled that nobody wants the outcome any more, as far as it can be told just now."""
        if not job.location or job.location == _HANDED_OVER:
            return
        back_end, started = self._back_end(), self._jobs.clock.monotonic()
        made = Envelope.of(interaction, b"").interaction(back_end.name, back_end.base, job.location, job.id, None, None, started)
        with suppress(Exception):
            async with asyncio.timeout(_WITHDRAWING):
                await (await back_end.ask(made)).aclose()

    def _question(self, job: Job, delivery: Delivery) -> Interaction:
        """What the back end is asked: the request, or how far it is."""
        kept, back_end, started = envelope.decode(delivery.envelope), self._back_end(), self._jobs.clock.monotonic()
        if job.location and job.location != _HANDED_OVER:
            made = kept.interaction(back_end.name, back_end.base, job.location, delivery.id, None, None, started)
            made.method = "GET"
            made.headers = [field for field in made.headers if not field[0].startswith((b"content-", b"if-", b"prefer"))]
        else:
            body = delivery.content() if delivery.size else None
            length = delivery.size if body is not None else None
            made = kept.interaction(back_end.name, back_end.base, delivery.target, delivery.id, body, length, started)
            if self._settings.outcome == "reported":
                made.headers.append((b"fiveways-job", job.id.encode()))
        made.facts["job"] = job.id
        made.facts["attempt"] = delivery.attempt
        return made

    async def _goes_on(self, job: Job, outcome: Outcome, asked: timedelta | None) -> str:
        """The back end is at work. Raises Retry where it is to be asked again."""
        fields, url = dict(outcome.headers), self._back_end().url
        said = _text(fields, b"x-progress")[:LONGEST_PROGRESS]
        location = job.location
        if not location and (where := asynchronous.location(outcome.headers)):
            location = _below(where, url, job)
            if not location:
                return await self._faulty(job, "The back end says that its outcome is told somewhere else")
        if not location and self._settings.outcome == "reported":
            location = _HANDED_OVER
        if (location, said) != (job.location, job.progress):
            await self._jobs.locate(job, location, said)
        if location == _HANDED_OVER:
            return "handed over: its outcome will be reported"
        if not location:
            return await self._faulty(job, "The back end answered 202 and did not say where its outcome is told")
        raise Retry(said or "at work", max(asked or timedelta(0), self._settings.ask.first))


def queue(api: str, settings: ExchangeSettings, working: Working, url: str, longest: timedelta, room: Callable[[], int]) -> Queue:
    """The queue of an API's jobs. `url`: the back end's; `longest`: how long a call may take; `room`: how many may be begun now."""
    said = settings.capacity
    capacity = Capacity(url, said.rate, said.at_once) if said is not None else None
    return Queue(
        name=queue_of(api),
        handler=working,
        attempts=2**31,  # time decides, not number
        patience=settings.within * 2,
        first_wait=settings.ask.first,
        longest_wait=settings.ask.longest,
        longest_heed=timedelta(hours=1),
        time_limit=longest + timedelta(seconds=30),
        concurrency=settings.at_once,
        capacity=lambda delivery: capacity,
        room=room,
    )


def _below(where: str, url: str, job: Job) -> str:
    """Where a back end tells of a job, below the API's base: it may call itself as it is known here, or, as one does that is told
    by X-Forwarded-Host what its consumers call it, as the API is known to them. '' where it is neither."""
    known = job.url.removesuffix(f"{JOBS}/{job.id}")
    if where.startswith(f"{known}/"):
        return where.removeprefix(known)
    path = asynchronous.own(where, url, f"{url.rstrip('/')}/")
    return (asynchronous.below(path, url) if path is not None else None) or ""


def _text(fields: dict[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("latin-1")


async def _body(outcome: Outcome) -> AsyncIterator[bytes]:
    body = outcome.body
    try:
        if isinstance(body, bytes):
            yield body
        else:
            async for piece in body:
                yield piece
    finally:
        with suppress(Exception):
            await outcome.aclose()
