"""De-duplication for operations declared not idempotent: a repeat gets the first answer, errors included (S25-S29, A32).

A request is known by its X-Request-ID or Idempotency-Key and its consumer. While the first is under way a repeat waits for it,
and gets 409 where that takes too long; the same id with another body, path or query is 422. What was begun is finished even if
the consumer hangs up, so that its repeat finds the answer. Where the platform itself died between the call and its answer, nobody
knows whether the provider acted: a repeat is told so (409), and never silently sent again.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from pydantic import Field

from fiveways.clock import Clock
from fiveways.correlation import is_guid
from fiveways.deployment.settings import Duration, Settings
from fiveways.errors import Conflict, Fault, InvalidValue, KeyReused, MissingValue
from fiveways.ledger.idempotency import Answer, Answered, Claim, Duplicates, Fresh, Unknown
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.synchronous.rendering import Render
from fiveways.methods.synchronous.request import ClientGone
from fiveways.methods.synchronous.upstream.faults import UpstreamFault
from fiveways.store.payloads import Payloads, keep
from fiveways.types import Handler, Interaction, Outcome

_LOOK = 0.1
"""Seconds between looks at whether another process has finished the first request."""


class Deduplicate(Settings):
    """How repeats of a not idempotent operation are recognised."""

    by: Literal["X-Request-ID", "Idempotency-Key"] = "X-Request-ID"
    """The header whose value names the request."""
    keep: Duration = Field(default=timedelta(hours=24), alias="for")
    """How long an answer is kept for repeats; published on every answer."""
    wait: Duration = timedelta(seconds=10)
    """How long a repeat waits for the first to finish before it gets 409."""


@dataclass(slots=True, frozen=True)
class Memory:
    """Where first answers are kept. `running` holds what goes on after its consumer has hung up."""

    duplicates: Duplicates
    payloads: Payloads
    pseudonyms: Pseudonyms
    clock: Clock
    running: set[asyncio.Task[Outcome]]


class Deduplication:
    """Recognises repeats of one operation of one API. `longest` is how long a request towards the provider may take."""

    def __init__(self, operation: str, settings: Deduplicate, memory: Memory, render: Render, longest: timedelta) -> None:
        self._operation = operation
        self._settings = settings
        self._field = settings.by.lower().encode()
        self._memory = memory
        self._render = render
        self._lease = longest + timedelta(seconds=30)

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Handle a first request and keep its answer, or answer a repeat with what the first one got."""
        found = await self._begin(interaction.consumer.application, self._key(interaction))
        digest = _Digest(interaction, self._memory.pseudonyms.keyed_hash())
        if isinstance(found, Answered):
            await digest.drain()
            if not found.same_request(digest.value()):
                raise KeyReused(f"{self._settings.by} was used before for another request; use a new id for a new request")
            interaction.facts["duplicate"] = True
            return self._replay(found)
        if interaction.body is not None:
            interaction.body = digest
        task = asyncio.get_running_loop().create_task(self._first(found.claim, digest, interaction, handler))
        self._memory.running.add(task)
        task.add_done_callback(self._over)
        return await asyncio.shield(task)

    def _over(self, task: asyncio.Task[Outcome]) -> None:
        self._memory.running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits has it too; a consumer that hung up does not

    def _key(self, interaction: Interaction) -> str:
        value = interaction.fields.get(self._field)
        if value is None:
            raise MissingValue(f"{self._settings.by} must be supplied: this operation is not idempotent")
        if len(value) > 256:
            raise InvalidValue(f"{self._settings.by} is longer than 256 characters")
        # An id that is no GUID could carry an NHS number, and is kept as a pseudonym.
        return value.decode() if is_guid(value) else self._memory.pseudonyms.of(value)

    async def _begin(self, consumer: str, key: str) -> Fresh | Answered:
        """The right to go first, or the answer of who did."""
        memory = self._memory
        until = memory.clock.monotonic() + self._settings.wait.total_seconds()
        while True:
            found = await memory.duplicates.begin(consumer, self._operation, key, self._lease, self._settings.keep)
            if isinstance(found, Fresh | Answered):
                return found
            if isinstance(found, Unknown):
                raise Conflict(
                    "An earlier request with this id was cut short and its outcome is not known: look whether it took effect, "
                    "then send a new request with a new id"
                )
            if memory.clock.monotonic() >= until:
                raise Conflict("A request with this id is being worked on; try again shortly", headers={"Retry-After": "1"})
            await asyncio.sleep(_LOOK)

    async def _first(self, claim: Claim, digest: _Digest, interaction: Interaction, handler: Handler) -> Outcome:
        """Carry out the request that came first. Whatever may have reached the provider has an answer, and it is kept."""
        try:
            outcome = await handler(interaction)
            stored = await self._store(claim, digest, outcome)
        except ClientGone:
            await self._memory.duplicates.abandon(claim)  # half a request is none: the provider cannot have acted on it
            raise
        except Fault as fault:
            if not (isinstance(fault, UpstreamFault) and fault.reached):
                await self._memory.duplicates.abandon(claim)
                raise
            outcome = self._render(fault, interaction.id)
            stored = await self._store(claim, digest, outcome)
        answer = self._replay(stored)
        answer.fault = outcome.fault
        return answer

    async def _store(self, claim: Claim, digest: _Digest, outcome: Outcome) -> Answered:
        memory = self._memory
        kept = await keep(memory.payloads, outcome.body)
        body, payload = (kept, None) if isinstance(kept, bytes) else (b"", kept.ref)
        await digest.drain()
        expires, fingerprint = memory.clock.now() + self._settings.keep, digest.value()
        answer = Answer(outcome.status, outcome.headers, body, payload)
        await memory.duplicates.complete(claim, fingerprint, answer.status, answer.headers, body, payload=payload, expires=expires)
        return Answered(fingerprint, answer, expires)

    def _replay(self, found: Answered) -> Outcome:
        answer = found.answer
        expires = found.expires.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        headers = [*answer.headers, (b"idempotency-expires", expires)]
        body = self._memory.payloads.open(answer.payload) if answer.payload is not None else answer.body
        return Outcome(answer.status, headers, body)


