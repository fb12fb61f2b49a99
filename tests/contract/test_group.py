"""Group commit: one transaction for many, one failure for one."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, bindparam, insert, select, text, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import insert as insert_new

from fiveways.clock import SystemClock
from fiveways.errors import StoreError
from fiveways.store.database import Database
from fiveways.store.group import Compiled, GroupWriter, Step

pytestmark = pytest.mark.anyio

notes = Table(
    "notes", MetaData(), Column("id", BigInteger, primary_key=True, autoincrement=False), Column("text", Text, nullable=False)
)
add = insert(notes)
claim = insert_new(notes).on_conflict_do_nothing()
amend = update(notes).where(notes.c.id == bindparam("b_id")).values(text=bindparam("v_text")).returning(notes.c.text)


@pytest.fixture(autouse=True)
async def table(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(notes.metadata.create_all)


async def ids(database: Database) -> list[int]:
    async with database.read() as connection:
        return list((await connection.scalars(select(notes.c.id).order_by(notes.c.id))).all())


async def test_what_was_submitted_is_there_when_submit_returns(database: Database, group: GroupWriter) -> None:
    result = await group.submit(add, {"id": 1, "text": "one"})
    assert result.rowcount == 1
    assert await ids(database) == [1]
    assert (await group.submit(amend, {"b_id": 1, "v_text": "uno"})).rows == [("uno",)]
    assert (await group.submit(amend, {"b_id": 2, "v_text": "dos"})).rowcount == 0


async def test_many_at_once_all_arrive(database: Database, group: GroupWriter) -> None:
    await asyncio.gather(*(group.submit(add, {"id": number, "text": ""}) for number in range(300)))
    assert await ids(database) == list(range(300))


async def test_the_rows_of_one_submission_are_kept_together_or_not_at_all(database: Database, group: GroupWriter) -> None:
    with pytest.raises(StoreError):
        await group.submit(add, [{"id": 1, "text": ""}, {"id": 1, "text": ""}])
    assert await ids(database) == []
    assert (await group.submit(add, [{"id": 1, "text": ""}, {"id": 2, "text": ""}])).rowcount == 2
    assert await ids(database) == [1, 2]


async def test_the_steps_of_one_submission_are_kept_together_or_not_at_all(database: Database, group: GroupWriter) -> None:
    bad = asyncio.ensure_future(
        group.transact((add, {"id": 1, "text": "a"}), (add, [{"id": 2, "text": "b"}, {"id": 2, "text": "c"}]))
    )
    good = await group.transact((add, {"id": 3, "text": "d"}), (amend, {"b_id": 3, "v_text": "e"}))
    with pytest.raises(StoreError):
        await bad
    assert [result.rowcount for result in good] == [1, 1]
    assert good[1].rows == [("e",)]
    assert await ids(database) == [3]


async def test_of_guarded_steps_nothing_is_done_where_the_first_touches_nothing(database: Database, group: GroupWriter) -> None:
    steps = (claim, {"id": 1, "text": "mine"}), (add, {"id": 2, "text": "then"})
    assert [result.rowcount for result in await group.transact(*steps, guarded=1)] == [1, 1]
    assert [result.rowcount for result in await group.transact(*steps, guarded=1)] == [0]
    claims = [group.transact((claim, {"id": 3, "text": ""}), (add, {"id": n, "text": ""}), guarded=1) for n in range(10, 15)]
    assert sorted(len(results) for results in await asyncio.gather(*claims)) == [1, 1, 1, 1, 2]
    assert len(await ids(database)) == 4


async def test_a_bad_submission_does_not_fail_its_neighbours(database: Database, group: GroupWriter) -> None:
    await group.submit(add, {"id": 5, "text": ""})
    outcomes = await asyncio.gather(
        *(group.submit(add, {"id": number, "text": ""}) for number in range(4)),
        group.submit(add, {"id": 5, "text": "again"}),
        group.submit(add, {"id": 6, "text": None}),
        group.submit(add, {"id": 7, "text": object()}),
        *(group.submit(add, {"id": number, "text": ""}) for number in range(8, 12)),
        return_exceptions=True,
    )
    assert [type(outcome).__name__ for outcome in outcomes] == ["Result"] * 4 + ["StoreError"] * 3 + ["Result"] * 4
    assert await ids(database) == [0, 1, 2, 3, 5, 8, 9, 10, 11]


async def test_what_comes_while_a_submission_alone_is_refused_is_written_after_it(database: Database, group: GroupWriter) -> None:
    await group.submit(add, {"id": 0, "text": ""})
    bad = asyncio.ensure_future(group.submit(add, {"id": 0, "text": ""}))
    for _ in range(3):  # it has begun to be written
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await asyncio.gather(*(group.submit(add, {"id": number, "text": ""}) for number in range(1, 5)))
    with pytest.raises(StoreError):
        await bad
    assert await ids(database) == [0, 1, 2, 3, 4]
    await group.flush()


async def test_a_missing_value_is_the_callers_error_alone(group: GroupWriter) -> None:
    with pytest.raises(KeyError):
        await group.submit(add, {"id": 1})


async def test_what_was_enqueued_arrives_without_waiting_and_at_the_latest_on_close(database: Database) -> None:
    writer = GroupWriter(database, linger=60)
    for number in range(10):
        writer.enqueue(add, {"id": number, "text": ""})
    assert await ids(database) == []
    await writer.close()
    assert await ids(database) == list(range(10))
    with pytest.raises(StoreError, match="closing"):
        writer.enqueue(add, {"id": 11, "text": ""})


async def test_what_was_enqueued_goes_along_with_what_somebody_waits_for(database: Database) -> None:
    writer = GroupWriter(database, linger=60)
    writer.enqueue(add, {"id": 1, "text": ""})
    await writer.submit(add, {"id": 2, "text": ""})
    assert await ids(database) == [1, 2]
    await writer.close()


class Lingering:
    """A source whose rows nobody waits for."""

    def __init__(self) -> None:
        self.taken = 0
        self._row = Step(Compiled(add, sqlite.dialect()), ())

    def pending(self) -> bool:
        return not self.taken

    def gather(self) -> Step:
        self.taken += 1
        return self._row

    def committed(self) -> None: ...

    def failed(self, error: StoreError) -> None: ...

    def settled(self) -> None: ...


async def test_what_need_not_be_synced_is_seen_by_all_and_keeps_nothing_that_lingers_from_being_written(database: Database) -> None:
    writer, lingering = GroupWriter(database, linger=60), Lingering()
    writer.attach(lingering)
    await writer.transact((claim, {"id": 1, "text": ""}), (add, {"id": 2, "text": ""}), guarded=1, synced=False)
    assert await ids(database) == [1, 2]
    assert lingering.taken == 0, "a group that is not synced takes nothing along that is to be durable"
    writer.detach(lingering)
    await writer.close()
    writer = GroupWriter(database)
    writer.attach(lingering)
    writer.soon()
    async with asyncio.timeout(30):
        while not lingering.taken:
            results = await writer.transact((claim, {"id": 1, "text": ""}), (add, {"id": 3, "text": ""}), guarded=1, synced=False)
            assert len(results) == 1
    await writer.close()


async def test_a_full_queue_makes_callers_wait_and_loses_nothing(database: Database) -> None:
    writer = GroupWriter(database, limit=5)
    await asyncio.gather(*(writer.submit(add, {"id": number, "text": ""}) for number in range(100)))
    for number in range(100, 105):
        writer.enqueue(add, {"id": number, "text": ""})
    assert writer.full
    async with asyncio.timeout(5):
        await writer.room()
    await writer.submit(add, {"id": 105, "text": ""})
    await writer.close()
    assert await ids(database) == list(range(106))


async def test_cancelling_one_who_waits_disturbs_nobody(database: Database, group: GroupWriter) -> None:
    tasks = [asyncio.create_task(group.submit(add, {"id": number, "text": ""})) for number in range(10)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(outcome, Exception) for outcome in outcomes) == 0
    assert isinstance(outcomes[3], asyncio.CancelledError)


# --- SQLite alone --------------------------------------------------------------------------------------------------------


sqlite_only = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@sqlite_only
async def test_a_full_disk_fails_all_and_acknowledges_nothing(database: Database, group: GroupWriter) -> None:
    await group.submit(add, {"id": 1, "text": ""})
    connection = group._backend._connection  # type: ignore[attr-defined]
    pages = sqlite3.connect(database.path).execute("PRAGMA page_count").fetchone()[0]

    def limit(count: int) -> None:
        connection.execute(f"PRAGMA max_page_count={count}")

    await _in_writer(group, limit, pages)
    outcomes = await asyncio.gather(
        *(group.submit(add, {"id": number, "text": "x" * 5000}) for number in range(2, 6)), return_exceptions=True
    )
    assert all(isinstance(outcome, StoreError) and "full" in str(outcome) for outcome in outcomes)
    assert await ids(database) == [1]
    one = asyncio.ensure_future(group.submit(add, {"id": 2, "text": "x" * 5000}))
    for _ in range(3):  # it has begun to be written
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        with pytest.raises(StoreError):
            await group.submit(add, {"id": 3, "text": "x" * 5000})
    with pytest.raises(StoreError):
        await one
    await _in_writer(group, limit, 2**30)
    await group.submit(add, {"id": 2, "text": "x" * 5000})
    assert await ids(database) == [1, 2]


async def _in_writer(group: GroupWriter, function: object, *arguments: object) -> None:
    """Run something in the writer's thread, where its connection may be used."""

    class Once:
        def __init__(self) -> None:
            self.done = asyncio.Event()

        def pending(self) -> bool:
            return not self.done.is_set()

        def gather(self) -> None:
            function(*arguments)  # type: ignore[operator]

        def committed(self) -> None: ...

        def failed(self, error: StoreError) -> None: ...

        def settled(self) -> None:
            self.done.set()

    once = Once()
    group.attach(once)
    group.hurry()
    await once.done.wait()
    group.detach(once)


