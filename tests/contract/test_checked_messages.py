"""Messages that are taken and not delivered, over every store: refused by routing, or by what their workflow asks of content.

Whoever looks at a message first, and however its last chunk comes twice, it has one end, its sender one report, and nobody sees it
before it was looked at (A10, A45, MS03).
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from fiveways.clock import SystemClock
from fiveways.errors import StoreError
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.checks import CODE, Checks
from fiveways.methods.messaging.directory import Directory, Workflow, WorkflowSettings
from fiveways.methods.messaging.history import LAST, History
from fiveways.methods.messaging.records import Details, Draft, Message, message_chunks
from fiveways.methods.messaging.refusals import Empty, Gone, TooManyChunks, Whole
from fiveways.methods.messaging.reports import Refused
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.states import State
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio

HEADER = {"resourceType": "MessageHeader"}
WHY = Refused("EPL-153", "NHS Number not found")
LARGEST = 3_000_000


def bundle(first: Any = HEADER, size: int = 0) -> bytes:
    said = {"resourceType": "Bundle", "type": "message", "entry": [{"resource": first}], "x": "y" * size}
    return json.dumps(said).encode()


WORKFLOWS = [Workflow("FHIR", WorkflowSettings(payload="fhir-message")), Workflow("NOTE", WorkflowSettings())]


class Node:
    """A node over the store: messaging, and what its parts say."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.messaging = Messaging(ledger, SystemClock(), checks=Checks(Directory([], WORKFLOWS), LARGEST))

    async def inbox(self, mailbox: str) -> list[str]:
        return (await self.messaging.waiting(mailbox, None, limit=500)).messages

    async def message(self, id_: str) -> Message:
        found = await self.messaging.message(id_)
        assert found is not None
        return found

    async def report(self) -> Message:
        """The one report that Alice has."""
        (id_,) = await self.inbox("ALICE")
        report = await self.message(id_)
        assert (report.kind, report.sender, report.chunks) == ("REPORT", "", 0)
        return report

    async def payloads(self) -> int:
        return len([ref async for ref in self.ledger.payloads.list()])

    async def chunk(self, id_: str, number: int, total: int, content: bytes, *, encoding: str = "", once: bool = False) -> State:
        return await self.messaging.add_chunk("ALICE", id_, number, total, encoding, content, None, once=once)


