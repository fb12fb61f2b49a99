"""Whatever comes between: publishing, leaving, coming back, nodes that die, a bus that loses, repeats and reorders, and what is
sent again. Everybody who reads a channel is sent the same, in one order, with no gap and nothing twice, and nothing that was
acknowledged is missing."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.contract.test_realtime_channels import channel, form

from fiveways.clock import ManualClock
from fiveways.delivery.engine import Deliveries
from fiveways.ledger.audit import AuditLog
from fiveways.methods.realtime.hub import Hub, Taken
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.records import MOST
from fiveways.methods.realtime.service import Channel, Channels, Draft, Position
from fiveways.methods.realtime.streams import Joined, Streams
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads

NODES, READERS = 3, 3
Fate = str
_T = TypeVar("_T")
_names = itertools.count(1)


class Wire:
    """What goes between nodes: each message to each of the others once, twice, never, or behind what comes after it."""

    def __init__(self) -> None:
        self.ends: list[End] = []
        self.under_way: list[tuple[End, str, bytes]] = []

    def carry(self, fates: Sequence[Fate]) -> None:
        """Have what is under way meet these fates, in turn."""
        waiting, self.under_way = self.under_way, []
        for each, fate in zip(waiting, itertools.cycle(fates), strict=False):
            if fate == "late":
                self.under_way.append(each)
                continue
            end, topic, data = each
            for _ in range({"lost": 0, "once": 1, "twice": 2}[fate]):
                end.deliver(topic, data)


class End(LocalBus):
    """A node's end of it: what it publishes it is told itself, as with NATS."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire = wire
        wire.ends.append(self)

    async def publish(self, topic: str, data: bytes = b"") -> None:
        """To this node at once, to the others as the wire has it."""
        self.deliver(topic, data)
        self.wire.under_way += [(other, topic, data) for other in self.wire.ends if other is not self]


class Slow(Channels):
    """Channels of a store that takes its time, now more, now less: others have their turn before it is asked, and after."""

    def __init__(self, *made: Any) -> None:
        super().__init__(*made)
        self.pauses = itertools.cycle([0, 3, 1, 0, 5, 2])
        self.reached = asyncio.Event()
        self.held: asyncio.Event | None = None
        """What an answer to `after` is held back until, where a test has it so; `reached`: there is one."""

    async def position(self, channel: Channel) -> Position:
        """Where a channel is, or was a moment ago."""
        return await self._slowly(super().position, channel)

    async def after(self, name: str, number: int, most: int = MOST) -> list[Message]:
        """What is behind a number, or was a moment ago."""
        found = await self._slowly(super().after, name, number, most)
        if self.held is not None:
            self.reached.set()
            await self.held.wait()
        return found

    async def whole(self, channel: Channel) -> Message:
        """The state of a channel, as it was a moment ago."""
        return await self._slowly(super().whole, channel)

    async def changed(self, since: int) -> Sequence[tuple[str, str, int]]:
        """In which channels something was said, up to a moment ago."""
        return await self._slowly(super().changed, since)

    async def _slowly(self, ask: Callable[..., Awaitable[_T]], *asked: Any) -> _T:
        await turns(next(self.pauses))
        said = await ask(*asked)
        await turns(next(self.pauses))
        return said


class Node:
    """A process: its own fan-out over a store that others share."""

    def __init__(self, place: Place, payloads: Path, end: End) -> None:
        self.end = end
        self.hub = Hub()
        self.streams = Streams(self.hub)
        deliveries = Deliveries(place.group, open_payloads(f"file://{payloads}"), end, ManualClock(), "north")
        self.channels = self.streams.channels = Slow(deliveries, place.audit, self.streams.written)
        self.hearing = ExitStack()
        self.hearing.enter_context(self.streams.hearing(end))


@dataclass
class Place:
    """What a node stands on: its own connection to the store, where there can be several."""

    group: GroupWriter
    audit: AuditLog


