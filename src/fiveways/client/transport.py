"""One request over HTTP: nothing is followed, nothing is repeated, and no more is read than was said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, PyreqwestError
from pyreqwest.http import Url
from pyreqwest.response import Response

import fiveways
from fiveways.client.answer import Fields
from fiveways.client.body import Body
from fiveways.client.errors import ClientError, TooLarge, Unavailable
from fiveways.client.origins import Place

CONNECTING = timedelta(seconds=10)
"""How long a connection may take to be made."""
_IDLE = timedelta(seconds=20)
"""How long an unused connection is kept: less than most servers keep theirs."""
_CONNECTING = "client error (Connect)"
"""The cause that says that no connection was made. The type does not: pyreqwest's ConnectError is also a connection that the other
side closed when it had read the request."""

Pairs = list[tuple[str, str]]


class NotSent(Unavailable):
    """No connection could be made: nothing of the request has been sent."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, but for what is added to each attempt."""

    method: str
    place: Place
    headers: Pairs = field(default_factory=list)
    body: Body = field(default_factory=lambda: Body(None))


class Transport:
    """Connections to the deployment, and others, without a certificate of ours, to wherever else we are sent.

    `certificate` and `key` are ours, `authority` is who issues the deployment's besides those that the machine trusts (PEM files).
    """

    def __init__(self, certificate: Path | None = None, key: Path | None = None, authority: Path | None = None) -> None:
        try:
            roots = authority.read_bytes() if authority is not None else None
            identity = certificate.read_bytes() + b"\n" + key.read_bytes() if certificate is not None and key is not None else None
        except OSError as error:
            raise ClientError(str(error)) from error
        self._own = _client(roots, identity)
        self._other = _client(roots, None) if identity is not None else self._own

    async def close(self) -> None:
        """Let go of the connections."""
        await self._own.close()
        await self._other.close()

    @asynccontextmanager
    async def open(self, asked: Asked, added: Pairs) -> AsyncIterator[Response]:
        """The answer's head, with its body still to be read in the block. Raises Unavailable, or ClientError for no request."""
        try:
            client = self._own if asked.place.own else self._other
            request = client.request(asked.method, Url(asked.place.url)).headers([*asked.headers, *added])
            if (whole := asked.body.whole()) is not None:
                request = request.body_bytes(whole)
            elif not asked.body.empty:
                size = asked.body.size()
                request = request.headers([("Content-Length", str(size))] if size is not None else [])
                request = request.body_stream(asked.body.pieces())
            opened = request.build_streamed()
        except (BuilderError, ValueError) as error:  # what was wrong is not repeated: it may be a secret
            raise ClientError("this is no request: the method or a header field is not as HTTP has it") from error
        with _errors(asked.place):
            async with opened as response:
                yield response


async def whole(response: Response, largest: int) -> bytes:
    """The body. Raises TooLarge for more than `largest` bytes."""
    found = bytearray()
    async for piece in pieces(response):
        found += piece
        if len(found) > largest:
            raise TooLarge(f"the answer ({response.status}) has more than {largest} bytes")
    return bytes(found)


async def pieces(response: Response) -> AsyncIterator[bytes]:
    """The body, piece by piece."""
    while (piece := await response.body_reader.read_chunk()) is not None:
        yield bytes(piece)


def header_fields(response: Response) -> Fields:
    """The header fields; a value that is not in ASCII says nothing (RFC 9110 §5.5), and pyreqwest does not give it."""
    found: Pairs = []
    for name in dict.fromkeys(response.headers.keys()):
        with suppress(ValueError):
            found += [(name, value) for value in response.headers.getall(name)]
    return Fields(found)


def _client(roots: bytes | None, identity: bytes | None) -> Client:
    builder = ClientBuilder().follow_redirects(False).referer(False).error_for_status(False)
    builder = builder.connect_timeout(CONNECTING).pool_idle_timeout(_IDLE).user_agent(f"fiveways/{fiveways.__version__}")
    try:
        if roots is not None:
            builder = builder.add_root_certificate_pem(roots)
        if identity is not None:
            builder = builder.identity_pem(identity)
        return builder.build()
    except (PyreqwestError, ValueError, RuntimeError) as error:
        raise ClientError(f"certificate, key or authorities are of no use: {error}") from None


@contextmanager
def _errors(place: Place) -> Iterator[None]:
    try:
        yield
    except PyreqwestError as error:
        if _CONNECTING in _causes(error):
            raise NotSent(f"{_host(place)} cannot be reached: {_cause(error)}") from error
        raise Unavailable(f"{_host(place)} broke off: {_cause(error)}") from error


def _host(place: Place) -> str:
    return Url(place.url).origin_ascii


def _causes(error: PyreqwestError) -> list[str]:
    details = getattr(error, "details", None) or {}
    return [str(cause["message"]) for cause in details.get("causes") or []]


def _cause(error: PyreqwestError) -> str:
    """The innermost cause: the outer ones repeat the whole address, which may be of a patient."""
    return next(reversed(_causes(error)), type(error).__name__)
