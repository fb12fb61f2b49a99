"""Accepting: a request is looked at, made durable, and answered; a repeat of it is the same promise.

The answer is given when the promise and the audit event of it are on disk, in one commit: from then on it is kept, whatever becomes
of this process, and the answer says no more than that (S9).
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.delivery import envelope
from fiveways.delivery.engine import Deliveries, Promise
from fiveways.delivery.envelope import Envelope
from fiveways.errors import InvalidValue, KeyReused
from fiveways.fhir.outcome import CONTENT_TYPE, information
from fiveways.fhir.resource import mismatch
from fiveways.ledger.pseudonym import Pseudonyms
from fiveways.methods.synchronous.promise.order import Order
from fiveways.methods.synchronous.promise.settings import PromiseSettings
from fiveways.store.payloads import IN_ROW, hashing, keep
from fiveways.types import Handler, Headers, Interaction, Outcome

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods that change nothing (RFC 9110 §9.2.1): they are not promised, but answered."""
FIELD: Final = b"fiveways-promise"
"""The header field of an answer that has the promise's id."""
PROMISED: Final = b"fiveways-promised"
"""And the one that has the time it was promised at, which a repeat is told too: microseconds since the Unix epoch."""
Check = Callable[[Interaction, Any], Any]
_Body = bytes | AsyncIterator[bytes]


def queue_of(api: str) -> str:
    """The name of the queue in which an API's promises wait."""
    return f"promise.{api}"


class Accepting:
    """The policy of one API that promises what would change something. Every promise is kept by `Keeping`."""

    def __init__(
        self,
        api: str,
        settings: PromiseSettings,
        deliveries: Deliveries,
        pseudonyms: Pseudonyms,
        clock: Clock,
        *,
        fhir: bool,
        check: Check | None = None,
        transformed: bool = False,
    ) -> None:
        """`fhir`: whether bodies are resources, and the answer one too; `check`: what the deployment looks at requests with;
        `transformed`: bodies are made here, and need not be looked at for what they say they are."""
        self._api = api
        self._queue = queue_of(api)
        self._status = settings.answer
        self._expires: timedelta | None = settings.expires
        self._deliveries = deliveries
        self._pseudonyms = pseudonyms
        self._order = Order(settings.order)
        self._clock = clock
        self._fhir = fhir
        self._check = check
        self._unread = transformed and check is None and (settings.order is None or settings.order.body is None)

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Answer what asks; promise what changes. Raises the fault that refuses it, or StoreError, and then nothing is promised."""
        if interaction.method in SAFE:
            return await handler(interaction)
        body, document = await self._looked_at(interaction)
        key = self._order.key(interaction, document)
        digest = hashlib.sha256(b"%b %b?%b\n" % (interaction.method.encode(), interaction.below, interaction.query))
        kept = await keep(self._deliveries.payloads, _hashed(body, digest))
        known = interaction.known
        made = Envelope.of(interaction, known.fingerprint if known is not None else digest.digest())
        promise = await self._deliveries.promise(
            self._queue,
            body=kept,
            id=self._id(interaction),
            new=True,
            key=key,
            target=interaction.below.decode("latin-1") + (f"?{interaction.query.decode('latin-1')}" if interaction.query else ""),
            content_type=interaction.fields.get(b"content-type", b"").decode("latin-1"),
            correlation=self._pseudonyms.in_id(interaction.correlation.correlation_id),
            envelope=envelope.encode(made),
            expires_at=self._clock.now() + self._expires if self._expires is not None else None,
        )
        interaction.facts["promise"] = promise.id
        at = promise.at
        if await self._written(interaction, promise):
            self._deliveries.wake(self._queue)
        else:
            at = await self._repeated(interaction, promise, made)
        return self._answer(promise.id, at)

    async def _looked_at(self, interaction: Interaction) -> tuple[_Body, Any]:
        """The body, and what it says where it is JSON. Raises InvalidValue, or what the deployment's own check does."""
        body: _Body = interaction.body if interaction.body is not None else b""
        document: Any = None
        if self._unread:
            return (body if isinstance(body, bytes) else b"".join([piece async for piece in body])), None
        json = _is_json(interaction.fields.get(b"content-type", b""))
        if not isinstance(body, bytes) and (json or (interaction.length or IN_ROW + 1) <= IN_ROW):
            body = b"".join([piece async for piece in body])
        if isinstance(body, bytes) and body and json:
            try:
                document = msgspec.json.decode(body)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                raise InvalidValue("The body is no JSON, though it is said to be") from None
        if self._fhir and (json or body == b"") and (why := mismatch(interaction.method, interaction.below, document)):
            raise InvalidValue(why)
        if self._check is not None:
            found = self._check(interaction, document)
            if inspect.isawaitable(found):
                await found
        return body, document

    def _id(self, interaction: Interaction) -> str:
        """A promise's id: the same for a repeat, which is known by its consumer and its request id, or what is in place of that."""
        application, ids, known = interaction.consumer.application, interaction.correlation, interaction.known
        if not application or not (ids.given or known is not None):
            return new_id()
        key = known.key.encode() if known is not None else ids.request_id
        digest = hashlib.sha256(f"{application}\0{self._api}\0".encode() + key).digest()
        return str(UUID(bytes=digest[:16], version=5))

    async def _written(self, interaction: Interaction, promise: Promise) -> bool:
        """Make the promise, durably; False where it was made before."""
        settle = interaction.attest(interaction, self._status) if interaction.attest is not None else None
        results = await self._deliveries.group.transact(
            *promise.steps, guarded=1, settled=None if settle is None else lambda results: settle(len(results) > 1)
        )
        return len(results) > 1

    async def _repeated(self, interaction: Interaction, promise: Promise, made: Envelope) -> int:
        """When it was promised first. Raises KeyReused where the promise that was made before is another."""
        interaction.attested = 0  # what was attested was not made: this answer has an event of its own
        interaction.facts["duplicate"] = True
        await self._deliveries.drop(promise)
        kept, at = await self._deliveries.promised(promise.id) or (None, promise.at)
        if kept is not None and envelope.decode(kept).fingerprint != made.fingerprint:
            name = "X-Request-ID" if interaction.known is None else "Its own id"
            raise KeyReused(f"{name} was used before for another request; use a new id for a new request")
        return at

    def _answer(self, id_: str, at: int) -> Outcome:
        said = "Received. It will be delivered; nothing more is owed."
        if self._fhir:
            content_type, body = CONTENT_TYPE, information(said, id_)
        else:
            content_type, body = b"application/json", msgspec.json.encode({"promise": id_, "status": "received", "detail": said})
        headers: Headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
            (FIELD, id_.encode()),
            (PROMISED, b"%d" % at),
        ]
        return Outcome(self._status, headers, body)


def _is_json(content_type: bytes) -> bool:
    kind = content_type.partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


def _hashed(body: _Body, digest: Any) -> _Body:
    if isinstance(body, bytes):
        digest.update(body)
        return body
    return hashing(body, digest)
