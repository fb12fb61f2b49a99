"""Channels over each store: numbers without a gap, each message once, and readers who catch up with all they have missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fiveways.clock import ManualClock
from fiveways.delivery.engine import Deliveries
from fiveways.errors import Conflict, InvalidValue
from fiveways.ledger.audit import AuditLog
from fiveways.methods.realtime.hub import Hub, Taken
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.service import Channel, Channels, Draft, Position
from fiveways.methods.realtime.settings import ChannelSettings
from fiveways.methods.realtime.streams import Streams
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio
ANYONE = {"join": [{"anyone": True}], "publish": [{"anyone": True}]}


def channel(name: str = "talk:1", **said: Any) -> Channel:
    """A channel."""
    settings = {"name": "talk:{n}", "kind": "broadcast", "delivery": "durable", **ANYONE, **said}
    return Channel(name, "talk", ChannelSettings.model_validate(settings))


class DeafBus(LocalBus):
    """A bus that tells nobody anything."""

    def deliver(self, topic: str, data: bytes) -> None:
        """Nothing."""


class Node:
    """A process: its own fan-out over a store that others share."""

    def __init__(self, group: GroupWriter, audit: AuditLog, payloads: Path, bus: LocalBus) -> None:
        self.hub = Hub()
        self.streams = Streams(self.hub)
        deliveries = Deliveries(group, open_payloads(f"file://{payloads}"), bus, ManualClock(), "north")
        self.channels = self.streams.channels = Channels(deliveries, audit, self.streams.written)
        self.hearing = ExitStack()
        self.hearing.enter_context(self.streams.hearing(bus))


def form(message: Message) -> bytes:
    """A message as a line: its number, and what it says."""
    return b"%d %b\n" % (message.number, message.data)


class Reader:
    """Somebody who reads a channel, and goes on where they were."""

    form = staticmethod(form)

    def __init__(self, node: Node, channel: Channel) -> None:
        self.node, self.channel = node, channel
        self.got: list[str] = []
        self.position: Position | None = None
        self.lost = False

    def take(self, channel: str, data: bytes, merged: bool) -> None:
        """Note it."""
        for line in data.decode().splitlines():
            self._note(line)

    def take_all(self, several: Sequence[Taken]) -> None:
        """Of several channels."""
        for each in several:
            self.take(*each)

    def _note(self, line: str) -> None:
        self.got.append(line)
        number = int(line.partition(" ")[0])
        if number and self.position is not None:
            self.position = Position(self.position.epoch, number)

    def lose(self, channel: str) -> None:
        """Note it."""
        self.lost = True

    def review(self, channel: str) -> None:
        """It may."""

    async def join(self) -> bool:
        """Come, or come back; whether all that was missed is there."""
        joined = await self.node.streams.join(self.channel, self, self.position)
        self.position = joined.position if self.position is None or not joined.recovered else self.position
        for message in joined.missed:
            self._note(form(message).decode().strip())
        return joined.recovered

    def leave(self) -> None:
        """Go."""
        self.node.streams.leave(self.channel.name, self)


@pytest.fixture
async def audit(database: Database, group: GroupWriter, tmp_path: Path) -> AsyncIterator[AuditLog]:
    """An audit."""
    log = await AuditLog.open(database, group, tmp_path / "node", "north", database.clock)
    yield log
    await log.close()


@pytest.fixture
async def node(group: GroupWriter, audit: AuditLog, tmp_path: Path) -> Node:
    """A node."""
    return Node(group, audit, tmp_path / "payloads", LocalBus())


async def say(node: Node, to: Channel, *texts: str, sender: str = "person:1") -> list[int]:
    """Publish these; their numbers."""
    return [(await node.channels.publish(to, Draft(sender, json.dumps(text).encode()))).number for text in texts]


async def test_messages_are_numbered_and_readers_get_them_in_order(node: Node) -> None:
    talk = channel()
    reader = Reader(node, talk)
    await reader.join()
    assert await say(node, talk, "a", "b", "c") == [1, 2, 3]
    await asyncio.sleep(0)
    assert reader.got == ['1 "a"', '2 "b"', '3 "c"']


async def test_many_at_once_have_a_number_each_and_none_is_left_out(node: Node) -> None:
    talk = channel()
    reader = Reader(node, talk)
    await reader.join()
    numbers = await asyncio.gather(*(say(node, talk, str(number)) for number in range(200)))
    await asyncio.sleep(0.01)
    assert sorted(number for (number,) in numbers) == list(range(1, 201))
    assert [int(line.split()[0]) for line in reader.got] == list(range(1, 201))


async def test_a_message_that_comes_again_is_written_once(node: Node) -> None:
    talk = channel()
    draft = Draft("person:1", b'"a"', "m-1")
    first, *others = await asyncio.gather(*(node.channels.publish(talk, draft) for _ in range(5)))
    assert {each.number for each in (first, *others)} == {1}
    assert sum(each.again for each in (first, *others)) == 4
    assert (await node.channels.publish(talk, draft._replace(sender="person:2"))).number == 2, "another's name for a message"
    with pytest.raises(Conflict):
        await node.channels.publish(talk, draft._replace(data=b'"b"'))


async def test_who_comes_back_gets_what_they_missed(node: Node) -> None:
    talk = channel()
    reader, other = Reader(node, talk), Reader(node, talk)
    await reader.join()
    await say(node, talk, "a")
    await asyncio.sleep(0)
    reader.leave()
    await other.join()
    await say(node, talk, "b", "c")
    assert await reader.join()
    await say(node, talk, "d")
    await asyncio.sleep(0)
    assert reader.got == ['1 "a"', '2 "b"', '3 "c"', '4 "d"']
    assert other.got == reader.got[1:]


async def test_what_is_not_kept_any_more_is_not_recovered(node: Node) -> None:
    talk = channel(history={"length": 2})
    reader = Reader(node, talk)
    await reader.join()
    reader.leave()
    await say(node, talk, "a", "b", "c", "d")
    await node.channels.trim_all("talk", talk.settings)
    assert not await reader.join()
    assert reader.position is not None
    assert reader.position.top == 4
    await say(node, talk, "e")
    await asyncio.sleep(0)
    assert reader.got == ['5 "e"']


async def test_what_the_bus_loses_is_found_in_the_store(group: GroupWriter, audit: AuditLog, tmp_path: Path) -> None:
    talk = channel()
    here, there = (Node(group, audit, tmp_path / "payloads", DeafBus()) for _ in range(2))
    reader = Reader(there, talk)
    await reader.join()
    await say(here, talk, "a", "b")
    await asyncio.sleep(0)
    assert reader.got == []
    await there.streams.look()
    await asyncio.sleep(0.2)
    assert reader.got == ['1 "a"', '2 "b"']


async def test_what_was_said_while_no_store_could_be_asked_is_found(group: GroupWriter, audit: AuditLog, tmp_path: Path) -> None:
    talk = channel()
    here, there = (Node(group, audit, tmp_path / "payloads", DeafBus()) for _ in range(2))
    reader = Reader(there, talk)
    await reader.join()
    await there.streams.look()
    await say(here, talk, "a")
    for clock in (here.channels.clock, there.channels.clock):
        assert isinstance(clock, ManualClock)
        clock.advance(timedelta(minutes=1))
    await there.streams.look()
    await asyncio.sleep(0.2)
    assert reader.got == ['1 "a"']


async def test_a_channel_of_which_nothing_is_kept(node: Node) -> None:
    talk = channel(delivery="ephemeral")
    reader = Reader(node, talk)
    await reader.join()
    assert await say(node, talk, "a") == [0]
    await asyncio.sleep(0)
    assert reader.got == ['0 "a"']
    assert await node.channels.find(talk.name) is None


async def test_changes_add_up_to_a_state_that_who_joins_is_given(node: Node) -> None:
    board = channel(kind="feed", delivery="recent", merge=True)
    for change in ({"bed-1": "free", "bed-2": "taken"}, {"bed-2": None, "bed-3": {"who": "x"}}):
        await node.channels.publish(board, Draft("application:pas", json.dumps(change).encode()))
    reader = Reader(node, board)
    await reader.join()
    assert json.loads(reader.got[0].partition(" ")[2]) == {"bed-1": "free", "bed-3": {"who": "x"}}
    assert reader.got[0].startswith("2 ")
    with pytest.raises(InvalidValue):
        await say(node, board, "not an object")


async def test_a_channel_that_was_forgotten_and_begun_anew_is_another(node: Node, database: Database) -> None:
    from sqlalchemy import text

    talk = channel()
    reader = Reader(node, talk)
    await reader.join()
    await say(node, talk, "a")
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM realtime_messages"))
        await connection.execute(text("DELETE FROM realtime_channels"))
    assert await say(node, talk, "b") == [1]
    await asyncio.sleep(0.2)
    assert reader.lost
