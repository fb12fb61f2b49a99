"""The socket that MLLP is spoken on: plain, or TLS with client certificates; bounds on what a sender may do; a stop that drains.

MLLP is synchronous (HL7 v2 Transport Specification: MLLP, release 1): of one connection one message is handled at a time, and
answered before the next is looked at. Whatever breaks a connection off leaves its last message without an answer, so that its
sender sends it again: nothing is ever answered that was not handled.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from traceback import extract_tb
from typing import Any, Final

import structlog

from fiveways.correlation import new_id
from fiveways.hl7v2.frames import END, LIMIT, BadFrame, Deframer, framed

log: Final = structlog.get_logger("fiveways.mllp")

PIECE: Final = 64 * 1024
"""Bytes read at once. Of what comes while a message is handled, twice as much and one read of the loop's are taken in; then
nothing more is read, and the sender has to wait."""
_BACKLOG: Final = 128
_REST: Final = 1.0
"""Seconds until connections are taken again where the system had no means for one."""
_CLOSING: Final = 2.0
"""Seconds that a connection has for its last bytes to go out, and those that are cut off for their end."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end. `identity`: what the listener's `identify` reads in the client's certificate; None without."""

    host: str
    port: int
    identity: Any = None


@dataclass(frozen=True, slots=True)
class Received:
    """A message as it came, without its frame. `connection` is the id of the connection that it came on."""

    content: bytes
    peer: Peer
    connection: str

    def __repr__(self) -> str:
        return f"Received({len(self.content)} bytes, {self.peer}, {self.connection})"


Handle = Callable[[Received], Awaitable[Sequence[bytes]]]
"""Handles a message, and gives the messages that answer it, in order: none where no answer is wanted, two where a commit and an
application acknowledgement are."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What senders may do at most. All but the first two are seconds."""

    connections: int = 200
    """At once, those included that are still shaking hands."""
    message: int = LIMIT
    """Bytes of one message."""
    arrival: float = 60.0
    """From the first byte of a message to its last."""
    idle: float = 3600.0
    """Between two messages, and before the first. A feed may well be quiet for long."""
    handling: float = 60.0
    """For a message to be handled."""
    taking: float = 30.0
    """For an answer to be taken by the sender."""
    handshake: float = 10.0
    """For TLS to be agreed on."""
    draining: float = 30.0
    """For what is under way when the listener stops."""


@dataclass(slots=True)
class Counts:
    """What has happened since the listener was made."""

    connections: int = 0
    """Taken."""
    messages: int = 0
    """Given to be handled."""
    refused: int = 0
    """Connections closed at once, since there were as many as there may be."""
    broken: int = 0
    """Connections that ended for a fault of the sender's or the network's: no frame, too long, too slow, no TLS, cut."""
    failed: int = 0
    """Connections that were closed since a message could not be handled here, or not in time."""


class _Broken(Exception):
    """The connection cannot go on; says why, and holds nothing of what was sent."""


class _Failed(Exception):
    """The message was not handled; says why, and holds nothing of what was sent."""


def pieces(received: bytes, half: bool) -> Iterator[bytes]:
    """`received`, cut after each end of a frame, so that a message that is whole is not lost with what comes after it being no
    frame. `half`: what was received before ended with the first half of an end."""
    at = 0
    if half and received[:1] == END[1:]:
        yield received[:1]
        at = 1
    while (end := received.find(END, at)) >= 0:
        yield received[at : end + len(END)]
        at = end + len(END)
    if at < len(received):
        yield received[at:]


