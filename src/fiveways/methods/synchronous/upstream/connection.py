"""One HTTP/1.1 connection to a back end: sends a request, reads its answer, and is free again.

    CONNECTED ──request()──▶ AWAITING ──whole answer in hand──▶ IDLE ──request()──▶ …
                                │                                ▲
                                └──header section──▶ BODY ───────┘ last byte, connection persistent and request all sent
    any state ──failure, abort, end of a connection that does not persist──▶ CLOSED

There are no timers here: the pool calls `check` every now and then (`bounds.Watch`).
"""

from __future__ import annotations

import asyncio
import select
import socket
from enum import Enum
from typing import Final, Protocol, cast

from fiveways.methods.synchronous.upstream.body import StreamedBody
from fiveways.methods.synchronous.upstream.bounds import Bounds, Watch
from fiveways.methods.synchronous.upstream.chunked import ChunkedDecoder
from fiveways.methods.synchronous.upstream.faults import Phase, UpstreamFaulty
from fiveways.methods.synchronous.upstream.message import UpstreamAnswer
from fiveways.methods.synchronous.upstream.response_head import (
    CHUNKED,
    UNTIL_CLOSE,
    MalformedResponse,
    ResponseHeadParser,
)
from fiveways.methods.synchronous.upstream.tls import close_is_authentic

_WRITE_HIGH_WATER: Final = 256 * 1024
_VERSION: Final = b"HTTP/1."


class State(Enum):
    """Where a connection is."""

    IDLE = "idle"
    AWAITING = "awaiting"
    BODY = "body"
    CLOSED = "closed"


_IDLE: Final = State.IDLE
_AWAITING: Final = State.AWAITING
_BODY: Final = State.BODY
_CLOSED: Final = State.CLOSED


class Owner(Protocol):
    """Who is told when a connection can take another request, and when it is gone. Both are called at most once each time."""

    def released(self, connection: Connection) -> None:
        """The connection is idle."""
        ...

    def lost(self, connection: Connection) -> None:
        """The connection is closed."""
        ...


