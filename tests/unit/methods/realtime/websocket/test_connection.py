"""A connection's life on a real socket: how it ends, who is told, back-pressure, and what a client cannot do with it."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs
from tests.unit.methods.realtime.websocket.conftest import REQUEST, Client, Echo, closing, frame, served, until, within

from fiveways.clock import SystemClock
from fiveways.methods.realtime.websocket import frames
from fiveways.methods.realtime.websocket.connection import Limits, WebSocket
from fiveways.methods.realtime.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT
from fiveways.security.certificates import issue_server, make_authority

pytestmark = pytest.mark.anyio

QUICK = Limits(patience=0.3)
MEBI = 2**20


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Both event loops: their transports differ where it matters here."""
    return "asyncio", {"use_uvloop": request.param}


def code(of: int) -> bytes:
    """A Close's payload with nothing but a code."""
    return of.to_bytes(2)


# --- the end --------------------------------------------------------------------------------------------------------------------


async def test_a_close_is_echoed_and_the_server_ends_tcp_first() -> None:
    """RFC 6455 §5.5.1, §7.1.1."""
    async with served() as server, server.connect() as client:
        await client.say(closing(4000, b"bye"))
        assert await within(client.rest()) == [(CLOSE, code(4000))]
        client.writer.close()
        assert await server.outcome() == (4000, "bye")


async def test_a_close_without_a_code_is_answered_with_one_without() -> None:
    async with served() as server, server.connect() as client:
        await client.say(closing())
        assert await within(client.rest()) == [(CLOSE, b"")]
        client.writer.close()
        assert await server.outcome() == (1005, "")


async def test_we_close_and_the_client_answers() -> None:
    async with served() as server, server.connect() as client:
        ws = server.echoes[0].ws
        before = ws.open
        ws.close(1001, "shutting down")
        assert (before, ws.open) == (True, False)
        ws.close(1000)
        ws.send(frames.text(b"too late"))
        assert await within(client.hear()) == (CLOSE, code(1001) + b"shutting down")
        await client.say(frame(TEXT, b"was on its way"), frame(PING, b"still answered"), closing(1001))
        assert await within(client.rest()) == [(PONG, b"still answered")]
        client.writer.close()
        assert await server.outcome() == (1001, "")
        assert server.echoes[0].got == [], "nothing is delivered after a Close of either side"


async def test_nothing_is_delivered_after_the_handler_has_closed() -> None:
    @dataclass
    class Once(Echo):
        def message(self, data: bytes, text: bool) -> None:
            self.got.append((data, text))
            self.ws.close(1000)

    async with served(Once) as server, server.connect() as client:
        await client.say(frame(TEXT, b"one") + frame(TEXT, b"two") + closing(1000) + frame(TEXT, b"three"))
        assert await within(client.rest()) == [(CLOSE, code(1000))]
        assert server.echoes[0].got == [(b"one", True)]


async def test_an_abort_in_the_midst_of_a_read_is_the_end_of_it() -> None:
    @dataclass
    class Cutting(Echo):
        def message(self, data: bytes, text: bool) -> None:
            self.got.append((data, text))
            self.ws.abort()

    async with served(Cutting) as server, server.connect() as client:
        await client.say(frame(TEXT, b"one") + frame(TEXT, b"two") + frame(PING) + closing(1000))
        assert await server.outcome() == (1006, "")
        with suppress(ConnectionError):
            assert await within(client.rest()) == []
        assert server.echoes[0].got == [(b"one", True)]


async def test_a_violation_is_told_and_what_follows_it_is_not_looked_at() -> None:
    """RFC 6455 §7.1.7; what was still on its way does not make our Close be thrown away."""
    async with served() as server, server.connect() as client:
        await client.say(frame(TEXT, b"one") + frame(3) + frame(TEXT, b"two") * 1000 + frame(PING) + closing(1000))
        first, last = await within(client.rest())
        assert first == (TEXT, b"one")
        assert last == (CLOSE, code(1002) + b"an opcode that is reserved")
        client.writer.close()
        assert await server.outcome() == (1002, "an opcode that is reserved")


async def test_a_violation_while_we_close_ends_it_without_a_second_close() -> None:
    async with served() as server, server.connect() as client:
        server.echoes[0].ws.close(1001)
        await client.say(frame(3))
        assert await within(client.rest()) == [(CLOSE, code(1001))]


@pytest.mark.parametrize("reset", [False, True])
async def test_a_client_that_leaves_without_a_word(reset: bool) -> None:
    async with served() as server, server.connect() as client:
        if reset:
            sock: socket.socket = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.close()
        assert await server.outcome() == (1006, "")


async def test_a_client_that_never_answers_a_close_is_cut() -> None:
    async with served(limits=QUICK) as server, server.connect() as client:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        server.echoes[0].ws.close(1000)
        assert await server.outcome() == (1006, "")
        assert 0.25 < loop.time() - begun < 10
        assert await within(client.hear()) == (CLOSE, code(1000))


@pytest.mark.parametrize("said", [closing(1000), frame(3)], ids=["closed", "violated"])
async def test_a_client_that_never_ends_tcp_is_cut(said: bytes) -> None:
    async with served(limits=QUICK) as server, server.connect() as client:
        await client.say(said)
        assert await server.outcome() in {(1000, ""), (1002, "an opcode that is reserved")}
        assert client.writer.transport.get_extra_info("socket") is not None


async def test_a_client_that_ends_its_side_and_takes_nothing_is_cut() -> None:
    async with served(limits=QUICK) as server, server.connect() as client:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        ws = server.echoes[0].ws
        ws.send(frames.binary(bytes(16 * MEBI)))
        client.writer.write_eof()
        assert await server.outcome() == (1006, "")


