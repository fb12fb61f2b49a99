"""Messages that nobody collects expire once, with one report; old ones leave nothing behind; whoever works, whoever is killed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select
from structlog.testing import capture_logs

from fiveways.clock import ManualClock, micros
from fiveways.ledger.audit import event as audit_event
from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging import records
from fiveways.methods.messaging.directory import Directory, Mailbox, MailboxProfile, MessagingSettings, Workflow, WorkflowSettings
from fiveways.methods.messaging.mesh.headers import collected
from fiveways.methods.messaging.overdue import Overdue
from fiveways.methods.messaging.records import Details, Draft, Message
from fiveways.methods.messaging.refusals import Gone, Unknown, Whole
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.states import State
from fiveways.methods.messaging.worker import AT_ONCE, Worker
from fiveways.platform.platform import Platform
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio

SETTINGS = MessagingSettings()
LARGE = bytes(70_000)
REPORT = {
    b"mex-from": None, b"mex-to": b"ALICE", b"mex-workflowid": b"NOTE", b"mex-localid": b"mine", b"mex-messagetype": b"REPORT",
    b"mex-chunk-range": b"1:0", b"mex-total-chunks": b"0", b"mex-statuscode": b"14", b"mex-statusevent": b"SEND",
    b"mex-statussuccess": b"ERROR", b"mex-subject": b"NDR: Discharge summary",
}  # fmt: skip
"""What a report says on the wire of the message that the first test sends (MESH API specification, reports)."""


class Node:
    """A node: its own group writer, over the store that all share."""

    def __init__(self, ledger: Ledger, clock: ManualClock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.messaging = Messaging(ledger, clock)
        self.worker = Worker(ledger, clock, lambda: SETTINGS)

    async def payloads(self) -> list[str]:
        return [ref async for ref in self.ledger.payloads.list()]

    async def found(self, id_: str) -> Message:
        message = await self.messaging.message(id_)
        assert message is not None
        return message


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def open_node(database: Database, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Callable[[str], Awaitable[Node]]]:
    async with AsyncExitStack() as stack:

        async def open_(name: str) -> Node:
            payloads = open_payloads(f"file://{tmp_path}/payloads")
            ledger = await Ledger.open(tmp_path / name, database, payloads, LocalBus(), clock, name)
            stack.push_async_callback(ledger.close)
            return Node(ledger, clock)

        yield open_


@pytest.fixture
async def node(open_node: Callable[[str], Awaitable[Node]]) -> Node:
    return await open_node("one")


@pytest.fixture
async def other(open_node: Callable[[str], Awaitable[Node]]) -> Node:
    return await open_node("other")


def draft(**more: Any) -> Draft:
    fields = {"sender": "ALICE", "recipient": "BOB", "workflow": "NOTE", "local_id": "", "chunks": 1, "correlation": "c-1"}
    return Draft(**{**fields, "details": Details(), **more})


async def inbox(node: Node, mailbox: str) -> list[str]:
    return (await node.messaging.waiting(mailbox, None, limit=5000)).messages


async def send(node: Node, **more: Any) -> str:
    """Send a message, a microsecond after what was sent before: ids of one moment differ in 24 random bits only."""
    node.clock.advance(timedelta(microseconds=1))
    return (await node.messaging.send(draft(**more), b"x", None)).id


async def sent(node: Node, number: int) -> list[str]:
    return list(await asyncio.gather(*(send(node) for _ in range(number))))


async def told_of(node: Node) -> list[str]:
    """The messages that the reports in ALICE's inbox are about."""
    reports = [await node.found(id_) for id_ in await inbox(node, "ALICE")]
    assert {report.kind for report in reports} <= {"REPORT"}
    return sorted(report.details.linked for report in reports)


async def counts(database: Database, kind: str) -> dict[str, int]:
    """What the audit says that befell messages, all entries together."""
    async with database.read() as connection:
        bodies = (await connection.scalars(select(audit_events.c.body))).all()
    total: dict[str, int] = {}
    for event in map(audit_event.decode, bodies):
        if event.kind == kind:
            for name, number in (event.details or {}).items():
                total[name] = total.get(name, 0) + number if isinstance(number, int) else number
    return total


async def rows(database: Database) -> dict[str, int]:
    async with database.read() as connection:
        tables = (records.messages, records.message_events, records.message_chunks, records.inbox)
        return {each.name: (await connection.scalar(select(func.count()).select_from(each))) or 0 for each in tables}


