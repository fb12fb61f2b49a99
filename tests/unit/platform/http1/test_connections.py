"""A connection's life: requests in order, patience, clients that leave, back-pressure, and a stop that drains."""

from __future__ import annotations

import asyncio
import re
import time
import tracemalloc

import pytest
from tests.unit.platform.http1.conftest import Asked, Client, Front, Receive, Send, answer, fronted

pytestmark = pytest.mark.anyio

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MEBI = 2**20


async def named(asked: Asked, receive: Receive, send: Send) -> None:
    """Answer with the path."""
    await asked.read(receive)
    await answer(send, asked.scope["raw_path"])


def numbered(count: int) -> bytes:
    return b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in range(count))


# --- pipelining -----------------------------------------------------------------------------------------------------------------


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(front: Front) -> None:
    under_way = most = 0

    async def slow_at_first(asked: Asked, receive: Receive, send: Send) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02 if asked.scope["raw_path"] == b"/0" else 0)
        under_way -= 1
        await named(asked, receive, send)

    front.application = slow_at_first
    got = await front.say(numbered(20) + CLOSING)
    assert [int(number) for number in re.findall(rb"\r\n\r\n/(\d+)", got)] == list(range(20))
    assert got.endswith(b"/last")
    assert most == 1


async def test_more_than_a_few_pipelined_requests_are_not_even_read(front: Front) -> None:
    """RFC 9112 §9.3.2: what waits is bounded; what is sent all the same is served when its time comes."""
    release = asyncio.Event()

    async def held(asked: Asked, receive: Receive, send: Send) -> None:
        await release.wait()
        await named(asked, receive, send)

    front.application = held
    async with front.connect() as client:
        client.writer.write(numbered(7000) + CLOSING)
        await front.until(lambda: front.asked)
        [connection] = front.listener.connections
        await front.until(lambda: connection._paused)
        await asyncio.sleep(0.1)
        assert len(connection._queue) < 32 + 16 * 1024 // len(GET)
        release.set()
        got = await client.rest()
    assert [int(number) for number in re.findall(rb"\r\n\r\n/(\d+)", got)] == list(range(7000))
    assert got.endswith(b"/last")


async def test_what_follows_good_requests_is_refused_after_they_are_answered(front: Front) -> None:
    async def slow(asked: Asked, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.02)
        await named(asked, receive, send)

    front.application = slow
    got = await front.say(numbered(2) + b"nonsense\r\n\r\n" + GET)
    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"200", b"200", b"400"]
    assert len(front.asked) == 2


async def test_a_broken_body_behind_good_requests_is_refused_in_its_turn(front: Front) -> None:
    broken = b"POST /broken HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxx\r\n"
    got = await front.say(numbered(2) + broken)
    assert re.findall(rb"HTTP/1.1 (\d+)", got) == [b"200", b"200", b"400"]
    assert [asked.scope["raw_path"] for asked in front.asked] == [b"/0", b"/1"]


# --- patience -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"PRI * HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET /"])
async def test_a_head_that_does_not_come_is_given_up(quick_sweeps: None, sent: bytes) -> None:
    async with fronted(head_patience=0.1) as front, front.connect() as client:
        begun = time.monotonic()
        await client.send(sent)
        dripping = asyncio.create_task(_drip(client, b"x" * 200 if sent.startswith(b"GET") else b""))
        assert await client.rest(2) == b""
        assert time.monotonic() - begun < 1
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert not front.asked


async def _drip(client: Client, data: bytes) -> None:
    for at in range(len(data)):
        await client.send(data[at : at + 1])
        await asyncio.sleep(0.02)


async def test_an_idle_connection_is_given_up_and_a_busy_one_is_not(quick_sweeps: None) -> None:
    async def slow(asked: Asked, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)
        await named(asked, receive, send)

    async with fronted(head_patience=0.1, idle_patience=0.1) as front, front.connect() as client:
        front.application = slow
        assert (await client.ask(GET))[1] == b"/"
        assert (await client.ask(GET))[1] == b"/"
        assert await client.rest(2) == b""


# --- clients that leave -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("framing", [b"Content-Length: 10\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])
async def test_a_client_that_leaves_within_its_body_is_told_of(front: Front, how: str, framing: bytes) -> None:
    async with front.connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        await front.until(lambda: front.asked and front.asked[0].body == b"abc")
        if how == "fin":
            client.writer.write_eof()
            assert await client.rest() == b""
        else:
            client.writer.transport.abort()
        await front.until(lambda: front.asked[0].gone)
        await front.until(lambda: not front.listener.connections)
    assert not front.asked[0].whole


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_a_client_that_leaves_within_its_answer_is_told_of(front: Front, how: str) -> None:
    told = asyncio.Event()

    async def streaming(asked: Asked, receive: Receive, send: Send) -> None:
        await asked.read(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        told.set()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    front.application = streaming
    async with front.connect() as client:
        await client.send(GET)
        await client.reader.readuntil(b"begun")
        if how == "fin":
            client.writer.write_eof()
        else:
            client.writer.transport.abort()
        async with asyncio.timeout(2):
            await told.wait()
        await front.until(lambda: not front.listener.connections)


async def test_who_only_says_that_nothing_more_comes_is_still_answered(front: Front) -> None:
    """RFC 9112 §9.6; and the connection ends with the answer, since no request can follow."""

    async def slow(asked: Asked, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.03)
        await named(asked, receive, send)

    front.application = slow
    async with front.connect() as client:
        client.writer.write(numbered(3))
        client.writer.write_eof()
        assert re.findall(rb"\r\n\r\n/(\d)", await client.rest(2)) == [b"0", b"1", b"2"]


async def test_an_answered_request_before_a_broken_off_one_is_still_answered(front: Front) -> None:
    async with front.connect() as client:
        client.writer.write(numbered(1) + b"POST /half HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc")
        client.writer.write_eof()
        assert re.findall(rb"HTTP/1.1 (\d+)", await client.rest(2)) == [b"200"]
    await front.until(lambda: not front.listener.connections)
    assert not any(asked.scope["raw_path"] == b"/half" and asked.whole for asked in front.asked)


async def test_an_answer_to_a_client_that_has_left_goes_nowhere(front: Front) -> None:
    sent = asyncio.Event()

    async def late(asked: Asked, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        for _ in range(20):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(MEBI), "more_body": True})
        sent.set()

    front.application = late
    async with front.connect() as client:
        await client.send(GET)
        await front.until(lambda: front.asked)
        client.writer.transport.abort()
        async with asyncio.timeout(2):
            await sent.wait()