@sqlite_only
async def test_another_writers_lock_is_waited_for(database: Database, group: GroupWriter) -> None:
    await group.submit(add, {"id": 1, "text": ""})
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = [asyncio.create_task(group.submit(add, {"id": 2, "text": ""})), asyncio.create_task(_add(database, 3))]
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in waiting)
    other.execute("COMMIT")
    other.close()
    async with asyncio.timeout(1):
        await asyncio.gather(*waiting)
    assert await ids(database) == [1, 2, 3]


async def _add(database: Database, number: int) -> None:
    async with database.write() as connection:
        await connection.execute(add, {"id": number, "text": ""})


async def test_two_writers_and_transactions_beside_them_do_not_lose_rows(url: str, database: Database) -> None:
    first, second = GroupWriter(database), GroupWriter(other := Database.open(url, SystemClock()))
    await asyncio.gather(
        *(first.submit(add, {"id": number, "text": ""}) for number in range(0, 100, 2)),
        *(second.submit(add, {"id": number, "text": ""}) for number in range(1, 100, 2)),
        *(_add(database, number) for number in range(100, 110)),
    )
    assert await ids(database) == list(range(110))
    await first.close()
    await second.close()
    await other.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_a_lost_connection_is_made_again(database: Database, group: GroupWriter) -> None:
    await group.submit(add, {"id": 1, "text": ""})
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with database.write() as connection:
        await connection.execute(text(f"SELECT pg_terminate_backend(pid) {others}"))
    async with asyncio.timeout(5):
        while True:
            try:
                await group.submit(add, {"id": 2, "text": ""})
                break
            except StoreError:
                await asyncio.sleep(0.01)
    assert await ids(database) == [1, 2]