# --- expiry ---------------------------------------------------------------------------------------------------------------


async def test_a_message_that_nobody_collects_comes_back_as_a_report(node: Node, database: Database, clock: ManualClock) -> None:
    details = Details(subject="Discharge summary", file_name="a.xml")
    id_ = (await node.messaging.send(draft(local_id="mine", details=details), b"x", None)).id
    clock.advance(timedelta(days=5) - timedelta(milliseconds=1))
    await node.worker.round()
    assert await inbox(node, "BOB") == [id_], "it may be collected until the last moment"
    clock.advance(timedelta(milliseconds=1))
    await node.worker.round()
    assert await inbox(node, "BOB") == []
    reason = "Message not collected by recipient after 5 days"
    message = await node.found(id_)
    assert message.state is State.UNDELIVERABLE
    assert (message.events[-1].code, message.events[-1].reason) == ("14", reason)
    with pytest.raises(Gone):
        await node.messaging.collect("BOB", id_, 1, None)
    (about,) = await inbox(node, "ALICE")
    report, chunk = await node.messaging.collect("ALICE", about, 1, None)
    assert chunk is None
    assert (report.kind, report.chunks, report.sender, report.recipient) == ("REPORT", 0, "", "ALICE")
    assert (report.workflow, report.local_id, report.correlation) == ("NOTE", "mine", "c-1")
    assert report.details == Details(subject="NDR: Discharge summary", linked=id_)
    assert (report.events[0].code, report.events[0].reason) == ("14", reason)
    wire = dict(collected(report, 1))
    assert {name: wire.get(name) for name in REPORT} == REPORT
    assert (wire[b"mex-linkedmsgid"], wire[b"mex-statusdescription"]) == (id_.encode(), reason.encode())
    assert await node.messaging.by_local_id("ALICE", "mine", None) == [message], "the report is not what the sender has sent"
    assert await counts(database, "messages.expired") == {"undeliverable": 1, "reports": 1}


async def test_a_report_that_nobody_collects_expires_without_another(node: Node, clock: ManualClock) -> None:
    await sent(node, 1)
    clock.advance(timedelta(days=5))
    await node.worker.round()
    (report,) = await inbox(node, "ALICE")
    clock.advance(timedelta(days=5))
    await node.worker.round()
    assert await inbox(node, "ALICE") == []
    assert await inbox(node, "") == []
    assert (await node.found(report)).state is State.UNDELIVERABLE


async def test_what_was_acknowledged_or_is_not_old_does_not_expire(node: Node, clock: ManualClock) -> None:
    (acknowledged,) = await sent(node, 1)
    await node.messaging.acknowledge("BOB", acknowledged, None)
    clock.advance(timedelta(days=4))
    (later,) = await sent(node, 1)
    clock.advance(timedelta(days=2))
    await node.worker.round()
    assert await inbox(node, "BOB") == [later]
    assert await inbox(node, "ALICE") == []


async def test_a_message_in_chunks_waits_from_when_it_is_whole(node: Node, clock: ManualClock) -> None:
    id_ = (await node.messaging.send(draft(chunks=2), b"1", None)).id
    clock.advance(timedelta(days=4))
    await node.messaging.add_chunk("ALICE", id_, 2, 2, "", b"2", None)
    clock.advance(timedelta(days=4))
    await node.worker.round()
    assert await inbox(node, "BOB") == [id_]


async def test_two_workers_at_once_end_each_message_once(node: Node, other: Node, database: Database, clock: ManualClock) -> None:
    ids = await sent(node, 3 * AT_ONCE + 7)
    clock.advance(timedelta(days=6))
    await asyncio.gather(node.worker.round(), other.worker.round(), node.worker.round())
    await other.worker.round()
    assert await told_of(node) == sorted(ids)
    assert await counts(database, "messages.expired") == {"undeliverable": len(ids), "reports": len(ids)}


