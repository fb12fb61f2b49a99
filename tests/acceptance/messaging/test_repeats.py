"""A mailbox that asks for it may send again after a time-out: the message is there once, and its id is told again (A31)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from mesh_client import MeshClient
from requests import HTTPError
from tests.acceptance.messaging.conftest import Sandbox

from fiveways.cli.sandbox import _prepared


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("repeats")
    file = _prepared(folder)
    file.write_text(file.read_text().replace("ALICE: {", "ALICE: {deduplicate: 1d, "))
    running = Sandbox(folder)
    running.start()
    yield running
    running.stop()


def interactions(folder: Path) -> list[dict[str, object]]:
    with sqlite3.connect(folder / "data" / "fiveways.db") as database:
        bodies = [msgspec.json.decode(row[0]) for row in database.execute("SELECT body FROM audit_events ORDER BY seq")]
    database.close()
    return [each for each in bodies if each.get("name") == "message.send"]


def test_the_same_message_sent_again_is_there_once(sandbox: Sandbox, alice: MeshClient, bob: MeshClient) -> None:
    before = len(interactions(sandbox.folder))
    first = alice.send_message("BOB", b"discharge", workflow_id="NOTE", local_id="17")
    sandbox.kill()
    sandbox.start()
    assert alice.send_message("BOB", b"discharge", workflow_id="NOTE", local_id="17") == first
    assert bob.list_messages() == [first]
    told = interactions(sandbox.folder)[before:]
    assert [(each["kind"], each.get("status", 0)) for each in told] == [
        ("interaction", 202), ("write.not_made", 0), ("interaction", 202),
    ]  # fmt: skip
    assert told[2]["details"] == {"repeats": first}


def test_so_is_one_in_chunks_whether_it_was_whole_or_not(sandbox: Sandbox, alice: MeshClient, bob: MeshClient) -> None:
    sent = [alice.send_message("BOB", b"in three chunks", workflow_id="NOTE", local_id="19", max_chunk_size=6) for _ in range(2)]
    assert sent == [bob.list_messages()[0]] * 2
    assert bob.retrieve_message(sent[0]).read() == b"in three chunks"
    with pytest.raises(HTTPError, match="423"):
        alice.send_chunk("BOB", b"other", chunk_num=2, total_chunks=3, message_id=sent[0])


def test_another_message_under_that_local_id_is_refused_in_words_the_client_reads(alice: MeshClient) -> None:
    alice.send_message("BOB", b"one", workflow_id="NOTE", local_id="18")
    with pytest.raises(Exception, match="LocalIdUsed"):
        alice.send_message("BOB", b"two", workflow_id="NOTE", local_id="18")


def test_who_does_not_ask_for_it_sends_twice(bob: MeshClient, alice: MeshClient) -> None:
    sent = {bob.send_message("ALICE", b"same", workflow_id="NOTE", local_id="1") for _ in range(2)}
    assert len(sent) == 2
    assert set(alice.list_messages()) == sent
