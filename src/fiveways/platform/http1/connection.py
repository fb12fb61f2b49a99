"""One HTTP/1.1 connection: bytes into requests, in order, one answered at a time; limits, time-outs, and clear refusals.

llhttp parses, with none of its leniencies: obsolete folding, both of Content-Length and Transfer-Encoding, two lengths, a bare
line feed or a bad chunk size end the connection with 400. What is refused here never reaches the application.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, cast

import httptools
import structlog

from fiveways.platform.http1.exchange import Exchange
from fiveways.platform.http1.splice import PREFACE, Splice

if TYPE_CHECKING:
    from fiveways.platform.http1.listener import Http1Listener

log: Final = structlog.get_logger("fiveways.http1")

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a request's head: its target and its fields."""
FIELDS_LIMIT: Final = 128
CONNECTIONS_LIMIT: Final = 20_000
"""Connections of one listener at once; more are cut."""
LINGER = 2.0
"""Seconds for which the rest of a request that was answered early is still taken in."""
_NEVER: Final = float("inf")
_BLANKS: Final = re.compile(rb"(?:\r\n)*[^ \r\n]*(?:  | [^ \r\n]*  )")
"""A request line with more than one blank between its parts, which llhttp would let pass (RFC 9112 §3)."""
PIPELINED: Final = 32
"""Requests that may wait behind the one being answered (RFC 9112 §9.3.2); past that nothing more is read."""
PIECE: Final = 16 * 1024
"""Bytes parsed at once, so that one large read of many small requests is no way around that."""


