"""Which connection a request gets, how long it waits for one, and when it may be sent a second time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from fiveways.methods.synchronous.upstream import UpstreamBusy, UpstreamFaulty, UpstreamRequest

if TYPE_CHECKING:
    from tests.unit.methods.synchronous.upstream.conftest import Backend, Network

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def request(method: bytes = b"GET", body: AsyncIterator[bytes] | bytes | None = None) -> UpstreamRequest:
    return UpstreamRequest(method, b"/", [], body, len(body) if isinstance(body, bytes) else None)


async def closing_when_asked_again(network: Network) -> Backend:
    """A back end whose first connection answers once, and closes when the second request arrives on it."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = backend.connections == 1
        await backend.read_head(reader)
        writer.write(OK)
        await backend.read_head(reader)
        if not first:
            writer.write(OK)
            await backend.read_head(reader)

    backend = await network.serve(handler)
    return backend


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"])
async def test_a_stale_connection_is_replaced_once_for_an_idempotent_request(network: Network, method: bytes) -> None:
    """RFC 9112 §9.3.1, RFC 9110 §9.2.2."""
    backend = await closing_when_asked_again(network)
    upstream = network.upstream(backend)
    await upstream.send(request())
    answer = await upstream.send(request(method))
    assert answer.status == 200
    assert backend.connections == 2


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"FROB"])
async def test_what_is_not_idempotent_is_never_sent_twice(network: Network, method: bytes) -> None:
    """RFC 9110 §9.2.2."""
    backend = await closing_when_asked_again(network)
    upstream = network.upstream(backend)
    await upstream.send(request())
    with pytest.raises(UpstreamFaulty, match="before answering") as caught:
        await upstream.send(request(method))
    assert caught.value.reached
    assert backend.connections == 1
    assert len(backend.heads) == 2


async def test_a_streamed_body_is_never_sent_twice(network: Network) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"once"

    backend = await closing_when_asked_again(network)
    upstream = network.upstream(backend)
    await upstream.send(request())
    with pytest.raises(UpstreamFaulty):
        await upstream.send(request(b"PUT", body()))
    assert backend.connections == 1


async def test_a_second_failure_is_not_repeated(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        if backend.connections == 1:
            writer.write(OK)
            await backend.read_head(reader)

    backend = await network.serve(handler)
    upstream = network.upstream(backend)
    await upstream.send(request())
    with pytest.raises(UpstreamFaulty):
        await upstream.send(request())
    assert backend.connections == 2


async def test_half_an_answer_is_not_repeated(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(OK)
        await backend.read_head(reader)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await writer.drain()

    backend = await network.serve(handler)
    upstream = network.upstream(backend)
    await upstream.send(request())
    with pytest.raises(UpstreamFaulty):
        await upstream.send(request())
    assert backend.connections == 1


async def test_a_close_the_event_loop_has_not_been_told_of_is_seen(network: Network) -> None:
    """A request that cannot be repeated goes elsewhere (RFC 9112 §9.3.1)."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        upstream = network.upstream(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        first = asyncio.create_task(upstream.send(request()))
        server_side, _ = await asyncio.to_thread(listener.accept)
        server_side.sendall(OK)
        assert (await first).status == 200
        server_side.close()  # from here to the next send the event loop does not run
        second = asyncio.create_task(upstream.send(request(b"POST", b"x")))
        other, _ = await asyncio.to_thread(listener.accept)
        with other:
            other.sendall(OK)
            assert (await second).status == 200


async def test_the_connection_used_last_is_used_first(network: Network) -> None:
    ports: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await backend.read_head(reader)
            ports.append(writer.get_extra_info("peername")[1])
            await asyncio.sleep(0.02)
            writer.write(OK)

    backend = await network.serve(handler)
    upstream = network.upstream(backend)
    await asyncio.gather(*(upstream.send(request()) for _ in range(3)))
    for _ in range(3):
        await upstream.send(request())
    assert len(set(ports[3:])) == 1


@pytest.mark.parametrize("most", [1, 3])
async def test_no_more_connections_than_declared_and_first_come_first_served(network: Network, most: int) -> None:
    order: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await backend.read_head(reader)
            await asyncio.sleep(0.01)
            writer.write(OK)

    async def one(number: int) -> None:
        await upstream.send(request())
        order.append(number)

    backend = await network.serve(handler)
    upstream = network.upstream(backend, connections=most)
    await asyncio.gather(*(one(number) for number in range(10)))
    assert backend.connections == most
    assert all(abs(number - place) < most for place, number in enumerate(order))


async def test_waiting_for_a_connection_is_bounded(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        await asyncio.sleep(0.3)
        writer.write(OK)
        await reader.read()

    backend = await network.serve(handler)
    upstream = network.upstream(backend, connections=1, timeout={"connect": "100ms"})
    first = asyncio.create_task(upstream.send(request()))
    await asyncio.sleep(0.02)
    with pytest.raises(UpstreamBusy) as caught:
        await upstream.send(request())
    assert (caught.value.status, caught.value.reached, caught.value.phase) == (503, False, "pool")
    assert (await first).status == 200


async def test_who_gives_up_waiting_costs_nobody_a_connection(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await backend.read_head(reader)
            await asyncio.sleep(0.02)
            writer.write(OK)

    backend = await network.serve(handler)
    upstream = network.upstream(backend, connections=1)
    for delay in (0.0, 0.01, 0.02, 0.021, 0.022, 0.03):
        first = asyncio.create_task(upstream.send(request()))
        await asyncio.sleep(0)
        second = asyncio.create_task(upstream.send(request()))
        await asyncio.sleep(delay)
        second.cancel()
        await asyncio.wait([first, second])
        assert (await first).status == 200
    assert (await asyncio.wait_for(upstream.send(request()), 1)).status == 200


async def test_a_place_is_free_again_when_connecting_fails(network: Network) -> None:
    backend = await network.answering(OK)
    upstream = network.upstream(backend, connections=1)
    await backend.stop()
    for _ in range(3):
        with pytest.raises(Exception, match="connected"):
            await upstream.send(request())


async def test_an_idle_connection_is_closed_in_time(network: Network) -> None:
    ended = asyncio.Event()

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        writer.write(OK)
        assert await reader.read() == b""
        ended.set()

    backend = await network.serve(handler)
    await network.upstream(backend, idle="150ms").send(request())
    await asyncio.sleep(0.1)
    assert not ended.is_set()
    await asyncio.wait_for(ended.wait(), 1)


async def test_closing_waits_for_exchanges_and_turns_new_ones_away(network: Network) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await backend.read_head(reader)
        await asyncio.sleep(0.1)
        writer.write(OK)
        await reader.read()

    backend = await network.serve(handler)
    upstream = network.upstream(backend, connections=1)
    first = asyncio.create_task(upstream.send(request()))
    await asyncio.sleep(0.02)
    waiting = asyncio.create_task(upstream.send(request()))
    await asyncio.sleep(0)
    closing = asyncio.create_task(upstream.close())
    await asyncio.sleep(0.02)
    with pytest.raises(UpstreamBusy, match="being closed"):
        await upstream.send(request())
    with pytest.raises(UpstreamBusy, match="being closed"):
        await waiting
    assert not closing.done()
    assert (await first).body == b"ok"
    await asyncio.wait_for(closing, 1)
