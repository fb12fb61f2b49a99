"""MLLP over real sockets: messages are answered in order, one at a time; nothing that a sender says hangs the listener."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.listening import listening

from fiveways.clock import SystemClock
from fiveways.hl7v2.acknowledgement import Code, answer
from fiveways.hl7v2.frames import BadFrame, Deframer, framed
from fiveways.hl7v2.message import Message
from fiveways.hl7v2.mllp import PIECE, Handle, Limits, MllpListener, Received, pieces
from fiveways.hl7v2.mllp_client import AnswerLate, AnswerLost, MllpClient, NotConnected
from fiveways.security.certificates import identify, issue_client, issue_server, make_authority

pytestmark = pytest.mark.anyio

PATIENCE = 10.0
"""Seconds after which a test takes something for hanging."""
LOOP_READ = 256 * 1024
"""Bytes that either event loop reads at once."""
SECRET = "Smith^9434765919"
ADT = f"MSH|^~\\&|PAS|RX1|FIVEWAYS|NS|20260101||ADT^A01|42|P|2.5.1\rPID|||{SECRET}\r".encode()


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Everything here is shown on the standard library's loop and on the one that is served with."""
    return "asyncio", {"use_uvloop": request.param}


async def echo(received: Received) -> bytes | None:
    """An answer that says what it answers."""
    return b"ACK " + received.content


def answering(handle: Callable[[Received], Awaitable[bytes | None]]) -> Handle:
    """One that answers with one message, or none."""

    async def handled(received: Received) -> list[bytes]:
        answer = await handle(received)
        return [] if answer is None else [answer]

    return handled


@asynccontextmanager
async def served(handle: Callable[[Received], Awaitable[bytes | None]] = echo, **more: Any) -> AsyncIterator[MllpListener]:
    """A listener for the length of a test. What are no settings of its own are limits."""
    own = {name: more.pop(name) for name in ("host", "listening", "shared", "tls", "identify") if name in more}
    listener = MllpListener(answering(handle), limits=Limits(**more), **own)
    await listener.start()
    try:
        yield listener
    finally:
        async with asyncio.timeout(PATIENCE):
            await listener.stop()
        assert listener.open == 0


