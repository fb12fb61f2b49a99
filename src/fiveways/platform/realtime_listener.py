"""Where real time is listened for: WebSockets at `/connection/websocket`, Server-Sent Events, and nothing else.

A connection begins as HTTP. One that asks for an upgrade becomes a WebSocket; every other goes on as HTTP/1.1.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast
from urllib.parse import urlsplit

from fiveways.methods.realtime.centrifugo.session import Session
from fiveways.methods.realtime.websocket import handshake
from fiveways.methods.realtime.websocket.connection import Limits, WebSocket
from fiveways.platform.http1.connection import Connection
from fiveways.platform.http1.listener import Http1Listener, TlsFiles
from fiveways.platform.realtime import Realtime

PATH: Final = "/connection/websocket"
HEAD: Final = 16 * 1024
"""Bytes of a request's head."""
PATIENCE: Final = 10.0
"""Seconds that it may take to arrive."""
LARGEST: Final = 1024 * 1024
"""Bytes of what a client says at once: several commands may come together."""
DRAIN: Final = 2.0
"""Seconds over which clients are sent away when the listener stops."""
_LIMITS: Final = Limits(LARGEST)
_PROTOCOLS: Final = ("centrifuge-json",)


class RealtimeListener(Http1Listener):
    """Listens on `address`, with TLS where it is given a certificate."""

    def __init__(self, address: tuple[str, int], realtime: Realtime, *, tls: TlsFiles | None = None, shared: bool = False) -> None:
        super().__init__(address, realtime.events, tls=tls, shared=shared)
        self.realtime = realtime

    def protocol(self) -> asyncio.Protocol:
        """What a new connection speaks."""
        return Front(self)

    async def stop(self) -> None:
        """Take nobody in any more, send clients away, and wait for requests under way."""
        if self._server is not None:
            self._server.close()
        await self.realtime.drain(DRAIN)
        await super().stop()

    def refusal(self, upgrade: handshake.Upgrade) -> tuple[bytes, bytes] | None:
        """Why a WebSocket is not opened: a status and what to say; None where it is."""
        settings = self.realtime.participation.plan().settings
        if upgrade.path != PATH:
            return b"404 Not Found", b"WebSockets are at " + PATH.encode()
        if upgrade.origin is not None and upgrade.origin not in settings.origins and _host_of(upgrade.origin) != upgrade.host:
            return b"403 Forbidden", b"Pages of this origin may not connect: realtime.origins says which may"
        if len(self.realtime.sessions) + len(self.realtime.events) >= settings.connections:
            return b"503 Service Unavailable", b"There are as many connections as may be: come again in a minute"
        return None


def _host_of(origin: str) -> str:
    """The host of an origin, with its port; '' where it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


class Front(asyncio.Protocol):
    """A connection of which it is not known what it will speak."""

    def __init__(self, listener: RealtimeListener) -> None:
        self._listener = listener
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._head = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)
        self._timer = self._listener.loop.call_later(PATIENCE, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and len(self._head) <= HEAD:
            return
        if self._timer is not None:
            self._timer.cancel()
        if 0 <= end <= HEAD and handshake.asks(self._head[: end + 4]):
            self._upgrade(self._head[: end + 4], self._head[end + 4 :])
        else:
            self._go_on(Connection(self._listener), self._head)

    def _upgrade(self, head: bytes, rest: bytes) -> None:
        asked = handshake.read(head)
        if isinstance(asked, handshake.Refused):
            self._end(asked.answer())
        elif (refusal := self._listener.refusal(asked)) is not None:
            status, why = refusal
            self._end(
                b"HTTP/1.1 %b\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b\n"
                % (status, len(why) + 1, why)
            )
        else:
            self._transport.write(asked.accepted(next((each for each in asked.subprotocols if each in _PROTOCOLS), None)))
            self._go_on(WebSocket(Session(self._listener.realtime.means), _LIMITS), rest)

    def _go_on(self, protocol: asyncio.Protocol, data: bytes) -> None:
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if data:
            protocol.data_received(data)

    def _end(self, answer: bytes) -> None:
        self._transport.write(answer)
        self._transport.close()
