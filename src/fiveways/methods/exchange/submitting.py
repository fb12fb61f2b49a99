"""Stage 1: a request becomes a job (A51). It is answered with 202 and where the outcome will be told, once the job is on disk.

A policy of the API's: it stands behind everything that is asked of consumers, and before all that is done once per call of the back
end, which is done when the job is worked on.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from uuid import UUID

from fiveways.clock import micros, micros_in
from fiveways.correlation import new_id
from fiveways.delivery import envelope
from fiveways.delivery.envelope import Envelope
from fiveways.errors import Internal, KeyReused, TooManyRequests
from fiveways.fhir.asynchronous import prefers_async
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.exchange.answers import Answers
from fiveways.methods.exchange.service import JOBS, Job, Jobs, queue_of
from fiveways.methods.exchange.settings import ExchangeSettings
from fiveways.store.payloads import hashing, keep
from fiveways.types import Handler, Interaction, Outcome

_PREFERENCES: Final = re.compile(rb"[^,]+")


class Submitting:
    """The policy of one API that is exchanged."""

    def __init__(
        self, api: str, base: str, settings: ExchangeSettings, jobs: Jobs, pseudonyms: Pseudonyms, answers: Answers
    ) -> None:
        """`base`: the API's base path."""
        self._api = api
        self._base = base
        self._settings = settings
        self._jobs = jobs
        self._pseudonyms = pseudonyms
        self._answers = answers
        self._always = settings.requests == "all"
        method, _, path = settings.interaction.partition(" ")
        self._named = "" if path else settings.interaction
        self._method = method if path else ""
        self._pattern = _template(path) if path else None

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Accept a job where the request is one. Raises the fault that refuses it, or StoreError, and then nothing is accepted."""
        if not self._is_exchanged(interaction) or not (self._always or prefers_async(interaction.headers)):
            return await handler(interaction)
        return await self._accepted(interaction)

    def _is_exchanged(self, interaction: Interaction) -> bool:
        if self._pattern is None:
            return interaction.name == self._named
        return interaction.method == self._method and self._pattern.fullmatch(interaction.below or b"/") is not None

    async def _accepted(self, interaction: Interaction) -> Outcome:
        jobs, application = self._jobs, interaction.consumer.application
        digest = hashlib.sha256(b"%b %b?%b\n" % (interaction.method.encode(), interaction.below, interaction.query))
        id_ = self._id(interaction)
        if await jobs.count_open(self._api, application) >= self._settings.open_jobs and await jobs.find(id_) is None:
            text = f"There are {self._settings.open_jobs} jobs open already; wait for one of them, or cancel it"
            raise TooManyRequests(text, headers={"Retry-After": "5"})
        body = interaction.body
        kept = await keep(jobs.deliveries.payloads, b"" if body is None else hashing(body, digest))
        fingerprint, now = digest.digest(), micros(jobs.clock)
        target = interaction.below.decode("latin-1") + (f"?{interaction.query.decode('latin-1')}" if interaction.query else "")
        correlation = self._pseudonyms.in_id(interaction.correlation.correlation_id)
        made = Envelope.of(interaction, fingerprint)
        _without_preference(made.headers)
        promise = await jobs.deliveries.promise(
            queue_of(self._api),
            body=kept,
            id=id_,
            new=True,
            target=target,
            content_type=interaction.fields.get(b"content-type", b"").decode("latin-1"),
            correlation=correlation,
            envelope=envelope.encode(made),
        )
        job = Job(
            id=id_, api=self._api, application=application,
            request_id=self._pseudonyms.in_id(interaction.correlation.request_id), correlation=correlation,
            fingerprint=fingerprint, at=now, expires=now + micros_in(self._settings.within), url=self._url(interaction, id_),
        )  # fmt: skip
        interaction.facts["job"] = id_
        settle = interaction.attest(interaction, 202) if interaction.attest is not None else None
        if not await jobs.submit(job, promise, None if settle is None else lambda results: settle(len(results) > 1)):
            job = await self._repeated(interaction, job)
        return self._answers.accepted(job)

    async def _repeated(self, interaction: Interaction, job: Job) -> Job:
        """The job that was accepted before. Raises KeyReused where that was for another request."""
        interaction.attested = 0  # what was attested was not made: this answer has an event of its own
        interaction.facts["duplicate"] = True
        known = await self._jobs.find(job.id)
        if known is None:
            raise Internal("The job that was accepted is not there")
        if known.fingerprint != job.fingerprint:
            raise KeyReused("X-Request-ID was used before for another request; use a new id for a new request")
        return known

    def _id(self, interaction: Interaction) -> str:
        """A job's id: the same for a repeat, which is known by its consumer and its request id."""
        application, ids = interaction.consumer.application, interaction.correlation
        if not application or not ids.given:
            return new_id()
        digest = hashlib.sha256(f"{application}\0{self._api}\0job\0".encode() + ids.request_id).digest()
        return str(UUID(bytes=digest[:16], version=5))

    def _url(self, interaction: Interaction, id_: str) -> str:
        """Where the job is, as its consumer reaches it: an absolute URL, as FHIR asks."""
        if self._settings.public_url is not None:
            return f"{self._settings.public_url.rstrip('/')}{JOBS}/{id_}"
        host = interaction.fields.get(b"host", b"").decode("latin-1")
        path = f"{self._base}{JOBS}/{id_}"
        return f"{interaction.scope['scheme']}://{host}{path}" if host else path


def _template(path: str) -> re.Pattern[bytes]:
    """A path in which {name} stands for a segment, and /** at its end for all that is below."""
    pattern = re.sub(r"\\\{[A-Za-z_]\w*\\\}", "[^/]+", re.escape(path.removesuffix("/**")))
    return re.compile((pattern + ("(?:/.*)?" if path.endswith("/**") else "/?")).encode())


def _without_preference(headers: list[tuple[bytes, bytes]]) -> None:
    """The back end is asked for its answer as it has it."""
    for index in range(len(headers) - 1, -1, -1):
        name, value = headers[index]
        if name != b"prefer":
            continue
        rest = [each.strip() for each in _PREFERENCES.findall(value)]
        rest = [each for each in rest if each.partition(b";")[0].strip().lower() != b"respond-async"]
        headers[index : index + 1] = [(name, b", ".join(rest))] if rest else []
