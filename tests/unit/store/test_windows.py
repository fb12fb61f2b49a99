"""Write-behind and read-ahead: bounded, in order, and whatever the store does is told to whoever writes or reads."""

from __future__ import annotations

import asyncio
import gc
import os
import random
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.errors import StoreError
from fiveways.store import payloads_windows
from fiveways.store.payloads import open_payloads
from fiveways.store.payloads_folder import FolderPayloads
from fiveways.store.payloads_windows import AHEAD, BEHIND, WINDOW, ReadAhead, WriteBehind

pytestmark = pytest.mark.anyio
MIB = 2**20


class Store:
    """What takes pieces when it is let, and what it has taken."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.may = asyncio.Event()
        self.fails = False
        self.ended = False

    async def put(self, ref: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep it."""
        async for piece in pieces:
            await self.may.wait()
            if self.fails:
                raise StoreError("the object store failed: GenericError")
            self.taken.append(piece)
        self.ended = True


async def test_what_is_written_goes_to_the_store_in_order_and_is_durable_at_the_end() -> None:
    store = Store()
    store.may.set()
    behind = WriteBehind(store.put)
    pieces = [os.urandom(1000) for _ in range(50)]
    for number, piece in enumerate(pieces):
        assert behind.write(piece) is None
        if number % 7 == 0:
            await asyncio.sleep(0)
    await behind.finish()
    assert store.ended
    assert b"".join(store.taken) == b"".join(pieces)


async def test_no_more_than_so_much_is_held_and_who_writes_waits_for_room() -> None:
    store, held = Store(), 0
    behind = WriteBehind(store.put)
    while True:
        waiting = behind.write(bytes(MIB))
        held += MIB
        if waiting is not None:
            break
        await asyncio.sleep(0)
    assert BEHIND <= held <= BEHIND + 2 * MIB
    blocked = asyncio.ensure_future(waiting)
    await asyncio.sleep(0.01)
    assert not blocked.done()
    store.may.set()
    await asyncio.wait_for(blocked, 5)
    await behind.finish()
    assert sum(map(len, store.taken)) == held


async def test_who_waits_for_room_is_told_that_the_store_has_failed_and_so_is_who_ends() -> None:
    store = Store()
    behind = WriteBehind(store.put)
    waiting = behind.write(b"which the store has in hand")
    await asyncio.sleep(0.01)
    while waiting is None:
        waiting = behind.write(bytes(MIB))
    blocked = asyncio.ensure_future(waiting)
    await asyncio.sleep(0.01)
    store.fails = True
    store.may.set()
    with pytest.raises(StoreError):
        await asyncio.wait_for(blocked, 5)
    after = behind.write(b"more")
    assert after is not None
    with pytest.raises(StoreError):
        await after
    with pytest.raises(StoreError):
        await behind.finish()
    await behind.discard()


async def test_what_is_not_wanted_is_never_ended() -> None:
    store = Store()
    behind = WriteBehind(store.put)
    behind.write(b"half")
    await asyncio.sleep(0)
    await behind.discard()
    store.may.set()
    await asyncio.sleep(0.01)
    assert (store.taken, store.ended) == ([], False)


@pytest.mark.parametrize("size", [0, 1000, 9_000_000])
@pytest.mark.parametrize("moment", [0, 0.1])
async def test_what_is_not_wanted_leaves_nobody_waiting_for_more_of_it(size: int, moment: float) -> None:
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(str(context)))
    payloads = open_payloads("memory://")
    incoming = await payloads.begin()
    incoming.write(bytes(size))
    await asyncio.sleep(moment)  # the object store's client asks for more, in a task of its own
    await incoming.discard()
    ref = incoming.ref
    del incoming
    await asyncio.sleep(0.1)
    gc.collect()
    await asyncio.sleep(0.1)
    assert (said, await payloads.exists(ref)) == ([], False)