class MllpListener:
    """Takes messages, has them handled, and answers them. It is of the event loop that it is started in."""

    def __init__(
        self,
        handle: Handle,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        listening: socket.socket | None = None,
        shared: bool = False,
        tls: ssl.SSLContext | None = None,
        identify: Callable[[bytes], Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """`host` and `port` (0: any that is free) are listened on, or `listening`, a socket that is bound and then belongs to the
        listener. `shared`: other processes may listen on the port too.

        `tls` says whether client certificates are asked for (its `verify_mode`); `identify` reads one that was shown (DER), and
        raises ValueError where it cannot.
        """
        self.limits = limits or Limits()
        self.counts = Counts()
        self.handle = handle
        self._host, self._port = host, port
        self._listening = listening
        self._shared = shared
        self._tls = tls
        self._identify = identify
        self._accepting: asyncio.Task[None] | None = None
        self._open: dict[asyncio.Task[None], _Connection] = {}
        self._full = False
        self._handling: set[asyncio.Task[bytes]] = set()

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        assert self._listening is not None
        return int(self._listening.getsockname()[1])

    @property
    def open(self) -> int:
        """How many connections there are now."""
        return len(self._open)

    async def start(self) -> None:
        """Bind and begin to take connections; OSError where the address is taken or is none of this machine."""
        if self._listening is None:
            family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
            address = self._host, self._port
            self._listening = socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=self._shared)
        else:
            self._listening.listen(_BACKLOG)
        self._listening.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._listening))

    async def stop(self) -> None:
        """Take no more connections or messages, and wait for those that are being handled to be answered, up to
        `limits.draining`; then close everything. What had not begun to be handled is left without an answer."""
        if self._accepting is None or self._listening is None:
            return
        self._accepting.cancel()
        await asyncio.wait([self._accepting])
        self._accepting = None
        self._listening.close()
        for task, connection in self._open.items():
            connection.stopping = True
            if not connection.busy:
                task.cancel()
        if self._open:
            await asyncio.wait(list(self._open), timeout=self.limits.draining)
        if self._open:
            log.warning("messages were cut off", under_way=len(self._open))
        left = [*self._open, *self._handling]
        if left:
            for each in left:
                each.cancel()
            await asyncio.wait(left, timeout=_CLOSING)

    async def work(self, received: Received) -> bytes:
        """Have a message handled, and give its answers in their frames; _Failed where that goes wrong or takes too long."""
        self.counts.messages += 1
        # A task of its own: one that is late is left behind even if it does not let itself be cancelled.
        task = asyncio.create_task(self._handled(received))
        self._handling.add(task)
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait([task], timeout=self.limits.handling)
        finally:
            late = not task.done()
            task.cancel()
        if late:
            raise _Failed("it took too long")
        if task.cancelled():
            raise _Failed("it was cancelled")
        if (error := task.exception()) is not None:
            raise _Failed(f"{type(error).__name__} at {_place(error)}")
        return task.result()

    async def _handled(self, received: Received) -> bytes:
        return b"".join([framed(answer) for answer in await self.handle(received)])

    def _ended(self, task: asyncio.Task[bytes]) -> None:
        self._handling.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio would log it, and it may hold something of the message

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:
                log.warning("connections cannot be taken", reason=type(error).__name__, number=error.errno)
                await asyncio.sleep(_REST)
                continue
            if len(self._open) >= self.limits.connections:
                accepted.close()
                self.counts.refused += 1
                if not self._full:
                    log.warning("further connections are refused", open=len(self._open))
                self._full = True
                continue
            self._full = False
            self.counts.connections += 1
            # A socket that is of this machine alone (AF_UNIX) has no address at its other end.
            peer = Peer(str(address[0]), int(address[1])) if isinstance(address, tuple) else Peer("", 0)
            connection = _Connection(self, peer)
            task = loop.create_task(self._serve(connection, accepted))
            self._open[task] = connection
            task.add_done_callback(partial(self._closed, accepted))

    def _closed(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        if not self._open.pop(task).begun:  # the listener stopped before the task had its turn
            accepted.close()

    async def _serve(self, connection: _Connection, accepted: socket.socket) -> None:
        """One connection, from its first byte to its last."""
        told = log.bind(peer=f"{connection.peer.host}:{connection.peer.port}", connection=connection.id)
        try:
            await self._speak(connection, accepted)
        except (_Broken, BadFrame) as error:
            self.counts.broken += 1
            told.warning("a connection was broken off", reason=str(error))
        except OSError as error:  # ssl.SSLError is one
            self.counts.broken += 1
            told.warning("a connection was broken off", reason=type(error).__name__)
        except _Failed as error:
            self.counts.failed += 1
            told.error("a message was not handled", reason=str(error))
        except Exception as error:
            self.counts.failed += 1
            told.error("a connection failed", reason=f"{type(error).__name__} at {_place(error)}")

    async def _speak(self, connection: _Connection, accepted: socket.socket) -> None:
        connection.begun = True
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(PIECE)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            accepted,
            ssl=self._tls,
            ssl_handshake_timeout=self.limits.handshake if self._tls is not None else None,
            ssl_shutdown_timeout=_CLOSING if self._tls is not None else None,
        )
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        try:
            connection.peer = Peer(connection.peer.host, connection.peer.port, self._identity(transport))
            await connection.converse(reader, writer)
        finally:
            connection.busy = (
                True  # its last answer may still be going out, which a stop need not cut: it takes no longer than this
            )
            await _close(writer)

    def _identity(self, transport: asyncio.BaseTransport) -> Any:
        if self._tls is None or self._identify is None:
            return None
        certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        try:
            return self._identify(certificate) if certificate else None
        except ValueError as error:
            raise _Broken("its certificate cannot be read") from error