async def test_an_acknowledgement_and_expiry_at_once_have_one_winner(node: Node, other: Node, clock: ManualClock) -> None:
    ids = await sent(node, 2 * AT_ONCE)
    clock.advance(timedelta(days=5))

    async def acknowledged(id_: str) -> bool:
        try:
            await node.messaging.acknowledge("BOB", id_, None)
        except Gone:
            return False
        return True

    async def one_after_another() -> list[str]:
        return [id_ for id_ in reversed(ids) if await acknowledged(id_)]

    acknowledgements, _ = await asyncio.gather(one_after_another(), other.worker.round())
    assert acknowledgements, "some were acknowledged before their turn came"
    assert await told_of(node) == sorted(set(ids) - set(acknowledgements)), "a report or an acknowledgement, never both or neither"
    assert await inbox(node, "BOB") == []
    for id_ in ids:
        message = await node.found(id_)
        assert [event.state for event in message.events[:-1]] == [State.ACCEPTED]
        assert message.state is (State.ACKNOWLEDGED if id_ in acknowledgements else State.UNDELIVERABLE)


# --- what workflows declare of failure (A45) ------------------------------------------------------------------------------


def directory(**workflows: dict[str, Any]) -> Directory:
    profile = MailboxProfile(organisation="X26")
    mailboxes = [Mailbox(id_, profile) for id_ in ("ALICE", "BOB", "DESK", "AUDIT")]
    return Directory(mailboxes, [Workflow(id_, WorkflowSettings.model_validate(each)) for id_, each in workflows.items()])


def declared(node: Node, **workflows: dict[str, Any]) -> None:
    """Let a node's worker know workflows of these settings."""
    known = directory(**workflows)
    node.worker = Worker(node.ledger, node.clock, lambda: SETTINGS, lambda: known)


async def state(node: Node, id_: str) -> State:
    return (await node.found(id_)).state


async def test_a_workflow_has_a_time_of_its_own_whichever_way_it_differs(node: Node, clock: ManualClock) -> None:
    declared(node, QUICK={"undelivered_after": "1h"}, SLOW={"undelivered_after": "20d"}, SAME={"undelivered_after": "5d"})
    slow, quick, plain, same = [await send(node, workflow=each) for each in ("SLOW", "QUICK", "OTHER", "SAME")]
    clock.advance(timedelta(hours=1) - timedelta(milliseconds=1))
    await node.worker.round()
    assert await inbox(node, "BOB") == [slow, quick, plain, same]
    clock.advance(timedelta(milliseconds=1))
    await node.worker.round()
    assert await inbox(node, "BOB") == [slow, plain, same]
    assert (await node.found(quick)).events[-1].reason == "Message not collected by recipient after 1 hour"
    assert await told_of(node) == [quick]
    clock.advance(timedelta(days=5))
    await node.worker.round()
    assert await inbox(node, "BOB") == [slow]
    clock.advance(timedelta(days=15))
    await node.worker.round()
    assert await inbox(node, "BOB") == []
    assert (await node.found(slow)).events[-1].reason == "Message not collected by recipient after 20 days"


async def test_a_report_waits_as_long_as_messages_do_not_as_its_workflow(node: Node, clock: ManualClock) -> None:
    declared(node, QUICK={"undelivered_after": "1m"}, SLOW={"undelivered_after": "20d"})
    quick = await send(node, workflow="QUICK")
    clock.advance(timedelta(minutes=1))
    await node.worker.round()
    (report,) = await inbox(node, "ALICE")
    clock.advance(timedelta(days=4))
    await node.worker.round()
    assert await told_of(node) == [quick], "a sender who looks once a day finds it"
    clock.advance(timedelta(days=1))
    await node.worker.round()
    assert await state(node, report) is State.UNDELIVERABLE


async def test_what_is_overdue_is_found_behind_many_that_are_not(node: Node, clock: ManualClock) -> None:
    declared(node, QUICK={"undelivered_after": "1h"}, SLOW={"undelivered_after": "20d"})
    waiting = await asyncio.gather(*(send(node, workflow="SLOW") for _ in range(2 * AT_ONCE)))
    quick = await asyncio.gather(*(send(node, workflow="QUICK") for _ in range(AT_ONCE + 1)))
    plain = await asyncio.gather(*(send(node, workflow="OTHER") for _ in range(AT_ONCE + 1)))
    waiting += await asyncio.gather(*(send(node, workflow="SLOW") for _ in range(AT_ONCE)))
    clock.advance(timedelta(hours=2))
    await node.worker.round()
    assert await told_of(node) == sorted(quick)
    late = await send(node, workflow="QUICK")
    clock.advance(timedelta(days=5, seconds=1))
    await node.worker.round()
    assert await told_of(node) == sorted([*plain, late]), "the first reports have expired"
    assert await inbox(node, "BOB") == waiting


