"""Every wait has a bound, and each bound says where the exchange was."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from fiveways.methods.synchronous.upstream import UpstreamFault, UpstreamRequest, UpstreamTimeout

if TYPE_CHECKING:
    from tests.unit.methods.synchronous.upstream.conftest import Network

pytestmark = pytest.mark.anyio

GET = UpstreamRequest(b"GET", b"/", [])
STREAM = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


async def test_an_answer_that_does_not_come(network: Network) -> None:
    backend = await network.answering(b"")
    upstream = network.upstream(backend, timeout={"first_byte": "150ms"})
    started = time.monotonic()
    with pytest.raises(UpstreamTimeout) as caught:
        await upstream.send(GET)
    assert 0.14 <= time.monotonic() - started < 0.5
    assert (caught.value.phase, caught.value.reached, caught.value.status) == ("first_byte", True, 504)


async def test_a_head_that_drips_is_not_progress(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)

    backend = await network.serve(handler)
    with pytest.raises(UpstreamTimeout) as caught:
        await network.upstream(backend, timeout={"first_byte": "150ms"}).send(GET)
    assert caught.value.phase == "first_byte"


async def test_a_body_that_stops(network: Network) -> None:
    backend = await network.answering(STREAM + b"x")
    answer = await network.upstream(backend, timeout={"progress": "150ms"}).send(GET)
    assert not isinstance(answer.body, bytes)
    assert await anext(answer.body) == b"x"
    with pytest.raises(UpstreamTimeout) as caught:
        await anext(answer.body)
    assert caught.value.phase == "body"


async def test_a_body_that_drips_is_progress_until_the_total(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(STREAM)
        for _ in range(99):
            writer.write(b"x")
            await asyncio.sleep(0.02)

    backend = await network.serve(handler)
    answer = await network.upstream(backend, timeout={"progress": "150ms", "total": "500ms"}).send(GET)
    assert not isinstance(answer.body, bytes)
    received = 0
    fault: UpstreamFault | None = None
    started = time.monotonic()
    try:
        async for piece in answer.body:
            received += len(piece)
    except UpstreamTimeout as caught:
        fault = caught
    assert fault is not None
    assert fault.phase == "total"
    assert time.monotonic() - started > 0.4
    assert received > 5


async def test_a_slow_reader_is_not_the_providers_fault(network: Network) -> None:
    size = 8 * 1024 * 1024

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        writer.write(b"x" * size)
        await writer.drain()
        await reader.read()

    backend = await network.serve(handler)
    answer = await network.upstream(backend, timeout={"progress": "100ms"}).send(GET)
    assert not isinstance(answer.body, bytes)
    received = len(await anext(answer.body))
    await asyncio.sleep(0.4)
    async for piece in answer.body:
        received += len(piece)
    assert received == size


async def test_a_back_end_that_stops_taking_the_request(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        await asyncio.sleep(5)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    backend = await network.serve(handler)
    upstream = network.upstream(backend, timeout={"progress": "200ms", "first_byte": "100ms"})
    with pytest.raises(UpstreamTimeout) as caught:
        await upstream.send(UpstreamRequest(b"POST", b"/", [], endless()))
    assert caught.value.phase == "request"


async def test_a_slow_consumer_has_until_the_total(network: Network) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(0.4)
        yield b"y"

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        await reader.readexactly(2)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()

    backend = await network.serve(handler)
    bounds = {"progress": "100ms", "first_byte": "100ms"}
    answer = await network.upstream(backend, timeout=bounds).send(UpstreamRequest(b"POST", b"/", [], slow(), 2))
    assert answer.status == 204
    with pytest.raises(UpstreamTimeout) as caught:
        await network.upstream(backend, timeout=bounds | {"total": "200ms"}).send(UpstreamRequest(b"POST", b"/", [], slow(), 2))
    assert caught.value.phase == "total"


async def test_connecting_is_bounded(network: Network) -> None:
    """TLS against a server that accepts and says nothing."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    backend = await network.serve(mute)
    upstream = network.upstream(url=f"https://127.0.0.1:{backend.port}", timeout={"connect": "150ms"})
    with pytest.raises(UpstreamTimeout) as caught:
        await upstream.send(GET)
    assert (caught.value.phase, caught.value.reached) == ("tls", False)


async def test_an_exchange_after_a_long_rest_has_all_its_time(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await backend.read_head(reader)
            await asyncio.sleep(0.1)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    backend = await network.serve(handler)
    upstream = network.upstream(backend, timeout={"first_byte": "200ms", "total": "250ms"})
    for _ in range(4):
        assert (await upstream.send(GET)).status == 204
        await asyncio.sleep(0.15)
    assert backend.connections == 1