class Reader:
    """Somebody who reads, and goes on where they were. `legs` are what was sent without a break that they were told of, each with
    the number behind which it begins."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.position: Position | None = None
        self.legs: list[tuple[int, list[tuple[int, bytes]]]] = []

    def joined(self, joined: Joined) -> None:
        """Note what joining has brought."""
        if self.position is None or not joined.recovered:
            self.position = joined.position
            self.legs.append((joined.position.top, []))
        for message in joined.missed:
            self.take(message.number, message.data)
        assert self.position == joined.position

    def take(self, number: int, said: bytes) -> None:
        """Note what was said."""
        assert self.position is not None
        self.legs[-1][1].append((number, said))
        self.position = Position(self.position.epoch, number)

    def go(self) -> None:
        """Leave, without a word."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.close()

    async def stay(self, node: Node, channel: Channel) -> None:
        """Be there: as before, or at this node."""
        if self.connection is None:
            self.connection = Connection(self, node, channel)
            await self.connection.open()


class Board(Reader):
    """Somebody who keeps a state: the whole, and changes on top of it."""

    def __init__(self) -> None:
        super().__init__()
        self.state: dict[str, Any] = {}

    def joined(self, joined: Joined) -> None:
        """The whole, or changes."""
        if joined.whole:
            (whole,) = joined.missed
            self.state, self.position = json.loads(whole.data), Position(joined.position.epoch, whole.number)
            return
        assert joined.recovered
        super().joined(joined)

    def take(self, number: int, said: bytes) -> None:
        """A change."""
        assert self.position is not None
        assert number == self.position.top + 1, "changes come one after another"
        self.position = Position(self.position.epoch, number)
        self.state |= json.loads(said)


class Connection:
    """Somebody's connection to a node, with one channel (`hub.Reader`)."""

    form = staticmethod(form)

    def __init__(self, reader: Reader, node: Node, channel: Channel) -> None:
        self.reader, self.node, self.channel = reader, node, channel

    def take(self, channel: str, data: bytes, merged: bool) -> None:
        """Take a piece of what is said."""
        assert self.reader.connection is self, "whoever has left is sent nothing"
        for line in data.splitlines():
            number, _, said = line.partition(b" ")
            self.reader.take(int(number), said)

    def take_all(self, several: Sequence[Taken]) -> None:
        """Of several channels."""
        for each in several:
            self.take(*each)

    def lose(self, channel: str) -> None:
        """What follows would not follow on: leave, as a session does, to come again."""
        self.reader.go()

    def review(self, channel: str) -> None:
        """It is open to everybody."""

    async def open(self) -> None:
        """Join, with where one was."""
        joined = await self.node.streams.join(self.channel, self, self.reader.position)
        if self.reader.connection is self:
            self.reader.joined(joined)
        else:  # gone while that was under way
            self.close()

    def close(self) -> None:
        """Leave."""
        self.node.streams.leave(self.channel.name, self)


