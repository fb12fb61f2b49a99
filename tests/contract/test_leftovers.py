"""A payload whose row never came is removed when it is old; one that any row names, or that is new, never is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, text
from tests.contract.test_migrations import SOURCE  # which imports whatever declares a table
from tests.unit.store.test_payloads import payloads, s3  # noqa: F401 - fixtures

from fiveways.clock import ManualClock, SystemClock
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.records import deliveries
from fiveways.errors import StoreError
from fiveways.ledger.audit import event as audit_event
from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.idempotency import Duplicates, Fresh, duplicates
from fiveways.methods.messaging.records import Details, Draft, message_chunks
from fiveways.methods.messaging.service import Messaging
from fiveways.platform.foundation import Foundation
from fiveways.platform.model import Deployment
from fiveways.store import leftovers
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import Payloads, open_payloads, put_at
from fiveways.store.payloads_folder import FolderPayloads
from fiveways.store.tables import PAYLOAD, metadata

pytestmark = pytest.mark.anyio

NOW = SystemClock().now()
LATER = NOW + leftovers.LONGEST_REQUEST + timedelta(days=1)
"""When what is put in these tests is old."""
LARGE = bytes(70_000)
"""More than is kept in a row."""
KILLED = """
import asyncio, sys
from pathlib import Path
from fiveways.clock import SystemClock
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.records import Details, Draft
from fiveways.methods.messaging.service import Messaging
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

async def main():
    url, folder = sys.argv[1:]
    database, clock = Database.open(url), SystemClock()
    payloads = open_payloads(f"file://{folder}/payloads")
    ledger = await Ledger.open(Path(folder) / "ledger", database, payloads, LocalBus(), clock, "n")

    async def commit(*steps, **options):
        print("at its commit", flush=True)
        await asyncio.sleep(60)

    ledger.group.transact = commit
    await Messaging(ledger, clock).send(Draft("ALICE", "BOB", "NOTE", "", 1, Details(), "c"), bytes(70_000), None)