class Sender:
    """A sender that says any bytes at all."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._deframer = Deframer()
        self._answers: list[bytes] = []

    async def say(self, said: bytes) -> None:
        self._writer.write(said)
        await self._writer.drain()

    def end(self) -> None:
        self._writer.write_eof()

    async def hear(self) -> bytes:
        """The next answer; b'' where the connection is closed instead."""
        async with asyncio.timeout(PATIENCE):
            while not self._answers:
                try:
                    received = await self._reader.read(65536)
                except OSError:
                    return b""
                if not received:
                    return b""
                self._answers += self._deframer.feed(received)
        return self._answers.pop(0)


@asynccontextmanager
async def sender(listener: MllpListener, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[Sender]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port or listener.port, ssl=tls)
    try:
        yield Sender(reader, writer)
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


async def still_answers(listener: MllpListener) -> bool:
    async with sender(listener) as other:
        await other.say(framed(b"well?"))
        return await other.hear() == b"ACK well?"


def buffered(listener: MllpListener) -> int:
    """Bytes that have come and were not looked at."""
    readers: list[Any] = [connection.reader for connection in listener._open.values()]
    return sum(len(reader._buffer) for reader in readers)


def asked_for_nothing(received: Received) -> Awaitable[bytes | None]:
    raise AssertionError("this should not have been handled")


# --- listener: messages and answers ------------------------------------------------------------------------------------------


async def test_a_message_is_handled_and_answered_in_its_own_words() -> None:
    got: list[Received] = []

    async def handle(received: Received) -> bytes:
        got.append(received)
        message = Message.parse(received.content.decode())
        return answer(message, Code.ACCEPT, datetime(2026, 1, 1, tzinfo=UTC), "7").text.encode()

    async with served(handle) as listener, sender(listener) as pas:
        for _ in range(2):
            await pas.say(framed(ADT))
            assert Message.parse((await pas.hear()).decode()).get("MSA-2") == "42"
    assert [each.content for each in got] == [ADT, ADT]
    assert got[0].connection == got[1].connection
    assert (got[0].peer.host, got[0].peer.identity) == ("127.0.0.1", None)
    assert got[0].peer.port > 0
    assert SECRET not in repr(got[0])
    counts = listener.counts
    assert (counts.connections, counts.messages, counts.refused, counts.broken, counts.failed) == (1, 2, 0, 0, 0)


async def test_many_messages_at_once_are_handled_one_at_a_time_and_answered_in_order() -> None:
    under_way = most = 0

    async def handle(received: Received) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001 if int(received.content) % 50 == 0 else 0)
        under_way -= 1
        return received.content

    numbers = [str(number).encode() for number in range(500)]
    async with served(handle) as listener, sender(listener) as pas:
        await pas.say(b"\r\n".join(framed(number) for number in numbers))
        assert [await pas.hear() for _ in numbers] == numbers
    assert most == 1


async def test_a_message_may_come_byte_by_byte() -> None:
    async with served() as listener, sender(listener) as pas:
        for byte in framed(b"one") + b"\r" + framed(b"t\x1cwo"):
            await pas.say(bytes([byte]))
            await asyncio.sleep(0.001)
        assert [await pas.hear(), await pas.hear()] == [b"ACK one", b"ACK t\x1cwo"]


async def test_a_large_message_goes_and_comes() -> None:
    large = b"MSH|" + b"x" * 5_000_000
    async with served() as listener, sender(listener) as pas:
        saying = asyncio.create_task(pas.say(framed(large)))
        assert await pas.hear() == b"ACK " + large
        await saying


async def test_two_connections_go_on_side_by_side() -> None:
    first_may_go_on = asyncio.Event()
    connections = set()

    async def handle(received: Received) -> bytes:
        connections.add(received.connection)
        if received.content == b"first":
            await first_may_go_on.wait()
        return received.content

    async with served(handle) as listener, sender(listener) as one, sender(listener) as other:
        await one.say(framed(b"first"))
        await until(lambda: listener.counts.messages == 1)
        await other.say(framed(b"second"))
        assert await other.hear() == b"second"
        first_may_go_on.set()
        assert await one.hear() == b"first"
    assert len(connections) == 2


async def test_where_no_answer_is_wanted_none_is_given() -> None:
    async def handle(received: Received) -> bytes | None:
        return None if received.content == b"quiet" else received.content

    async with served(handle) as listener, sender(listener) as pas:
        await pas.say(framed(b"quiet") + framed(b"loud"))
        assert await pas.hear() == b"loud"
    assert listener.counts.messages == 2


async def test_a_message_may_have_two_answers_of_which_the_client_waits_for_the_last() -> None:
    async def handle(received: Received) -> list[bytes]:
        return [b"CA " + received.content, b"AA " + received.content]

    listener = MllpListener(handle)
    await listener.start()
    client = MllpClient("127.0.0.1", listener.port)
    for number in (b"1", b"2"):
        assert await client.send(number, lambda answer: answer.startswith(b"AA")) == b"AA " + number
    assert listener.counts.connections == 1
    assert await client.send(b"3") == b"CA 3", "one that does not expect the second"
    assert await client.send(b"4", lambda answer: answer.startswith(b"AA")) == b"AA 4"
    assert listener.counts.connections == 2, "does not take it for the answer to the next"
    await client.aclose()
    await listener.stop()


async def test_a_sender_that_says_no_more_is_still_answered() -> None:
    async with served() as listener, sender(listener) as pas:
        await pas.say(framed(b"a") + framed(b"b"))
        pas.end()
        assert [await pas.hear(), await pas.hear(), await pas.hear()] == [b"ACK a", b"ACK b", b""]
    assert listener.counts.broken == 0


async def test_it_listens_on_a_socket_that_it_is_given_and_beside_another(tmp_path: Path) -> None:
    path = str(tmp_path / "mllp")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(path)
    async with served(listening=bound):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(framed(b"here"))
        assert await reader.readuntil(b"\r") == framed(b"ACK here")
        writer.transport.abort()
    async with served(shared=True) as first:
        second = MllpListener(answering(echo), port=first.port, shared=True)
        await second.start()
        assert second.port == first.port
        await second.stop()
        with pytest.raises(OSError, match="in use"):
            await MllpListener(answering(echo), port=first.port).start()


# --- listener: what goes wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "start of a frame"), (b"\x0b" + b"x" * 1001, "longer than 1000"),
        (framed(b"x" * 1001), "longer than 1000"), (b"\x0bMSH|\x0bMSH|\x1c\r", "inside another"), (b"\x16\x03\x01\x02", "start of"),
    ],
)  # fmt: skip
async def test_what_is_no_frame_ends_its_connection_and_no_other(said: bytes, why: str) -> None:
    with capture_logs() as logs:
        async with served(message=1000) as listener, sender(listener) as pas, sender(listener) as other:
            await pas.say(said)
            assert await pas.hear() == b""
            await other.say(framed(b"x"))
            assert await other.hear() == b"ACK x"
    assert (listener.counts.broken, listener.counts.messages) == (1, 1)
    assert why in logs[0]["reason"]
    assert logs[0]["peer"].startswith("127.0.0.1:")


async def test_a_message_that_was_whole_is_answered_though_garbage_follows() -> None:
    async with served() as listener, sender(listener) as pas:
        await pas.say(framed(b"good") + b"garbage")
        assert [await pas.hear(), await pas.hear()] == [b"ACK good", b""]
    assert listener.counts.broken == 1


@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"a"]), max_size=12), st.lists(st.integers(1, 5), max_size=8))
def test_pieces_are_all_there_is_with_no_end_of_a_frame_but_at_theirs(parts: list[bytes], cuts: list[int]) -> None:
    said, found, half, at = b"".join(parts), [], False, 0
    for cut in [*cuts, len(said) + 1]:
        received = said[at : at + cut]
        found += list(pieces(received, half))
        half = received.endswith(b"\x1c")
        at += cut
    assert b"".join(found) == said
    at = 0
    for piece in found:
        at += len(piece)
        assert b"\x1c\r" not in said[max(at - len(piece) - 1, 0) : at - 1]


async def test_a_message_that_drips_in_is_cut_however_busy_it_looks() -> None:
    async with served(arrival=0.3) as listener, sender(listener) as pas:
        await pas.say(b"\x0bMSH")
        began = asyncio.get_running_loop().time()

        async def drip() -> None:
            with suppress(OSError):
                while True:
                    await pas.say(b"x")
                    await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        assert await pas.hear() == b""
        assert 0.2 < asyncio.get_running_loop().time() - began < 3
        dripping.cancel()
    assert listener.counts.broken == 1


async def test_an_idle_connection_is_closed_though_line_ends_come() -> None:
    async with served(idle=0.3) as listener, sender(listener) as pas:
        await pas.say(framed(b"x"))
        assert await pas.hear() == b"ACK x"
        for _ in range(5):
            await asyncio.sleep(0.02)
            await pas.say(b"\r\n")
        assert await pas.hear() == b""
        await until(lambda: listener.open == 0)
    assert listener.counts.broken == 0


async def test_time_for_a_message_begins_with_it_and_not_with_the_one_before() -> None:
    async with served(arrival=0.4) as listener, sender(listener) as pas:
        for _ in range(4):
            await pas.say(b"\x0bx")
            await asyncio.sleep(0.2)
            await pas.say(b"\x1c\r")
            assert await pas.hear() == b"ACK x"


async def test_a_sender_that_goes_in_the_middle_of_a_message() -> None:
    async with served(asked_for_nothing) as listener:
        async with sender(listener) as pas:
            await pas.say(b"\x0bMSH|")
            pas.end()
            assert await pas.hear() == b""
        assert listener.counts.broken == 1


async def test_a_handler_that_fails_leaves_its_message_unanswered_and_tells_nobody_what_was_in_it() -> None:
    async def handle(received: Received) -> bytes:
        if received.content == b"framed":
            return b"no \x0b message"
        if received.content == b"cancelled":
            raise asyncio.CancelledError
        raise LookupError(received.content.decode())

    with capture_logs() as logs:
        async with served(handle) as listener:
            for content in (ADT, b"framed", b"cancelled"):
                async with sender(listener) as pas:
                    await pas.say(framed(content) + framed(b"next"))
                    assert await pas.hear() == b""
    assert (listener.counts.messages, listener.counts.failed, listener.counts.broken) == (3, 3, 0)
    assert "LookupError at" in logs[0]["reason"]
    assert "test_mllp.py" in logs[0]["reason"]
    assert "Smith" not in repr(logs)


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_handler_that_hangs_is_left_behind(deaf: bool) -> None:
    done = asyncio.Event()

    async def handle(received: Received) -> bytes:
        if received.content != b"hang":
            return b"ACK " + received.content
        while not done.is_set():
            try:
                await asyncio.wait_for(done.wait(), 20)
            except asyncio.CancelledError:
                if not deaf:
                    raise
        raise LookupError(SECRET)

    async with served(handle, handling=0.2) as listener:
        async with sender(listener) as pas:
            await pas.say(framed(b"hang"))
            assert await pas.hear() == b""
        assert listener.counts.failed == 1
        assert await still_answers(listener)
        done.set()


async def test_answers_that_nobody_takes_are_not_kept() -> None:
    async def handle(_: Received) -> bytes:
        return b"x" * 1_000_000

    async with served(handle, taking=0.3) as listener, sender(listener) as pas:
        await pas.say(framed(b"?") * 100)
        await until(lambda: listener.counts.broken == 1)
        assert listener.counts.messages < 50


async def test_who_sends_faster_than_it_is_handled_waits_and_nothing_piles_up() -> None:
    go_on = asyncio.Event()
    most = 0

    async def handle(received: Received) -> bytes:
        nonlocal most
        await go_on.wait()
        most = max(most, buffered(listener))
        return received.content[:3]

    frames = [framed(b"%03d" % number + b"x" * 100_000) for number in range(500)]
    sent = 0

    async with served(handle) as listener, sender(listener) as pas:

        async def say() -> None:
            nonlocal sent
            for each in frames:
                await pas.say(each)
                sent += len(each)

        saying = asyncio.create_task(say())
        await until(lambda: sent > 0)
        before = -1
        while before != sent:  # until nothing more goes out
            before = sent
            await asyncio.sleep(0.3)
        assert sent < 25_000_000  # what the system's own buffers hold, of the 50 MB
        assert 0 < buffered(listener) <= 2 * PIECE + LOOP_READ
        go_on.set()
        assert [await pas.hear() for _ in frames] == [b"%03d" % number for number in range(500)]
        await saying
    assert most <= 2 * PIECE + LOOP_READ


async def test_connections_over_the_limit_are_closed_at_once_and_counted() -> None:
    async with served(connections=2) as listener:
        async with sender(listener) as one, sender(listener) as other:
            for each in (one, other):
                await each.say(framed(b"x"))
                assert await each.hear() == b"ACK x"
            for _ in range(3):
                async with sender(listener) as further:
                    assert await further.hear() == b""
            assert (listener.counts.refused, listener.open) == (3, 2)
            await one.say(framed(b"y"))
            assert await one.hear() == b"ACK y"
        await until(lambda: listener.open == 0)
        assert await still_answers(listener)
        assert listener.counts.connections == 3


async def test_a_stop_lets_what_is_under_way_finish_and_nothing_begin() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def handle(received: Received) -> bytes:
        begun.set()
        await go_on.wait()
        return received.content

    async with served(handle) as listener, sender(listener) as busy, sender(listener) as idle, sender(listener) as halfway:
        port = listener.port
        await halfway.say(b"\x0bMSH")
        await busy.say(framed(b"under way") + framed(b"next"))
        await begun.wait()
        stopping = asyncio.create_task(listener.stop())
        assert await idle.hear() == b""
        assert await halfway.hear() == b""
        with pytest.raises(OSError, match=r"refused|Connect"):
            await asyncio.open_connection("127.0.0.1", port)
        assert not stopping.done()
        go_on.set()
        assert [await busy.hear(), await busy.hear()] == [b"under way", b""]
        await stopping
        await listener.stop()  # again is nothing
    assert listener.counts.messages == 1


async def test_a_stop_is_bounded() -> None:
    async def handle(_: Received) -> bytes:
        await asyncio.sleep(60)
        return b""

    async with served(handle, draining=0.2) as listener, sender(listener) as pas:
        await pas.say(framed(b"x"))
        await until(lambda: listener.counts.messages == 1)
        async with asyncio.timeout(3):
            await listener.stop()
        assert await pas.hear() == b""


bits = st.one_of(
    st.binary(max_size=20), st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"\x1c\r", framed(ADT), framed(b"x" * 300)])
)


@settings(max_examples=60)
@given(said=st.lists(bits, max_size=8), ends=st.booleans())
def test_no_bytes_hang_the_listener_or_end_it(said: list[bytes], ends: bool) -> None:
    async def scenario() -> None:
        async with served(message=200, arrival=0.05, idle=0.05) as listener:
            async with sender(listener) as pas:
                with suppress(OSError):
                    for each in said:
                        await pas.say(each)
                        await asyncio.sleep(0)
                    if ends:
                        pas.end()
                while await pas.hear():
                    pass
            assert await still_answers(listener)

    asyncio.run(scenario())


# --- listener: TLS -----------------------------------------------------------------------------------------------------------


class Tls:
    """Contexts of both ends, of an authority that both trust."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        authority, foreign = make_authority("MLLP", clock), make_authority("Foreign", clock)
        self._authority, _ = authority.write(folder, "authority")
        self._server = issue_server(authority, clock).write(folder, "server")
        self._clients = {
            "pas": issue_client(authority, clock, name="pas").write(folder, "pas"),
            "foreign": issue_client(foreign, clock, name="pas").write(folder, "foreign"),
        }

    def server(self, verify: ssl.VerifyMode) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._server)
        context.load_verify_locations(self._authority)
        context.verify_mode = verify
        return context

    def client(self, name: str = "") -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self._authority))
        if name:
            context.load_cert_chain(*self._clients[name])
        return context


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return Tls(tmp_path_factory.mktemp("tls"))


