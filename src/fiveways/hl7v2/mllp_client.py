"""The sending half of MLLP: one connection, one message at a time, each answered before the next goes out.

A message is never sent twice by itself: once a byte of it may have gone out, its receiver may have taken it, and only who sent it
knows whether it may come twice.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable
from typing import Final, cast

from fiveways.errors import FivewaysError
from fiveways.hl7v2.frames import END, LIMIT, BadFrame, Deframer, framed
from fiveways.hl7v2.mllp import let_go, pieces

_CLOSING: Final = 2.0
"""Seconds for a connection to be closed in good order."""


class NotConnected(FivewaysError):
    """There is no connection, and nothing of the message was sent."""


class AnswerLost(FivewaysError):
    """The message, or a part of it, was sent and no answer came: whether it was taken is not known."""


class AnswerLate(AnswerLost):
    """No answer came in time."""


class MllpClient:
    """Sends messages to one receiver. It connects when there is something to send, and keeps the connection for the next."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None = None,
        connect_timeout: float = 10.0,
        answer_timeout: float = 30.0,
        limit: int = LIMIT,
        server_name: str | None = None,
    ) -> None:
        """`connect_timeout`: seconds for a connection, TLS included; `answer_timeout`: from a message's first byte going out to its
        answer's last coming in; `limit`: bytes of an answer. `tls` has the client's certificate, where one is to be shown;
        `server_name` is the name to verify, where it is not the host."""
        self._address = host, port
        self._tls = tls
        self._connect_timeout = connect_timeout
        self._answer_timeout = answer_timeout
        self._limit = limit
        self._server_name = server_name
        self._lock = asyncio.Lock()
        self._link: _Link | None = None
        self._closed = False

    async def send(self, content: bytes, final: Callable[[bytes], bool] | None = None) -> bytes:
        """Send a message and give its answer, both without their frames. Who comes first is served first. `final` says of what
        comes whether it is the answer, or one before it: a commit acknowledgement, where the application's is to follow.

        NotConnected: nothing was sent. AnswerLost, AnswerLate, and BadFrame for an answer that is none: whether the message was
        taken is not known; the connection is given up. With TLS 1.3 a client learns only here that its certificate is not taken:
        that is AnswerLost. ValueError for a message that cannot be framed.
        """
        frame = framed(content)
        async with self._lock:
            if self._link is None or not self._link.fresh:
                # Closed, or about to be, or something came that nobody asked for. Nothing has been sent: another will do.
                if self._link is not None:
                    self._link.abort()
                self._link = None
                self._link = await self._connect()
            return await self._link.ask(frame, self._answer_timeout, final)

    async def aclose(self) -> None:
        """Close the connection. A message that waits for its answer has lost it, and further ones are NotConnected."""
        self._closed = True
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _check_open(self) -> None:
        if self._closed:
            raise NotConnected("the client is closed")

    async def _connect(self) -> _Link:
        self._check_open()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout):
                _, link = await loop.create_connection(
                    lambda: _Link(self._limit),
                    *self._address,
                    ssl=self._tls,
                    server_hostname=self._server_name if self._tls is not None else None,
                    ssl_handshake_timeout=self._connect_timeout if self._tls is not None else None,
                    ssl_shutdown_timeout=_CLOSING if self._tls is not None else None,
                )
        except (OSError, UnicodeError) as error:  # TimeoutError and ssl.SSLError are; a name that can be none is the other
            host, port = self._address
            raise NotConnected(f"{host}:{port} could not be connected to ({type(error).__name__})") from error
        try:
            self._check_open()  # it may have been closed in the meantime
        except NotConnected:
            link.abort()
            raise
        return link


class _Link(asyncio.Protocol):
    """One connection."""

    def __init__(self, limit: int) -> None:
        loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, None)
        self._deframer = Deframer(limit)
        self._half = False
        self._answer: asyncio.Future[bytes] | None = None
        self._final: Callable[[bytes], bool] | None = None
        self._lost: asyncio.Future[None] = loop.create_future()

    @property
    def fresh(self) -> bool:
        """Whether a message may be sent on it."""
        if self._transport.is_closing():
            return False
        # The loop may not have looked since the receiver closed. Between two messages nothing else is to be read either.
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)

    async def ask(self, frame: bytes, timeout: float, final: Callable[[bytes], bool] | None = None) -> bytes:
        """Send a frame, and give the message that answers it within `timeout` seconds. Whatever else happens, the connection is
        given up: what comes late would be taken for the answer to the next."""
        self._answer, self._final = asyncio.get_running_loop().create_future(), final
        answered = False
        try:
            async with asyncio.timeout(timeout):
                self._transport.write(frame)
                answer = await self._answer
            # With some of the message still here it cannot be that message's answer to which the rest would go out.
            answered = self._transport.get_write_buffer_size() == 0
            return answer
        except TimeoutError:
            raise AnswerLate(f"no answer came within {timeout:g} seconds") from None
        finally:
            self._answer = None
            if not answered:
                self._transport.abort()

    async def close(self) -> None:
        """Close it; in good order if that can be."""
        self._transport.close()
        await asyncio.wait([self._lost], timeout=_CLOSING)
        let_go(self._transport)

    def abort(self) -> None:
        """Close it at once."""
        let_go(self._transport)

    # --- asyncio -----------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The receiver has taken the connection."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Something has come: the answer, or something that nobody asked for, after which nothing can be told apart."""
        try:
            for piece in pieces(data, self._half):
                for message in self._deframer.feed(piece):
                    if self._answer is None or self._answer.done():
                        self._transport.abort()
                        return
                    if self._final is None or self._final(message):
                        self._answer.set_result(message)
            self._half = data.endswith(END[:1])
        except BadFrame as error:
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(error)
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        if not self._lost.done():
            self._lost.set_result(None)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(AnswerLost("the connection was closed before the answer came"))