class Connection(asyncio.Protocol):
    """A connection. `stale` is True where it had been used before and closed without a byte of answer to this request."""

    __slots__ = (
        "_body", "_bodyless", "_bounds", "_decoder", "_drained", "_keep", "_loop", "_owner", "_parser", "_partial", "_poll",
        "_reading_paused", "_remaining", "_sender", "_tunnel", "_used", "_waiter", "_watch", "_write_paused",
        "generation", "sent", "stale", "state", "transport",
    )  # fmt: skip

    def __init__(self, owner: Owner, bounds: Bounds, parser: ResponseHeadParser, generation: int) -> None:
        self._owner = owner
        self._bounds = bounds
        self._parser = parser
        self._loop = asyncio.get_running_loop()
        self.generation = generation
        self.state = _IDLE
        self.stale = False
        self.sent = True
        self._used = False
        self._keep = True
        self._bodyless = False
        self._tunnel = False
        self._partial = b""
        self._remaining = 0
        self._decoder: ChunkedDecoder | None = None
        self._body: StreamedBody | None = None
        self._waiter: asyncio.Future[UpstreamAnswer] | None = None
        self._sender: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._write_paused = False
        self._reading_paused = False
        self._watch = Watch(bounds)
        self._poll: select.poll | None = None

    # --- sending --------------------------------------------------------------------------------------------------------

    def request(self, data: bytes, *, bodyless: bool, tunnel: bool = False) -> asyncio.Future[UpstreamAnswer]:
        """Send a header section (and what of the body is at hand); the future brings the answer or an UpstreamFault.

        `bodyless`: the method is HEAD. `tunnel`: the method is CONNECT, after whose 2xx the bytes are no longer HTTP's.
        """
        self.state = _AWAITING
        self._bodyless = bodyless
        self._tunnel = tunnel
        self._watch.begin()
        waiter = self._waiter = self._loop.create_future()
        self.transport.write(data)
        return waiter

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self.state is _CLOSED

    def opened(self, owner: Owner) -> None:
        """The connection is ready for a first request, and has an owner from now on."""
        self._owner = owner
        self._used = False

    def send_with(self, sender: asyncio.Task[None]) -> None:
        """A task sends the rest of the request and sets `sent`; it is cancelled where there is no use in going on."""
        self._sender = sender

    async def write(self, parts: tuple[bytes, ...]) -> None:
        """Send a part of the body, then wait while the back end does not keep up."""
        self.transport.writelines(parts)
        if self._write_paused and self.state is not _CLOSED:
            self._drained = self._loop.create_future()
            await self._drained

    def quiet(self) -> bool:
        """Whether nothing has arrived that the event loop has not seen yet, a close above all (RFC 9112 §9.3.1)."""
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not self._poll.poll(0)

    # --- asyncio's calls ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.attach(cast("asyncio.Transport", transport))
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def attach(self, transport: asyncio.Transport) -> None:
        """Use this transport from now on (the first one, or TLS over it)."""
        self.transport = transport
        transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER)

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        self._write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes from the back end."""
        self._watch.moved = True
        try:
            if self.state is _AWAITING:
                self._read_head(data)
            elif self.state is _BODY:
                self._read_body(data)
            else:
                self.abort()  # nobody asked: nothing that follows could be told from an answer
        except MalformedResponse as malformed:
            phase: Phase = "first_byte" if self.state is _AWAITING else "body"
            self.fail(UpstreamFaulty(f"The back end's answer is malformed: {malformed}.", phase=phase, reached=True))

    def eof_received(self) -> None:
        """The back end has closed: so ends a body without length, unless TLS does not vouch for it (RFC 9112 §9.8)."""
        body = self._body
        if body is not None and self._remaining == UNTIL_CLOSE and close_is_authentic(self.transport):
            body.end()
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, in whatever way."""
        if self.state is _AWAITING:
            self.stale = self._used and not self._watch.moved
            self.fail(UpstreamFaulty("The back end closed the connection before answering.", phase="first_byte", reached=True))
        elif self.state is _BODY:
            self.fail(UpstreamFaulty("The back end broke its answer off.", phase="body", reached=True))
        else:
            self._dispose()

    # --- reading --------------------------------------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> None:
        searched = 0
        if self._partial:
            searched = max(0, len(self._partial) - 3)
            data = self._partial + data
        while True:
            end = data.find(b"\r\n\r\n", searched)
            if end < 0:
                if not data.startswith(_VERSION) and not _VERSION.startswith(data):
                    raise MalformedResponse("bad status line")
                if len(data) > self._bounds.header_bytes:
                    raise MalformedResponse("header section too large")
                self._partial = data
                return
            if end > self._bounds.header_bytes:
                raise MalformedResponse("header section too large")
            status, headers, framing, keep = self._parser.parse(data[:end], bodyless=self._bodyless)
            if status >= 200:
                break
            if status == 101:
                raise MalformedResponse("101 without being asked to switch protocols")
            data = data[end + 4 :]
            searched = 0
        rest = data[end + 4 :]
        self._partial = b""
        self._keep = keep
        if self._tunnel and status < 300:
            framing = 0
            self._keep = True
        if framing >= 0:
            if len(rest) >= framing:
                if len(rest) > framing:
                    self._keep = False
                    rest = rest[:framing]
                self._deliver(UpstreamAnswer(status, headers, rest), complete=True)
                return
            pieces = [rest]
            self._remaining = framing - len(rest)
        elif framing == CHUNKED:
            decoder = self._decoder = ChunkedDecoder(self._bounds.header_bytes)
            pieces = decoder.feed(rest)
            if decoder.done:
                self._keep = self._keep and not decoder.excess
                self._decoder = None
                self._deliver(UpstreamAnswer(status, headers, b"".join(pieces)), complete=True)
                return
            self._remaining = CHUNKED
        else:
            pieces = [rest]
            self._remaining = UNTIL_CLOSE
        body = self._body = StreamedBody(self)
        self.state = _BODY
        self._watch.turn()
        self._deliver(UpstreamAnswer(status, headers, body), complete=False)
        for piece in pieces:
            body.feed(piece)
        if status >= 300:
            self._stop_sending()

    def _deliver(self, answer: UpstreamAnswer, *, complete: bool) -> None:
        waiter = self._waiter
        self._waiter = None
        if complete:
            self._finish()
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _read_body(self, data: bytes) -> None:
        body = self._body
        if body is None:  # pragma: no cover - a connection in BODY has one
            return
        if self._remaining == CHUNKED and self._decoder is not None:
            for piece in self._decoder.feed(data):
                body.feed(piece)
            if not self._decoder.done:
                return
            self._keep = self._keep and not self._decoder.excess
        elif self._remaining == UNTIL_CLOSE:
            body.feed(data)
            return
        else:
            left = self._remaining - len(data)
            if left < 0:
                self._keep = False
                data = data[: self._remaining]
            body.feed(data)
            self._remaining = left
            if left > 0:
                return
        body.end()
        self._finish()

    # --- ending ---------------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """The answer is complete: go idle where the connection persists, or close."""
        self._body = self._decoder = None
        if not self.sent:
            self.abort()
        elif not self._keep:
            self.close()
        else:
            self.state = _IDLE
            self._used = True
            self._sender = None
            self._watch.turn()
            if self._reading_paused:
                self.resume_reading()
            self._owner.released(self)

    def _stop_sending(self) -> None:
        """The back end has judged the request by what it has seen: the rest is of no use (RFC 9112 §9.5)."""
        if self._sender is not None and not self.sent:
            self._sender.cancel()

    def fail(self, failure: BaseException) -> None:
        """Break the exchange off: whoever waits for the answer or reads its body gets `failure`."""
        waiter, body = self._waiter, self._body
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(failure)
        if body is not None:
            body.fail(failure)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._dispose()
        self.transport.abort()

    def close(self) -> None:
        """Close the connection in good order."""
        self._dispose()
        self.transport.close()

    def _dispose(self) -> None:
        if self.state is _CLOSED:
            return
        self.state = _CLOSED
        if self._sender is not None and not self.sent:
            self._sender.cancel()
        if self._drained is not None and not self._drained.done():
            self._drained.cancel()
        self._waiter = self._body = self._decoder = self._sender = None
        self._partial = b""
        self._owner.lost(self)

    def pause_reading(self) -> None:
        """Let the network wait."""
        self._reading_paused = True
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Let the network go on."""
        self._reading_paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()

    # --- time -----------------------------------------------------------------------------------------------------------

    def check(self, now: float) -> bool:
        """End what has taken too long at `now` (seconds); whether an exchange is still going on."""
        state, watch = self.state, self._watch
        if state is _IDLE:
            if watch.rested(now):
                self.close()
            return False
        if state is _CLOSED:
            return False
        if watch.first(now):
            return True
        late = watch.overdue(now)
        if late is None and state is _BODY:
            late = watch.reading(now, paused=self._reading_paused)
        elif late is None:
            late = watch.awaiting(now, self.transport.get_write_buffer_size(), sent=self.sent)
        if late is not None:
            self.fail(late)
        return self.state is not _CLOSED