async def who(received: Received) -> bytes:
    return received.peer.identity.encode() if received.peer.identity else b"?"


def subject(certificate: bytes) -> str:
    return identify(certificate).subject


async def test_a_client_is_known_by_its_certificate(tls: Tls) -> None:
    async with served(who, tls=tls.server(ssl.CERT_REQUIRED), identify=subject) as listener:
        pas = MllpClient("localhost", listener.port, tls=tls.client("pas"))
        assert [await pas.send(b"x"), await pas.send(b"y")] == [b"CN=pas", b"CN=pas"]
        await pas.aclose()
        for context in (tls.client(), tls.client("foreign")):
            stranger = MllpClient("127.0.0.1", listener.port, tls=context)
            with pytest.raises((NotConnected, AnswerLost)):
                await stranger.send(b"x")
            await stranger.aclose()
        await until(lambda: listener.counts.broken == 2)
    assert listener.counts.messages == 2


async def test_a_certificate_may_be_left_to_the_client(tls: Tls) -> None:
    async with served(who, tls=tls.server(ssl.CERT_OPTIONAL), identify=subject) as listener:
        for name, known in (("pas", b"CN=pas"), ("", b"?")):
            client = MllpClient("127.0.0.1", listener.port, tls=tls.client(name))
            assert await client.send(b"x") == known
            await client.aclose()


