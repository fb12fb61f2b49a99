"""A request to a back end and its answer, as the engines take and give them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Protocol

from fiveways.types import Headers

HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
"""Fields that concern one connection only and are never passed on (RFC 9110 §7.6.1)."""

IDEMPOTENT: Final = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})
"""Methods whose request may be sent twice (RFC 9110 §9.2.2)."""


class BodyStream(Protocol):
    """An answer's body on its way. Whoever stops reading early calls `aclose`, which breaks the connection off."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body itself: it can be read once."""
        ...

    async def __anext__(self) -> bytes:
        """The next bytes (never empty); UpstreamFault where the body does not arrive as announced."""
        ...

    async def aclose(self) -> None:
        """Stop: nothing more is read from the back end."""
        ...


class UpstreamRequest:
    """What to send.

    `target` is the raw path and query for the request line, base path included; it is sent as it is. `headers` are end-to-end
    fields: framing, Host and hop-by-hop fields among them are left out, as Fiveways makes its own. `length` is the number of
    bytes that `body` will yield, or None where that is not known (the body is then sent in chunks).
    """

    __slots__ = ("body", "headers", "length", "method", "target")

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: Headers,
        body: AsyncIterator[bytes] | bytes | None = None,
        length: int | None = None,
    ) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.length = length


class UpstreamAnswer:
    """What came back: end-to-end header fields (names in lower case, values untouched) and the body.

    `body` is bytes where all of it was there already, else a stream that its reader must exhaust or close.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes | BodyStream) -> None:
        self.status = status
        self.headers = headers
        self.body = body