async def test_a_handler_that_fails_closes_with_1011_and_is_logged() -> None:
    @dataclass
    class Failing(Echo):
        def message(self, data: bytes, text: bool) -> None:
            raise RuntimeError("out of order")

    with capture_logs() as logs:
        async with served(Failing) as server, server.connect() as client:
            await client.say(frame(TEXT, b"secret") * 2)
            assert await within(client.rest()) == [(CLOSE, code(1011))]
            client.writer.close()
            assert await server.outcome() == (1011, "")
    [line] = logs
    assert line["event"] == "handler failed"
    assert "secret" not in str({**line, "exc_info": repr(line["exc_info"])})


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS, and that of a client who trusts it."""
    clock, folder = SystemClock(), tmp_path_factory.mktemp("tls")
    authority = make_authority("Fiveways local authority", clock)
    authority.write(folder, "ca")
    issue_server(authority, clock, names=("127.0.0.1",)).write(folder, "server")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key.pem")
    return server, ssl.create_default_context(cafile=folder / "ca.pem")


async def test_over_tls_it_ends_as_it_does_without(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """TLS has no half of a connection to end: it is closed, and its Close is not lost by that."""
    async with served(limits=QUICK, tls=contexts[0]) as server:
        for said, heard in ((closing(1000), code(1000)), (frame(3), code(1002) + b"an opcode that is reserved")):
            async with server.connect(tls=contexts[1]) as client:
                await exchange(client, b"x" * 100_000)
                await client.say(said)
                assert await within(client.rest()) == [(CLOSE, heard)]
                client.writer.close()
                assert (await server.outcome())[0] == int.from_bytes(heard[:2])
        async with server.connect(tls=contexts[1]) as client:
            server.echoes[-1].ws.close(1001)
            assert await server.outcome() == (1006, "")


# --- what waits -----------------------------------------------------------------------------------------------------------------


async def test_a_slow_reader_pauses_the_connection_and_its_reading_ends_the_pause() -> None:
    async with served() as server, server.connect() as client:
        echo = server.echoes[0]
        assert not echo.ws.paused
        assert echo.ws.unsent == 0
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        message = bytes(MEBI)
        for _ in range(16):
            echo.ws.send(frames.binary(message))
        await until(lambda: echo.ws.paused)
        await asyncio.sleep(0.05)
        assert echo.ws.unsent > 4 * MEBI
        assert echo.drains == 0
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(16):
            assert await within(client.hear()) == (BINARY, message)
        await until(lambda: echo.drains)
        assert echo.drains == 1
        assert not echo.ws.paused
        assert echo.ws.unsent == 0


async def test_a_client_that_floods_pings_and_reads_nothing_is_cut() -> None:
    async with served() as server, server.connect() as client:
        echo = server.echoes[0]
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        flood = frame(PING, b"x" * 125) * 1000
        most = 0
        for _ in range(1000):
            client.writer.write(flood)
            await asyncio.sleep(0.001)
            most = max(most, 0 if echo.ends else echo.ws.unsent)
            if echo.ends:
                break
        assert echo.ends == [(1006, "")]
        assert most < MEBI


async def test_a_ping_of_a_client_that_is_behind_is_answered() -> None:
    """However much the handler has in store for it, it is not cut for asking whether we live."""
    async with served() as server, server.connect() as client:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        server.echoes[0].ws.send(frames.binary(bytes(16 * MEBI)))
        await until(lambda: server.echoes[0].ws.paused)
        await client.say(*[frame(PING, b"there?")] * 10)
        await asyncio.sleep(0.05)
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert (await within(client.hear()) or (0,))[0] == BINARY
        assert [await within(client.hear()) for _ in range(10)] == [(PONG, b"there?")] * 10


async def test_what_is_heard_is_noted_and_a_pong_counts() -> None:
    async with served() as server, server.connect() as client:
        ws = server.echoes[0].ws
        ws.heard = False
        ws.send(frames.ping(b"there?"))
        assert await within(client.hear()) == (PING, b"there?")
        await client.say(frame(PONG, b"there?"))
        await until(lambda: ws.heard)
        assert server.echoes[0].got == []


async def test_what_came_right_behind_the_handshake_is_heard() -> None:
    async with served() as server, server.connect(shaken=False) as client:
        await client.shake(REQUEST + frame(TEXT, b"early"))
        assert await within(client.hear()) == (TEXT, b"early")


async def test_frames_sent_at_once_are_one_write_and_all_arrive() -> None:
    async with served() as server, server.connect() as client:
        for number in range(1000):
            server.echoes[0].ws.send(frames.text(b"%d" % number))
        assert [await within(client.hear()) for _ in range(1000)] == [(TEXT, b"%d" % number) for number in range(1000)]


def test_an_idle_connection_takes_little_memory() -> None:
    """Tens of thousands of them are meant: what is ours of each, without its socket, is less than a kilobyte."""
    ws = WebSocket(Echo.__new__(Echo), Limits())
    ws._messages.feed(frame(TEXT, b"x" * 10_000))
    while ws._messages.take() is not None:
        pass
    reader = ws._messages
    ours = [ws, reader, reader._frames, reader._gathered, reader._frames._data, reader._frames._mask]
    gc.collect()
    assert sum(map(sys.getsizeof, ours)) < 1000


async def exchange(client: Client, payload: bytes) -> None:
    """A message there and back."""
    await client.say(frame(TEXT, payload))
    assert await within(client.hear()) == (TEXT, payload)


async def test_two_connections_know_nothing_of_each_other() -> None:
    async with served() as server, server.connect() as one, server.connect() as other:
        await exchange(one, b"one")
        await exchange(other, b"other")
        await one.say(frame(3))
        await exchange(other, b"again")