class Connection(asyncio.Protocol):
    """A client's connection."""

    def __init__(self, listener: Http1Listener) -> None:
        self._listener = listener
        self.loop = listener.loop
        self._app: Callable[..., Awaitable[None]] = listener.app
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.writable: asyncio.Future[None] | None = None
        self.draining = False
        self.deadline = time.monotonic() + listener.head_patience
        """When the connection is given up unless something happens; infinite while a request is being answered."""
        self._parser = httptools.HttpRequestParser(self)
        self._first: bytes | None = b""
        self._splice: Splice | None = None
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._arriving: Exchange | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._url = b""
        self._head_size = 0
        self._head = b""
        self._unread = b""
        self._unfinished = 0
        self._within = False
        self._in_head = False
        self._paused = False
        self._lingering = False
        self._refusal: tuple[int, bytes] | None = None
        self._ended = False
        self._task: asyncio.Task[None] = cast("asyncio.Task[None]", None)
        self._base: dict[str, Any] = {}

    # --- asyncio -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = cast(asyncio.Transport, transport)
        peer, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._base = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "scheme": "https" if self._listener.secure else "http",
            "server": own[:2],
            "client": peer[:2] if peer else ("", 0),
            "root_path": "",
            "extensions": self._listener.extensions(self.transport),
        }
        self._listener.connections.add(self)
        if len(self._listener.connections) > CONNECTIONS_LIMIT:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._splice is not None:
            self._splice.forward(data)
            return
        if self._first is not None and self._is_http2(data):
            return
        for start in range(0, len(data), PIECE):
            if self._paused:
                self._unread += data[start:]
                return
            self._feed(data[start : start + PIECE])

    def _feed(self, data: bytes) -> None:
        if self._lingering or self._refusal is not None:
            return
        if not self._within:
            line = data.find(b"\r")
            if (line < 0 or data.count(b" ", 0, line) != 2) and _BLANKS.match(data):
                self._refuse(400, b"Bad Request")
                return
        self._unfinished += len(data)
        try:
            self._parser.feed_data(data)
            if self._unfinished > HEAD_LIMIT:
                raise _TooLarge
        except httptools.HttpParserUpgrade:
            pass  # an upgrade that was asked for is not granted: the request is answered as it is (RFC 9110 §7.8)
        except _TooLarge:
            self._refuse(431, b"Request Header Fields Too Large")
        except (httptools.HttpParserError, httptools.HttpParserCallbackError) as error:
            if isinstance(error.__context__, _TooLarge):
                self._refuse(431, b"Request Header Fields Too Large")
            else:
                self._refuse(400, b"Bad Request")

    def eof_received(self) -> bool:
        """The client sends no more; what it has asked for is still answered (RFC 9112 §9.6)."""
        self._ended = True
        if self._arriving is not None and not self._arriving.received:
            self._arriving.disconnected()
        for exchange in (self._current, *self._queue):
            if exchange is not None:
                exchange.half_closed()
        current = self._current
        return current is not None and not current.gone and self._splice is None and not self._listener.secure

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._listener.connections.discard(self)
        if self._splice is not None:
            self._splice.close()
        for exchange in (self._current, self._arriving, *self._queue):
            if exchange is not None:
                exchange.disconnected()
        self._queue.clear()
        self.resume_writing()

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        if self._splice is not None:
            self._splice.client_slow(True)
        if self.writable is None:
            self.writable = self.loop.create_future()

    def resume_writing(self) -> None:
        """The client can take more."""
        if self._splice is not None:
            self._splice.client_slow(False)
        if self.writable is not None and not self.writable.done():
            self.writable.set_result(None)
        self.writable = None

    # --- httptools ---------------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._within = self._in_head = True
        self._headers = []
        self._url = b""
        self._head_size = 0
        if self._current is None:
            self.deadline = time.monotonic() + self._listener.head_patience

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._unfinished = 0
        self._url += url
        self._head_size += len(url)
        if self._head_size > HEAD_LIMIT:
            raise _TooLarge

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header field; or a trailer field, which is never one (RFC 9110 §6.5.1) and counts only for its size."""
        self._unfinished = 0
        if self._in_head:
            self._headers.append((name.lower(), value.rstrip(b" \t")))
        self._head_size += len(name) + len(value) + 4
        if self._head_size > HEAD_LIMIT or len(self._headers) > FIELDS_LIMIT:
            raise _TooLarge

    def on_headers_complete(self) -> None:
        """The request's head is complete."""
        self._in_head = False
        parser = self._parser
        version = parser.get_http_version()
        method = parser.get_method().decode("ascii")
        raw = self._url
        if version not in ("1.1", "1.0"):
            raise httptools.HttpParserError("not a version spoken here")
        if raw[:1] != b"/":
            raw = self._origin_form(raw)
        path, _, query = raw.partition(b"?")
        scope = self._base.copy()
        scope["http_version"] = version
        scope["method"] = method
        scope["raw_path"] = path
        scope["path"] = path.decode("latin-1")
        scope["query_string"] = query
        scope["headers"] = self._headers
        continues = False
        for name, value in self._headers:
            if name == b"expect":
                continues = value.lower() == b"100-continue" and version == "1.1"
            elif name == b"transfer-encoding" and (value.lower() != b"chunked" or version == "1.0"):
                raise httptools.HttpParserError("not a framing spoken here (RFC 9112 §6.1)")
        keep_alive = parser.should_keep_alive() and not parser.should_upgrade()
        exchange = Exchange(self, scope, keep_alive=keep_alive, continues=continues)
        self._arriving = exchange
        if self._current is None:
            self._begin(exchange)
        else:
            self._queue.append(exchange)
            if len(self._queue) >= PIPELINED:
                self._pause()

    def _origin_form(self, target: bytes) -> bytes:
        """The path and query of a target in absolute form; its authority must be the Host (RFC 9112 §3.2.2)."""
        scheme, separator, rest = target.partition(b"://")
        authority, slash, path = rest.partition(b"/")
        hosts = [value for name, value in self._headers if name == b"host"]
        if scheme.lower() not in (b"http", b"https") or not separator or hosts != [authority]:
            raise httptools.HttpParserError("not a request target of ours")
        return slash + path or b"/"

    def on_body(self, body: bytes) -> None:
        """A piece of the request's body."""
        self._unfinished = 0
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._within = False
        self._unfinished = 0
        if self._arriving is not None:
            self._arriving.complete()

    # --- requests, one after another ---------------------------------------------------------------------------------------

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self.deadline = _NEVER
        task = self._task = self.loop.create_task(self._run(exchange))
        self._listener.tasks.add(task)

    async def _run(self, exchange: Exchange) -> None:
        task = self._task
        try:
            if not exchange.gone:
                await self._app(exchange.scope, exchange.receive, exchange.send)
        except Exception as error:
            if not getattr(error, "expected", False):
                log.error("application failed", exc_info=error)
        finally:
            self._listener.tasks.discard(task)
        if not exchange.over and not exchange.gone:
            self.transport.abort()

    def answered(self, exchange: Exchange) -> None:
        """An answer is all out: on to the next request, or to the end of the connection."""
        self._current = None
        if not exchange.received:
            # Closing now would make the client's system throw the answer away (RFC 9112 §9.6): take in some of the rest first.
            self._linger()
            return
        if not exchange.keep_alive or self.draining:
            self.transport.close()
            return
        if self._arriving is exchange:
            self._arriving = None
        if self._queue and not self._queue[0].gone:
            self._begin(self._queue.popleft())
        elif self._refusal is not None:
            self._send_refusal()
            return
        elif self._ended:
            self.transport.close()
        else:
            self.deadline = time.monotonic() + self._listener.idle_patience
        if self._paused:
            self._resume()

    def drain(self) -> None:
        """End the connection as soon as nothing is under way on it."""
        self.draining = True
        if self._splice is None and self._current is None:
            self.transport.close()

    def pause(self, exchange: Exchange) -> None:
        """An exchange has enough of its body to work on."""
        if exchange is self._arriving:
            self._pause()

    def resume(self, exchange: Exchange) -> None:
        """An exchange can take more of its body."""
        if self._paused and exchange is self._arriving and len(self._queue) < PIPELINED:
            self._resume()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        self._paused = False
        if self._unread:
            unread, self._unread = self._unread, b""
            self.data_received(unread)
        if not self._paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def hold_head(self, head: bytes) -> None:
        """Keep an answer's head until the first of its body, so that both leave together."""
        self._head = head

    def take_head(self) -> bytes:
        """The head held back, once."""
        head, self._head = self._head, b""
        return head

    def _refuse(self, status: int, reason: bytes) -> None:
        """Take no more, answer what is not HTTP as it must be once all before it is answered, and end the connection."""
        self._listener.refused += 1
        self._refusal = status, reason
        current, arriving = self._current, self._arriving
        if arriving is not None and not arriving.received:
            arriving.disconnected()
        if current is None or (current.gone and not current.started):
            self._send_refusal()
        elif current.gone:
            self.transport.close()

    def _send_refusal(self) -> None:
        assert self._refusal is not None
        if self.transport.is_closing():
            return
        status, reason = self._refusal
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (status, reason, len(reason), reason)
        )
        self._linger()

    def _linger(self) -> None:
        """Say no more, and take in for a while what still comes (RFC 9112 §9.6)."""
        self._lingering = True
        self.deadline = time.monotonic() + LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._resume()

    def _is_http2(self, data: bytes) -> bool:
        """Whether the connection turns out to begin with HTTP/2's preface (RFC 9113 §3.4), or may yet."""
        start = (self._first or b"") + data
        if start.startswith(PREFACE):
            self._splice = Splice(self, self._listener.http2)
            self.deadline = _NEVER
            self._splice.forward(start)
            return True
        if PREFACE.startswith(start):
            self._first = start
            return True
        first, self._first = self._first, None
        if first:
            self.data_received(start)
            return True
        return False


class _TooLarge(Exception):
    pass
