"""What reaches the application: the same request however its bytes arrive, and nothing at all that could mean two things."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.platform.http1.conftest import Front

pytestmark = pytest.mark.anyio

patient = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])

TOKENS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=20).map(lambda name: "x-" + name)
VALUES = st.text([chr(code) for code in (9, *range(32, 127), *range(128, 256))], max_size=40).map(lambda value: value.strip("\t "))
PATHS = st.text("abcXYZ012/%;=@:-._~!$&'()*+,", max_size=30).map(lambda path: ("/" + path).encode())
QUERIES = st.none() | st.text("abc012/%;=@:?-._~!$&'()*+,", max_size=30).map(str.encode)
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "PROPFIND"])


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%X;x=1\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, tuple[object, ...]]:
    """A request's bytes, and what an application is to see of it."""
    method, path, query = draw(METHODS), draw(PATHS), draw(QUERIES)
    fields = [(name.encode(), value.encode("latin-1")) for name, value in draw(st.lists(st.tuples(TOKENS, VALUES), max_size=5))]
    fields.insert(0, (b"host", b"a"))
    body = draw(st.binary(max_size=300))
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    sent = body
    if framing == "none":
        sent = body = b""
    elif framing == "length":
        fields.append((b"content-length", b"%d" % len(body)))
    else:
        fields.append((b"transfer-encoding", b"chunked"))
        sent = chunked(body, draw(st.integers(1, 100)))
    blank, tab = draw(st.sampled_from([b"", b" ", b"  "])), draw(st.sampled_from([b"", b"\t"]))  # llhttp: no tab after a framing
    lines = b"".join(
        b"%b:%b%b%b%b\r\n" % (name.title(), tab, blank, value, blank + (tab if name.startswith(b"x-") else b""))
        for name, value in fields
    )
    target = path if query is None else path + b"?" + query
    seen = (method, path, query or b"", "1.1"), fields, body
    return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method.encode(), target, lines, sent), seen


LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@patient
@given(stream=st.lists(requests(), min_size=1, max_size=4), cuts=st.lists(st.integers(0, 2000), max_size=12))
async def test_a_stream_of_requests_is_the_same_however_it_is_cut(
    front: Front, stream: list[tuple[bytes, tuple[object, ...]]], cuts: list[int]
) -> None:
    """Any reads make the same scopes and bodies, in order (RFC 9112 §2.2, §9.3.2)."""
    front.asked.clear()
    whole = b"".join(sent for sent, _ in stream) + LAST
    edges = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})
    await front.say(*(whole[start:end] for start, end in pairwise(edges)))
    *seen, last = [(asked.line, asked.scope["headers"], asked.body) for asked in front.asked]
    assert seen == [wanted for _, wanted in stream]
    assert last[0][1] == b"/last"
    assert all(asked.whole for asked in front.asked)


