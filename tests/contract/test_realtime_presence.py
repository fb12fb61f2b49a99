"""Who is there, over each store: asked of any node it is the same; a node that is silent has nobody, once; one that was only silent
for a while has its own back; and what could not be written down is put right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import timedelta

import pytest

from fiveways.clock import ManualClock
from fiveways.errors import StoreError
from fiveways.methods.realtime.presence import Here, Presence, Present
from fiveways.methods.realtime.settings import RealtimeSettings
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter, Row, Settled, Writing
from fiveways.store.group import Result as Written

pytestmark = pytest.mark.anyio
SECOND = timedelta(seconds=1)
TALK = "talk:1"


class Away(GroupWriter):
    """A node's way to the store, which may be cut: a fault that a store of the tests' own cannot be made to have at one node."""

    cut = False

    async def transact(
        self, *steps: tuple[Writing, Row | Sequence[Row]], guarded: int = 0, settled: Settled | None = None, synced: bool = True
    ) -> list[Written]:
        """As it is, or StoreError."""
        if self.cut:
            raise StoreError("the store cannot be reached")
        return await super().transact(*steps, guarded=guarded, settled=settled, synced=synced)


class Node:
    """A node, who is connected to it, and what it has told of who came and went."""

    def __init__(self, group: Away, clock: ManualClock, name: str) -> None:
        self.group = group
        self.presence = Presence(group, clock, name, RealtimeSettings)
        self.here: Here = {}
        self.told: list[tuple[str, str]] = []

    async def come(self, client: str) -> None:
        """Somebody connects, and joins; whether or not that can be written down."""
        present = self.here[TALK, client] = Present(client, f"person:{client}")
        with suppress(StoreError):
            await self.presence.arrive(TALK, present)

    async def go(self, client: str) -> None:
        """Somebody leaves; whether or not that can be written down."""
        del self.here[TALK, client]
        with suppress(StoreError):
            await self.presence.leave(TALK, client)

    async def look(self) -> None:
        """What a node does every second."""
        await self.presence.beat()
        await self.presence.settle(lambda: dict(self.here), self._came, self._gone)
        await self.presence.bury(self._gone)

    async def there(self) -> list[str]:
        """Who is there, as this node answers."""
        return [each.client for each in await self.presence.of(TALK)]

    async def _came(self, channel: str, present: Present) -> None:
        self.told.append(("came", present.client))

    async def _gone(self, channel: str, present: Present) -> None:
        self.told.append(("gone", present.client))


class Cluster:
    """Three nodes over one store, and their time."""

    def __init__(self, ways: list[Away]) -> None:
        self.clock = ManualClock()
        self.nodes = [Node(way, self.clock, f"node-{number}") for number, way in enumerate(ways)]

    async def passes(self, seconds: int, *silent: Node) -> None:
        """Time in which all nodes but some look every second, as those do whose store is there."""
        for _ in range(seconds):
            self.clock.advance(SECOND)
            await asyncio.gather(*(node.look() for node in self.nodes if node not in silent))

    async def told(self) -> list[tuple[str, str]]:
        """What any of them has told since this was asked last."""
        told = [each for node in self.nodes for each in node.told]
        for node in self.nodes:
            node.told.clear()
        return sorted(told)

    async def there(self) -> list[str]:
        """Who is there: all nodes agree."""
        first, *others = [await node.there() for node in self.nodes]
        assert all(other == first for other in others)
        return first


@pytest.fixture
async def cluster(database: Database, url: str) -> AsyncIterator[Cluster]:
    """Three nodes, each with somebody; of the same process where the store has one writer."""
    databases = [database, *(Database.open(url) for _ in range(2))] if url.startswith("postgresql") else [database] * 3
    ways = [Away(each) for each in databases]
    made = Cluster(ways)
    await made.passes(1)
    for node, client in zip(made.nodes, "abc", strict=True):
        await node.come(client)
    yield made
    for way in ways:
        await way.close()
    for other in databases[1:]:
        if other is not database:
            await other.close()


async def test_who_is_there_is_the_same_asked_of_any_node(cluster: Cluster) -> None:
    assert await cluster.there() == ["a", "b", "c"]
    await cluster.nodes[1].go("b")
    assert await cluster.there() == ["a", "c"]
    await cluster.passes(30)
    assert await cluster.there() == ["a", "c"]
    assert await cluster.told() == []


async def test_who_comes_to_a_node_that_has_just_begun_is_there_at_once(database: Database) -> None:
    way = Away(database)
    node = Node(way, ManualClock(), "new")
    await node.come("a")
    assert await node.there() == ["a"]
    await way.close()


async def test_whoever_was_at_a_node_that_is_silent_is_gone_within_ten_seconds_and_that_is_told_once(cluster: Cluster) -> None:
    silent = cluster.nodes[2]
    await silent.come("d")
    await cluster.passes(7, silent)
    assert await cluster.there() == ["a", "b", "c", "d"]
    await cluster.passes(2, silent)
    assert await cluster.there() == ["a", "b"]
    assert await cluster.told() == [("gone", "c"), ("gone", "d")]
    await cluster.passes(20, silent)
    assert await cluster.told() == []


async def test_a_node_that_was_only_silent_for_a_while_has_its_own_back(cluster: Cluster) -> None:
    """It hung, or could not reach the store; its clients are connected still, and say nothing."""
    silent = cluster.nodes[2]
    await cluster.passes(12, silent)
    assert await cluster.there() == ["a", "b"]
    await cluster.told()
    await silent.come("d")
    silent.here.pop((TALK, "c"))
    silent.here[TALK, "e"] = Present("e", "person:e")
    await cluster.passes(1)
    assert await cluster.there() == ["a", "b", "d", "e"]
    assert await cluster.told() == [("came", "e")], "who came meanwhile was told of when they came"
    await cluster.passes(30)
    assert await cluster.there() == ["a", "b", "d", "e"]
    assert await cluster.told() == []


async def test_nobody_is_gone_because_the_store_was_away(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.group.cut = True
    cluster.clock.advance(60 * SECOND)
    for node in cluster.nodes:
        with pytest.raises(StoreError):
            await node.look()
    for node in cluster.nodes:  # one after another, and in between it is a moment
        node.group.cut = False
        await node.look()
        cluster.clock.advance(SECOND)
    assert await cluster.there() == ["a", "b", "c"]
    await cluster.passes(30)
    assert await cluster.there() == ["a", "b", "c"]
    assert await cluster.told() == []


async def test_who_came_and_went_while_the_store_was_away_is_put_right(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    node.group.cut = True
    await node.come("d")
    await node.go("a")
    assert await cluster.nodes[1].there() == ["a", "b", "c"]
    with pytest.raises(StoreError):
        await node.look()
    node.group.cut = False
    await cluster.passes(1)
    assert await cluster.there() == ["b", "c", "d"]
    assert await cluster.told() == [("came", "d"), ("gone", "a")]


async def test_who_goes_while_things_are_put_right_is_gone(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    node.group.cut = True
    await node.come("d")
    node.group.cut = False

    await asyncio.gather(node.look(), node.go("d"))
    assert await cluster.there() == ["a", "b", "c"]
    await cluster.passes(2)
    assert await cluster.there() == ["a", "b", "c"]