@dataclass
class World:
    """Nodes over one store, who reads and who publishes."""

    places: list[Place]
    folder: Path
    channel: Channel
    made: Callable[[], Reader] = Reader
    wire: Wire = field(default_factory=Wire)
    nodes: list[Node] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    drafts: list[Draft] = field(default_factory=list)
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    unsure: set[bytes] = field(default_factory=set)
    """What was on its way when its node died, and has no id to send it again under."""
    tasks: dict[asyncio.Task[None], Node] = field(default_factory=dict)
    faults: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.nodes = [self._node(place) for place in self.places]
        self.readers = [self.made() for _ in range(READERS)]

    def _node(self, place: Place) -> Node:
        return Node(place, self.folder, End(self.wire))

    def spawn(self, node: Node, work: Coroutine[Any, Any, None]) -> None:
        """Have something done at a node, for as long as it lives."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks[task] = node
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self.tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(error)

    # --- what happens ----------------------------------------------------------------------------------------------------

    def say(self, node: int, named: bool, many: int) -> None:
        """Publish, several at once."""
        for _ in range(many):
            number = len(self.drafts)
            data = json.dumps({f"k{number % 7}": number}).encode()
            self.drafts.append(Draft(f"person:{number % 3}", data, f"m-{number}" if named else ""))
            self.spawn(self.nodes[node], self._publish(self.nodes[node], self.drafts[-1]))

    def again(self, node: int, which: int) -> None:
        """What was sent under an id is sent again, whether or not it was answered."""
        named = [draft for draft in self.drafts if draft.client_id]
        if named:
            self.spawn(self.nodes[node], self._publish(self.nodes[node], named[which % len(named)]))

    async def _publish(self, node: Node, draft: Draft) -> None:
        newest = max(self.acknowledged.values(), default=0)
        try:
            done = await node.channels.publish(self.channel, draft)
        except asyncio.CancelledError:
            self.unsure.add(draft.data)
            raise
        assert done.again or done.number > newest, "what is sent later has a higher number"
        assert self.acknowledged.setdefault(draft.data, done.number) == done.number, "one message has one number"

    def come(self, reader: int, node: int) -> None:
        """Somebody comes, or comes back, to a node."""
        self._stay(self.readers[reader], node)

    def go(self, reader: int) -> None:
        """Somebody goes."""
        self.readers[reader].go()

    def die(self, node: int) -> None:
        """A node is no more, with all that it was about to do and all that was on its way to it; another stands in its place.
        Those who read there find that out, and go to the next."""
        old = self.nodes[node]
        old.hearing.close()
        self.wire.ends.remove(old.end)
        for task in [task for task, of in self.tasks.items() if of is old]:
            task.cancel()
        self.nodes[node] = self._node(self.places[node])
        for reader in self.readers:
            if reader.connection is not None and reader.connection.node is old:
                reader.go()
                self._stay(reader, node + 1)

    def _stay(self, reader: Reader, number: int) -> None:
        node = self.nodes[number % NODES]
        self.spawn(node, reader.stay(node, self.channel))

    def look(self, node: int) -> None:
        """A node looks into the store, as it does every second."""
        self.spawn(self.nodes[node], self.nodes[node].streams.look())

    async def trim(self) -> None:
        """What is too old is let go of."""
        await self.nodes[0].channels.trim_all(self.channel.kind, self.channel.settings)

    # --- and what comes of it --------------------------------------------------------------------------------------------

    async def settle(self, look: bool) -> None:
        """Everybody comes back, what was sent under an id and not answered is sent again, and the nodes look into the store, or
        what is still on its way arrives."""
        await self._rest()
        for draft in self.drafts:
            if draft.client_id and draft.data not in self.acknowledged:
                self.spawn(self.nodes[0], self._publish(self.nodes[0], draft))
        await self._rest()
        for number, reader in enumerate(self.readers):
            self._stay(reader, number)
        await self._rest()
        top = (await self.nodes[0].channels.position(self.channel)).top
        async with asyncio.timeout(10):
            while not self.faults and any(reader.position is None or reader.position.top < top for reader in self.readers):
                if look:
                    await asyncio.gather(*(node.streams.look() for node in self.nodes))
                else:
                    self.wire.carry(["once"])
                await asyncio.sleep(0.001)
                for number, reader in enumerate(self.readers):
                    await reader.stay(self.nodes[number % NODES], self.channel)
        for reader in self.readers:
            reader.go()
        assert not any(len(node.streams) or len(node.hub) for node in self.nodes), "what nobody reads is not followed"
        for node in self.nodes:
            node.hearing.close()
        if self.faults:
            raise self.faults[0]

    async def _rest(self) -> None:
        async with asyncio.timeout(10):
            while self.tasks:
                await asyncio.wait(list(self.tasks))

    async def kept(self) -> list[Message]:
        """All that the store has of the channel."""
        return [message async for message in self.nodes[0].channels.all(self.channel.name)]


# --- scripts -----------------------------------------------------------------------------------------------------------------

_node, _reader = st.integers(0, NODES - 1), st.integers(0, READERS - 1)
_fates = st.lists(st.sampled_from(["once", "once", "once", "twice", "lost", "late"]), min_size=1, max_size=5)
_late = st.lists(st.sampled_from(["once", "once", "twice", "late"]), min_size=1, max_size=5)
_say, _say_unnamed = (st.tuples(st.just("say"), _node, named, st.integers(1, 4)) for named in (st.booleans(), st.just(False)))
_again = st.tuples(st.just("again"), _node, st.integers(0, 50))
_come, _go = st.tuples(st.just("come"), _reader, _node), st.tuples(st.just("go"), _reader)
_carry, _carry_all = (st.tuples(st.just("carry"), fates) for fates in (_fates, _late))
_look, _die, _trim = st.tuples(st.just("look"), _node), st.tuples(st.just("die"), _node), st.tuples(st.just("trim"))
_turns = st.tuples(st.just("turns"), st.integers(0, 6))
Step = tuple[Any, ...]


def scripts(*steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Step]]:
    """Some of these, one after another."""
    return st.lists(st.one_of(*steps), min_size=20, max_size=60)


SCRIPTS = scripts(_say, _say, _again, _come, _come, _go, _carry, _carry, _look, _die, _turns, _turns)
TRIMMED = scripts(_say_unnamed, _say_unnamed, _come, _come, _go, _carry, _carry, _look, _trim, _turns, _turns)
"""Without ids: what is let go of is not known when it comes again."""
ARRIVING = scripts(_say, _say, _again, _come, _go, _carry_all, _carry_all, _turns, _turns)
"""Nothing is lost, although it comes late, and in any order."""


async def play(world: World, script: Sequence[Step], *, look: bool = True) -> None:
    """What a script says, one after another, and none waited for."""
    for what, *said in script:
        if what == "turns":
            await turns(said[0])
        elif what == "carry":
            world.wire.carry(said[0])
        elif what == "trim":
            await world.trim()
        else:
            getattr(world, what)(*said)
    await world.settle(look)


async def turns(many: int) -> None:
    """Let others go on: for some turns of the event loop, or for a moment."""
    for _ in range(min(many, 4)):
        await asyncio.sleep(0)
    if many > 4:
        await asyncio.sleep(0.002 * (many - 4))


Play = Callable[[Callable[[Callable[..., World]], Awaitable[None]]], None]


@pytest.fixture
def play_in(url: str, tmp_path: Path) -> Iterator[Play]:
    """Plays something in a new world, over one store for all examples."""
    database = Database.open(url)

    async def open_places() -> tuple[list[Place], AsyncExitStack]:
        stack, places = AsyncExitStack(), list[Place]()
        stack.push_async_callback(database.close)
        for number in range(NODES if database.kind == "postgresql" else 1):
            group = GroupWriter(database)
            stack.push_async_callback(group.close)
            audit = await AuditLog.open(database, group, tmp_path / f"node-{number}", f"north-{number}", database.clock)
            stack.push_async_callback(audit.close)
            places.append(Place(group, audit))
        return places * (NODES // len(places)), stack

    with asyncio.Runner() as runner:
        places, stack = runner.run(open_places())

        async def play(played: Callable[[Callable[..., World]], Awaitable[None]]) -> None:
            worlds: list[World] = []

            def made(reader: Callable[[], Reader] = Reader, **said: Any) -> World:
                worlds.append(World(places, tmp_path / "payloads", channel(f"talk:{next(_names)}", **said), reader))
                return worlds[-1]

            try:
                await played(made)
            finally:
                for task in [task for world in worlds for task in world.tasks]:
                    task.cancel()

        yield lambda played: runner.run(play(played))
        runner.run(stack.aclose())


FEW = settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], phases=[Phase.generate]
)  # fmt: skip
"""What is found is not made smaller: stores take their time, and a script need not come out the same twice."""


# --- what holds --------------------------------------------------------------------------------------------------------------


@FEW
@given(script=SCRIPTS)
def test_everybody_reads_the_same_in_one_order_and_nothing_acknowledged_is_missing(play_in: Play, script: list[Step]) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made()
        await play(world, script)
        kept = [(message.number, message.data) for message in await world.kept()]
        assert [number for number, _ in kept] == list(range(1, len(kept) + 1)), "numbers have no gap"
        by_data = {data: number for number, data in kept}
        assert len(by_data) == len(kept), "nothing is there twice"
        assert world.acknowledged.items() <= by_data.items(), "nothing that was acknowledged is missing"
        assert by_data.keys() - world.acknowledged.keys() <= world.unsure
        for reader in world.readers:
            ((begun, read),) = reader.legs
            assert read == kept[begun:], "from where they came first, all of it"

    play_in(played)


@FEW
@given(script=TRIMMED, length=st.integers(0, 3))
def test_where_little_is_kept_nobody_has_a_gap_without_being_told(play_in: Play, script: list[Step], length: int) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made(history={"length": length}, delivery="recent")
        await play(world, script)
        said = {number: data for data, number in world.acknowledged.items()}
        for reader in world.readers:
            for begun, read in reader.legs:
                assert [number for number, _ in read] == list(range(begun + 1, begun + 1 + len(read)))
                assert all(said[number] == data for number, data in read if number in said)
            everything = [number for _, read in reader.legs for number, _ in read]
            assert everything == sorted(set(everything))

    play_in(played)


@pytest.mark.parametrize("length", [0, 2])
def test_what_is_let_go_of_before_a_reader_is_sent_it_is_told(play_in: Play, length: int) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made(history={"length": length})
        world.come(0, 1)
        await world._rest()
        world.say(0, False, 4)
        await world._rest()
        world.wire.carry(["lost"])
        await world.trim()
        world.look(1)
        async with asyncio.timeout(5):
            while world.readers[0].connection is not None:  # it is told, and leaves
                await asyncio.sleep(0.01)
        assert world.readers[0].legs == [(0, [])]
        await world.settle(look=True)
        assert world.readers[0].legs == [(0, []), (4, [])]

    play_in(played)


@FEW
@given(script=SCRIPTS)
def test_changes_add_up_to_the_same_state_for_everybody(play_in: Play, script: list[Step]) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made(Board, kind="feed", delivery="recent", merge=True)
        await play(world, script)
        whole = await world.nodes[0].channels.whole(world.channel)
        expected: dict[str, Any] = {}
        for message in await world.kept():
            expected |= json.loads(message.data)
        assert json.loads(whole.data) == expected
        for reader in world.readers:
            assert isinstance(reader, Board)
            assert reader.state == expected

    play_in(played)


@FEW
@given(script=ARRIVING)
def test_where_the_bus_loses_nothing_nobody_waits_for_the_next_look(play_in: Play, script: list[Step]) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made(delivery="recent")
        await play(world, script, look=False)
        kept = [(message.number, message.data) for message in await world.kept()]
        assert all(read == kept[begun:] for reader in world.readers for begun, read in reader.legs)

    play_in(played)


def test_what_is_said_while_the_store_is_read_is_read_next(play_in: Play) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made()
        world.come(0, 1)
        await world._rest()
        world.say(0, False, 1)
        await world._rest()
        world.wire.carry(["lost"])
        slow = world.nodes[1].channels
        slow.held = asyncio.Event()
        world.say(0, False, 1)
        await world._rest()
        world.wire.carry(["once"])  # number 2, before number 1
        await slow.reached.wait()
        world.say(0, False, 1)
        await world._rest()
        world.wire.carry(["once"])  # number 3, which is not in the answer
        slow.held.set()
        async with asyncio.timeout(5):
            while len(world.readers[0].legs[0][1]) < 3:
                await asyncio.sleep(0.01)
        await world.settle(look=False)

    play_in(played)


@pytest.mark.parametrize("reader", [Reader, Board])
def test_who_joins_while_much_is_said_is_not_kept_waiting(play_in: Play, reader: Callable[[], Reader]) -> None:
    async def played(made: Callable[..., World]) -> None:
        world = made(reader, kind="feed", delivery="recent", merge=reader is Board)
        over = asyncio.Event()

        async def speak(node: int) -> None:
            while not over.is_set():
                world.say(node, False, 5)
                await asyncio.wait([task for task in world.tasks if task is not asyncio.current_task()])
                world.wire.carry(["once"])

        await asyncio.gather(*(reader.stay(world.nodes[2], world.channel) for reader in world.readers))
        for number in range(1, READERS):  # one is there all the time, and is sent all there is at once
            world.go(number)
        world.nodes[2].channels.pauses = itertools.cycle([50])  # more is said than it takes to ask
        world.spawn(world.nodes[0], speak(0))
        async with asyncio.timeout(10):
            while len(world.acknowledged) < 50:
                await asyncio.sleep(0.01)
            await asyncio.gather(*(reader.stay(world.nodes[2], world.channel) for reader in world.readers))
        over.set()
        await world.settle(look=True)

    play_in(played)