# --- back-pressure ----------------------------------------------------------------------------------------------------------------


async def test_a_large_body_each_way_takes_little_memory(front: Front) -> None:
    """64 MiB up, and the same down, past an application that is slower than its client and a client that is slower than it."""
    size, piece = 64 * MEBI, bytes(MEBI)

    async def streaming(asked: Asked, receive: Receive, send: Send) -> None:
        taken, more = 0, True
        while more:
            message = await receive()
            more, taken = message["more_body"], taken + len(message["body"])
            await asyncio.sleep(0)
        assert taken == size
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        for _ in range(64):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    front.application = streaming
    tracemalloc.start()
    try:
        async with front.connect() as client:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(64):
                await client.send(piece)
            await client.head()
            left = size
            while left:
                left -= len(await client.reader.read(MEBI))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 * MEBI


async def test_a_body_that_is_not_taken_is_not_read(front: Front) -> None:
    release = asyncio.Event()

    async def lazy(asked: Asked, receive: Receive, send: Send) -> None:
        await release.wait()
        await asked.read(receive)
        await answer(send, b"%d" % len(asked.body))

    front.application = lazy
    sent = 0
    async with front.connect() as client:

        async def pour() -> None:
            nonlocal sent
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (32 * MEBI))
            for _ in range(32):
                await client.send(bytes(MEBI))
                sent += 1

        pouring = asyncio.create_task(pour())
        await asyncio.sleep(0.2)
        assert sent < 24
        [connection] = front.listener.connections
        assert connection._current is not None
        assert connection._current._body_size < MEBI
        release.set()
        await client.reader.readuntil(b"\r\n\r\n%d" % (32 * MEBI))
        await pouring


@pytest.mark.parametrize("size", [260_000, 263_000, 280_000, 300_000, 600_000])
async def test_a_body_whose_end_waited_arrives_whole(front: Front, size: int) -> None:
    """Its last bytes are there already, held back, when the application takes the first."""

    async def late(asked: Asked, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await asked.read(receive)
        await answer(send, asked.body)

    front.application, body = late, bytes(range(250)) * (size // 250)
    head = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert (await front.say(head + body)).partition(b"\r\n\r\n")[2] == body


async def test_an_answer_that_is_not_taken_holds_the_application_back(front: Front) -> None:
    given = 0

    async def pouring(asked: Asked, receive: Receive, send: Send) -> None:
        nonlocal given
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(64):
            await send({"type": "http.response.body", "body": bytes(MEBI), "more_body": True})
            given += 1
        await send({"type": "http.response.body", "body": b""})

    front.application = pouring
    async with front.connect() as client:
        await client.send(CLOSING)
        await client.head()
        await asyncio.sleep(0.2)
        assert given < 32
        left = 64 * MEBI
        while piece := await client.reader.read(MEBI):
            left -= len(piece)
    assert given == 64
    assert left < 0


# --- stop -------------------------------------------------------------------------------------------------------------------------


async def test_a_stop_lets_answers_under_way_finish_and_takes_no_more(front: Front) -> None:
    release = asyncio.Event()

    async def held(asked: Asked, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await release.wait()
        await send({"type": "http.response.body", "body": b"ended", "more_body": False})

    front.application = held
    async with front.connect() as busy, front.connect() as idle:
        await busy.send(GET)
        await busy.reader.readuntil(b"begun")
        address = front.address
        stopping = asyncio.create_task(front.listener.stop())
        assert await idle.rest(2) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        assert not stopping.done()
        release.set()
        assert (await busy.rest(2)).endswith(b"ended\r\n0\r\n\r\n")
        await stopping


async def test_an_answer_that_begins_while_stopping_says_that_it_is_the_last(front: Front) -> None:
    release = asyncio.Event()

    async def held(asked: Asked, receive: Receive, send: Send) -> None:
        await release.wait()
        await answer(send, b"last")

    front.application = held
    async with front.connect() as client:
        await client.send(GET)
        await front.until(lambda: front.asked)
        stopping = asyncio.create_task(front.listener.stop())
        await asyncio.sleep(0.01)
        release.set()
        got = await client.rest(2)
        await stopping
    assert b"\r\nconnection: close\r\n" in got
    assert got.endswith(b"last")


async def test_a_stop_does_not_wait_for_ever(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiveways.platform.http1.listener.DRAIN_PATIENCE", 0.1)
    release = asyncio.Event()

    async def stuck(asked: Asked, receive: Receive, send: Send) -> None:
        await release.wait()

    front.application = stuck
    async with front.connect() as client:
        await client.send(GET)
        await front.until(lambda: front.asked)
        async with asyncio.timeout(1):
            await front.listener.stop()
        assert await client.rest(1) == b""
        release.set()
        await front.until(lambda: not front.listener.tasks)