asyncio.run(main())
"""


async def refs(payloads: Payloads) -> set[str]:  # noqa: F811
    return {ref async for ref in payloads.list()}


async def named_by_all(group: GroupWriter, payloads: Payloads) -> dict[str, str]:  # noqa: F811
    """A payload for every table that names some, as its owner makes it."""
    clock = SystemClock()
    held = (await payloads.put(LARGE)).ref
    chunk = {"message": "m", "number": 1, "size": 1, "sha256": "", "body": None, "payload": held}
    await group.submit(message_chunks.insert(), chunk)
    answer = (await payloads.put(LARGE)).ref
    begun = await Duplicates(group, clock).begin("app", "api", "key", timedelta(minutes=1))
    assert isinstance(begun, Fresh)
    await Duplicates(group, clock).complete(begun.claim, b"", 200, [], payload=answer, expires=LATER)
    promise = await Deliveries(group, payloads, LocalBus(), clock, "n").promise("q", target="t", body=LARGE)
    await group.transact(*promise.steps)
    assert promise.payload is not None
    return {"message_chunks": held, "duplicates": answer, "deliveries": promise.payload}


async def test_an_old_payload_is_removed_once_no_row_names_it(
    group: GroupWriter,
    database: Database,
    payloads: Payloads,  # noqa: F811
) -> None:
    kept, left = await named_by_all(group, payloads), (await payloads.put(LARGE)).ref
    assert await leftovers.remove(database, payloads, LATER) >= 1
    assert await refs(payloads) == set(kept.values())
    for table in (message_chunks, duplicates, deliveries):  # none of them is kept for another's sake
        async with database.write() as connection:
            await connection.execute(delete(table))
        assert await leftovers.remove(database, payloads, LATER) == 1
        assert kept.pop(table.name) not in await refs(payloads)
        assert await refs(payloads) == set(kept.values())
    assert not await payloads.exists(left)


async def test_a_payload_whose_row_may_still_come_is_never_touched(database: Database, payloads: Payloads) -> None:  # noqa: F811
    ref = (await payloads.put(LARGE)).ref
    just_not = put_at(ref) + leftovers.LONGEST_REQUEST
    for now in (NOW, NOW + timedelta(days=1), just_not):
        await leftovers.remove(database, payloads, now)
        assert await payloads.exists(ref)
    await leftovers.remove(database, payloads, just_not + timedelta(milliseconds=1))
    assert not await payloads.exists(ref)


async def test_many_are_looked_at_some_at_a_time_by_several_nodes_at_once(
    url: str, group: GroupWriter, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "AT_ONCE", 7)
    payloads = open_payloads(f"file://{tmp_path}/payloads")  # noqa: F811
    made = [(await payloads.put(b"x")).ref for _ in range(50)]
    row = {"message": "m", "size": 1, "sha256": "", "body": None}
    for number, ref in enumerate(made[::3]):
        await group.submit(message_chunks.insert(), {**row, "number": number, "payload": ref})
    other = Database.open(url)
    try:
        await asyncio.gather(*(leftovers.remove(each, payloads, LATER) for each in (database, other, database)))
    finally:
        await other.close()
    assert await refs(payloads) == set(made[::3])


async def test_what_a_kill_9_before_the_commit_leaves_is_swept_by_the_platform(
    url: str, tmp_path: Path, child: Callable[..., Awaitable[asyncio.subprocess.Process]]
) -> None:
    process = await child(KILLED, url, str(tmp_path))
    assert process.stdout is not None
    assert await process.stdout.readline() == b"at its commit\n"
    process.kill()
    await process.wait()
    store = {"url": url, "payloads": f"file://{tmp_path}/payloads"}
    clock = ManualClock(NOW)
    foundation = await Foundation.open(Deployment.model_validate({"store": store}), tmp_path / "data", tmp_path, clock)
    try:
        messaging = Messaging(foundation.ledger, clock)
        sent = await messaging.send(Draft("ALICE", "BOB", "NOTE", "", 1, Details(), "c"), LARGE, None)
        await foundation.sweep()
        assert len(await refs(foundation.ledger.payloads)) == 2
        clock.advance(LATER - NOW)
        await foundation.sweep()
        await foundation.sweep()
        assert len(await refs(foundation.ledger.payloads)) == 1
        _, chunk = await messaging.collect("BOB", sent.id, 1, None)
        assert chunk is not None
        content = messaging.content(chunk)
        assert isinstance(content, AsyncIterator)
        assert b"".join([piece async for piece in content]) == LARGE
        async with foundation.database.read() as connection:
            bodies = (await connection.scalars(audit_events.select().with_only_columns(audit_events.c.body))).all()
        told = [event.details for event in map(audit_event.decode, bodies) if event.kind == "payloads.removed"]
        assert told == [{"leftovers": 1}]
    finally:
        await foundation.close()


async def test_a_table_that_this_version_does_not_know_is_asked_too(database: Database, payloads: Payloads) -> None:  # noqa: F811
    ref = (await payloads.put(LARGE)).ref
    async with database.write() as connection:
        await connection.execute(text("CREATE TABLE of_a_later_version (id TEXT PRIMARY KEY, payload TEXT)"))
        await connection.execute(text("INSERT INTO of_a_later_version VALUES ('a', :ref)"), {"ref": ref})
    await leftovers.remove(database, payloads, LATER)
    assert await payloads.exists(ref)


async def test_where_a_table_cannot_be_asked_nothing_is_removed(group: GroupWriter, database: Database, tmp_path: Path) -> None:
    payloads = open_payloads(f"file://{tmp_path}/payloads")  # noqa: F811
    await payloads.put(LARGE)
    async with database.write() as connection:
        await connection.execute(text("DROP TABLE deliveries"))
    with pytest.raises(StoreError):
        await leftovers.remove(database, payloads, LATER)
    assert len(await refs(payloads)) == 1


async def test_what_is_no_payload_of_ours_is_left_alone(database: Database, tmp_path: Path) -> None:
    payloads = FolderPayloads.at(tmp_path / "payloads")  # noqa: F811
    strangers = tmp_path / "payloads" / "2020-01-01"
    strangers.mkdir()
    for name in ("notes.txt", str(uuid4()), "ffffffff-ffff-7000-8000-000000000000"):
        (strangers / name).touch()
    assert await leftovers.remove(database, payloads, LATER) == 0
    assert len(list(strangers.iterdir())) == 3


def test_whatever_is_called_a_payload_is_marked_as_naming_one() -> None:
    """A new method cannot forget: its column is called so, or is found by its mark."""
    assert SOURCE.is_dir()
    columns = [column for table in metadata.tables.values() for column in table.columns]
    called = {str(column) for column in columns if "payload" in column.name}
    marked = {str(column) for column in columns if PAYLOAD.items() <= column.info.items()}
    assert called == marked >= {"message_chunks.payload", "duplicates.payload", "deliveries.payload"}


async def test_each_table_is_asked_by_an_index(database: Database) -> None:
    columns = await leftovers.naming(database)
    async with database.read() as connection:
        if database.kind == "postgresql":  # which would read an empty table as a whole
            found = (
                "SELECT tablename FROM pg_indexes "
                "WHERE indexdef LIKE '%(payload) WHERE (payload IS NOT NULL)' OR indexdef LIKE '%(payload)'"
            )
            assert {table for table, _ in columns} <= set((await connection.scalars(text(found))).all())
            return
        asked: Any = leftovers.question(list(columns.values()), [new_id()]).compile(
            connection.engine.sync_engine, compile_kwargs={"literal_binds": True}
        )
        plan = [row.detail for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {asked}"))]
    for table, _ in columns:
        assert any(f"SEARCH {table} USING COVERING INDEX ix_{table}_payload" in line for line in plan), plan
