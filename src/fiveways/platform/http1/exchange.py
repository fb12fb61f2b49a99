"""One request and its answer on an HTTP/1.1 connection: the `receive` and `send` of its ASGI application.

Framing is decided here (RFC 9112 §6): the application's Content-Length is kept, without one a body is chunked, and HEAD, 204 and
304 have none. An answer that is not whole is never made to look so: the connection is cut.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Generator, MutableMapping
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from fiveways.platform.http1.connection import Connection

HIGH_WATER: Final = 256 * 1024
"""Bytes of a request's body that wait to be taken before no more are read."""

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BODILESS: Final = frozenset((204, 304))
_OURS: Final = frozenset((b"date", b"connection", b"transfer-encoding", b"keep-alive"))
"""Fields of an answer that are the connection's to decide, or to add."""


class _Done:
    """What is awaited where there is nothing to wait for: a coroutine for that would cost as much as the sending."""

    def __await__(self) -> Generator[None, None, None]:
        return cast("Generator[None, None, None]", iter(()))


DONE: Final[Awaitable[None]] = _Done()


class Exchange:
    """A request, as it arrives, and its answer, as it goes out. `scope` is the ASGI scope."""

    __slots__ = (
        "_arrived", "_body_size", "_chunked", "_chunks", "_connection", "_ended", "_headless", "_left", "continues", "gone",
        "keep_alive", "leaving", "over", "received", "scope", "started",
    )  # fmt: skip

    def __init__(self, connection: Connection, scope: MutableMapping[str, Any], *, keep_alive: bool, continues: bool) -> None:
        self._connection = connection
        self.scope = scope
        self.keep_alive = keep_alive
        self.continues = continues
        self.received = False
        """Whether the request is all here."""
        self.started = False
        self.over = False
        """Whether the answer is all out."""
        self.gone = False
        self.leaving = False
        self._chunks: deque[bytes] = deque()
        self._body_size = 0
        self._arrived: asyncio.Future[None] | None = None
        self._chunked = False
        self._headless = scope["method"] == "HEAD"
        self._left: int | None = None
        self._ended = False

    # --- from the connection -----------------------------------------------------------------------------------------------

    def feed(self, chunk: bytes) -> None:
        """A piece of the request's body has arrived."""
        if self.over:
            return
        self._chunks.append(chunk)
        self._body_size += len(chunk)
        if self._body_size > HIGH_WATER:
            self._connection.pause(self)
        self._wake()

    def complete(self) -> None:
        """The request is all here."""
        self.received = True
        self._wake()

    def disconnected(self) -> None:
        """The client is gone."""
        self.gone = True
        self._wake()

    def half_closed(self) -> None:
        """The client sends no more: most have left, and whoever waits for that is told; an answer that comes is still sent."""
        self.leaving = True
        self._wake()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    # --- ASGI --------------------------------------------------------------------------------------------------------------

    async def receive(self) -> dict[str, Any]:
        """The next piece of the request, or `http.disconnect` once there is none and the client has left."""
        while True:
            if self._chunks:
                body = self._chunks.popleft() if len(self._chunks) == 1 else b"".join(self._chunks)
                self._chunks.clear()
                self._body_size = 0
                message = {"type": "http.request", "body": body, "more_body": not self._told_all()}
                self._connection.resume(self)  # which may bring more at once
                return message
            if self.gone or self.over:
                return {"type": "http.disconnect"}
            if self.received and not self._ended:
                self._ended = True
                return {"type": "http.request", "body": b"", "more_body": False}
            if self.leaving and self.received:
                return {"type": "http.disconnect"}
            if self.continues:
                self.continues = False
                if not self.started:
                    self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._arrived = self._connection.loop.create_future()
            await self._arrived

    def _told_all(self) -> bool:
        if self.received:
            self._ended = True
        return self.received

    def send(self, message: MutableMapping[str, Any]) -> Awaitable[None]:
        """Send the head, or a piece of the body; what is returned is to be awaited, and over when the client can take more."""
        if self.gone or self.over:
            return DONE
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return DONE
        connection = self._connection
        body = message.get("body", b"")
        more = message.get("more_body", False)
        head = connection.take_head()
        if self._chunked:
            out = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                out += b"0\r\n\r\n"
        else:
            out = b"" if self._headless else body
            if self._left is not None:
                self._left -= len(out)
                if self._left < 0 or (self._left > 0 and not more):
                    raise IncompleteAnswer
        if head or out:
            connection.transport.write(head + out)
        if not more:
            self.over = True
            connection.answered(self)
        elif connection.writable is not None:
            return connection.writable
        return DONE

    def _start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        if status in _BODILESS:
            self._headless = True
        parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status]
        framed = dated = False
        for name, value in headers:
            if name == b"content-length":
                if status == 204:
                    continue  # RFC 9110 §8.6
                framed = True
                if not self._headless:
                    self._left = int(value)
            elif name in _OURS:
                if name != b"date":
                    if value == b"close":
                        self.keep_alive = False
                    continue
                dated = True
            parts += (name, b": ", value, b"\r\n")
        if not dated:
            parts.append(_date())
        if not framed and not self._headless:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                parts.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
        if self._connection.draining or (status >= 400 and not self.received):
            self.keep_alive = False
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        elif self.scope["http_version"] == "1.0":
            parts.append(b"connection: keep-alive\r\n")
        parts.append(b"\r\n")
        self._connection.hold_head(b"".join(parts))


class IncompleteAnswer(Exception):
    """The application sent more or less than the Content-Length it had announced."""


_cached_date = (0, b"")


def _date() -> bytes:
    """The Date field (RFC 9110 §6.6.1), made once a second."""
    global _cached_date  # noqa: PLW0603, RUF100
    now = int(time.time())
    if _cached_date[0] != now:
        _cached_date = (now, f"date: {formatdate(now, usegmt=True)}\r\n".encode())
    return _cached_date[1]