async def test_messages_that_came_out_of_order_expire_each_in_its_time(node: Node, other: Node, clock: ManualClock) -> None:
    """A node whose clock is ten minutes ahead takes in every second message."""
    ahead = ManualClock(clock.now() + timedelta(minutes=10))
    other.messaging = Messaging(other.ledger, ahead)
    declared(node, QUICK={"undelivered_after": "1h"})
    early, late = [], []
    for _ in range(20):
        late.append((await other.messaging.send(draft(workflow="QUICK"), b"x", None)).id)
        early.append(await send(node, workflow="QUICK"))
        ahead.advance(timedelta(microseconds=1))
    clock.advance(timedelta(hours=1, milliseconds=1))
    await node.worker.round()
    assert await told_of(node) == sorted(early)
    clock.advance(timedelta(minutes=10))
    await node.worker.round()
    assert await told_of(node) == sorted(early + late)


async def test_a_time_that_is_changed_holds_for_what_waits_already(node: Node, clock: ManualClock) -> None:
    declared(node, NOTE={"undelivered_after": "20d"})
    (id_,) = await sent(node, 1)
    clock.advance(timedelta(days=6))
    await node.worker.round()
    assert await inbox(node, "BOB") == [id_]
    known = directory()
    node.worker._directory = lambda: known
    await node.worker.round()
    assert await told_of(node) == [id_]


async def test_others_are_told_in_the_same_moment_once_each(node: Node, database: Database, clock: ManualClock) -> None:
    handling = {"told": ["DESK", "ALICE", "AUDIT"], "worked_by": "Integration desk, 020 7946 0000"}
    declared(node, NOTE={"failures": handling})
    id_ = await send(node, local_id="mine", details=Details(subject="Letter"))
    clock.advance(timedelta(days=5))
    with capture_logs() as logs:
        await node.worker.round()
    for mailbox in ("ALICE", "DESK", "AUDIT"):
        (report,) = [await node.found(each) for each in await inbox(node, mailbox)]
        assert (report.kind, report.recipient, report.sender, report.local_id) == ("REPORT", mailbox, "", "mine")
        assert report.details == Details(subject="NDR: Letter", linked=id_)
        assert (report.workflow, report.correlation, report.at) == ("NOTE", "c-1", (await node.found(id_)).events[-1].at)
    befallen = {"workflow": "NOTE", "worked_by": handling["worked_by"], "undeliverable": 1, "reports": 3}
    assert await counts(database, "messages.expired") == befallen
    assert logs == [{"event": "messages were not collected in time", "log_level": "warning", **befallen}]


async def test_what_befell_whom_is_told_by_workflow_but_not_of_names_that_senders_made_up(
    node: Node, database: Database, clock: ManualClock
) -> None:
    declared(node, NOTE={}, DECLARED={"failures": {"worked_by": "Bed desk"}})
    for workflow in ("NOTE", "DECLARED", "JOHN SMITH 1970", "DECLARED"):
        await send(node, workflow=workflow)
    clock.advance(timedelta(days=5))
    await node.worker.round()
    async with database.read() as connection:
        bodies = (await connection.scalars(select(audit_events.c.body))).all()
    told = [event.details or {} for event in map(audit_event.decode, bodies) if event.kind == "messages.expired"]
    assert sorted(told, key=lambda each: each.get("workflow", "")) == [
        {"undeliverable": 1, "reports": 1},
        {"workflow": "DECLARED", "worked_by": "Bed desk", "undeliverable": 2, "reports": 2},
        {"workflow": "NOTE", "undeliverable": 1, "reports": 1},
    ]


async def test_two_workers_at_once_tell_everybody_once(node: Node, other: Node, clock: ManualClock) -> None:
    for each in (node, other):
        declared(each, NOTE={"undelivered_after": "1h", "failures": {"told": ["DESK"]}})
    ids = await sent(node, 3 * AT_ONCE + 7)
    clock.advance(timedelta(hours=1))
    await asyncio.gather(node.worker.round(), other.worker.round())
    await other.worker.round()
    assert await told_of(node) == sorted(ids)
    reports = [await node.found(id_) for id_ in await inbox(node, "DESK")]
    assert sorted(report.details.linked for report in reports) == sorted(ids)


