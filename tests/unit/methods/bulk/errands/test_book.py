"""The ledger of errands: what is written down of a file, and by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fiveways.clock import ManualClock, micros
from fiveways.methods.bulk.errands.book import Book, Known, Overtaken, Sighting
from fiveways.methods.bulk.errands.states import State
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter, Result, Settled
from fiveways.store.tables import metadata

pytestmark = pytest.mark.anyio
A, B = Sighting("/a", 1, 2), Sighting("/b", 3, 4)


@pytest.fixture
def clock() -> ManualClock:
    """The time of the test."""
    return ManualClock()


@pytest.fixture
async def group(tmp_path: Path, clock: ManualClock) -> AsyncIterator[GroupWriter]:
    """A store of rows."""
    database = Database.open(f"sqlite:///{tmp_path}/fiveways.db", clock)
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    group = GroupWriter(database)
    yield group
    await group.close()
    await database.close()


@pytest.fixture
def book(group: GroupWriter, clock: ManualClock) -> Book:
    """The ledger, as one node writes it."""
    return Book(group, clock, "north")


async def seen(book: Book, *sightings: Sighting, errand: str = "e") -> list[Known]:
    """What is known of these, once they are seen."""
    return await book.see(errand, sightings, await book.known(errand))


async def test_a_file_is_known_as_it_was_first_seen(book: Book, clock: ManualClock) -> None:
    (first,) = await seen(book, A)
    clock.advance(timedelta(minutes=5))
    (again,) = await seen(book, A)
    assert again == first
    assert (again.at, again.last_seen, again.state) == (micros(clock) - 300_000_000, again.at, State.SEEN)
    (other,) = await seen(book, Sighting("/a", 1, 3))
    assert other.id != first.id, "another time is another file"
    assert set(await book.known("e")) == {A, Sighting("/a", 1, 3)}
    assert await book.known("f") == {}


async def test_a_life_is_written_as_it_goes(book: Book) -> None:
    (file,) = await seen(book, A)
    file = await book.reach(await book.begin(file), 5, "prefix", "tail")
    file = await book.ready(file, digest="d", target="/in/a", cipher="c", host_key="h")
    assert await book.known("e") == {A: file}
    file = await book.settle(await book.place(file, "it was renamed"))
    known = (await book.known("e"))[A]
    assert known == file
    assert (known.offset, known.prefix, known.tail, known.digest, known.target) == (5, "prefix", "tail", "d", "/in/a")
    assert (known.cipher, known.host_key, known.state) == ("c", "h", State.SETTLED)
    life = [(each.number, each.happening, each.by, each.reason) for each in await book.history(file.id)]
    assert life == [
        (0, "see", "north", ""), (1, "begin", "north", ""), (2, "ready", "north", ""), (3, "place", "north", "it was renamed"),
        (4, "settle", "north", ""),
    ]  # fmt: skip


async def test_of_two_nodes_one_takes_a_file_further(book: Book, group: GroupWriter, clock: ManualClock) -> None:
    (file,) = await seen(book, A)
    south = Book(group, clock, "south")
    moving = await book.begin(file)
    with pytest.raises(Overtaken):
        await south.begin(file)
    ready = await south.ready(moving, digest="d", target="/in/a", cipher="c", host_key="h")
    with pytest.raises(Overtaken):
        await book.ready(moving, digest="other", target="/in/a", cipher="c", host_key="h")
    assert (await book.known("e"))[A].digest == "d", "what was not done left nothing"
    with pytest.raises(Overtaken):
        await south.settle(ready)  # which only what is placed can


async def test_a_reason_is_said_once(book: Book) -> None:
    (file,) = await seen(book, A)
    file = await book.refuse(file, "it is too large")
    assert await book.refuse(file, "it is too large") is file
    file = await book.refuse(file, "there is another")
    assert [each.reason for each in await book.history(file.id)] == ["", "it is too large", "there is another"]
    assert (await book.begin(file)).state is State.MOVING


async def test_what_is_written_is_witnessed_in_the_same_commit(group: GroupWriter, clock: ManualClock) -> None:
    told: list[tuple[str, str, bool]] = []

    def witness(happening: str, file: Known, reason: str) -> Settled:
        def settled(results: list[Result]) -> None:
            told.append((happening, reason, bool(results[0].rowcount)))

        return settled

    book = Book(group, clock, "north", witness)
    (file,) = await seen(book, A)
    await book.refuse(file, "why")
    with pytest.raises(Overtaken):
        await book.skip(replace(file, id="nobody"), "why not")
    assert told == [("refuse", "why", True), ("skip", "why not", False)]


async def test_what_is_over_is_forgotten_once_it_is_not_seen_any_more(book: Book, clock: ManualClock) -> None:
    over, still = await seen(book, A, B)
    gone = (await seen(book, Sighting("/c", 0, 0)))[0]
    for file in (over, gone):
        await book.skip(file, "")
    await book.begin(still)
    clock.advance(timedelta(days=10))
    await seen(book, A)
    clock.advance(timedelta(days=2))
    assert await book.purge("e", timedelta(days=5)) == 1
    assert set(await book.known("e")) == {A, B}, "what is seen still, and what is not over"
    assert await book.history(gone.id) == []


async def test_many_files(book: Book) -> None:
    many = [Sighting(f"/{number}", number, 0) for number in range(1203)]
    files = await seen(book, *many)
    assert [file.sighting for file in files] == many
    assert await book.known("e") == {file.sighting: file for file in files}
    for file in files[:2]:
        await book.skip(file, "")
    listed = await book.listed("e", most=3)
    assert len(listed) == 3
    assert len(await book.listed(most=5000)) == 1203
