"""What tells of an arrival is in the commit that makes the message visible, and what was observed of recipients costs little."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert, select, text

from fiveways.clock import ManualClock, SystemClock, micros
from fiveways.delivery import records as delivery
from fiveways.delivery.engine import Deliveries
from fiveways.ledger.ledger import Ledger
from fiveways.ledger.replay import claim, use
from fiveways.methods.messaging import collecting, records
from fiveways.methods.messaging.collecting import Inboxes, Observations, Observed
from fiveways.methods.messaging.ids import new_id
from fiveways.methods.messaging.records import Details, Draft
from fiveways.methods.messaging.refusals import Reused
from fiveways.methods.messaging.reports import Report
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.webhook import Arrivals, Webhook, WebhookSettings
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio

HOOK = Webhook(WebhookSettings.model_validate({"url": "https://hooks.example/a", "secrets": ["env:X"]}), [b"s" * 16])
DAY = timedelta(days=1)


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path, database, open_payloads(f"file://{tmp_path}/payloads"), LocalBus(), SystemClock(), "node")
    yield opened
    await opened.close()


@pytest.fixture
def messaging(ledger: Ledger) -> Messaging:
    clock = SystemClock()
    deliveries = Deliveries(ledger.group, ledger.payloads, LocalBus(), clock, "node")
    find = {"BOB": HOOK}.get
    return Messaging(ledger, clock, arrivals=Arrivals(deliveries, find, DAY))


def draft(**more: Any) -> Draft:
    fields = {"sender": "ALICE", "recipient": "BOB", "workflow": "NOTE", "local_id": "", "chunks": 1, "correlation": "c"}
    return Draft(**{**fields, "details": Details(subject="Mrs Smith"), **more})


async def told(database: Database) -> list[dict[str, Any]]:
    """What is promised, in its order; each with its key and target."""
    question = (
        select(delivery.deliveries)
        .join(delivery.delivery_queue, delivery.delivery_queue.c.delivery == delivery.deliveries.c.id)
        .order_by(delivery.delivery_queue.c.position)
    )
    async with database.read() as connection:
        rows = (await connection.execute(question)).all()
    assert all((row.key, row.target) == ("BOB", HOOK.url) for row in rows)
    return [msgspec.json.decode(row.body) for row in rows]


async def test_a_report_that_a_tester_puts_into_an_inbox_is_told_of(messaging: Messaging, database: Database) -> None:
    id_ = await messaging.report(Report(recipient="BOB", workflow="NOTE", local_id="", code="14", reason="late", details=Details()))
    (arrival,) = await told(database)
    assert (arrival["message_id"], arrival["kind"], arrival["mailbox"]) == (id_, "REPORT", "BOB")
    assert (await messaging.waiting("BOB", None, limit=10)).messages == [id_]


async def test_each_message_for_a_mailbox_with_a_webhook_is_promised_once_in_order(
    messaging: Messaging, database: Database
) -> None:
    sent = [(await messaging.send(draft(), b"12345", None)).id for _ in range(3)]
    await messaging.send(draft(recipient="CAROL"), b"of no interest", None)
    found = await told(database)
    assert [each["message_id"] for each in found] == sent
    assert {each["size"] for each in found} == {5}
    assert "Smith" not in str(found)


async def test_what_is_not_taken_in_is_not_told(messaging: Messaging, database: Database) -> None:
    token = claim, use("test", b"token", micros(SystemClock()) + 10**9)
    first = await messaging.send(draft(local_id="mine"), b"x", token, once_within=DAY)
    with pytest.raises(Reused):
        await messaging.send(draft(), b"x", token)
    again = await messaging.send(draft(local_id="mine"), b"x", None, once_within=DAY)
    assert again.repeated
    assert [each["message_id"] for each in await told(database)] == [first.id]


async def test_a_message_of_several_chunks_is_told_when_it_is_whole_and_never_before(
    messaging: Messaging, database: Database
) -> None:
    id_ = (await messaging.send(draft(chunks=3), b"a" * 10, None)).id
    await messaging.add_chunk("ALICE", id_, 3, 3, "", b"c" * 5, None)
    assert await told(database) == []
    await messaging.add_chunk("ALICE", id_, 2, 3, "", b"b" * 70_000, None)
    (found,) = await told(database)
    assert (found["message_id"], found["chunks"], found["size"]) == (id_, 3, 70_015)


async def test_chunks_that_come_at_the_same_moment_are_told_of_once_and_of_no_wrong_size(
    messaging: Messaging, database: Database
) -> None:
    ids = [(await messaging.send(draft(chunks=4), b"1", None)).id for _ in range(5)]
    several = (messaging.add_chunk("ALICE", id_, number, 4, "", b"1", None) for id_ in ids for number in (2, 3, 4))
    await asyncio.gather(*several)
    found = await told(database)
    assert sorted(each["message_id"] for each in found) == sorted(ids)
    assert {each.get("size", 4) for each in found} == {4}


async def fill(database: Database, mailbox: str, number: int, *, waiting: int = 0, took: int = 90, first: int = 10**15) -> None:
    """Messages a second apart, all acknowledged after `took` seconds but the last `waiting`."""
    rows, events, inbox = [], [], []
    for index in range(number):
        at = first + index * 10**6
        id_ = new_id(at)
        rows.append({"id": id_, "sender": "A", "recipient": mailbox, "workflow": "W", "local_id": "", "kind": "DATA", "chunks": 1,
                     "at": at, "correlation": "", "details": b"{}"})  # fmt: skip
        event = {"message": id_, "code": "", "reason": ""}
        events.append({**event, "place": 1, "state": "accepted", "at": at})
        if index < number - waiting:
            events.append({**event, "place": 2, "state": "acknowledged", "at": at + took * 10**6})
        else:
            inbox.append({"mailbox": mailbox, "message": id_, "workflow": "W"})
    async with database.write() as connection:
        await connection.execute(insert(records.messages), rows)
        await connection.execute(insert(records.message_events), events)
        if inbox:
            await connection.execute(insert(records.inbox), inbox)


async def test_the_newest_acknowledged_messages_are_observed_also_behind_many_that_wait(database: Database) -> None:
    clock = ManualClock()
    observations = Observations(database, clock)
    await fill(database, "QUICK", 300, took=60)
    await fill(database, "BUSY", 1500, waiting=1000, took=120)
    await fill(database, "IDLE", 5, waiting=5)
    observed = await observations.of(["QUICK", "BUSY", "IDLE", "NOBODY"])
    assert observed == {
        "QUICK": Observed(200, 60.0, 60.0, 10**15 + 100 * 10**6),
        "BUSY": Observed(200, 120.0, 120.0, 10**15 + 300 * 10**6),
    }
    await fill(database, "IDLE", 19, took=10, first=2 * 10**15)
    await fill(database, "IDLE", 1, took=1000, first=3 * 10**15)
    assert "IDLE" not in await observations.of(["IDLE"]), "kept for a minute"
    clock.advance(timedelta(seconds=61))
    assert (await observations.of(["IDLE"]))["IDLE"] == Observed(20, 10.0, 10.0, 2 * 10**15)


async def test_inboxes_are_seen_as_full_as_they_are(database: Database) -> None:
    clock = ManualClock()
    inboxes = Inboxes(database, clock)
    now = int(clock.time() * 1e6)
    await fill(database, "BUSY", 50, waiting=40, first=now - 100 * 10**6)
    await fill(database, "IDLE", 5)
    await inboxes.look()
    assert inboxes.rows == {"BUSY": [40.0, 90.0]}


async def test_observing_reads_as_much_however_many_messages_there_are(database: Database) -> None:
    await fill(database, "MANY", 20_000, waiting=10_000)
    async with database.read() as connection:
        sql = str(collecting._find.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True}))
        if database.kind == "sqlite":
            plan = (await connection.execute(text("EXPLAIN QUERY PLAN " + sql.replace("?", "'x'")))).all()
            steps = [row[3] for row in plan]
            assert any("ix_messages_recipient" in step for step in steps), steps
            assert not [step for step in steps if step.startswith(("SCAN messages", "SCAN message_events"))], steps
    begun = time.perf_counter()
    observed = await Observations(database, SystemClock()).of(["MANY"])
    assert time.perf_counter() - begun < 1
    assert observed["MANY"].messages == 200
