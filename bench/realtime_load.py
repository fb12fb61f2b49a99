"""A load generator over WebSockets: so many sockets that read, one that publishes; every message is counted at every socket.

    python -m bench.realtime_load < LINES      the first line says where and how (`Asked`), each further one what to do (`Order`)

For each line one line of JSON is printed when it is done: once all sockets are connected and read, then what was measured.

A message is 200 bytes of JSON with a marker, its number and the moment it was published. A socket that is sent several at once, in
one frame or in several, counts markers; what it is sent comes in order, so that its n-th is the n-th that was published, and one
that has come to every socket is known without a look at its number. After each order each socket must have had exactly what was
published, and the last of it last; anything else fails the run.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import statistics
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import msgspec
import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

T = TypeVar("T")
MARK: Final = b'{"bench":"'
SIZE: Final = 200
_AT_ONCE: Final = 100
"""Connections that are opened at once."""
_BULK: Final = 200
"""Channels that one socket asks for at once."""
_PATIENCE: Final = 60.0
_TICKS: Final = len(MARK) + 9
"""Where the moment stands, behind the number."""


class Asked(msgspec.Struct):
    """Where to connect to, and how. `channels`: what every socket reads, and what is published in, one after another."""

    url: str
    dialect: str
    sockets: int
    channels: list[str]
    token: str = ""


class Order(msgspec.Struct):
    """What to do for so many seconds: keep `in_flight` messages on their way, or publish `a_second`."""

    seconds: float
    in_flight: int = 0
    a_second: int = 0


class Report(msgspec.Struct):
    """What was measured: messages times sockets, and the seconds they took, this process's CPU, and latencies in ms."""

    deliveries: int
    seconds: float
    client_cpu: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class Dialect:
    """How a server is spoken to where nothing is to be said: who connects reads, and what comes is what was published."""

    def __init__(self, asked: Asked) -> None:
        self.token = asked.token

    def greeting(self) -> bytes | None:
        """What a client says first, if anything."""
        return None

    def subscribing(self, channels: Sequence[str], first: int) -> bytes | None:
        """What it says to read channels; `first`: the number of the first such command."""
        return None

    def publishing(self, channel: str, payload: bytes, number: int) -> bytes:
        """What it says to publish."""
        return payload

    def other(self, data: bytes, transport: WSTransport) -> int:
        """Deals with what is no message; how many channels are read from now on. Raises RuntimeError for a refusal."""
        return 0


class Centrifugo(Dialect):
    """JSON of Centrifugo's protocol."""

    def greeting(self) -> bytes:
        """The command connect."""
        return b'{"id":1,"connect":{"token":"%b"}}' % self.token.encode()

    def subscribing(self, channels: Sequence[str], first: int) -> bytes:
        """A command for each channel, one on each line."""
        lines = [b'{"id":%d,"subscribe":{"channel":"%b"}}' % (first + at, name.encode()) for at, name in enumerate(channels)]
        return b"\n".join(lines)

    def publishing(self, channel: str, payload: bytes, number: int) -> bytes:
        """The command publish."""
        return b'{"id":%d,"publish":{"channel":"%b","data":%b}}' % (number + 10_000, channel.encode(), payload)

    def other(self, data: bytes, transport: WSTransport) -> int:
        """Replies, of which those to subscribe count, and pings, which are answered."""
        read = 0
        for line in data.split(b"\n"):
            if line == b"{}":
                transport.send(WSMsgType.TEXT, b"{}")
            elif b'"error"' in line:
                raise RuntimeError(line.decode())
            elif b'"subscribe":' in line:
                read += 1
        return read


