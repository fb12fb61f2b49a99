"""One WebSocket connection, once its handshake is done: messages in, frames out, and an end that both sides know of (RFC 6455 §7).

It ends in one of four ways. The client says Close, and has it echoed. We say Close, and the client has `Limits.patience` to answer.
The client breaks the protocol, is told so with a Close, and nothing that it still says is looked at. Or the connection is lost. In
the first three TCP is ended from our side first (§7.1.1). What is on its way meanwhile is taken in, or our Close would be thrown
away with it, and a client that does not end its own side in time is cut.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, cast

import structlog

from fiveways.methods.realtime.websocket import frames
from fiveways.methods.realtime.websocket.frames import Violation
from fiveways.methods.realtime.websocket.messages import Binary, Close, MessageReader, Ping, Text

log: Final = structlog.get_logger("fiveways.websocket")

_OPEN: Final = 0
_CLOSING: Final = 1
"""We have said Close and the client has not."""
_ENDING: Final = 2
"""Nothing more is said by us or listened to; TCP ends."""


@dataclass(slots=True, frozen=True)
class Limits:
    """What one client may take up."""

    largest: int = 1024 * 1024
    """Bytes of a message that it sends."""
    high_water: int = 64 * 1024
    """Bytes that it has not taken yet, from which the connection counts as paused; a quarter of that ends the pause."""
    unsent_pongs: int = 1000
    """Pings that are answered while it is paused; one more, and it is cut."""
    patience: float = 2.0
    """Seconds that it has to end the connection once we will, with a Close and with TCP."""


class Handler(Protocol):
    """What is done with one connection. None of these may wait."""

    def opened(self, ws: WebSocket) -> None:
        """The connection is open."""

    def message(self, data: bytes, text: bool) -> None:
        """The client has sent a message; where it is `text`, `data` is UTF-8. Never called after a Close of either side."""

    def drained(self) -> None:
        """The client has taken enough: the connection is not paused any more."""

    def closed(self, code: int, reason: str) -> None:
        """The connection is gone; called once. The code and reason of the client's Close, 1005 where it had none; or of the
        Violation it was closed for; or 1006 where neither was (RFC 6455 §7.1.5)."""


class WebSocket(asyncio.Protocol):
    """A client's connection: after the handshake, `transport.set_protocol(ws)`, `ws.connection_made(transport)`, and
    `ws.data_received(rest)` with what came behind the request's head."""

    __slots__ = (
        "_handler", "_limits", "_loop", "_messages", "_outcome", "_pongs", "_state", "_timer", "heard", "paused", "transport",
    )  # fmt: skip

    def __init__(self, handler: Handler, limits: Limits) -> None:
        self._handler = handler
        self._limits = limits
        self._messages = MessageReader(limits.largest)
        self._state = _OPEN
        self._pongs = 0
        self._outcome = (frames.ABNORMAL, "")
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop = cast(asyncio.AbstractEventLoop, None)
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.paused = False
        """Whether more is unsent than `Limits.high_water`; `Handler.drained` says when not any more."""
        self.heard = True
        """Whether anything has arrived since this was last set to False: for whoever looks after silent clients."""

    @property
    def open(self) -> bool:
        """Whether neither side has said Close: what is sent is sent."""
        return self._state == _OPEN

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    # --- for the handler ---------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send whole frames, as `frames` builds them; once the connection is not open, nothing is sent (RFC 6455 §5.5.1)."""
        if self._state == _OPEN:
            self.transport.write(data)

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection (RFC 6455 §7.1.2); where that is under way, nothing. Raises ValueError as `frames.close` does."""
        said = frames.close(code, reason)
        if self._state == _OPEN:
            self._state = _CLOSING
            self.transport.write(said)
            self._arm()

    def abort(self) -> None:
        """Cut the connection, with what is unsent."""
        self._state = _ENDING
        self.transport.abort()

    # --- asyncio -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake has been answered on this transport."""
        self._loop = asyncio.get_running_loop()
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(self._limits.high_water)
        self._handler.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self.heard = True
        if self._state == _ENDING:
            return
        messages = self._messages
        messages.feed(data)
        try:
            while self._state != _ENDING:
                event = messages.take()
                if event is None:
                    return
                if isinstance(event, Text):
                    self._deliver(event.data, True)
                elif isinstance(event, Binary):
                    self._deliver(event.data, False)
                elif isinstance(event, Ping):
                    self._answer(event.payload)
                elif isinstance(event, Close):
                    self._closed_by_client(event)
        except Violation as violation:
            self._fail(violation.code, violation.reason)

    def eof_received(self) -> None:
        """The client sends no more: asyncio closes the transport, which is not to take for ever."""
        self._state = _ENDING
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._state = _ENDING
        if self._timer is not None:
            self._timer.cancel()
        self._handler.closed(*self._outcome)

    def pause_writing(self) -> None:
        """The client takes less than it is sent."""
        self.paused = True

    def resume_writing(self) -> None:
        """The client has taken most of it."""
        self._pongs = 0
        if self.paused:
            self.paused = False
            if self._state == _OPEN:
                self._handler.drained()

    # --- what the client says ----------------------------------------------------------------------------------------------

    def _deliver(self, data: bytes, text: bool) -> None:
        if self._state != _OPEN:
            return
        try:
            self._handler.message(data, text)
        except Exception as error:
            log.error("handler failed", exc_info=error)
            self._fail(frames.INTERNAL_ERROR, "")

    def _answer(self, payload: bytes) -> None:
        """Every Ping has its Pong until the client has said Close (RFC 6455 §5.5.2), if the client takes them."""
        if self.paused:
            self._pongs += 1
            if self._pongs > self._limits.unsent_pongs:
                self.abort()
                return
        self.transport.write(frames.pong(payload))

    def _closed_by_client(self, said: Close) -> None:
        """The client's Close is answered with its own code, unless it is an answer itself (RFC 6455 §5.5.1)."""
        self._outcome = (said.code, said.reason)
        if self._state == _OPEN:
            self.transport.write(frames.close(None if said.code == frames.NO_CODE else said.code))
        self._end()

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection (RFC 6455 §7.1.7)."""
        self._outcome = (code, reason)
        if self._state == _OPEN:
            self.transport.write(frames.close(code, reason))
        if self._state != _ENDING:
            self._end()

    # --- the end -----------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End TCP from our side, and wait for the client's (RFC 6455 §7.1.1)."""
        self._state = _ENDING
        self._arm()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _arm(self) -> None:
        """From now on the client has its time, and not more."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._limits.patience, self.transport.abort)