async def _next(body: AsyncIterator[bytes]) -> bytes | None:
    """The next bytes, or None at the end (StopAsyncIteration cannot come out of a task)."""
    return await anext(body, None)


class _Digest(AsyncIterator[bytes]):
    """A request's body, hashed as it goes by behind method, path and query; `drain` takes what is left of it.

    The hash is keyed: what is kept of a request beyond its answer must not be found by hashing what it may have said.
    """

    def __init__(self, interaction: Interaction, keyed: hmac.HMAC) -> None:
        self._body = interaction.body
        self._hash = keyed
        self._hash.update(b"%b %b?%b\n" % (interaction.method.encode(), interaction.below, interaction.query))
        self._source = interaction.body
        self._arriving: asyncio.Future[bytes | None] | None = None
        self.complete = False
        """Whether nothing more is read, nor waited for: from then on the consumer's going may be watched for."""

    @property
    def received(self) -> int:
        """Bytes that arrived so far."""
        return int(getattr(self._source, "received", 0))

    async def __anext__(self) -> bytes:
        if self._body is None:
            raise StopAsyncIteration
        if self._arriving is None:
            self._arriving = asyncio.ensure_future(_next(self._body))
        # A back end that answers early has its reading cancelled, but not what was to be read: `drain` goes on with it.
        chunk = await asyncio.shield(self._arriving)
        self._arriving = None
        if chunk is None:
            self._body = None
            raise StopAsyncIteration
        self._hash.update(chunk)
        return chunk

    async def drain(self) -> None:
        """Read to the end."""
        async for _ in self:
            pass

    def value(self) -> bytes:
        """HMAC-SHA256 of what was asked for."""
        self.complete = True
        return self._hash.digest()