async def test_a_request_may_come_byte_by_byte(front: Front) -> None:
    sent = (
        b"POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    )
    assert (await front.say(*(sent[at : at + 1] for at in range(len(sent))))).endswith(b"\r\n\r\nabc")
    assert [asked.line for asked in front.asked] == [("POST", b"/a", b"b", "1.1")]


BASE = (
    b"POST /a?b=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nX-A: b\r\n\r\nabc",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"GET http://a/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
)
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
INSERTS = st.binary(min_size=1, max_size=3) | st.sampled_from(
    [b"\r", b"\n", b"\r\n", b" ", b"  ", b"\t", b"\0", b"\r\n ", b"+", b"-", b",", b"0x", b":", b"Content-Length: 1\r\n",
     b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n", b"Content-Length: 9\r\n", b"Upgrade: h2c\r\n", b"chunked, "]
)  # fmt: skip


@settings(patient, max_examples=400)
@given(
    base=st.sampled_from(BASE),
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 4), INSERTS), min_size=1, max_size=3),
)
@example(base=BASE[2], edits=[(10, 0, b"Transfer-Encoding: chunked\r\n")])
async def test_an_altered_request_is_answered_or_refused_and_never_means_two_things(
    front: Front, base: bytes, edits: list[tuple[int, int, bytes]]
) -> None:
    """Nothing hangs, nothing fails unseen, and what does reach the application has one framing (RFC 9112 §6.3, §11.2)."""
    front.asked.clear()
    sent = base
    for at, removed, inserted in edits:
        at %= len(sent) + 1
        sent = sent[:at] + inserted + sent[at + removed :]
    async with front.connect() as client:
        client.writer.write(sent)
        client.writer.write_eof()
        got = await client.rest()
    assert got == b"" or re.match(rb"HTTP/1\.1 (100|200|400|431) ", got)
    assert front.failures == []
    for asked in front.asked:
        fields = asked.scope["headers"]
        lengths = [value for name, value in fields if name == b"content-length"]
        codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
        assert len(lengths) + len(codings) <= 1
        assert all(value.isdigit() for value in lengths)
        assert codings in ([], [b"chunked"])
        assert not (codings and asked.scope["http_version"] == "1.0")
        assert not any(set(b"\0\r\n") & set(name + value) for name, value in fields)
        if lengths and asked.whole:
            assert len(asked.body) == int(lengths[0])
    await front.until(lambda: not front.listener.connections)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="both"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", id="both, turned"),
        pytest.param(POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", id="a length twice"),
        pytest.param(POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", id="two lengths"),
        pytest.param(POST + b"Content-Length: +3\r\n\r\nabc", id="plus"),
        pytest.param(POST + b"Content-Length: -3\r\n\r\nabc", id="minus"),
        pytest.param(POST + b"Content-Length: 3, 3\r\n\r\nabc", id="a list of lengths"),
        pytest.param(POST + b"Content-Length: \r\n\r\n", id="an empty length"),
        pytest.param(POST + b"Content-Length: 18446744073709551616\r\n\r\n", id="a length past 64 bits"),
        pytest.param(POST + b"Content-Length : 3\r\n\r\nabc", id="blank before colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", id="obs-fold"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n X: a\r\n\r\n", id="blank before name"),
        pytest.param(b"GET / HTTP/1.1\nHost: a\n\n", id="bare LF"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", id="bare LF after a field"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", id="NUL in a value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n", id="NUL in a name"),
        pytest.param(b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", id="NUL in the target"),
        pytest.param(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", id="bytes above ASCII in the target"),
        pytest.param(b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", id="two blanks before the target"),
        pytest.param(b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", id="two blanks after the target"),
        pytest.param(b"\r\nGET  / HTTP/1.1\r\nHost: a\r\n\r\n", id="two blanks after an empty line"),
        pytest.param(b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n", id="a blank in the target"),
        pytest.param(b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", id="tab for blank"),
        pytest.param(b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", id="blank after the version"),
        pytest.param(b"GET /\r\n\r\n", id="no version"),
        pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", id="version 2"),
        pytest.param(b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", id="version 1.2"),
        pytest.param(b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", id="a method nobody knows"),
        pytest.param(b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", id="CONNECT"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", id="TLS on a plain socket"),
        pytest.param(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="another coding too"),
        pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="a coding alike"),
        pytest.param(POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="chunked not last"),
        pytest.param(b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked in HTTP/1.0"),
        *(
            pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n" + size, id=f"chunks {size!r}")
            for size in (
                b"g\r\n", b"-1\r\na\r\n", b"+1\r\na\r\n", b"0x1\r\na\r\n", b" 1\r\na\r\n", b"1 \r\na\r\n", b"\r\n", b"1\na\n",
                b"1\r\nab\r\n", b"1\r\na\n0\r\n\r\n", b"1;\na\r\n", b"11111111111111111\r\na", b"0\r\nContent-Length: 3\r\n\r\n",
                b"0\r\nbad\r\n\r\n",
            )
        ),
    ],
)  # fmt: skip
async def test_what_could_mean_two_things_is_refused_unseen(front: Front, sent: bytes) -> None:
    """400, the connection ends, and neither it nor what stands behind it reaches the application."""
    got = await front.say(sent + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"connection: close\r\n" in got
    assert got.count(b"HTTP/1.1 ") == 1
    assert not front.asked
    assert front.listener.refused == 1


@pytest.mark.parametrize(
    ("target", "host", "path"),
    [
        (b"http://a/x?y", b"a", b"/x"),
        (b"http://a", b"a", b"/"),
        (b"HTTPS://a:1/", b"a:1", b"/"),
        (b"http://b/x", b"a", None),
        (b"http://a:80/x", b"a", None),
        (b"http://u@a/x", b"a", None),
        (b"ftp://a/x", b"a", None),
        (b"a/x", b"a", None),
        (b"*", b"a", None),
    ],
)
async def test_a_target_in_absolute_form_must_name_the_host(front: Front, target: bytes, host: bytes, path: bytes | None) -> None:
    """RFC 9112 §3.2.2."""
    got = await front.say(b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n" % (target, host))
    assert got.startswith(b"HTTP/1.1 200 " if path else b"HTTP/1.1 400 ")
    assert [asked.scope["raw_path"] for asked in front.asked] == ([path] if path else [])


async def test_a_host_twice_does_not_name_a_target_in_absolute_form(front: Front) -> None:
    assert (await front.say(b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert not front.asked


async def test_blanks_around_a_value_are_not_part_of_it(front: Front) -> None:
    """RFC 9110 §5.5."""
    got = await front.say(b"POST / HTTP/1.1\r\nHost:\t a \t\r\nContent-Length: 3 \r\nX:a  b \r\nConnection: close \r\n\r\nabc")
    assert got.endswith(b"abc")
    assert front.asked[0].scope["headers"][:3] == [(b"host", b"a"), (b"content-length", b"3"), (b"x", b"a  b")]


@pytest.mark.parametrize("cut", [False, True])
async def test_trailer_fields_never_become_header_fields(front: Front, cut: bool) -> None:
    """RFC 9110 §6.5.1: what was checked as a header cannot be added to afterwards."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    body = b"3\r\nabc\r\n0\r\nAuthorization: Bearer x\r\nHost: b\r\n\r\n"
    await front.say(*((head, body) if cut else (head + body,)))
    assert [name for name, _ in front.asked[0].scope["headers"]] == [b"host", b"transfer-encoding", b"connection"]
    assert front.asked[0].body == b"abc"


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", id="target"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", id="value"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX" + b"a" * 70_000 + b": b\r\n\r\n", id="name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: %b\r\n" % (b"a" * 700) * 100 + b"\r\n", id="fields"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n", id="many fields"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000_000, id="a value without end"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX" + b"a" * 20_000_000, id="a name without end"),
    ],
)
@pytest.mark.parametrize("size", [1000, 10**9])
async def test_a_head_that_is_too_large_is_431(front: Front, head: bytes, size: int) -> None:
    """The client reads the answer, though it had not sent all: the connection is not reset under it (RFC 9112 §9.6)."""
    async with front.connect() as client:

        async def send() -> None:
            for at in range(0, len(head), size):
                await client.send(head[at : at + size])

        sending = asyncio.create_task(send())
        got = await client.rest()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert got.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert not front.asked


async def test_a_head_just_within_the_limit_is_served(front: Front) -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: %b\r\n\r\n" % (b"a" * 65_000)
    assert (await front.say(head)).startswith(b"HTTP/1.1 200 ")


async def test_trailers_without_end_are_cut_off(front: Front) -> None:
    """Nothing grows for as long as a client likes: neither a trailer field nor a chunk extension."""
    for endless in (b"0\r\nX: ", b"1;x="):
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + endless
        got = await front.say(head, *[b"a" * 10_000] * 30)
        assert got.startswith(b"HTTP/1.1 431 ")
    assert not any(asked.whole for asked in front.asked)


async def test_broken_chunks_of_a_body_under_way_tell_the_application(front: Front) -> None:
    async with front.connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await front.until(lambda: front.asked and front.asked[0].body == b"a")
        assert (await client.say(b"zz\r\n")).startswith(b"HTTP/1.1 400 ")
    await front.until(lambda: front.asked[0].gone)
    assert not front.asked[0].whole
