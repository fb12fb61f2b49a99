"""How an answer is framed, and what becomes of the connection after it (RFC 9112 §6, §9)."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.platform.http1.conftest import Asked, Front, Receive, Send, answer, fronted

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def in_pieces(asked: Asked, receive: Receive, send: Send) -> None:
    """An answer whose length is not told."""
    await asked.read(receive)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1")]})
    for piece in (b"one", b"", b"three" * 4):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def test_an_answer_without_a_length_is_chunked(front: Front) -> None:
    front.application = in_pieces
    head, _, body = (await front.say(CLOSING)).partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert b"content-length" not in head
    assert body == b"3\r\none\r\n14\r\nthreethreethreethree\r\n0\r\n\r\n"


async def test_to_http_1_0_it_ends_with_the_connection(front: Front) -> None:
    front.application = in_pieces
    head, _, body = (await front.say(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"\r\nconnection: close" in head
    assert body == b"onethreethreethreethree"


@pytest.mark.parametrize(("method", "status"), [(b"HEAD", 200), (b"GET", 204), (b"GET", 304), (b"HEAD", 404)])
@pytest.mark.parametrize("length", [b"4711", None])
async def test_head_204_and_304_have_no_body_and_the_next_answer_follows(
    front: Front, method: bytes, status: int, length: bytes | None
) -> None:
    async def bodiless(asked: Asked, receive: Receive, send: Send) -> None:
        if asked.scope["raw_path"] == b"/":
            await answer(send, b"next")
            return
        fields = [(b"content-length", length)] if length else []
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": b"not to be seen", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    front.application = bodiless
    got = await front.say(b"%b /x HTTP/1.1\r\nHost: a\r\n\r\n" % method + CLOSING)
    first, second = got.split(b"\r\n\r\n", 1)
    assert first.startswith(b"HTTP/1.1 %d " % status)
    assert b"transfer-encoding" not in first
    assert (b"content-length: 4711" in first) == (length is not None and status != 204)
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert second.endswith(b"\r\n\r\nnext")


@pytest.mark.parametrize("pieces", [[b"ab"], [b"ab", b"cdef"], [b"abc", b""]])
async def test_an_answer_that_is_not_what_it_announced_is_never_made_to_look_whole(pieces: list[bytes]) -> None:
    async def wrong(asked: Asked, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        for piece in pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": pieces[-1]})

    got = await _broken(wrong)
    assert got == b"" or len(got.partition(b"\r\n\r\n")[2]) < 4


@pytest.mark.parametrize("after", ["nothing", "start", "piece"])
@pytest.mark.parametrize("fails", [False, True])
async def test_an_application_that_stops_halfway_has_the_connection_cut(after: str, fails: bool) -> None:
    async def stops(asked: Asked, receive: Receive, send: Send) -> None:
        if after != "nothing":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        if after == "piece":
            await send({"type": "http.response.body", "body": b"abc", "more_body": True})
        if fails:
            raise Expected

    got = await _broken(stops)
    assert not got.endswith(b"0\r\n\r\n")
    if after == "nothing":
        assert got == b""


class Expected(Exception):
    expected = True


async def _broken(application: object) -> bytes:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fiveways.platform.http1.exchange.IncompleteAnswer.expected", True, raising=False)
        async with fronted() as front:
            front.application = application  # type: ignore[assignment]
            return await front.say(GET)


async def test_what_is_sent_after_the_end_is_not_sent(front: Front) -> None:
    async def talkative(asked: Asked, receive: Receive, send: Send) -> None:
        await answer(send, b"x")
        await send({"type": "http.response.body", "body": b"y"})

    front.application = talkative
    async with front.connect() as client:
        assert (await client.ask(GET))[1] == b"x"
        assert (await client.ask(GET))[1] == b"x"


async def test_the_connection_s_own_fields_are_not_the_application_s(front: Front) -> None:
    async def meddling(asked: Asked, receive: Receive, send: Send) -> None:
        fields = [(b"transfer-encoding", b"gzip"), (b"keep-alive", b"timeout=1"), (b"connection", b"x"), (b"date", b"mine")]
        await answer(send, b"", *fields)

    front.application = meddling
    async with front.connect() as client:
        head, _ = await client.ask(GET)
        assert b"\r\ndate: mine\r\n" in head
        assert head.count(b"date:") == 1
        assert all(name not in head for name in (b"transfer-encoding", b"keep-alive", b"connection"))


@pytest.mark.parametrize(
    ("sent", "kept", "said"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True, None),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", False, b"close"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", False, b"close"),
        (b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", False, b"close"),
        (b"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n", True, b"keep-alive"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", False, b"close"),
    ],
)
async def test_the_connection_is_kept_as_the_version_says(front: Front, sent: bytes, kept: bool, said: bytes | None) -> None:
    """RFC 9112 §9.3."""
    async with front.connect() as client:
        head, _ = await client.ask(sent)
        assert (b"\r\nconnection: " + (said or b"") in head) == (said is not None)
        if kept:
            assert (await client.ask(GET))[0].startswith(b"HTTP/1.1 200 OK\r\n")
        else:
            assert await client.rest() == b""


async def test_an_application_may_ask_for_the_end_of_the_connection(front: Front) -> None:
    async def last(asked: Asked, receive: Receive, send: Send) -> None:
        await answer(send, b"", (b"connection", b"close"))

    front.application = last
    got = await front.say(GET + GET)
    assert got.count(b"HTTP/1.1 200") == 1
    assert b"connection: close" in got
    assert len(front.asked) == 1


# --- 100-continue -------------------------------------------------------------------------------------------------------------

EXPECTING = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n"


async def test_who_expects_to_be_told_to_continue_is_told_once_the_body_is_wanted(front: Front) -> None:
    async with front.connect() as client:
        await client.send(EXPECTING)
        assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        got = await client.say(b"abc")
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.endswith(b"\r\n\r\nabc")


async def test_who_has_sent_the_body_already_is_not_told(front: Front) -> None:
    assert (await front.say(EXPECTING + b"abc")).startswith(b"HTTP/1.1 200 ")


async def test_http_1_0_is_never_told_to_continue(front: Front) -> None:
    async with front.connect() as client:
        await client.send(EXPECTING.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await asyncio.sleep(0.05)
        assert (await client.say(b"abc")).startswith(b"HTTP/1.1 200 ")


async def test_a_body_that_is_not_wanted_is_never_asked_for(front: Front) -> None:
    front.application = _too_large
    async with front.connect() as client:
        await client.send(EXPECTING)
        got = await client.rest()
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in got


async def _too_large(asked: Asked, receive: Receive, send: Send) -> None:
    await answer(send, b"too large", status=413)


@pytest.mark.parametrize("framing", [b"Content-Length: 40000000", b"Transfer-Encoding: chunked"])
async def test_who_is_answered_early_gets_the_answer_though_it_is_still_sending(front: Front, framing: bytes) -> None:
    """RFC 9112 §9.6: closing with bytes unread would have the client's system throw the answer away."""
    front.application = _too_large
    async with front.connect() as client:

        async def pour() -> None:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % framing)
            piece = b"10000\r\n" + bytes(0x10000) + b"\r\n" if b"chunked" in framing else bytes(0x10000)
            while True:
                await client.send(piece)

        pouring = asyncio.create_task(pour())
        await asyncio.sleep(0.05)
        got = await client.rest()
        pouring.cancel()
        await asyncio.gather(pouring, return_exceptions=True)
    assert got.startswith(b"HTTP/1.1 413 ")
    assert got.endswith(b"\r\n\r\ntoo large")
    await front.until(lambda: not front.listener.connections)


async def test_who_goes_on_sending_what_nobody_wants_is_cut_off(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiveways.platform.http1.connection.LINGER", 0.1)
    front.application = _too_large
    async with front.connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        assert (await client.rest()).endswith(b"too large")
        await front.until(lambda: not front.listener.connections, 1)