async def test_a_certificate_that_cannot_be_read_is_nobodys(tls: Tls) -> None:
    def unreadable(certificate: bytes) -> str:
        raise ValueError("no certificate")

    async with served(asked_for_nothing, tls=tls.server(ssl.CERT_REQUIRED), identify=unreadable) as listener:
        client = MllpClient("127.0.0.1", listener.port, tls=tls.client("pas"))
        with pytest.raises(AnswerLost):
            await client.send(b"x")
        await client.aclose()
        await until(lambda: listener.counts.broken == 1)


async def test_a_server_that_nobody_vouches_for_is_sent_nothing(tls: Tls) -> None:
    async with served(asked_for_nothing, tls=tls.server(ssl.CERT_NONE)) as listener:
        client = MllpClient("127.0.0.1", listener.port, tls=ssl.create_default_context())
        with pytest.raises(NotConnected):
            await client.send(b"x")
        await client.aclose()


async def test_who_speaks_no_tls_is_cut_and_counts_among_the_connections_until_then(tls: Tls) -> None:
    async with served(asked_for_nothing, tls=tls.server(ssl.CERT_NONE), handshake=0.3, connections=1) as listener:
        async with sender(listener) as plain:
            await plain.say(framed(ADT))
            assert await plain.hear() == b""
        await until(lambda: listener.open == 0)
        async with sender(listener) as silent:
            await until(lambda: listener.open == 1)
            async with sender(listener) as further:
                assert await further.hear() == b""
            assert await silent.hear() == b""
        await until(lambda: listener.counts.broken == 2)
    assert listener.counts.refused == 1


