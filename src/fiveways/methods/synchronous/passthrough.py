"""Simple pass-through (S40–S42): one request in, one call out; bodies untouched, nothing mediated, nothing orchestrated.

What it adds to a request is what a back end must know of the gateway: who calls (NHSD-… fields), under which ids, and that a
gateway stands between (Via, X-Forwarded-…). Credentials that were meant for the gateway end here.
"""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fiveways.errors import MalformedRequest, MissingValue
from fiveways.methods.synchronous.request import spellings
from fiveways.methods.synchronous.upstream.message import UpstreamRequest
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.types import Headers, Interaction, Outcome

_VIA: Final = {"1": b"1.0 fiveways", "1.0": b"1.0 fiveways", "1.1": b"1.1 fiveways", "2": b"2 fiveways"}


@dataclass(slots=True, frozen=True)
class Attribute:
    """An attribute of the calling application that its back end is told in a header field."""

    name: str
    header: bytes
    required: bool
    missing: str


class PassThrough:
    """The handler at the bottom of a pass-through API."""

    def __init__(
        self,
        upstream: Upstream,
        base: bytes,
        *,
        nhsd_ids: bool,
        attributes: Collection[Attribute] = (),
        applications: Mapping[str, Mapping[str, str]] | None = None,
        forward: Collection[bytes] = (),
    ) -> None:
        self._upstream = upstream
        self._base = base
        self._nhsd_ids = nhsd_ids
        self._attributes = tuple(attributes)
        self._applications = applications or {}
        self._forward = tuple(forward)
        self._told: dict[str, Headers] = {}
        self._clients: dict[tuple[str, str, str], Headers] = {}
        self._owned = frozenset(spelling for attribute in attributes for spelling in spellings(attribute.header))

    @property
    def url(self) -> str:
        """Where the back end is."""
        return self._upstream.target.url

    def __call__(self, interaction: Interaction) -> Coroutine[Any, Any, Outcome]:
        """Make the one upstream call and hand its answer on."""
        return self.send(interaction, self.request(interaction))

    def request(self, interaction: Interaction) -> UpstreamRequest:
        """What is sent for an interaction."""
        query = interaction.query
        target = self._base + interaction.below + (b"?" + query if query else b"")
        if target[:1] != b"/":
            target = b"/" + target
        return UpstreamRequest(
            interaction.method.encode(), target, self._headers(interaction), interaction.body, interaction.length
        )

    async def send(self, interaction: Interaction, request: UpstreamRequest) -> Outcome:
        """Send it once, and bring the answer."""
        interaction.calls += 1
        try:
            answer = await self._upstream.send(request)
        except ValueError as error:
            raise MalformedRequest("The request cannot be passed on so that it means one thing only") from error
        return Outcome(answer.status, answer.headers, answer.body)

    def _headers(self, interaction: Interaction) -> Headers:
        scope, ids, fields, consumer = interaction.scope, interaction.correlation, interaction.fields, interaction.consumer
        headers = interaction.headers
        if self._owned:
            headers = [field for field in headers if field[0] not in self._owned]
        # A list of its own: a retry starts again from what the consumer sent.
        headers = [
            *headers,
            *self._between(scope["http_version"], scope["scheme"], scope["client"][0]),
            (b"x-forwarded-host", fields[b"host"]),
            *(self._told.get(consumer.application) or self._of_application(consumer.application)),
        ]
        if self._nhsd_ids:
            correlation = ids.correlation_id if ids.correlation_given else b""
            headers.append((b"nhsd-request-id", ids.request_id))
            headers.append((b"nhsd-correlation-id", b"%b.%b.%b" % (ids.request_id, correlation, interaction.id.encode())))
        else:
            headers.append((b"x-request-id", ids.request_id))
            headers.append((b"x-correlation-id", ids.correlation_id))
        if consumer.told:
            headers.extend(consumer.told)
        for name in self._forward:
            if name in fields:
                headers.append((name, fields[name]))
        return headers

    def _between(self, version: str, scheme: str, client: str) -> Headers:
        """What says that a gateway stands between, and for whom. The same for every request of a client."""
        key = (version, scheme, client)
        known = self._clients.get(key)
        if known is None:
            if len(self._clients) >= 4096:
                self._clients.clear()
            known = self._clients[key] = [
                (b"via", _VIA[version]),
                (b"x-forwarded-for", client.encode()),
                (b"x-forwarded-proto", scheme.encode()),
            ]
        return known

    def _of_application(self, application: str) -> Headers:
        """What is told of an application: its name, and its attributes."""
        headers: Headers = [(b"nhsd-application", application.encode())] if application else []
        known = self._applications.get(application, {})
        for attribute in self._attributes:
            value = known.get(attribute.name)
            if value is not None:
                headers.append((attribute.header, value.encode()))
            elif attribute.required:
                raise MissingValue(attribute.missing)
        self._told[application] = headers
        return headers
