"""A response head means one thing, or it is refused (RFC 9112 §4-§6, §9.3)."""

from __future__ import annotations

from typing import NamedTuple

import h11
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fiveways.methods.synchronous.upstream.response_head import (
    CHUNKED,
    UNTIL_CLOSE,
    MalformedResponse,
    ResponseHeadParser,
)
from fiveways.types import Headers


class Head(NamedTuple):
    status: int
    headers: Headers
    framing: int
    keep: bool


def _parse(*lines: bytes, bodyless: bool = False, most: int = 64) -> Head:
    parser = ResponseHeadParser(most)
    first = Head(*parser.parse(b"\r\n".join(lines), bodyless=bodyless))
    again = parser.parse(b"\r\n".join(lines), bodyless=bodyless)
    assert first == again, "a line known from before is read as it was the first time"
    return first


def test_names_are_lowered_and_values_keep_their_bytes() -> None:
    head = _parse(b"HTTP/1.1 200 OK", b"Content-Type:  text/plain \t", b"X-Caf: caf\xe9", b"Empty:", b"content-length: 3")
    assert head == (
        200,
        [(b"content-type", b"text/plain"), (b"x-caf", b"caf\xe9"), (b"empty", b""), (b"content-length", b"3")],
        3,
        True,
    )


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 ", b"HTTP/1.1 200", b"HTTP/1.1 599 \xc3\xa9"])
def test_status_lines_in_use_are_read(line: bytes) -> None:
    assert _parse(line).status == int(line[9:12])


@pytest.mark.parametrize(
    "line",
    [
        b"", b"HTTP/1.1", b"HTTP/1.1 2000 OK", b"HTTP/1.1 20 OK", b"HTTP/2 200 OK", b"HTTP/1.2 200 OK", b"http/1.1 200 OK",
        b"HTTP/1.1  200 OK", b"HTTP/1.1\t200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.1 099 X", b"HTTP/1.1 600 X", b"HTTP/1.1 200\0",
        b"HTTP/1.1 200 O\nK", b"HTTP/1.1 -20 OK", b"ICY 200 OK", b"HTTP/1.1 200OK", b"\r\nHTTP/1.1 200 OK",
    ],
)  # fmt: skip
def test_bad_status_lines_are_refused(line: bytes) -> None:
    with pytest.raises(MalformedResponse, match="status line"):
        _parse(line)


@pytest.mark.parametrize(
    "line",
    [
        b" folded", b"\tfolded", b"name : v", b"name", b": v", b"na me: v", b"name: a\0b", b"name: a\rb", b"name: a\nb: c",
        b"name: \x7f", b"name: \x01", b"n\xe9: v", b"",
    ],
)  # fmt: skip
def test_bad_fields_are_refused(line: bytes) -> None:
    with pytest.raises(MalformedResponse, match="header field"):
        _parse(b"HTTP/1.1 200 OK", b"a: b", line)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 3", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 3"),
        (b"Content-Length: 3", b"Content-Length: 4"),
        (b"Content-Length: 3", b"Content-Length: 3"),
        (b"Content-Length: 3, 3",),
        (b"Content-Length: +3",),
        (b"Content-Length: -1",),
        (b"Content-Length: 0x3",),
        (b"Content-Length: 3 4",),
        (b"Content-Length: ",),
        (b"Content-Length: \xb2",),
        (b"Content-Length: 1000000000000000000",),
        (b"Transfer-Encoding: gzip",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked, chunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: identity",),
        (b"Transfer-Encoding:",),
    ],
)
def test_doubtful_framing_is_refused(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedResponse):
        _parse(b"HTTP/1.1 200 OK", *lines)


def test_transfer_encoding_in_http_1_0_is_refused() -> None:
    with pytest.raises(MalformedResponse, match=r"HTTP/1\.0"):
        _parse(b"HTTP/1.0 200 OK", b"Transfer-Encoding: chunked")


