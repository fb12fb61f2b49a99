"""A node is killed while many publish in a conversation: every message that was acknowledged is in the history afterwards, all are
in one order, and what is sent again under its id is there once. On SQLite, where the node comes back; and on PostgreSQL, where
another one goes on meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from centrifuge import CentrifugeError  # type: ignore[import-untyped]
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.conftest import Estate
from tests.acceptance.realtime.test_nodes import BOTH, Member, asked, joined, running, way
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

pytestmark = pytest.mark.anyio
_LOST = (CentrifugeError, TimeoutError, OSError)
"""No answer; nobody knows whether it was written."""


@pytest.fixture
def anyio_backend() -> str:
    """The clients are of asyncio."""
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgresql"])
def nodes(request: pytest.FixtureRequest, serve: Serve) -> Iterator[list[Estate]]:
    """One node on SQLite, or two on PostgreSQL, which have no bus."""
    if request.param == "sqlite":
        with running(serve, ["one"], "") as estates:
            yield estates
    else:
        with running(serve, ["one", "two"], f'url: "{request.getfixturevalue("postgres")()}"') as estates:
            yield estates


@dataclass
class Account:
    """What publishers sent, and what they were told of it."""

    sent: set[str] = field(default_factory=set)
    numbers: dict[str, int] = field(default_factory=dict)
    """The number of each message that was acknowledged."""
    unanswered: int = 0
    again: int = 0
    """How many were sent once more, and had been written."""

    async def say(self, member: Member, channel: str, id_: str) -> bool:
        """Send a message; whether it was acknowledged."""
        self.sent.add(id_)
        asked = {"channel": channel, "id": id_, "data": {"said": id_}}
        try:
            answer = (await member.client.rpc("message.send", asked)).data
        except _LOST:
            self.unanswered += 1
            return False
        assert self.numbers.setdefault(id_, answer["offset"]) == answer["offset"], "one message has one number"
        self.again += answer["again"]
        return True


class Publishers:
    """Clients that publish as fast as they are answered, several messages at once."""

    def __init__(self, members: list[Member], channel: str) -> None:
        self.account = Account()
        self.members, self._channel = members, channel
        self._over = False
        self._tasks = [
            asyncio.create_task(self._publish(member, f"{number}-{lane}"))
            for number, member in enumerate(members)
            for lane in range(4)
        ]

    async def acknowledged(self, more: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.account.numbers) + more
        async with asyncio.timeout(30):
            while len(self.account.numbers) < wanted:
                await asyncio.sleep(0.005)
                for task in self._tasks:
                    assert not task.done() or task.result() is None

    async def end(self) -> Account:
        """Publish no more; then send again what was not answered, and of what was acknowledged what came before and after crashes,
        as clients do that have lost their memory of that."""
        self._over = True
        await asyncio.gather(*self._tasks)
        account = self.account
        known = sorted(account.numbers, key=lambda id_: account.numbers[id_])
        known = known[:: len(known) // 100 + 1] + known[-20:]
        account.again = 0
        repeated = [*(account.sent - account.numbers.keys()), *known]
        assert all(
            await asyncio.gather(*(account.say(self.members[int(id_.split("-")[0])], self._channel, id_) for id_ in repeated))
        )
        assert account.again >= len(known), "what was acknowledged had been written"
        return account

    async def _publish(self, member: Member, lane: str) -> None:
        for number in itertools.count():
            while not await self.account.say(member, self._channel, f"{lane}-{number}"):
                if self._over:
                    return
                await asyncio.sleep(0.02)  # and then it is sent again, under its id
            if self._over:
                return
            await asyncio.sleep(0.01)


async def history(node: Estate, channel: str) -> list[dict[str, Any]]:
    """All that was said."""
    page = await asked(node, f"{channel}/messages?limit=1000")
    found: list[dict[str, Any]] = page["messages"]
    while found[-1]["offset"] < page["offset"]:
        page = await asked(node, f"{channel}/messages?limit=1000&since={page['epoch']}:{found[-1]['offset']}")
        found += page["messages"]
    return found


def adds_up(found: list[dict[str, Any]], account: Account, readers: list[Member]) -> None:
    """Whether the history is what publishers were told, and what readers were."""
    assert [each["offset"] for each in found] == list(range(1, len(found) + 1))
    said = {each["data"]["said"]: each["offset"] for each in found if isinstance(each["data"], dict) and "said" in each["data"]}
    assert said == account.numbers
    assert set(said) == account.sent
    assert sum("said" in (each["data"] or {}) for each in found) == len(said), "each once"
    for reader in readers:
        first = reader.heard.all("subscribed")[0].stream_position.offset
        assert reader.numbers == list(range(first + 1, len(found) + 1))


@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
async def test_nothing_that_was_acknowledged_is_lost_and_nothing_is_there_twice(nodes: list[Estate], rounds: int) -> None:
    channel = f"talk:crash-{rounds}"
    nodes[0].begin(channel, *BOTH)
    async with way(*nodes) as one, way(*reversed(nodes)) as other:
        members = [await joined(nodes[0], channel, who, port) for who in ("ward", "second") for port in (one, other)]
        publishers = Publishers(members, channel)
        for turn in range(rounds):
            await publishers.acknowledged(150)
            node = nodes[turn % len(nodes)]
            node.served.stop(signal.SIGKILL)
            if len(nodes) > 1:
                await publishers.acknowledged(50)
            await asyncio.to_thread(node.served.start)
        await publishers.acknowledged(50)
        account = await publishers.end()
        assert account.unanswered, "nobody noticed that nodes were killed"
        found = await history(nodes[-1], channel)
        for member in members:
            async with asyncio.timeout(20):
                while not member.numbers or member.numbers[-1] < len(found):
                    await asyncio.sleep(0.02)
        adds_up(found, account, members)
        await asyncio.gather(*(member.client.disconnect() for member in members))


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_node_that_dies_around_the_commit_of_a_message_has_it_once(serve: Serve, when: str) -> None:
    """After the commit it is written though nobody was told so; before it, it is not. Sent again, it is there in either case."""
    with running(serve, ["one"], "", {"CRASH_AT": f"realtime_messages say {when}"}) as (node,):
        node.begin("talk:commit", *BOTH)
        account, member = Account(), await joined(node, "talk:commit")
        assert not await account.say(member, "talk:commit", "m")
        assert await asyncio.to_thread(node.served.process.wait, 10) == -signal.SIGKILL
        del node.served.environment["CRASH_AT"]
        await asyncio.to_thread(node.served.start)
        assert await account.say(member, "talk:commit", "m")
        assert account.again == (when == "after")
        assert await account.say(member, "talk:commit", "m")
        found = await history(node, "talk:commit")
        adds_up(found, account, [])
        async with asyncio.timeout(10):
            while member.numbers != [len(found)]:
                await asyncio.sleep(0.02)
        await member.client.disconnect()