class _Connection:
    """What one sender says, message by message."""

    def __init__(self, listener: MllpListener, peer: Peer) -> None:
        self.id = new_id()
        self.peer = peer
        self.begun = False
        """Whether its socket has been put to use."""
        self.busy = False
        """Whether a message is being handled or answered."""
        self.stopping = False
        """Whether the message that is being handled is the last."""
        self.reader: asyncio.StreamReader | None = None
        self._listener = listener
        self._limits = listener.limits

    async def converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle and answer messages until the sender has no more, is quiet for too long, or the listener stops."""
        self.reader = reader
        loop = asyncio.get_running_loop()
        deframer = Deframer(self._limits.message)
        inside = half = False
        deadline = loop.time() + self._limits.idle
        while True:
            received = await self._read(reader, deadline, inside)
            if not received:
                if inside:
                    raise _Broken("it was closed in the middle of a message")
                return
            for piece in pieces(received, half):
                for message in deframer.feed(piece):
                    await self._one(message, writer)
                    if self.stopping:
                        return
                    inside = False
                    deadline = loop.time() + self._limits.idle
            half = received.endswith(END[:1])
            if deframer.inside and not inside:
                # From here on, not from each byte: a message that drips in is cut all the same.
                inside = True
                deadline = loop.time() + self._limits.arrival

    async def _read(self, reader: asyncio.StreamReader, deadline: float, inside: bool) -> bytes:
        """What has come; nothing where the sender has closed, or said nothing for too long."""
        try:
            async with asyncio.timeout_at(deadline) as bound:
                return await reader.read(PIECE)
        except TimeoutError:
            if not bound.expired():
                raise  # the network's own
            if inside:
                raise _Broken("a message took too long to arrive") from None
            log.info("a connection was idle for too long", peer=f"{self.peer.host}:{self.peer.port}", connection=self.id)
            return b""

    async def _one(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        self.busy = True
        try:
            answer = await self._listener.work(Received(content, self.peer, self.id))
            if not answer:
                return
            async with asyncio.timeout(self._limits.taking):
                writer.write(answer)
                await writer.drain()
        except TimeoutError:
            writer.transport.abort()
            raise _Broken("an answer was not taken") from None
        finally:
            self.busy = False


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close, once what was written has gone out; it is not waited for without end."""
    writer.close()
    try:
        with suppress(OSError):  # TimeoutError is one: it is as closed as it gets
            async with asyncio.timeout(_CLOSING):
                await writer.wait_closed()
    finally:
        let_go(writer.transport)


def let_go(transport: asyncio.WriteTransport) -> None:
    """Close at once what may be closed already."""
    with suppress(AttributeError):  # of TLS that is closed, in Python 3.11.2, as Debian has it
        transport.abort()


def _place(error: BaseException) -> str:
    """Where an exception was raised. What it says is not asked for: it may hold something of a message."""
    frames = extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
