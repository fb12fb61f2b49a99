"""However the network cuts a response into reads, it is the same response; whatever it is, it ends in an answer or a fault."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from fiveways.methods.synchronous.upstream.bounds import Bounds
from fiveways.methods.synchronous.upstream.connection import Connection, State
from fiveways.methods.synchronous.upstream.faults import UpstreamFault
from fiveways.methods.synchronous.upstream.message import UpstreamAnswer
from fiveways.methods.synchronous.upstream.response_head import ResponseHeadParser
from fiveways.methods.synchronous.upstream.settings import Target


class Wire(asyncio.Transport):
    """A transport to nowhere: what is sent is dropped, and it says whether it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True


class Keeper:
    """An owner that counts."""

    def __init__(self) -> None:
        self.freed = 0
        self.gone = 0

    def released(self, connection: Connection) -> None:
        self.freed += 1

    def lost(self, connection: Connection) -> None:
        self.gone += 1


Result = tuple[int, list[tuple[bytes, bytes]], bytes, str]


async def _receive(reads: list[bytes], *, head: bool) -> tuple[Result | None, Keeper, Connection]:
    """What becomes of these reads followed by the end of the connection; None where that is a fault."""
    keeper = Keeper()
    target = Target(url="http://a.example")
    connection = Connection(keeper, Bounds(target), ResponseHeadParser(64), 0)
    connection.connection_made(Wire())
    waiter = connection.request(b"", bodyless=head)
    for read in reads:
        if not connection.closed:
            connection.data_received(read)
    state = connection.state
    connection.eof_received()
    connection.connection_lost(None)
    try:
        answer: UpstreamAnswer = await asyncio.wait_for(waiter, 1)
        body = answer.body if isinstance(answer.body, bytes) else b"".join([piece async for piece in answer.body])
    except UpstreamFault:
        return None, keeper, connection
    return (answer.status, answer.headers, body, "" if state is State.CLOSED else "kept"), keeper, connection


def _cut(stream: bytes, cuts: set[int]) -> list[bytes]:
    ordered = sorted(cuts)
    return [stream[start:end] for start, end in zip([0, *ordered], [*ordered, len(stream)], strict=True) if start < end]


_TOKENS = st.from_regex(rb"[a-z-]{1,10}", fullmatch=True).filter(
    lambda name: name not in {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"content-length"}
)
_FIELDS = st.lists(st.tuples(_TOKENS, st.from_regex(rb"[!-~\x80-\xff]{0,20}", fullmatch=True)), max_size=5)


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A valid response stream (perhaps after interim ones) and its content."""
    body = draw(st.binary(max_size=200))
    lines = [b"HTTP/1.1 %d Reason" % draw(st.sampled_from([200, 201, 404, 500]))]
    lines += [name + b": " + value for name, value in draw(_FIELDS)]
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if framing == "length":
        lines.append(b"Content-Length: %d" % len(body))
        coded = body
    elif framing == "chunked":
        lines.append(b"Transfer-Encoding: chunked")
        sizes = draw(st.lists(st.integers(1, 50), max_size=4))
        coded, at = b"", 0
        for size in [*sizes, len(body)]:
            piece = body[at : at + size]
            at += len(piece)
            if piece:
                coded += b"%x\r\n%b\r\n" % (len(piece), piece)
        coded += b"0\r\n\r\n"
    else:
        coded = body
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    return interim + b"\r\n".join(lines) + b"\r\n\r\n" + coded, body


@given(responses(), st.sets(st.integers(0, 600), max_size=8), st.booleans())
def test_any_split_of_a_response_gives_the_same_answer(stream: tuple[bytes, bytes], cuts: set[int], single: bool) -> None:
    wire, body = stream
    parts = [wire[at : at + 1] for at in range(len(wire))] if single else _cut(wire, {cut for cut in cuts if cut < len(wire)})
    whole, keeper, _ = asyncio.run(_receive([wire], head=False))
    split, other, _ = asyncio.run(_receive(parts, head=False))
    assert whole is not None
    assert whole == split
    assert whole[2] == body
    assert (keeper.freed, keeper.gone) == (other.freed, other.gone)
    assert keeper.gone == 1


_VALID = b"HTTP/1.1 200 OK\r\nServer: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n"


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A valid response with some bytes changed, taken out, doubled or put in."""
    stream = bytearray(
        draw(
            st.sampled_from([_VALID, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x\r\n\r\nabc", b"HTTP/1.1 200\r\n\r\nx"])
        )
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(stream) - 1)))
        stream[at : at + draw(st.integers(0, 3))] = draw(
            st.one_of(st.binary(max_size=4), st.sampled_from([b"\r\n", b"\n", b"\0", b" ", b"Content-Length: 9\r\n", b"\r\n\r\n"]))
        )
    return bytes(stream)


@given(mutations(), st.sets(st.integers(0, 100), max_size=3), st.booleans())
@example(_VALID + _VALID, set(), False)
@example(b"\r\n\r\n", set(), False)
def test_a_mutated_response_ends_in_an_answer_or_a_fault(stream: bytes, cuts: set[int], head: bool) -> None:
    result, keeper, connection = asyncio.run(_receive(_cut(stream, {cut for cut in cuts if cut < len(stream)}), head=head))
    assert keeper.gone == 1
    assert connection.closed
    assert result is None or 200 <= result[0] <= 599


@given(st.binary(max_size=100))
def test_any_bytes_end_in_an_answer_or_a_fault(stream: bytes) -> None:
    _, keeper, connection = asyncio.run(_receive([stream], head=False))
    assert keeper.gone == 1
    assert connection.closed