class Nats(Dialect):
    """The protocol of NATS."""

    def greeting(self) -> bytes:
        """Without acknowledgements, and without what one says oneself."""
        return b'CONNECT {"verbose":false,"pedantic":false,"echo":false,"lang":"bench","version":"1"}\r\n'

    def subscribing(self, channels: Sequence[str], first: int) -> bytes:
        """A SUB for each channel, and a PING: its PONG says that they were taken."""
        return b"".join(b"SUB %b %d\r\n" % (name.encode(), first + at) for at, name in enumerate(channels)) + b"PING\r\n"

    def publishing(self, channel: str, payload: bytes, number: int) -> bytes:
        """A PUB."""
        return b"PUB %b %d\r\n%b\r\n" % (channel.encode(), len(payload), payload)

    def other(self, data: bytes, transport: WSTransport) -> int:
        """What the server says of itself, and its pings."""
        if b"-ERR" in data:
            raise RuntimeError(data.decode())
        if b"PING\r\n" in data:
            transport.send(WSMsgType.BINARY, b"PONG\r\n")
        return _BULK if b"PONG\r\n" in data else 0


DIALECTS: Final = {"plain": Dialect, "centrifugo": Centrifugo, "nats": Nats}


class Board:
    """What is common to all sockets: what was published, and which of it has come to how many of them."""

    def __init__(self, dialect: Dialect, asked: Asked) -> None:
        self.dialect = dialect
        self.channels = asked.channels
        self.sockets = asked.sockets
        self.readers: list[Socket] = []
        self.publisher: Socket
        self.kind = WSMsgType.BINARY if asked.dialect == "nats" else WSMsgType.TEXT
        self.published = 0
        self.complete = 0
        """How many have come to every socket."""
        self.reached = [0] * 1_000_000
        """Of each message, to how many."""
        self.refill = False
        self.timing = False
        self.latencies: list[int] = []
        self.over = False
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def publish(self) -> None:
        """Publish the next one."""
        number = self.published
        self.published = number + 1
        if number >= len(self.reached):
            self.reached += [0] * len(self.reached)
        payload = b'%b%08d %020d","is":"' % (MARK, number, time.perf_counter_ns())
        payload += b"x" * (SIZE - len(payload) - 2) + b'"}'
        said = self.dialect.publishing(self.channels[number % len(self.channels)], payload, number)
        self.publisher.transport.send(self.kind, said)

    def came(self, first: int, many: int) -> None:
        """A socket has had its messages from `first` on, so many."""
        reached, sockets = self.reached, self.sockets
        for number in range(first, first + many):
            reached[number] = count = reached[number] + 1
            if count == sockets:
                self.completed()

    def completed(self) -> None:
        """One more has come to every socket."""
        self.complete += 1
        if self.refill:
            self.publish()

    def timed(self, data: bytes) -> None:
        """Note how long the messages took that a frame has."""
        now, at = time.perf_counter_ns(), data.find(MARK)
        while at >= 0:
            self.latencies.append(now - int(data[at + _TICKS : at + _TICKS + 20]))
            at = data.find(MARK, at + SIZE)

    def fail(self, why: str) -> None:
        """The run is for nothing."""
        if not self.over and not self.failed.done():
            self.failed.set_exception(RuntimeError(why))


