"""An interaction that is gone on with later: what is kept of it beside its body, and how it is made again.

Its credentials are not kept: they were for the gateway, and have expired by then.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from fiveways.correlation import Correlation, new_id
from fiveways.types import Consumer, Headers, Interaction

_NOT_KEPT = frozenset((b"authorization", b"apikey", b"cookie", b"idempotency-key", b"expect"))


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """`fingerprint`: a hash of what was asked for, by which a repeat is told from another request of the same id."""

    fingerprint: bytes
    method: str
    headers: list[tuple[bytes, bytes]]
    host: bytes
    request_id: bytes
    correlation_id: bytes | None
    application: str
    organisation: str
    context: str
    level: str
    scopes: list[str]
    subject: str
    issuer: str
    http_version: str
    scheme: str
    client: str
    told: list[tuple[bytes, bytes]] = []
    facts: dict[str, Any] = {}

    @classmethod
    def of(cls, interaction: Interaction, fingerprint: bytes) -> Envelope:
        """What is kept of an interaction."""
        ids, consumer, scope = interaction.correlation, interaction.consumer, interaction.scope
        return cls(
            fingerprint, interaction.method,
            [field for field in interaction.headers if field[0] not in _NOT_KEPT], interaction.fields.get(b"host", b""),
            ids.request_id, ids.correlation_id if ids.correlation_given else None,
            consumer.application, consumer.organisation, consumer.context, consumer.level, sorted(consumer.scopes),
            consumer.subject, consumer.issuer, scope["http_version"], scope["scheme"], scope["client"][0],
            consumer.told, dict(consumer.facts),
        )  # fmt: skip

    def interaction(
        self, api: str, base: bytes, target: str, key: str, body: AsyncIterator[bytes] | None, length: int | None, started: float
    ) -> Interaction:
        """The interaction of an attempt, an exchange of its own under the same ids. `base`: the API's base path; `target`: path
        and query below it; `key`: what the provider recognises a repeat by."""
        below, _, query = target.encode("latin-1").partition(b"?")
        said = dict(self.headers)
        ids = Correlation(self.request_id, self.correlation_id, said.get(b"traceparent"), said.get(b"tracestate"))
        headers: Headers = [*self.headers, (b"idempotency-key", key.encode())]
        scope = {"http_version": self.http_version, "scheme": self.scheme, "client": (self.client, 0)}
        made = Interaction(
            new_id(), self.method, base + below, query, headers, {b"host": self.host}, body, length, ids, started, scope
        )
        made.below, made.api = below, api
        made.consumer = Consumer(
            self.application,
            self.organisation,
            self.context,
            self.level,
            frozenset(self.scopes),
            subject=self.subject,
            issuer=self.issuer,
            told=self.told,
            facts=self.facts,
        )
        return made


decode = msgspec.msgpack.Decoder(Envelope).decode
encode = msgspec.msgpack.Encoder().encode