async def waiting_rows(database: Database, number: int, at: int, **every: str) -> None:
    """So many messages that wait, written as rows; the workflow of each n-th is `every`[str(n)], else LONG."""
    ids = [f"{number_:026}" for number_ in range(number)]
    workflows = [next((name for name, nth in every.items() if not index % int(nth)), "LONG") for index in range(number)]
    kept = {
        "sender": "ALICE",
        "recipient": "BOB",
        "local_id": "",
        "kind": "DATA",
        "chunks": 1,
        "at": at,
        "correlation": "",
        "details": b"{}",
    }
    event = {"place": 1, "state": "accepted", "at": at, "code": "", "reason": ""}
    async with database.write() as connection:
        for start in range(0, number, 10_000):
            part = list(zip(ids, workflows, strict=True))[start : start + 10_000]
            await connection.execute(insert(records.messages), [{"id": id_, "workflow": name, **kept} for id_, name in part])
            await connection.execute(insert(records.message_events), [{"message": id_, **event} for id_, _ in part])
            rows_ = [{"mailbox": "BOB", "message": id_, "workflow": name} for id_, name in part]
            await connection.execute(insert(records.inbox), rows_)


async def test_a_round_reads_what_it_has_not_looked_at_and_little_else(
    node: Node, database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting_rows(database, 20_000, micros(clock), RARE="5000")
    declared(node, LONG={"undelivered_after": "30d"}, RARE={"undelivered_after": "2d"}, NEVER={"undelivered_after": "1h"})
    asked: list[int] = []
    found = Overdue._rows

    async def counted(self: Overdue, question: Any, **parameters: Any) -> list[Any]:
        rows_ = await found(self, question, **parameters)
        asked.append(len(rows_))
        return rows_

    monkeypatch.setattr(Overdue, "_rows", counted)
    for at, most in ((timedelta(hours=3), 120), (timedelta(minutes=1), 100), (timedelta(days=3), 120), (timedelta(minutes=1), 100)):
        clock.advance(at)
        asked.clear()
        await node.worker.round()
        assert len(asked) <= most
        assert sum(asked) <= 8 * most
    assert len(await told_of(node)) == 4
    assert (await rows(database))["inbox"] == 20_000


# --- uploads --------------------------------------------------------------------------------------------------------------


async def test_an_upload_that_is_never_completed_is_given_up(node: Node, database: Database, clock: ManualClock) -> None:
    id_ = (await node.messaging.send(draft(chunks=2), b"1", None)).id
    clock.advance(timedelta(days=5) - timedelta(seconds=1))
    await node.worker.round()
    assert (await node.found(id_)).state is State.UPLOADING
    clock.advance(timedelta(seconds=1))
    await node.worker.round()
    message = await node.found(id_)
    assert (message.state, message.events[-1].reason) == (State.ERROR, "Upload not completed within 5 days")
    with pytest.raises(Gone):
        await node.messaging.add_chunk("ALICE", id_, 2, 2, "", b"2", None)
    assert await inbox(node, "BOB") == []
    assert await inbox(node, "ALICE") == []
    assert (await counts(database, "messages.expired"))["abandoned"] == 1


async def test_more_uploads_than_one_batch_are_given_up_in_one_round(node: Node, clock: ManualClock) -> None:
    ids = await asyncio.gather(*(send(node, chunks=2) for _ in range(2 * AT_ONCE + 1)))
    clock.advance(timedelta(days=6))
    await node.worker.round()
    assert {(await node.found(id_)).state for id_ in ids} == {State.ERROR}


async def test_a_last_chunk_and_giving_up_at_once_have_one_winner(node: Node, other: Node, clock: ManualClock) -> None:
    ids = await asyncio.gather(*(send(node, chunks=2) for _ in range(AT_ONCE)))
    clock.advance(timedelta(days=5))

    async def complete() -> list[str]:
        done = []
        for id_ in reversed(ids):
            try:
                await node.messaging.add_chunk("ALICE", id_, 2, 2, "", b"2", None)
                done.append(id_)
            except (Gone, Whole):
                pass
        return done

    done, _ = await asyncio.gather(complete(), other.worker.round())
    assert sorted(await inbox(node, "BOB")) == sorted(done)
    for id_ in ids:
        states = [event.state for event in (await node.found(id_)).events]
        assert states == [State.UPLOADING, State.ACCEPTED if id_ in done else State.ERROR]


async def test_a_last_chunk_that_two_nodes_receive_completes_the_message_once(node: Node, other: Node) -> None:
    for _ in range(10):
        id_ = (await node.messaging.send(draft(chunks=2), b"1", None)).id
        adding = [each.messaging.add_chunk("ALICE", id_, 2, 2, "", LARGE, None) for each in (node, other)]
        first, second = await asyncio.gather(*adding, return_exceptions=True)
        assert {type(first), type(second)} == {State, Whole}
        assert (await inbox(node, "BOB")).count(id_) == 1
    assert len(await node.payloads()) == 10, "what was not taken in is not kept"


async def test_a_chunk_that_is_replaced_leaves_no_payload(node: Node) -> None:
    id_ = (await node.messaging.send(draft(chunks=3), b"1", None)).id
    for _ in range(3):
        await node.messaging.add_chunk("ALICE", id_, 2, 3, "", LARGE, None)
    assert len(await node.payloads()) == 1


# --- retention ------------------------------------------------------------------------------------------------------------


async def every_kind(node: Node) -> list[str]:
    """A message acknowledged, one never collected, one in chunks, and an upload never completed; with large chunks among them."""
    acknowledged = (await node.messaging.send(draft(), LARGE, None)).id
    await node.messaging.acknowledge("BOB", acknowledged, None)
    whole = (await node.messaging.send(draft(chunks=2), LARGE, None)).id
    await node.messaging.add_chunk("ALICE", whole, 2, 2, "", LARGE, None)
    unfinished = (await node.messaging.send(draft(chunks=2), LARGE, None)).id
    return [acknowledged, *await sent(node, 2), whole, unfinished]


async def test_what_is_old_leaves_nothing_behind(node: Node, database: Database, clock: ManualClock) -> None:
    ids = await every_kind(node)
    assert len(await node.payloads()) == 4
    clock.advance(timedelta(days=5))
    await node.worker.round()
    clock.advance(timedelta(days=25) - timedelta(seconds=1))
    (young,) = await sent(node, 1)
    await node.worker.round()
    for id_ in ids:
        await node.found(id_)
    clock.advance(timedelta(seconds=1, milliseconds=1))  # ids of one moment are some microseconds apart
    for _ in range(2):
        await node.worker.round()
    for id_ in ids:
        with pytest.raises(Unknown):
            await node.messaging.collect("BOB", id_, 1, None)
    assert await node.payloads() == []
    clock.advance(timedelta(days=5))
    await node.worker.round()
    assert (await node.found(young)).state is State.UNDELIVERABLE
    clock.advance(timedelta(days=30))
    for _ in range(2):
        await node.worker.round()
    assert await rows(database) == {"messages": 0, "message_events": 0, "message_chunks": 0, "inbox": 0}
    assert await counts(database, "messages.purged") == {"messages": len(ids) + 1 + 4, "payloads": 4}


async def test_what_waits_expires_before_it_is_removed(node: Node, clock: ManualClock) -> None:
    (id_,) = await sent(node, 1)
    clock.advance(timedelta(days=60))
    await node.worker.round()
    assert await told_of(node) == [id_], "a platform that stood still for long still tells the sender"


async def test_two_workers_at_once_remove_each_message_once(
    node: Node, other: Node, database: Database, clock: ManualClock
) -> None:
    for id_ in await sent(node, 2 * AT_ONCE):
        await node.messaging.acknowledge("BOB", id_, None)
    await every_kind(node)
    clock.advance(timedelta(days=5))
    await node.worker.round()
    clock.advance(timedelta(days=26))
    await asyncio.gather(node.worker.round(), other.worker.round())
    await asyncio.gather(node.worker.round(), other.worker.round())
    assert await node.payloads() == []
    assert await counts(database, "messages.purged") == {"messages": 2 * AT_ONCE + 5, "payloads": 4}
    assert (await rows(database))["message_chunks"] == 0


async def test_a_node_that_stops_between_rows_and_payloads_leaves_them_to_the_next(
    node: Node, other: Node, database: Database, clock: ManualClock
) -> None:
    await every_kind(node)
    clock.advance(timedelta(days=31))
    await node.worker.round()
    assert (await rows(database))["messages"] == 3, "but for the reports"
    first, *_ = await node.payloads()
    await node.ledger.payloads.delete(first)  # it stopped before it removed the row
    await other.worker.round()
    assert await other.payloads() == []
    assert (await rows(database))["message_chunks"] == 0


# --- the platform ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("collect_within", "keep", "every"),
    [("5d", "30d", 60), ("10m", "30d", 60), ("1m", "1h", 6), ("5d", "20s", 2), ("1ms", "1ms", 0.1)],
)
async def test_rounds_are_a_minute_apart_or_less_where_times_are_short(
    node: Node, clock: ManualClock, collect_within: str, keep: str, every: float
) -> None:
    settings = MessagingSettings.model_validate({"collect_within": collect_within, "keep": keep})
    assert Worker(node.ledger, clock, lambda: settings).every() == every


