"""Stage 2 on the wire: how far a job is, its outcome, and its end (A52, A53).

GET    {api}/_jobs/{id}            202 and how far it is; then the outcome, with the provider's own status, or 303 to it
GET    {api}/_jobs/{id}/outcome    the outcome; 404 while there is none
PUT    {api}/_jobs/{id}/outcome    the provider reports it: Fiveways-Status says its status (200)
DELETE {api}/_jobs/{id}            its consumer wants no more of it
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Final

from fiveways.clock import Clock
from fiveways.errors import Conflict, Fault, InvalidValue, MethodNotAllowed, NotFound, TooManyRequests
from fiveways.methods.exchange.answers import Answers, etag
from fiveways.methods.exchange.conclusion import Conclusion
from fiveways.methods.exchange.longpoll import HELD
from fiveways.methods.exchange.service import JOBS, Job, Jobs
from fiveways.methods.exchange.settings import ExchangeSettings
from fiveways.methods.exchange.states import KNOWN, State
from fiveways.methods.exchange.working import AGAIN
from fiveways.store.payloads import keep
from fiveways.types import Headers, Interaction, Outcome

_PATH: Final = re.compile(JOBS.encode() + rb"/([0-9a-f-]{36})(/outcome)?")
_STATUS: Final = re.compile(rb"[2345][0-9]{2}")
_ALLOWED: Final = "GET, HEAD, DELETE"
_PATIENT: Final = 10_000
"""Jobs of which it is remembered when they were asked for last."""


Withdraw = Callable[[Job, Interaction], Awaitable[None]]
"""Tells the back end that a job is not wanted any more."""


class Gone(Fault):
    """There will be no outcome any more."""

    status, code, party, issue, display = 410, "NOT_FOUND", "consumer", "not-found", "There is no outcome, and there will be none"


class Routes:
    """The handler of one API's jobs."""

    def __init__(
        self,
        api: str,
        settings: ExchangeSettings,
        jobs: Jobs,
        answers: Answers,
        conclude: Conclusion,
        withdraw: Withdraw,
        clock: Clock,
    ) -> None:
        self._api = api
        self._settings = settings
        self._jobs = jobs
        self._answers = answers
        self._conclude = conclude
        self._withdraw = withdraw
        self._clock = clock
        self._asked: dict[str, float] = {}

    async def __call__(self, interaction: Interaction) -> Outcome:
        """What is said of a job. Raises the fault that says why nothing is."""
        match = _PATH.fullmatch(interaction.below)
        if match is None:
            raise NotFound("There is no such job")
        method, is_outcome = interaction.method, match[2] is not None
        job = await self._jobs.find(match[1].decode())
        interaction.facts["job"] = match[1].decode()
        if method == "PUT" and is_outcome:
            return await self._reported(interaction, job)
        if job is None or job.api != self._api or job.application != interaction.consumer.application:
            raise NotFound("There is no such job, or it is another application's")
        if not interaction.correlation.correlation_given:
            interaction.correlation.correlation_id = job.correlation.encode()  # it is part of that conversation
        if method == "DELETE" and not is_outcome:
            if job.state is State.CANCELLED or not await self._jobs.cancel(job, interaction.consumer.application, "cancelled"):
                raise NotFound("The job was cancelled")
            await self._withdraw(job, interaction)
            return self._answers.cancelled(job)
        if method not in ("GET", "HEAD"):
            raise MethodNotAllowed("A job is asked for, or cancelled", headers={"Allow": _ALLOWED})
        return await self._told(interaction, job, is_outcome)

    async def _told(self, interaction: Interaction, job: Job, is_outcome: bool) -> Outcome:
        if job.state is State.CANCELLED:
            raise NotFound("The job was cancelled")
        if job.state is State.EXPIRED:
            raise Gone("There was no outcome in time. The request may be made again, under a new X-Request-ID")
        if job.state in KNOWN:
            self._asked.pop(job.id, None)
            if self._settings.answer == "see-other" and not is_outcome:
                where: Headers = [(b"location", f"{job.url}/outcome".encode("latin-1")), (b"content-length", b"0")]
                return Outcome(303, self._answers.final(where), b"")
            return await self._outcome(interaction, job)
        if is_outcome:
            raise NotFound("There is no outcome yet")
        if HELD not in interaction.scope.get("extensions", ()):
            self._not_too_soon(job)
        if dict(interaction.headers).get(b"if-none-match") == etag(job):
            return self._answers.unchanged(job)
        return self._answers.pending(job)

    async def _outcome(self, interaction: Interaction, job: Job) -> Outcome:
        headers = self._answers.final([*job.fields, (b"content-length", b"%d" % job.size), (b"cache-control", b"private")])
        if not any(name == b"etag" for name, _ in headers):
            headers.append((b"etag", etag(job)))
        if interaction.method == "HEAD":
            return Outcome(job.status, headers, b"")
        if job.state is not State.COLLECTED:
            await self._jobs.collected(job)
        return Outcome(job.status, headers, job.body if job.payload is None else self._jobs.content(job))  # type: ignore[arg-type]

    def _not_too_soon(self, job: Job) -> None:
        """Raises TooManyRequests for who asks twice within half the time that was named (A54); each process sees its own."""
        now, pause = self._clock.monotonic(), self._answers.pause(job)
        before = self._asked.get(job.id)
        if before is not None and now - before < pause / 2:
            raise TooManyRequests(f"Ask again in {pause} s", headers={"Retry-After": str(pause)})
        if len(self._asked) >= _PATIENT:
            del self._asked[next(iter(self._asked))]
        self._asked[job.id] = now

    async def _reported(self, interaction: Interaction, job: Job | None) -> Outcome:
        """The provider says what came of a job."""
        if interaction.consumer.application != self._settings.provider or not interaction.consumer.application:
            raise NotFound("There is no such job, or its outcome is not this application's to report")
        if job is None or job.api != self._api:
            raise NotFound("There is no such job")
        said = dict(interaction.headers).get(b"fiveways-status", b"200")
        if _STATUS.fullmatch(said) is None or int(said) in (202, *AGAIN):
            raise InvalidValue("Fiveways-Status: expected the status of an outcome, from 200 on, and none that says: ask again")
        body = await keep(self._jobs.deliveries.payloads, interaction.body if interaction.body is not None else b"")
        headers: Headers = [
            field for field in interaction.headers if field[0] in (b"content-type", b"content-encoding", b"location")
        ]
        if not await self._conclude(job, int(said), headers, body, interaction.consumer.application):
            raise Conflict("There is an outcome already, or nobody waits for one any more")
        return Outcome(204, [(b"cache-control", b"no-store")], b"")