async def test_an_idle_client_finds_out_that_a_tls_connection_was_closed(tls: Tls) -> None:
    async with served(tls=tls.server(ssl.CERT_NONE), idle=0.1) as listener:
        client = MllpClient("127.0.0.1", listener.port, tls=tls.client())
        for number in (b"1", b"2"):
            assert await client.send(number) == b"ACK " + number
            await until(lambda: listener.open == 0)
        await client.aclose()
    assert listener.counts.connections == 2


# --- client ------------------------------------------------------------------------------------------------------------------


async def test_concurrent_callers_are_answered_each_with_its_own_in_the_order_of_calling() -> None:
    order = []

    async def handle(received: Received) -> bytes:
        order.append(received.content)
        await asyncio.sleep(0.001)
        return received.content

    async with served(handle) as listener:
        client = MllpClient("127.0.0.1", listener.port)
        contents = [str(number).encode() for number in range(50)]
        assert await asyncio.gather(*map(client.send, contents)) == contents
        await client.aclose()
    assert order == contents
    assert listener.counts.connections == 1


class Far:
    """A receiver that does what it is told to with each frame: `answers` are bytes to say, None to close."""

    def __init__(self, *answers: bytes | None) -> None:
        self._answers = list(answers)
        self.got: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.got.append(await reader.readuntil(b"\x1c\r"))
            said = self._answers.pop(0)
            if said is None:
                return
            writer.write(said)