@pytest.mark.parametrize(
    ("lines", "framing", "keep"),
    [
        ((b"HTTP/1.1 200 OK", b"Content-Length: 5"), 5, True),
        ((b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Connection: Close"), 5, False),
        ((b"HTTP/1.1 200 OK", b"Content-Length: 5", b"Connection: keep-alive, close"), 5, False),
        ((b"HTTP/1.0 200 OK", b"Content-Length: 5", b"Connection: keep-alive"), 5, False),
        ((b"HTTP/1.1 200 OK", b"Transfer-Encoding: Chunked"), CHUNKED, True),
        ((b"HTTP/1.1 200 OK",), UNTIL_CLOSE, False),
        ((b"HTTP/1.1 304 Not Modified", b"Content-Length: 5"), 0, True),
        ((b"HTTP/1.1 204 No Content", b"Content-Length: 5"), 0, True),
        ((b"HTTP/1.1 103 Early Hints", b"Link: </x>"), 0, True),
    ],
)
def test_framing_and_persistence(lines: tuple[bytes, ...], framing: int, keep: bool) -> None:
    head = _parse(*lines)
    assert (head.framing, head.keep) == (framing, keep)


def test_an_answer_to_head_has_no_body_but_keeps_its_length() -> None:
    head = _parse(b"HTTP/1.1 200 OK", b"Content-Length: 5", bodyless=True)
    assert (head.framing, head.headers) == (0, [(b"content-length", b"5")])


def test_hop_by_hop_fields_and_those_that_connection_names_are_taken_out() -> None:
    head = _parse(
        b"HTTP/1.1 200 OK", b"Content-Length: 0", b"Connection: X-Hop, keep-alive", b"Keep-Alive: timeout=5", b"X-Hop: 1",
        b"Upgrade: h2c", b"Trailer: a", b"Proxy-Authenticate: Basic", b"Proxy-Connection: close", b"TE: trailers", b"X-End: 2",
    )  # fmt: skip
    assert head.headers == [(b"content-length", b"0"), (b"x-end", b"2")]


def test_more_fields_than_the_limit_are_refused() -> None:
    _parse(b"HTTP/1.1 200 OK", *[b"a: b"] * 64)
    with pytest.raises(MalformedResponse, match="too many"):
        _parse(b"HTTP/1.1 200 OK", *[b"a: b"] * 65)


def test_what_is_remembered_is_bounded() -> None:
    parser = ResponseHeadParser(4)
    for number in range(3000):
        parser.parse(b"HTTP/1.1 200 %d\r\nX-Number: %d\r\nSet-Cookie: s" % (number, number), bodyless=False)
    assert len(parser._lines) <= 512
    assert len(parser._statuses) <= 64
    assert not any(line.startswith(b"Set-Cookie") for line in parser._lines)


_LINES = st.one_of(
    st.sampled_from([b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Connection: close", b"A: b", b"Server: x"]),
    st.binary(max_size=24),
    st.tuples(st.from_regex(rb"[A-Za-z-]{1,8}", fullmatch=True), st.binary(max_size=12)).map(b": ".join),
)


@given(st.sampled_from([b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 No Content"]), st.lists(_LINES, max_size=5))
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_whatever_is_accepted_means_the_same_to_an_independent_parser(status: bytes, lines: list[bytes]) -> None:
    section = b"\r\n".join([status, *lines])
    if b"\r\n\r\n" in section + b"\r\n" or section.endswith(b"\r\n"):
        return
    try:
        head = Head(*ResponseHeadParser(64).parse(section, bodyless=False))
    except MalformedResponse:
        return
    peer = h11.Connection(h11.CLIENT)
    peer.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    peer.send(h11.EndOfMessage())
    peer.receive_data(section + b"\r\n\r\n")
    event = peer.next_event()
    assert isinstance(event, h11.Response)
    assert event.status_code == head.status
    theirs = [(bytes(name), bytes(value)) for name, value in event.headers]
    assert [field for field in head.headers if field not in theirs] == []