@pytest.fixture
async def nodes(url: str, database: Database, tmp_path: Path) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes over one store and one folder of payloads."""
    payloads = open_payloads(f"file://{tmp_path}/payloads")
    other = Database.open(url, SystemClock())
    opened = [
        await Ledger.open(tmp_path / name, each, payloads, LocalBus(), SystemClock(), name)
        for name, each in (("a", database), ("b", other))
    ]
    yield Node(opened[0]), Node(opened[1])
    for each in opened:
        await each.close()
    await other.close()


@pytest.fixture
def node(nodes: tuple[Node, Node]) -> Node:
    return nodes[0]


def draft(workflow: str = "FHIR", chunks: int = 1, *, encoding: str = "", recipient: str = "BOB", local_id: str = "mine") -> Draft:
    details = Details(subject="about", content_encoding=encoding)
    return Draft("ALICE", recipient, workflow, local_id, chunks, details, "correlation")


@pytest.mark.parametrize("size", [10, 100_000])
async def test_a_message_that_is_not_delivered_ends_with_a_report_and_keeps_no_content(node: Node, size: int) -> None:
    sent = await node.messaging.send(draft("NOTE", recipient=""), b"x" * size, None, refused=WHY)
    message, report = await node.message(sent.id), await node.report()
    assert [(event.state, event.code, event.reason) for event in message.events] == [
        (State.ACCEPTED, "", ""), (State.ERROR, WHY.code, WHY.reason),
    ]  # fmt: skip
    assert (message.recipient, message.local_id, message.details.subject) == ("", "mine", "about")
    assert (report.events[0].code, report.events[0].reason) == (WHY.code, WHY.reason)
    assert (report.workflow, report.local_id, report.correlation, report.details.linked) == ("NOTE", "mine", "correlation", sent.id)
    assert report.details.subject == "NDR: about"
    assert await node.inbox("") == []
    assert (await node.payloads(), await node.messaging.size(sent.id)) == (0, 0)
    with pytest.raises(Gone):
        await node.messaging.collect("", sent.id, 1, None)


async def test_what_is_sent_of_a_message_that_nobody_gets_is_thrown_away(node: Node) -> None:
    sent = await node.messaging.send(draft("NOTE", 3, recipient=""), b"one", None, refused=WHY)
    assert [event.state for event in (await node.message(sent.id)).events] == [State.UPLOADING, State.ERROR]
    for number in (2, 3, 3):
        assert await node.chunk(sent.id, number, 3, b"x" * 100_000) is State.ERROR
    assert await node.report()
    assert (await node.payloads(), await node.messaging.size(sent.id)) == (0, 0)


async def test_a_message_without_content_is_none_whoever_it_is_for(node: Node) -> None:
    with pytest.raises(Empty):
        await node.messaging.send(draft("NOTE", recipient=""), b"", None, refused=WHY)
    assert await node.inbox("ALICE") == []


async def test_a_refused_message_sent_again_under_its_local_id_is_the_same(node: Node) -> None:
    day = timedelta(days=1)
    first = await node.messaging.send(draft("NOTE", recipient=""), b"x", None, None, day, WHY)
    again = await node.messaging.send(draft("NOTE", recipient=""), b"x", None, None, day, WHY)
    assert (again.id, again.repeated) == (first.id, True)
    assert await node.report()


@pytest.mark.parametrize("size", [0, 100_000, 1_000_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_a_fhir_message_is_delivered_and_anything_else_comes_back(node: Node, size: int, encoding: str) -> None:
    pack = gzip.compress if encoding else bytes
    good = await node.messaging.send(draft(encoding=encoding), pack(bundle(size=size)), None)
    assert await node.inbox("BOB") == [good.id]
    assert await node.inbox("ALICE") == []
    kept = await node.payloads()
    bad = await node.messaging.send(draft(encoding=encoding), pack(bundle({"resourceType": "Patient"}, size)), None)
    assert await node.inbox("BOB") == [good.id]
    report = await node.report()
    assert (report.details.linked, report.events[0].code) == (bad.id, CODE)
    assert report.events[0].reason == "Not a FHIR message: the first entry of the Bundle is not a MessageHeader"
    assert (await node.payloads(), await node.messaging.size(bad.id)) == (kept, 0)
    listed, _ = await History(node.ledger).page("inbox", "BOB", since=0, behind=LAST, limit=9)
    assert [each.id for each in listed] == [good.id], "no list of the recipient's has it"


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(bundle(), mtime=0)[:-4]])
async def test_what_is_called_gzip_and_is_none_comes_back(node: Node, content: bytes) -> None:
    await node.messaging.send(draft(encoding="gzip"), content, None)
    assert "gzip" in (await node.report()).events[0].reason


@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_what_is_too_large_to_be_looked_at_comes_back(node: Node, encoding: str) -> None:
    content = bundle(size=LARGEST)
    await node.messaging.send(draft(encoding=encoding), gzip.compress(content) if encoding else content, None)
    assert f"more than {LARGEST} bytes" in (await node.report()).events[0].reason
    assert (await node.inbox("BOB"), await node.payloads()) == ([], 0)


def pieces(content: bytes, number: int, encoding: str) -> list[bytes]:
    length = -(-len(content) // number)
    cut = [content[start : start + length] for start in range(0, len(content), length)]
    return [gzip.compress(each) for each in cut] if encoding else cut


@pytest.mark.parametrize("size", [0, 600_000])
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_chunks_are_looked_at_together_when_the_last_is_here(node: Node, size: int, encoding: str) -> None:
    for first, state in ((HEADER, State.ACCEPTED), ({"resourceType": "Patient"}, State.ERROR)):
        cut = pieces(bundle(first, size), 3, encoding)
        sent = await node.messaging.send(draft(chunks=3, encoding=encoding), cut[0], None)
        assert await node.chunk(sent.id, 3, 3, cut[2], encoding=encoding) is State.UPLOADING
        assert (await node.message(sent.id)).state is State.UPLOADING
        assert sent.id not in await node.inbox("BOB")
        assert await node.chunk(sent.id, 2, 3, cut[1], encoding=encoding) is state
        message = await node.message(sent.id)
        assert message.state is state
        assert (sent.id in await node.inbox("BOB")) is (state is State.ACCEPTED)
        assert (await node.messaging.size(sent.id) > 0) is (state is State.ACCEPTED)
        if state is State.ERROR:
            assert (await node.report()).details.linked == sent.id
            assert await node.chunk(sent.id, 2, 3, cut[1], encoding=encoding) is State.ERROR, "what is sent again is taken"
    assert await node.payloads() == (3 if size and not encoding else 0), "those of the good one"


async def test_chunks_are_held_to_what_was_announced(node: Node) -> None:
    sent = await node.messaging.send(draft(chunks=2), b"{", None)
    with pytest.raises(TooManyChunks):
        await node.chunk(sent.id, 3, 2, b"}")
    with pytest.raises(Empty):
        await node.chunk(sent.id, 2, 2, b"")
    assert await node.chunk(sent.id, 1, 2, bundle()[:5]) is State.UPLOADING, "until it is whole a chunk may be replaced"
    assert await node.chunk(sent.id, 2, 2, bundle()[5:]) is State.ACCEPTED
    with pytest.raises(Whole):
        await node.chunk(sent.id, 2, 2, bundle()[5:])
    assert await node.chunk(sent.id, 2, 2, bundle()[5:], once=True) is State.ACCEPTED


@pytest.mark.parametrize("first", [HEADER, {"resourceType": "Patient"}])
@pytest.mark.parametrize("size", [0, 300_000])
async def test_last_chunks_that_come_at_once_at_several_nodes_make_one_end(nodes: tuple[Node, Node], first: Any, size: int) -> None:
    good = first is HEADER
    cut = pieces(bundle(first, size), 4, "")
    for _ in range(5):
        sent = await nodes[0].messaging.send(draft(chunks=4), cut[0], None)
        several = [nodes[number % 2].chunk(sent.id, number, 4, cut[number - 1], once=True) for number in (2, 3, 4, 4, 4, 3)]
        states = await asyncio.gather(*several)
        assert set(states) <= {State.UPLOADING, State.ACCEPTED if good else State.ERROR}
        message = await nodes[1].message(sent.id)
        assert message.state is (State.ACCEPTED if good else State.ERROR)
        assert await nodes[1].payloads() == (4 if good and size else 0)
        if good:
            assert await nodes[0].inbox("BOB") == [sent.id]
            await nodes[0].messaging.reset()
        else:
            assert (await nodes[0].report()).details.linked == sent.id
            await nodes[0].messaging.reset()


@pytest.mark.parametrize("size", [100, 300_000])
async def test_a_chunk_that_was_damaged_on_disk_is_not_looked_at_as_if_it_were_whole(node: Node, size: int) -> None:
    cut = pieces(bundle(size=size), 2, "")
    sent = await node.messaging.send(draft(chunks=2), cut[0], None)
    async with node.ledger.database.write() as connection:
        await connection.execute(update(message_chunks).values(sha256="0" * 64))
    with pytest.raises(StoreError):
        await node.chunk(sent.id, 2, 2, cut[1])
    assert await node.inbox("BOB") == []
    assert await node.inbox("ALICE") == []


async def test_a_message_that_was_whole_when_its_node_died_is_looked_at_when_its_last_chunk_comes_again(
    nodes: tuple[Node, Node],
) -> None:
    cut = pieces(bundle(size=300_000), 2, "")
    first, second = nodes
    sent = await first.messaging.send(draft(chunks=2), cut[0], None)
    message = await first.message(sent.id)
    chunk = await first.messaging._contents.kept(sent.id, 2, cut[1])
    assert await first.messaging._checked_uploads.put(message, chunk), "and here it dies"
    assert (await second.message(sent.id)).state is State.UPLOADING
    assert await second.inbox("BOB") == []
    with pytest.raises(Whole):
        await second.chunk(sent.id, 2, 2, bundle())
    assert await second.chunk(sent.id, 2, 2, cut[1]) is State.ACCEPTED
    assert await second.inbox("BOB") == [sent.id]
    assert await second.payloads() == 2