@asynccontextmanager
async def client_of(far: Far, **more: Any) -> AsyncIterator[MllpClient]:
    async with listening(far.serve) as port:
        client = MllpClient("127.0.0.1", port, **more)
        try:
            yield client
        finally:
            async with asyncio.timeout(PATIENCE):
                await client.aclose()


async def test_a_connection_that_was_closed_between_two_messages_is_replaced() -> None:
    async with served(idle=0.1) as listener:
        client = MllpClient("127.0.0.1", listener.port)
        for number in range(3):
            assert await client.send(b"%d" % number) == b"ACK %d" % number
            await until(lambda: listener.open == 0)
        await client.aclose()
    assert listener.counts.connections == 3
    assert listener.counts.messages == 3


async def test_a_connection_that_was_closed_is_found_out_though_the_loop_has_not_looked_yet() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE / 2)  # a thread that waits for ever would keep the test from failing
        client = MllpClient("127.0.0.1", server.getsockname()[1])
        loop = asyncio.get_running_loop()
        for number in range(2):
            sending = asyncio.create_task(client.send(b"x"))
            accepted, _ = await loop.run_in_executor(None, server.accept)
            with accepted:
                accepted.settimeout(PATIENCE / 2)
                assert await loop.run_in_executor(None, accepted.recv, 100) == framed(b"x")
                accepted.sendall(framed(b"%d" % number))
                assert await sending == b"%d" % number
            # Closed, and the loop gets no turn before the next message.
        await client.aclose()


async def test_a_message_whose_answer_is_lost_is_not_sent_again() -> None:
    far = Far(None, framed(b"yes"))
    async with client_of(far) as client:
        with pytest.raises(AnswerLost):
            await client.send(b"one")
        assert far.got == [framed(b"one")]
        assert await client.send(b"two") == b"yes"
    assert far.connections == 2