@pytest.mark.parametrize("sandbox", ["", ", sandbox: true"])
async def test_a_platform_does_it_as_work_that_is_nobodys_request(tmp_path: Path, url: str, sandbox: str) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(f"store: {{url: '{url}'}}\nmessaging: {{collect_within: 200ms, keep: 1s{sandbox}}}\n")
    platform = await Platform.open(file, tmp_path / "data")
    try:
        messaging = Messaging(platform.ledger, platform.clock)
        id_ = (await messaging.send(draft(), LARGE, None)).id
        async with asyncio.timeout(10):
            while not (reports := (await messaging.waiting("ALICE", None, limit=5)).messages):
                await asyncio.sleep(0.02)
            report = await messaging.message(reports[0])
            assert report is not None
            assert report.details.linked == id_
            assert report.events[0].reason == "Message not collected by recipient after 0.2 seconds"
            while sum((await rows(platform.ledger.database)).values()):
                await asyncio.sleep(0.02)
        assert [ref async for ref in platform.ledger.payloads.list()] == []
    finally:
        await platform.close()


# --- processes ------------------------------------------------------------------------------------------------------------

PROGRAM = """
import asyncio, structlog, sys
from pathlib import Path
from fiveways.clock import SystemClock
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.directory import MessagingSettings
from fiveways.methods.messaging.worker import Worker
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    url, folder, name = sys.argv[1:]
    ledger = await Ledger.open(
        Path(folder) / name, Database.open(url), open_payloads(f"file://{folder}/payloads"), LocalBus(), SystemClock(), name
    )
    print("ready", flush=True)
    sys.stdin.readline()
    worker = Worker(ledger, SystemClock(), lambda: MessagingSettings())
    for _ in range(2):
        await worker.round()
    print("done", flush=True)
    await ledger.close()
    await ledger.database.close()

asyncio.run(main())
"""
"""A node whose clock shows the present: to it, what the tests have sent at the beginning of 2026 is old."""