class Socket(WSListener):
    """One connection."""

    __slots__ = ("board", "count", "last", "reached", "read", "sockets", "transport")

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.board = board
        self.reached = board.reached
        self.sockets = board.sockets
        self.transport: WSTransport
        self.count = 0
        """Messages that have come."""
        self.read = 0
        """Channels that are read."""
        self.last = b""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """It is open."""
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come: messages, or what the server says of itself."""
        data = frame.get_payload_as_bytes()
        number = self.count
        if len(data) < 2 * SIZE and data.find(MARK) >= 0:  # as below, in fewer steps
            reached = self.reached
            reached[number] = came = reached[number] + 1
            self.count = number + 1
            self.last = data
            if came == self.sockets:
                self.board.completed()
            if self.board.timing:
                self.board.timed(data)
        elif many := data.count(MARK):
            self.count = number + many
            self.last = data
            self.board.came(number, many)
            if self.board.timing:
                self.board.timed(data)
        else:
            self._other(data, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """It is closed."""
        self.board.fail("the server closed a connection")

    def _other(self, data: bytes, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.board.fail(f"the server says {frame.get_close_code()} {frame.get_close_reason()}")
        elif frame.msg_type not in (WSMsgType.PING, WSMsgType.PONG):
            try:
                self.read += self.board.dialect.other(data, self.transport)
            except RuntimeError as error:
                self.board.fail(str(error))


async def _unless_failed(board: Board, work: Coroutine[Any, Any, T], patience: float) -> T:
    """What some work comes to. RuntimeError where the run fails before, or where it takes too long."""
    task = asyncio.ensure_future(work)
    await asyncio.wait((task, board.failed), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    if board.failed.done():
        board.failed.result()
    if not task.done():
        had = sorted(each.count for each in board.readers)
        told = f": {board.published} published, between {had[0]} and {had[-1]} at a socket" if had else ""
        raise RuntimeError(f"not done within {patience:g} s{told}")
    return task.result()


async def _connect(board: Board, asked: Asked) -> Socket:
    _, listener = await ws_connect(lambda: Socket(board), asked.url, websocket_handshake_timeout=_PATIENCE, use_aiofastnet=False)
    assert isinstance(listener, Socket)
    if (greeting := board.dialect.greeting()) is not None:
        listener.transport.send(board.kind, greeting)
    return listener


async def _subscribe(socket: Socket, board: Board) -> None:
    """Have a socket read all channels."""
    for at in range(0, len(board.channels), _BULK):
        some = board.channels[at : at + _BULK]
        if (said := board.dialect.subscribing(some, at + 2)) is None:
            return
        socket.transport.send(board.kind, said)
        while socket.read < at + len(some):
            await asyncio.sleep(0.01)


async def _prepare(board: Board, asked: Asked) -> None:
    board.publisher = await _connect(board, asked)
    for at in range(0, asked.sockets, _AT_ONCE):
        some = await asyncio.gather(*(_connect(board, asked) for _ in range(min(_AT_ONCE, asked.sockets - at))))
        await asyncio.gather(*(_subscribe(each, board) for each in some))
        board.readers += some


async def _carry_out(board: Board, order: Order) -> Report:
    published, cpu, started = board.published, _cpu(), time.perf_counter()
    board.latencies.clear()
    board.timing = order.a_second > 0
    if order.in_flight:
        board.refill = True
        for _ in range(order.in_flight):
            board.publish()
        await asyncio.sleep(order.seconds)
        board.refill = False
    else:
        for number in range(int(order.seconds * order.a_second)):
            await asyncio.sleep(started + number / order.a_second - time.perf_counter())
            board.publish()
    while board.complete < board.published:
        await asyncio.sleep(0.001)
    seconds, used = time.perf_counter() - started, _cpu() - cpu
    last = b"%b%08d " % (MARK, board.published - 1)
    for reader in board.readers:
        if reader.count != board.published or (len(board.channels) == 1 and reader.last.rpartition(MARK)[2][:9] != last[-9:]):
            raise RuntimeError(f"a socket has had {reader.count} of {board.published} messages, or not the last one last")
    report = Report((board.published - published) * board.sockets, seconds, used)
    if len(board.latencies) > 1:
        quantiles = statistics.quantiles(board.latencies, n=100)
        report.p50_ms, report.p99_ms = quantiles[49] / 1e6, quantiles[98] / 1e6
    return report


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def _run() -> None:
    loop = asyncio.get_running_loop()
    asked = msgspec.json.decode(sys.stdin.buffer.readline(), type=Asked)
    board = Board(DIALECTS[asked.dialect](asked), asked)
    await _unless_failed(board, _prepare(board, asked), _PATIENCE)
    gc.freeze()
    gc.disable()
    print("{}", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
        order = msgspec.json.decode(line, type=Order)
        report = await _unless_failed(board, _carry_out(board, order), order.seconds + _PATIENCE)
        print(msgspec.json.encode(report).decode(), flush=True)
    board.over = True


if __name__ == "__main__":
    uvloop.run(_run())
