"""Mediation: one request and its answer, each said in the other side's words (S59).

It stands outside of what is done once per request to the back end (repeats, a promise, retries, the call): all of that sees the
back end's words only. What it cannot transform goes nowhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import parse_qsl, urlencode

from fiveways.errors import Fault, InvalidValue, ProviderFaulty
from fiveways.methods.synchronous.answer import whole
from fiveways.methods.synchronous.transformation.counts import Counts
from fiveways.methods.synchronous.transformation.repeats import Repeats
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Transformer
from fiveways.types import Handler, Headers, Interaction, Known, Outcome

LARGEST: Final = 32 * 2**20
"""Bytes of a back end's answer: what is transformed is held in memory."""
_ABOUT_CONTENT: Final = frozenset(
    (b"content-type", b"content-length", b"content-encoding", b"content-language", b"accept", b"accept-encoding", b"etag",
     b"last-modified", b"if-match", b"if-none-match", b"if-modified-since", b"range", b"prefer", b"idempotency-key",
     b"soapaction")
)  # fmt: skip
"""Header fields that are about the one side's form and mean nothing for the other's."""
_OF_THE_BODY: Final = frozenset(("content-type", "content-length", "content-encoding", "transfer-encoding"))


class Mediation:
    """The policy of one API that is a transformation façade."""

    def __init__(self, transformer: Transformer, counts: Counts, repeats: Repeats | None) -> None:
        """`repeats`: remembers first answers; None where a promise does."""
        self._transformer = transformer
        self._counts = counts
        self._repeats = repeats

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Transform the request, have it handled, transform the answer."""
        body = interaction.body
        content = b"".join([piece async for piece in body]) if body is not None else b""
        asked = _asked(interaction, content)
        try:
            said = self._transformer.ask(asked)
            if isinstance(said, Answered):
                return _outcome(said)
            self._told(interaction, said)
            if said.key:
                interaction.known = Known(said.key, hashlib.sha256(content).digest())
            elif interaction.correlation.given:
                # The request's own hash: what is made of it may have the time in it.
                of = b"%b %b?%b\n%b" % (interaction.method.encode(), interaction.below, interaction.query, content)
                interaction.known = Known(said.id, hashlib.sha256(of).digest())
            return await self._handled(interaction, asked, said, handler)
        except Fault as fault:
            refused = self._transformer.refuse(asked, fault)
            if refused is None:
                raise
            outcome = _outcome(refused)
            outcome.fault = fault
            return outcome

    async def _handled(self, interaction: Interaction, asked: Asked, said: Asked, handler: Handler) -> Outcome:
        async def handled() -> Outcome:
            _become(interaction, said)
            outcome = await handler(interaction)
            too_long = ProviderFaulty(f"The back end answered with more than {LARGEST} bytes, which are not transformed")
            content = await whole(outcome.body, LARGEST, too_long)
            fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in outcome.headers}
            told = {name: value for name, value in fields.items() if name not in _OF_THE_BODY}
            answered = Answered(outcome.status, fields.get("content-type", ""), content, told)
            made = _outcome(self._transformer.answer(asked, answered))
            self._told(interaction, asked)
            made.fault = outcome.fault
            return made

        if self._repeats is None or not said.key or interaction.known is None:
            return await handled()
        return await self._repeats.once(interaction, interaction.known, handled)

    def _told(self, interaction: Interaction, said: Asked) -> None:
        """What the audit and the counts learn of a request, or an answer: what sort of message, and how much of it was mapped."""
        facts, coverage = interaction.facts, said.coverage
        if said.kind:
            facts["message"] = said.kind
        if coverage is not None:
            for fate, count in (("mapped", coverage.mapped), ("unmapped", len(coverage.unmapped)), ("wrong", len(coverage.wrong))):
                facts[fate] = facts.get(fate, 0) + count
            self._counts.add(interaction.api, said.kind, coverage)


def _asked(interaction: Interaction, content: bytes) -> Asked:
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in interaction.headers}
    try:
        query = dict(parse_qsl(interaction.query.decode("ascii"), keep_blank_values=True, max_num_fields=256))
    except ValueError:
        raise InvalidValue("The query cannot be read") from None
    return Asked(
        interaction.method,
        interaction.below.decode("latin-1"),
        query,
        fields.get("content-type", ""),
        content,
        fields,
        interaction.correlation.request_id.decode("latin-1"),
    )


def _become(interaction: Interaction, said: Asked) -> None:
    """Have the interaction ask what the back end is asked."""
    content = said.content
    interaction.method = said.method
    interaction.below = said.path.encode("latin-1")
    interaction.query = urlencode(said.query).encode()
    headers: Headers = [field for field in interaction.headers if field[0] not in _ABOUT_CONTENT]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in said.headers.items()]
    if content:
        headers.append((b"content-type", said.content_type.encode("latin-1")))
        interaction.fields[b"content-type"] = said.content_type.encode("latin-1")
    known = interaction.known
    if known is not None:
        headers.append((b"idempotency-key", known.name.encode()))
    interaction.headers = headers
    interaction.body = _Content(content) if content else None
    interaction.length = len(content) if content else None


def _outcome(answered: Answered) -> Outcome:
    headers: Headers = [(b"content-length", b"%d" % len(answered.content))]
    if "cache-control" not in answered.headers:
        headers.append((b"cache-control", b"no-store"))
    if answered.content_type:
        headers.append((b"content-type", answered.content_type.encode("latin-1")))
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answered.headers.items()]
    return Outcome(answered.status, headers, answered.content)


class _Content(AsyncIterator[bytes]):
    """A body that is there whole."""

    __slots__ = ("_content", "complete", "received")

    def __init__(self, content: bytes) -> None:
        self._content: bytes | None = content
        self.complete = True
        self.received = len(content)

    async def __anext__(self) -> bytes:
        content, self._content = self._content, None
        if content is None:
            raise StopAsyncIteration
        return content