async def began(child: Callable[..., Any], url: str, tmp_path: Path, name: str) -> Any:
    process = await child(PROGRAM, url, str(tmp_path), name)
    assert await process.stdout.readline() == b"ready\n"
    return process


def go(process: Any) -> None:
    process.stdin.write(b"go\n")


async def test_two_processes_at_once_make_one_report_of_each_message(
    url: str, node: Node, database: Database, tmp_path: Path, child: Callable[..., Any]
) -> None:
    ids = await sent(node, 4 * AT_ONCE)
    processes = [await began(child, url, tmp_path, f"node-{number}") for number in range(2)]
    for process in processes:
        go(process)
    for process in processes:
        assert await process.stdout.readline() == b"done\n"
        await process.wait()
    assert await told_of(node) == sorted(ids)
    assert await inbox(node, "BOB") == []
    assert (await counts(database, "messages.expired"))["reports"] == len(ids)
    assert (await rows(database))["messages"] == len(ids), "the messages are old and gone; the reports are new"


async def test_killed_in_the_middle_nothing_is_lost_and_nothing_doubled(
    url: str, node: Node, database: Database, tmp_path: Path, child: Callable[..., Any]
) -> None:
    ids = await sent(node, 16 * AT_ONCE)
    moments = random.Random(3)
    left = len(ids)
    for run in range(3):
        process = await began(child, url, tmp_path, f"node-{run}")
        go(process)
        while (await rows(database))["messages"] + left == 2 * len(ids):  # no report has been added in this run
            await asyncio.sleep(0.001)
        await asyncio.sleep(moments.uniform(0, 0.01))
        process.kill()
        await process.wait()
        waiting, told = await inbox(node, "BOB"), await told_of(node)
        assert sorted(waiting + told) == sorted(ids), "each waits or is told of: never both, never neither"
        assert 0 < len(waiting) < left, "it was killed in the middle"
        left = len(waiting)
    process = await began(child, url, tmp_path, "node-last")
    go(process)
    assert await process.stdout.readline() == b"done\n"
    assert await told_of(node) == sorted(ids)
    assert await inbox(node, "BOB") == []
