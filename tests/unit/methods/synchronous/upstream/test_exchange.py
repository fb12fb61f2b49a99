"""One request, one answer, over real sockets: framing, refusals, and which connection is used again."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from fiveways.errors import MalformedRequest, PayloadTooLarge, ProviderFaulty
from fiveways.methods.synchronous.upstream import (
    UpstreamAnswer,
    UpstreamFaulty,
    UpstreamRequest,
    UpstreamUnreachable,
)

if TYPE_CHECKING:
    from tests.unit.methods.synchronous.upstream.conftest import Network

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(target: bytes = b"/", method: bytes = b"GET") -> UpstreamRequest:
    return UpstreamRequest(method, target, [(b"accept", b"*/*")])


async def whole(answer: UpstreamAnswer) -> bytes:
    if isinstance(answer.body, bytes):
        return answer.body
    return b"".join([piece async for piece in answer.body])


async def test_a_small_answer_is_bytes_and_its_connection_is_used_again(network: Network) -> None:
    backend = await network.answering(OK)
    upstream = network.upstream(backend)
    for _ in range(3):
        answer = await upstream.send(get(b"/Patient/1?_format=json"))
        assert (answer.status, answer.headers, answer.body) == (200, [(b"content-length", b"2")], b"ok")
    assert backend.connections == 1
    assert backend.heads[0] == (b"GET /Patient/1?_format=json HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept: */*\r\n\r\n" % backend.port)


@pytest.mark.parametrize(
    ("answer", "body", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\nX: trailer\r\n\r\n", b"ok!", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, b"ok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok", b"ok", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", True),
        (OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"ok", False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", b"", False),
    ],
)
async def test_answers_end_where_they_say(network: Network, answer: bytes, body: bytes, kept: bool) -> None:
    backend = await network.answering(answer)
    upstream = network.upstream(backend)
    for _ in range(2):
        assert await whole(await upstream.send(get())) == body
    assert backend.connections == (1 if kept else 2)


async def test_an_answer_to_head_ends_with_its_head(network: Network) -> None:
    backend = await network.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    upstream = network.upstream(backend)
    for _ in range(2):
        answer = await upstream.send(get(method=b"HEAD"))
        assert (answer.headers, answer.body) == ([(b"content-length", b"9")], b"")
    assert backend.connections == 1


async def test_a_body_without_length_ends_with_the_connection(network: Network) -> None:
    backend = await network.answering(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", then_close=True)
    upstream = network.upstream(backend)
    for _ in range(2):
        assert await whole(await upstream.send(get())) == b"until the end"
    assert backend.connections == 2


@pytest.mark.parametrize(
    ("bytes_sent", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\nContent-Length: 0\r\n\r\n", "header field"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "both"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", "more than one"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk size"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "101"),
        (b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 0\r\n\r\n", "header field"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\nHTTP/1.1 200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3000 + b"\r\n\r\n", "too large"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3000, "too large"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 30 + b"\r\n", "too many"),
    ],
)
async def test_what_is_not_http_is_the_providers_fault(network: Network, bytes_sent: bytes, why: str) -> None:
    backend = await network.answering(bytes_sent)
    upstream = network.upstream(backend, limits={"header_bytes": "2KiB", "header_count": 20})
    with pytest.raises(UpstreamFaulty, match=why) as caught:
        await upstream.send(get())
    assert isinstance(caught.value, ProviderFaulty)
    assert (caught.value.reached, caught.value.phase, caught.value.status) == (True, "first_byte", 502)


async def test_bytes_nobody_asked_for_end_an_idle_connection(network: Network) -> None:
    forged = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(OK)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        forged.set()
        await backend.read_head(reader)

    backend = await network.serve(handler)
    upstream = network.upstream(backend)
    await upstream.send(get())
    await forged.wait()
    await asyncio.sleep(0.05)
    assert (await upstream.send(get())).body == b"ok"
    assert backend.connections == 2


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
    ],
)
async def test_a_truncated_body_is_handed_over_and_then_faulted(network: Network, cut: bytes) -> None:
    backend = await network.answering(cut, then_close=True)
    answer = await network.upstream(backend).send(get())
    assert not isinstance(answer.body, bytes)
    assert await anext(answer.body) == b"half"
    with pytest.raises(UpstreamFaulty, match="broke its answer off") as caught:
        await anext(answer.body)
    assert (caught.value.phase, caught.value.reached) == ("body", True)


async def test_a_bad_chunk_later_on_is_faulted_in_the_body(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await asyncio.sleep(0.05)
        writer.write(b"-1\r\n")
        await reader.read()

    backend = await network.serve(handler)
    answer = await network.upstream(backend).send(get())
    with pytest.raises(UpstreamFaulty, match="chunk size"):
        await whole(answer)


async def test_a_body_that_resets_is_faulted(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await asyncio.sleep(0.05)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    backend = await network.serve(handler)
    with pytest.raises(UpstreamFaulty, match="broke"):
        await whole(await network.upstream(backend).send(get()))


async def test_a_back_end_that_closes_before_answering_is_asked_once(network: Network) -> None:
    backend = await network.answering(b"", then_close=True)
    with pytest.raises(UpstreamFaulty, match="before answering") as caught:
        await network.upstream(backend).send(get())
    assert caught.value.reached
    assert backend.connections == 1


async def test_nobody_listening_means_not_reached(network: Network) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        upstream = network.upstream(url=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.send(get())
    assert (caught.value.reached, caught.value.phase, caught.value.status) == (False, "connect", 502)


async def test_an_unknown_host_means_not_reached(network: Network) -> None:
    with pytest.raises(UpstreamUnreachable):
        await network.upstream(url="http://nobody.invalid", timeout={"connect": "5s"}).send(get())


async def test_nothing_is_written_of_a_request_that_could_be_two(network: Network) -> None:
    backend = await network.answering(OK)
    upstream = network.upstream(backend)
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        await upstream.send(UpstreamRequest(b"GET", b"/", [(b"x", b"y\r\n\r\nGET /admin HTTP/1.1")]))
    assert backend.connections == 0


# --- request bodies ---------------------------------------------------------------------------------------------------------


async def pieces(*parts: bytes | Exception) -> AsyncIterator[bytes]:
    for part in parts:
        if isinstance(part, Exception):
            raise part
        yield part
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("body", "length", "sent"),
    [
        (b"whole", None, b"content-length: 5\r\n\r\nwhole"),
        ((b"in ", b"", b"parts"), 8, b"content-length: 8\r\n\r\nin parts"),
        ((b"in ", b"", b"parts"), None, b"transfer-encoding: chunked\r\n\r\n3\r\nin \r\n5\r\nparts\r\n0\r\n\r\n"),
        ((), 0, b"content-length: 0\r\n\r\n"),
        ((), None, b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ],
)
async def test_bodies_arrive_framed(network: Network, body: bytes | tuple[bytes, ...], length: int | None, sent: bytes) -> None:
    received = bytearray()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not received.endswith(sent):
            data = await reader.read(65536)
            if not data:
                return
            received.extend(data)
        writer.write(OK)
        await reader.read()

    upstream = network.upstream(await network.serve(handler))
    stream = body if isinstance(body, bytes) else pieces(*body)
    answer = await upstream.send(UpstreamRequest(b"POST", b"/", [], stream, length))
    assert answer.body == b"ok"
    assert received.startswith(b"POST / HTTP/1.1\r\nhost: ")
    assert received.endswith(sent)


@pytest.mark.parametrize(
    ("parts", "fault"),
    [
        ((b"1234", b"56"), MalformedRequest),
        ((b"1234",), MalformedRequest),
        ((b"12", PayloadTooLarge()), PayloadTooLarge),
        ((RuntimeError("a defect"),), RuntimeError),
    ],
)
async def test_a_request_body_that_goes_wrong_breaks_the_exchange_off(
    network: Network, parts: tuple[bytes | Exception, ...], fault: type[Exception]
) -> None:
    received = bytearray()
    ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                received.extend(data)
        finally:
            ended.set()

    upstream = network.upstream(await network.serve(handler))
    with pytest.raises(fault):
        await upstream.send(UpstreamRequest(b"POST", b"/", [], pieces(*parts), 5))
    await asyncio.wait_for(ended.wait(), 2)
    assert b"123456" not in received, "what is beyond the declared length is never written"


async def test_an_early_answer_stops_the_request_and_is_delivered(network: Network) -> None:
    endless_ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        await reader.readexactly(100_000)
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo much")
        await writer.drain()
        await asyncio.sleep(5)

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            endless_ended.set()

    backend = await network.serve(handler)
    upstream = network.upstream(backend)
    answer = await asyncio.wait_for(upstream.send(UpstreamRequest(b"POST", b"/", [], endless())), 3)
    assert (answer.status, await whole(answer)) == (413, b"too much")
    await asyncio.wait_for(endless_ended.wait(), 1)
    again = asyncio.create_task(upstream.send(get()))
    await asyncio.sleep(0.1)
    assert backend.connections == 2, "the connection was not used again"
    again.cancel()
    with pytest.raises(asyncio.CancelledError):
        await again


async def test_an_early_answer_comes_while_the_consumer_is_silent(network: Network) -> None:
    backend = await network.answering(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")

    async def silent() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    upstream = network.upstream(backend)
    answer = await asyncio.wait_for(upstream.send(UpstreamRequest(b"POST", b"/", [], silent())), 2)
    assert (answer.status, answer.body) == (401, b"no")


async def test_a_successful_answer_may_begin_while_the_request_goes_on(network: Network) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\n")
        for _ in range(3):
            writer.write(await reader.readexactly(100))
        await backend.read_head(reader)
        writer.write(OK)

    async def slowly() -> AsyncIterator[bytes]:
        for letter in (b"a", b"b", b"c"):
            yield letter * 100
            await asyncio.sleep(0.02)

    backend = await network.serve(echo)
    upstream = network.upstream(backend)
    answer = await upstream.send(UpstreamRequest(b"POST", b"/", [], slowly(), 300))
    assert await whole(answer) == b"a" * 100 + b"b" * 100 + b"c" * 100
