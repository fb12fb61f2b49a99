"""Bodies of any size pass in constant memory, and stop when either side does."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fiveways.methods.synchronous.upstream import UpstreamRequest

if TYPE_CHECKING:
    from tests.unit.methods.synchronous.upstream.conftest import Backend, Network

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024
STATM = Path("/proc/self/statm")
GET = UpstreamRequest(b"GET", b"/", [])

# The other side runs in a process of its own, so that the memory measured here is the upstream's.
_SOURCE_AND_SINK = """
import asyncio, sys
block = b"x" * 65536
async def serve(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    if head.startswith(b"GET"):
        size = int(head.split(b" ")[1][1:])
        chunked = size % 2
        writer.write(b"HTTP/1.1 200 OK\\r\\n" + (b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size))
        writer.write(b"\\r\\n\\r\\n")
        for _ in range(size // len(block)):
            writer.write(b"10000\\r\\n" + block + b"\\r\\n" if chunked else block)
            await writer.drain()
        if chunked:
            writer.write(b"1\\r\\nx\\r\\n0\\r\\n\\r\\n")
    else:
        left = int(head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0])
        total = left
        while left:
            left -= len(await reader.read(min(left, 262144)))
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%d" % (len(str(total)), total))
    await writer.drain()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
asyncio.run(main())
"""


@pytest.fixture
async def far_side() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _SOURCE_AND_SINK, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    yield int(await process.stdout.readline())
    process.kill()
    await process.wait()


class Memory:
    """How much this process has grown at most, in bytes, since it was made."""

    def __init__(self) -> None:
        self._before = _resident()
        self.growth = 0

    def look(self) -> None:
        self.growth = max(self.growth, _resident() - self._before)


def _resident() -> int:
    if not STATM.exists():
        pytest.skip("memory is measured by /proc, which Linux has")
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def _download(network: Network, port: int, size: int) -> None:
    upstream = network.upstream(url=f"http://127.0.0.1:{port}", timeout={"total": "20m"})
    answer = await upstream.send(UpstreamRequest(b"GET", b"/%d" % size, []))
    assert not isinstance(answer.body, bytes)
    memory = Memory()
    received = looks = 0
    async for piece in answer.body:
        received += len(piece)
        if received >> 24 > looks:
            looks = received >> 24
            memory.look()
            if looks == 1:
                await asyncio.sleep(0.4)  # a reader slower than the network: all of it could have come meanwhile
    assert received == size
    assert memory.growth < 16 * MIB


async def _upload(network: Network, port: int, size: int) -> None:
    memory = Memory()

    async def body() -> AsyncIterator[bytes]:
        for number in range(size // 65536):
            if number % 256 == 0:
                memory.look()
            yield bytes([number % 256]) * 65536  # memory of its own

    upstream = network.upstream(url=f"http://127.0.0.1:{port}", timeout={"total": "20m"})
    answer = await upstream.send(UpstreamRequest(b"POST", b"/", [], body(), size))
    assert answer.body == b"%d" % size
    assert memory.growth < 16 * MIB


@pytest.mark.parametrize("size", [256 * MIB, 256 * MIB + 1], ids=["length", "chunked"])
async def test_256_mib_come_in_flat_memory(network: Network, far_side: int, size: int) -> None:
    await _download(network, far_side, size)


async def test_256_mib_go_in_flat_memory(network: Network, far_side: int) -> None:
    await _upload(network, far_side, 256 * MIB)


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_2_gib_each_way_in_flat_memory(network: Network, far_side: int) -> None:
    await _download(network, far_side, 2048 * MIB)
    await _upload(network, far_side, 2048 * MIB)


async def _until_closed(network: Network, opening: bytes) -> tuple[Backend, asyncio.Event]:
    """A back end that opens its answer so, goes on sending, and notices when nobody listens any more."""
    closed = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(opening)
        try:
            with suppress(OSError):
                while await asyncio.wait_for(reader.read(65536), 5):
                    pass
        finally:
            closed.set()

    backend = await network.serve(handler)
    return backend, closed


async def test_cancelling_a_request_drops_its_connection(network: Network) -> None:
    backend, closed = await _until_closed(network, b"")
    sending = asyncio.create_task(network.upstream(backend).send(GET))
    while not backend.heads:
        await asyncio.sleep(0.01)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await asyncio.wait_for(closed.wait(), 0.5)


async def test_cancelling_a_request_stops_its_body(network: Network) -> None:
    stopped = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.sleep(60)
        finally:
            stopped.set()

    backend, closed = await _until_closed(network, b"")
    sending = asyncio.create_task(network.upstream(backend).send(UpstreamRequest(b"POST", b"/", [], body())))
    while not backend.heads:
        await asyncio.sleep(0.01)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    await asyncio.wait_for(closed.wait(), 0.5)
    await asyncio.wait_for(stopped.wait(), 0.5)


async def test_closing_a_body_early_drops_its_connection(network: Network) -> None:
    backend, closed = await _until_closed(network, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    answer = await network.upstream(backend).send(GET)
    assert not isinstance(answer.body, bytes)
    await answer.body.aclose()
    await asyncio.wait_for(closed.wait(), 0.5)
    assert [piece async for piece in answer.body] == []


async def test_cancelling_a_reader_drops_its_connection(network: Network) -> None:
    backend, closed = await _until_closed(network, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
    answer = await network.upstream(backend).send(GET)
    body = answer.body
    assert not isinstance(body, bytes)
    await anext(body)

    async def read() -> bytes:
        return await anext(body)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.02)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.wait_for(closed.wait(), 0.5)


async def test_a_body_read_to_its_end_leaves_the_connection_for_others(network: Network) -> None:
    size = 3 * MIB

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await backend.read_head(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            writer.write(b"x" * size)
            await writer.drain()

    backend = await network.serve(handler)
    upstream = network.upstream(backend)
    for _ in range(4):
        answer = await upstream.send(GET)
        assert not isinstance(answer.body, bytes)
        received = 0
        async for piece in answer.body:
            received += len(piece)
            await asyncio.sleep(0.001)
        assert received == size
        await answer.body.aclose()
    assert backend.connections == 1
