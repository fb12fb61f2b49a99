"""From an ASGI scope to an interaction: one pass over the header fields, and refusal of what could mean two things.

Fields fall into four kinds: those that go on to the back end untouched, those that end here (hop-by-hop, RFC 9110 §7.6.1, and
Fiveways' own, which a client may not set), those that Fiveways reads, and those it reads and passes on. What it reads may stand
only once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from itertools import product
from typing import Any, Final

from fiveways.clock import Clock
from fiveways.correlation import Correlation, new_id
from fiveways.errors import Fault, HeadersTooLarge, MalformedRequest, PayloadTooLarge, RequestTimeout
from fiveways.types import Headers, Interaction

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DROP: Final = 0
_READ: Final = 1
_READ_AND_PASS: Final = 2

_TREATMENT: Final[dict[bytes, int]] = {
    **dict.fromkeys(
        (
            b"keep-alive", b"proxy-connection", b"te", b"trailer", b"upgrade", b"http2-settings", b"proxy-authorization",
            b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip",
            b"x-forwarded-prefix", b"x-forwarded-server",
            b"nhsd-request-id", b"nhsd-correlation-id", b"nhsd-identity-uuid", b"nhsd-identity-idp", b"nhsd-asid",
            b"nhsd-nhslogin-user", b"nhsd-nhslogin-actor", b"nhsd-application", b"nhsd-application-id",
            b"nhse-pds-custom-attributes", b"nhse-pds-privileged-access",
        ),
        _DROP,
    ),
    **dict.fromkeys(
        (
            b"host", b"connection", b"content-length", b"transfer-encoding", b"authorization", b"apikey", b"x-request-id",
            b"x-correlation-id", b"expect", b"nhsd-session-urid",
        ),
        _READ,
    ),
    **dict.fromkeys((b"traceparent", b"idempotency-key", b"content-type", b"nhsd-end-user-organisation-ods"), _READ_AND_PASS),
}  # fmt: skip


def spellings(name: bytes) -> set[bytes]:
    """A field name with its hyphens and underscores in every mixture: CGI takes one for the other (RFC 3875 §4.1.18)."""
    return {
        b"".join(parts) for parts in product(*((b"-", b"_") if byte == b"-" else (byte,) for byte in re.findall(rb"(?s).", name)))
    }


_TREATMENT.update({spelling: _DROP for name, how in tuple(_TREATMENT.items()) if how == _DROP for spelling in spellings(name)})
_OF_PEOPLE: Final = (b"nhsd-session-urid", b"nhsd-end-user-organisation-ods")
"""What a client says of a person, and is checked before a back end is told: in this spelling only."""
_TREATMENT.update({spelling: _DROP for name in _OF_PEOPLE for spelling in spellings(name) if spelling != name})

INTERNAL: Final = frozenset(name for name, how in _TREATMENT.items() if how == _DROP)
"""Names of fields that never come through from a client."""

_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=-]+(?::[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{0,5})?")
CLOSE: Final = {"Connection": "close"}
"""On the answer to a request whose end two readers could see at different places: nothing behind it is read."""
MAX_HEADER_FIELDS: Final = 128


class ClientGone(Exception):
    """The client went away before its request was complete; there is nobody to answer."""


def read(scope: Scope, receive: Receive, clock: Clock) -> tuple[Interaction, Fault | None]:
    """The interaction in an ASGI scope, and the fault it already deserves, if any."""
    fault: Fault | None = None
    kept: Headers = []
    fields: dict[bytes, bytes] = {}
    headers = scope["headers"]
    for field in headers:
        name = field[0]
        how = _TREATMENT.get(name)
        if how is None:
            kept.append(field)
        elif how:
            if name in fields:
                fault = MalformedRequest(f"The header field {name.decode()} stands more than once", headers=CLOSE)
            fields[name] = field[1]
            if how == _READ_AND_PASS:
                kept.append(field)
    if len(headers) > MAX_HEADER_FIELDS:
        fault = HeadersTooLarge(f"The header section has more than {MAX_HEADER_FIELDS} fields")
    if scope["http_version"] == "2":
        kept = _with_one_cookie(kept)
    if b"connection" in fields:
        kept = _without_nominated(kept, fields)
    if fields.get(b"host") not in _hosts and not _is_host(fields.get(b"host")):
        fault = fault or MalformedRequest("Exactly one valid Host is required (RFC 9112 §3.2)")
    if b"content-length" in fields or b"transfer-encoding" in fields or scope["http_version"][0] not in "01":
        length, has_body, framing_fault = _framing(fields)
        fault = fault or framing_fault
    else:
        length, has_body = None, False
    interaction = Interaction(
        new_id(),
        scope["method"],
        scope["raw_path"],
        scope["query_string"],
        kept,
        fields,
        RequestBody(receive, length=length) if has_body else None,
        length,
        Correlation(fields.get(b"x-request-id"), fields.get(b"x-correlation-id"), fields.get(b"traceparent")),
        clock.monotonic(),
        scope,
    )
    return interaction, fault


_hosts: Final[set[bytes | None]] = set()
"""Values of Host that were found to be valid; only so many, since clients choose them."""


def _is_host(value: bytes | None) -> bool:
    if value is None or _HOST.fullmatch(value) is None:
        return False
    if len(_hosts) < 1024:
        _hosts.add(value)
    return True


def _framing(fields: dict[bytes, bytes]) -> tuple[int | None, bool, Fault | None]:
    """Declared length, whether there is a body, and what is wrong with the framing (RFC 9112 §6; request smuggling).

    Without either field there may be a body only in HTTP/2 (RFC 9113 §8.1.1).
    """
    coding, declared = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        if coding.lower() != b"chunked" or declared is not None:
            reason = "Transfer-Encoding may only be chunked, once, and without Content-Length"
            return None, True, MalformedRequest(reason, headers=CLOSE)
        return None, True, None
    if declared is not None:
        if _LENGTH.fullmatch(declared) is None:
            return None, True, MalformedRequest("Content-Length is not a plain decimal number", headers=CLOSE)
        return int(declared), declared != b"0", None
    return None, True, None


def _with_one_cookie(kept: Headers) -> Headers:
    """The fields with the crumbs that HTTP/2 may have made of a cookie put together again (RFC 9113 §8.2.3)."""
    crumbs = [value for name, value in kept if name == b"cookie"]
    if len(crumbs) < 2:
        return kept
    return [*(field for field in kept if field[0] != b"cookie"), (b"cookie", b"; ".join(crumbs))]


def _without_nominated(kept: Headers, fields: dict[bytes, bytes]) -> Headers:
    """The fields without those that Connection names as meant for this hop only (RFC 9110 §7.6.1)."""
    named = {token.strip().lower() for token in fields[b"connection"].split(b",")} - {b"close", b"keep-alive", b""}
    # Framing and credentials may not be taken away from the policies that need them.
    return [field for field in kept if field[0] not in named] if named else kept


class RequestBody(AsyncIterator[bytes]):
    """A request's bytes as they arrive. Complete only when the server says so: a broken-off body raises ClientGone.

    `limit` bounds its size (PayloadTooLarge) and `patience` the seconds between two arrivals (RequestTimeout). A body of declared
    `length` is complete with its last byte: nobody waits for the server to say so as well.
    """

    __slots__ = ("_first", "_length", "_receive", "complete", "limit", "patience", "received")

    def __init__(self, receive: Receive, limit: int = 2**63, patience: float = 30.0, length: int | None = None) -> None:
        self._receive = receive
        self._length = length
        self.limit = limit
        self.patience = patience
        self.received = 0
        self.complete = False
        self._first = b""

    async def begin(self) -> bool:
        """Wait for the first bytes, and keep them; False where the body turns out to be empty."""
        try:
            self._first = await self.__anext__()
        except StopAsyncIteration:
            return False
        return True

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        while not self.complete:
            try:
                async with asyncio.timeout(self.patience):
                    message = await self._receive()
            except TimeoutError:
                raise RequestTimeout(f"No byte of the request body arrived for {self.patience:g} s") from None
            if message["type"] != "http.request":
                raise ClientGone
            chunk: bytes = message.get("body", b"")
            self.received += len(chunk)
            self.complete = not message.get("more_body", False) or self.received == self._length
            if self.received > self.limit:
                raise PayloadTooLarge(f"The body is larger than {self.limit} bytes")
            if chunk:
                return chunk
        raise StopAsyncIteration