class Ranges:
    """A payload far away: what was asked of it, and how many at once."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[int] = []
        self.now = self.most = 0
        self.error: Exception | None = None

    async def fetch(self, start: int, end: int) -> bytes:
        """A range."""
        self.asked.append(start)
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0)
            if self.error is not None:
                raise self.error
            return self.content[start:end]
        finally:
            self.now -= 1


async def got(view: ReadAhead, start: int, size: int) -> bytes:
    """What is read."""
    data = view.read(start, size)
    return data if isinstance(data, bytes) else await data


async def test_what_follows_is_on_its_way_and_no_range_is_fetched_twice() -> None:
    content = os.urandom(20 * MIB + 5)
    ranges = Ranges(content)
    view = ReadAhead(ranges.fetch, len(content))
    found, at = [], 0
    while piece := await got(view, at, 261_120):
        found.append(piece)
        at += len(piece)
    assert b"".join(found) == content
    assert sorted(ranges.asked) == list(range(0, len(content), WINDOW))
    assert 1 < ranges.most <= AHEAD + 2
    await view.close()


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 90)), max_size=25), st.integers(0, 330), st.randoms())
async def test_any_place_may_be_read_in_any_order(reads: list[tuple[int, int]], size: int, chance: random.Random) -> None:
    content = bytes(chance.getrandbits(8) for _ in range(size))
    with small_windows():
        view = ReadAhead(Ranges(content).fetch, size)
        for start, length in reads:
            assert await got(view, start, length) == content[start : start + length]
        await view.close()


@contextmanager
def small_windows() -> Iterator[None]:
    """Windows of 16 bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(payloads_windows, "WINDOW", 16)
        yield


@pytest.mark.parametrize("error", [StoreError("the object store failed"), KeyError("gone")])
async def test_who_reads_is_told_of_a_failure_and_may_try_again(error: Exception) -> None:
    content = os.urandom(6 * MIB)
    ranges = Ranges(content)
    ranges.error = error
    view = ReadAhead(ranges.fetch, len(content))
    with pytest.raises(type(error)):
        await got(view, 0, 10)
    await asyncio.sleep(0.01)  # what was read ahead has failed too, and nobody is told of it
    ranges.error = None
    assert await got(view, 0, 10) == content[:10]
    await view.close()
    assert ranges.now == 0


# --- a folder --------------------------------------------------------------------------------------------------------------


async def test_a_file_is_written_and_read_piece_by_piece(tmp_path: Path) -> None:
    store, content = FolderPayloads.at(tmp_path), os.urandom(3 * MIB + 7)
    incoming = await store.begin()
    for at in range(0, len(content), 100_000):
        incoming.write(content[at : at + 100_000])
    assert not await store.exists(incoming.ref)
    await incoming.finish()
    view = await store.view(incoming.ref)
    for start, size in ((0, 10), (2 * MIB, MIB), (len(content) - 3, 10), (len(content), 10), (5, 0)):
        data = view.read(start, size)
        assert (data if isinstance(data, bytes) else await data) == content[start : start + size]
    await store.delete(incoming.ref)
    data = view.read(0, 100)
    assert (data if isinstance(data, bytes) else await data) == content[:100], "who reads reads to the end"
    await view.close()
    with pytest.raises(KeyError):
        await store.view(incoming.ref)


async def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    store = FolderPayloads.at(tmp_path)
    incoming = await store.begin()
    incoming.write(b"half")
    await incoming.discard()
    await incoming.discard()
    assert list((tmp_path / "incoming").iterdir()) == []
    assert [ref async for ref in store.list()] == []


async def test_a_file_that_may_not_grow_is_a_store_error(tmp_path: Path) -> None:
    store = FolderPayloads.at(tmp_path)
    incoming = await store.begin()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    try:
        with pytest.raises(StoreError, match="too large"):
            incoming.write(bytes(2 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await incoming.discard()
    assert list((tmp_path / "incoming").iterdir()) == []
