"""Two mailboxes of a real sandbox: requests, answers, reports, and what time-outs and crashes leave of them (A3, A4)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_client import MeshClient
from tests.acceptance.client.conftest import KILLED, Consumer, Lossy, Open
from tests.acceptance.conftest import free_port
from tests.acceptance.messaging.conftest import Sandbox
from tests.unit.client.test_reference import bundle_json, bundle_xml
from typer.testing import CliRunner

from fiveways.cli import cli
from fiveways.client import ClientError, Denied, Listener, LocalIdReused, Mailbox, Message, Refused, Schedule, State, Unavailable
from fiveways.client.blocking import BlockingMailbox
from fiveways.correlation import new_id

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)
SOON = Schedule(timedelta(milliseconds=100), sandbox=True)


async def fetched(mailbox: Mailbox) -> list[Message]:
    """What a listener gives its handler when it looks once."""
    found = []

    async def handle(message: Message) -> None:
        found.append(message)

    await Listener(mailbox, handle).once()
    return found


async def answered(mailbox: Mailbox) -> list[tuple[str, str]]:
    """The local ids of the requests that arriving messages answer, and their states."""
    return [(each.request.local_id, each.request.state.value) for each in await fetched(mailbox) if each.request is not None]


async def test_a_request_and_its_acknowledgement_by_workflow(mailbox: Open, public: Callable[[str], MeshClient]) -> None:
    async with mailbox("ALICE") as alice, mailbox("BOB") as bob:
        request = await alice.send("BOB", b"question", workflow="X", answer_within=HOUR)
        (arrived,) = await fetched(bob)
        assert (arrived.sender, arrived.workflow, arrived.local_id, arrived.size) == ("ALICE", "X", request.local_id, 8)
        public("BOB").send_message("ALICE", b"answer", workflow_id="X_ACK")
        assert await answered(alice) == [(request.local_id, "answered")]
        assert alice.ledger.waiting() == []


@pytest.mark.parametrize("made", [bundle_json, bundle_xml])
async def test_a_fhir_response_finds_its_request_among_several(
    mailbox: Open, public: Callable[[str], MeshClient], made: Callable[..., bytes]
) -> None:
    ids = [new_id() for _ in range(3)]
    async with mailbox("ALICE") as alice:
        requests = [await alice.send("BOB", made(each), workflow="X", answer_within=HOUR) for each in ids]
        public("BOB").send_message("ALICE", made(new_id(), ids[1]), workflow_id="Y")
        assert await answered(alice) == [(requests[1].local_id, "answered")]


async def test_an_answer_that_carries_the_local_id(mailbox: Open, public: Callable[[str], MeshClient]) -> None:
    async with mailbox("ALICE") as alice:
        requests = [await alice.send("BOB", b"question", workflow="X", answer_within=HOUR) for _ in range(2)]
        public("BOB").send_message("ALICE", b"answer", workflow_id="Y", local_id=requests[1].local_id)
        public("BOB").send_message("ALICE", b"unasked", workflow_id="Y")
        found = await fetched(alice)
        assert [each.request.local_id if each.request else None for each in found] == [requests[1].local_id, None]


async def test_a_conversation_has_one_correlation_id_there_and_back(mailbox: Open) -> None:
    async with mailbox("ALICE") as alice, mailbox("BOB") as bob:
        request = await alice.send("BOB", b"question", workflow="X", correlation="conversation-1", answer_within=HOUR)
        await alice.send("BOB", b"another", workflow="X", answer_within=HOUR)
        first, second = await fetched(bob)
        assert first.correlation == "conversation-1" != second.correlation
        await bob.send("ALICE", b"answer", workflow="Y", correlation=first.correlation)
        assert await answered(alice) == [(request.local_id, "answered")]


async def test_a_report_closes_the_request_that_it_is_about(sandbox: Sandbox, mailbox: Open) -> None:
    async with mailbox("ALICE") as alice:
        request = await alice.send("BOB", b"question", workflow="X", answer_within=HOUR)
        report = {
            "mailbox_id": "ALICE",
            "code": "14",
            "description": "",
            "workflow_id": "X",
            "linked_message_id": request.message_id,
        }
        httpx.post(f"{sandbox.url}/messageexchange/admin/report", json=report).raise_for_status()
        (arrived,) = await fetched(alice)
        assert arrived.is_report
        assert arrived.request is not None
        assert (arrived.request.local_id, arrived.request.state, arrived.request.code) == (request.local_id, State.FAILED, "14")


async def test_open_and_overdue_requests_on_the_command_line(tmp_path: Path, mailbox: Open) -> None:
    async with mailbox("ALICE") as alice:
        late = await alice.send("BOB", b"question", workflow="X", answer_within=timedelta(0))
        open_ = await alice.send("BOB", b"question", workflow="X", answer_within=HOUR)

    def shown(*arguments: str, ledger: str = "ALICE.sqlite") -> str:
        line = ["mailbox", "open", "--ledger", str(tmp_path / ledger), *arguments]
        return CliRunner().invoke(cli, line, catch_exceptions=False).stdout

    listed = [json.loads(line) for line in shown("--json").splitlines()]
    assert [(each["local_id"], each["state"]) for each in listed] == [(late.local_id, "overdue"), (open_.local_id, "sent")]
    assert late.message_id in shown("--overdue")
    assert open_.message_id not in shown("--overdue")
    with pytest.raises(ClientError, match="there is no ledger at"):
        shown(ledger="nowhere.sqlite")


async def test_a_lost_answer_to_a_first_chunk_is_found_again_and_nothing_is_there_twice(
    mailbox: Open, lossy: Lossy, public: Callable[[str], MeshClient]
) -> None:
    async with mailbox("ALICE", lossy.url, chunk_size=4) as alice:
        for content in (b"one", b"in several chunks"):
            lossy.losing.append(b"POST /messageexchange/ALICE/outbox ")
            request = await alice.send("BOB", content, workflow="X", local_id=str(len(content)))
            assert request.state is State.DONE
            assert await alice.send("BOB", content, workflow="X", local_id=str(len(content))) == request
            assert public("BOB").list_messages()[-1] == request.message_id
        assert lossy.lost == 2
        assert [public("BOB").retrieve_message(each).read() for each in public("BOB").list_messages()] == [
            b"one",
            b"in several chunks",
        ]


async def test_what_cannot_be_sent_now_can_be_sent_again(mailbox: Open) -> None:
    async with mailbox("ALICE", f"http://127.0.0.1:{free_port()}") as alice:
        with pytest.raises(Unavailable):
            await alice.send("BOB", b"question", workflow="X", local_id="one")
        assert [each.state for each in alice.ledger.waiting()] == [State.OPEN]
    async with mailbox("ALICE") as alice:
        assert (await alice.send("BOB", b"question", workflow="X", local_id="one")).state is State.DONE
        with pytest.raises(LocalIdReused):
            await alice.send("BOB", b"another question", workflow="X", local_id="one")


async def test_a_refusal_is_noted_and_wrong_credentials_are_no_fault_of_the_message(sandbox: Sandbox, mailbox: Open) -> None:
    async with mailbox("ALICE") as alice:
        with pytest.raises(Refused, match="code 12"):
            await alice.send("NOBODY", b"question", workflow="X", local_id="one")
        failed = alice.ledger.find(own="ALICE", local_id="one")
        assert failed is not None
        assert (failed.state, failed.code) == (State.FAILED, "12")
        async with Mailbox(sandbox.url, "ALICE", "wrong", "TestKey", alice.ledger) as wrong:
            with pytest.raises(Denied):
                await wrong.handshake()
            with pytest.raises(Denied):
                await wrong.send("BOB", b"question", workflow="X", local_id="two")
            with pytest.raises(Denied):
                await Listener(wrong, fetched, schedule=SOON).run()  # type: ignore[arg-type]
        assert [(each.local_id, each.state) for each in alice.ledger.waiting()] == [("two", State.OPEN)]


@pytest.mark.parametrize(("size", "chunk"), [(4500, 0), (4500, 1), (4500, 2), (4500, 4), (4500, 99), (500, 99)])
async def test_an_upload_that_a_crash_broke_off_goes_on_where_it_was(
    mailbox: Open, tmp_path: Path, program: Consumer, public: Callable[[str], MeshClient], size: int, chunk: int
) -> None:
    content = os.urandom(size)
    (tmp_path / "content").write_bytes(content)
    assert program("crashing.py", "send", str(chunk)).returncode == KILLED
    async with mailbox("ALICE", chunk_size=7) as alice:  # another chunk size now: it goes on with the one that it began with
        request = await alice.send("BOB", tmp_path / "content", workflow="X", local_id="one")
    assert public("BOB").list_messages() == [request.message_id]
    assert public("BOB").retrieve_message(request.message_id).read() == content


async def test_a_large_message_there_and_back_needs_no_more_memory_than_its_chunks(tmp_path: Path, program: Consumer) -> None:
    content = os.urandom(2**20) * 40
    (tmp_path / "content").write_bytes(content)
    done = program("memory.py")
    assert done.returncode == 0, done.stderr
    grown, digest = done.stdout.split()
    assert digest == hashlib.sha256(content).hexdigest()
    assert int(grown) < 30 * 2**20


def test_the_same_without_an_event_loop(mailbox: Open) -> None:
    found: list[Any] = []
    with BlockingMailbox(mailbox("ALICE")) as alice, BlockingMailbox(mailbox("BOB")) as bob:
        sent = [alice.send("BOB", b"question", workflow="X").message_id for _ in range(3)]
        assert list(bob.waiting()) == sent
        bob.acknowledge(sent[0])
        assert bob.listen(lambda message: found.append(message.content.read())).handled == 2
        assert alice.track(sent[2])["status"] == "acknowledged"
    assert found == [b"question"] * 2