async def test_an_answer_that_is_cut_is_lost() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r")
        writer.write(b"\x0bMSH|")

    async with listening(serve) as port:
        client = MllpClient("127.0.0.1", port)
        with pytest.raises(AnswerLost):
            await client.send(b"one")
        await client.aclose()


async def test_a_late_answer_is_not_taken_for_the_next_ones() -> None:
    async def handle(received: Received) -> bytes:
        await asyncio.sleep(0.4 if received.content == b"slow" else 0)
        return received.content

    async with served(handle) as listener:
        client = MllpClient("127.0.0.1", listener.port, answer_timeout=0.2)
        with pytest.raises(AnswerLate, match=r"0\.2 seconds"):
            await client.send(b"slow")
        assert await client.send(b"quick") == b"quick"
        await asyncio.sleep(0.3)
        assert await client.send(b"quick too") == b"quick too"
        await client.aclose()
    assert listener.counts.connections == 2


async def test_who_stops_waiting_leaves_no_answer_for_the_next() -> None:
    async def handle(received: Received) -> bytes:
        await asyncio.sleep(0.1)
        return received.content

    async with served(handle) as listener:
        client = MllpClient("127.0.0.1", listener.port)
        sending = asyncio.create_task(client.send(b"one"))
        await until(lambda: listener.counts.messages == 1)
        sending.cancel()
        assert await client.send(b"two") == b"two"
        await client.aclose()


@pytest.mark.parametrize("said", [b"HTTP/1.1 400\r\n", b"\x0b" + b"x" * 200, b"\x0ba\x0bb\x1c\r"])
async def test_an_answer_that_is_none(said: bytes) -> None:
    far = Far(said, framed(b"yes"))
    async with client_of(far, limit=100) as client:
        with pytest.raises(BadFrame):
            await client.send(b"one")
        assert await client.send(b"two") == b"yes"
    assert far.connections == 2


@pytest.mark.parametrize("more", [framed(b"and another"), b"garbage"])
async def test_after_more_than_was_asked_for_the_connection_is_replaced(more: bytes) -> None:
    far = Far(framed(b"yes") + more, framed(b"no") + b"\r\n", framed(b"perhaps"))
    async with client_of(far) as client:
        assert await client.send(b"one") == b"yes"
        assert await client.send(b"two") == b"no"
        assert await client.send(b"three") == b"perhaps"
    assert far.connections == 2  # line ends between frames are nothing


async def test_where_nobody_listens_nothing_is_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for host in ("127.0.0.1", "nobody.invalid", "x" * 70 + ".invalid"):
        client = MllpClient(host, port, connect_timeout=5)
        with pytest.raises(NotConnected, match="could not be connected to"):
            await client.send(b"x")
        await client.aclose()


async def test_a_connection_that_does_not_come_about_is_not_waited_for() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.sleep(PATIENCE)

    async with listening(silent) as port:
        client = MllpClient("127.0.0.1", port, tls=ssl.create_default_context(), connect_timeout=0.2)
        with pytest.raises(NotConnected):
            await client.send(b"x")
        await client.aclose()


async def test_a_client_that_is_closed_sends_no_more() -> None:
    async def handle(_: Received) -> bytes:
        await asyncio.sleep(PATIENCE)
        return b""

    async with served(handle, draining=0.1) as listener:
        client = MllpClient("127.0.0.1", listener.port)
        sending, waiting = asyncio.create_task(client.send(b"x")), asyncio.create_task(client.send(b"y"))
        await until(lambda: listener.counts.messages == 1)
        await client.aclose()
        with pytest.raises(AnswerLost):
            await sending
        for refused in (waiting, client.send(b"z")):
            with pytest.raises(NotConnected):
                await refused
        await client.aclose()


async def test_what_cannot_be_framed_is_not_sent() -> None:
    client = MllpClient("127.0.0.1", 1)
    with pytest.raises(ValueError, match="frame"):
        await client.send(b"a\x0bb")


async def test_large_messages_go_both_ways() -> None:
    async with served() as listener:
        client = MllpClient("127.0.0.1", listener.port)
        large = b"x" * 8_000_000
        assert await client.send(large) == b"ACK " + large
        assert await client.send(b"small") == b"ACK small"
        await client.aclose()
    assert listener.counts.connections == 1
