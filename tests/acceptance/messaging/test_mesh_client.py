"""The public client, unchanged, against a sandbox over real sockets."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from mesh_client import MeshClient, MeshError
from mesh_client.io_helpers import CombineStreams
from requests import HTTPError
from tests.acceptance.messaging.conftest import Sandbox


def test_ping_and_handshake(alice: MeshClient, bob: MeshClient) -> None:
    alice.ping()
    assert alice.handshake() == b"hello"
    assert bob.handshake() == b"hello"


@pytest.mark.filterwarnings("ignore:Call to deprecated function count_messages")
def test_a_small_message_there_and_acknowledged(alice: MeshClient, bob: MeshClient) -> None:
    sent = alice.send_message("BOB", b"Hello", workflow_id="NOTE")
    assert bob.list_messages() == [sent]
    assert bob.count_messages() == 1
    message = bob.retrieve_message(sent)
    assert message.read() == b"Hello"
    assert (message.sender, message.recipient, message.workflow_id) == ("ALICE", "BOB", "NOTE")
    assert message.content_type == "application/octet-stream"
    message.acknowledge()
    assert bob.list_messages() == []
    assert bob.count_messages() == 0


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("size", [1, 5, 6, 24, 33])
def test_chunks(alice: MeshClient, bob: MeshClient, size: int, compress: bool) -> None:
    data = bytes(range(size))
    sent = alice.send_message("BOB", data, workflow_id="NOTE", compress=compress)
    assert bob.list_messages() == [sent]
    message = bob.retrieve_message(sent)
    assert message.mex_header("chunk-range") == f"1:{-(-size // 5)}"
    assert message.compressed == compress
    assert message.read() == data


def test_combined_streams_and_a_chunk_size_of_one(alice: MeshClient, bob: MeshClient) -> None:
    stream = {"Body": CombineStreams([io.BytesIO(b"H" * 4), io.BytesIO(b"W" * 20)]), "ContentLength": 24}
    sent = alice.send_message("BOB", stream, max_chunk_size=1, workflow_id="NOTE")
    message = bob.retrieve_message(sent)
    assert message.mex_header("chunk-range") == "1:24"
    assert message.read() == b"H" * 4 + b"W" * 20


@pytest.mark.parametrize("compress", [False, True])
def test_several_megabytes_in_one_request_and_in_chunks(client: Callable[..., MeshClient], bob: MeshClient, compress: bool) -> None:
    data = bytes(range(256)) * 20_000
    for chunk_size in (10_000_000, 1_000_000):
        sent = client("ALICE", max_chunk_size=chunk_size).send_message("BOB", data, workflow_id="NOTE", compress=compress)
        assert bob.retrieve_message(sent).read() == data


def test_lines_are_read_one_by_one(alice: MeshClient, bob: MeshClient) -> None:
    sent = alice.send_message("BOB", b"one\ntwo", workflow_id="NOTE")
    assert list(bob.retrieve_message(sent)) == [b"one\n", b"two"]
    assert bob.retrieve_message(sent).readlines() == [b"one\n", b"two"]


def test_what_the_sender_says_arrives(alice: MeshClient, bob: MeshClient) -> None:
    said: dict[str, Any] = {
        "subject": "Hello World", "filename": "upload.txt", "local_id": "12345", "partner_id": "test", "workflow_id": "111",
        "encrypted": True, "compressed": True, "checksum": "b10a8db164e0754105b7a99be72e3fe5",
    }  # fmt: skip
    message = bob.retrieve_message(alice.send_message("BOB", b"x", **said))
    assert (message.subject, message.filename, message.local_id, message.partner_id) == (
        "Hello World",
        "upload.txt",
        "12345",
        "test",
    )
    assert (message.message_type, message.encrypted, message.compressed) == ("DATA", True, True)
    assert message.mex_header("content-checksum") == said["checksum"]


def test_an_inbox_of_several_pages_in_order_of_arrival(alice: MeshClient, bob: MeshClient) -> None:
    sent = [alice.send_message("BOB", b"x", workflow_id=f"W{number % 3}") for number in range(35)]
    assert bob.list_messages(max_results=10) == sent[:10]
    assert list(bob.iterate_message_ids(batch_size=10)) == sent
    assert list(bob.iterate_message_ids(batch_size=10, workflow_filter="W1")) == sent[1::3]
    assert list(bob.iterate_message_ids(workflow_filter="!W1")) == [id_ for n, id_ in enumerate(sent) if n % 3 != 1]
    assert list(bob.iterate_message_ids(workflow_filter="W*")) == sent
    assert list(bob.iterate_message_ids(workflow_filter="!*2*")) == [id_ for n, id_ in enumerate(sent) if n % 3 != 2]


def test_a_message_is_acknowledged_where_its_work_was_done_and_only_there(alice: MeshClient, bob: MeshClient) -> None:
    first, second = (alice.send_message("BOB", text, workflow_id="NOTE") for text in (b"one", b"two"))
    with suppress(ZeroDivisionError), bob.retrieve_message(first) as message:
        assert message.read() == b"one"
        raise ZeroDivisionError
    with bob.retrieve_message(second):
        pass
    assert bob.list_messages() == [first]


def test_tracking(alice: MeshClient, bob: MeshClient) -> None:
    sent = alice.send_message("BOB", b"x", workflow_id="NOTE", local_id="mine")
    tracked = alice.track_message(message_id=sent)
    assert (tracked["status"], tracked["local_id"], tracked["recipient_ods_code"]) == ("accepted", "mine", "X26")
    bob.acknowledge_message(sent)
    assert alice.track_message(message_id=sent)["status"] == "acknowledged"
    for who, what in ((bob, sent), (alice, "0" * 32)):
        with pytest.raises(HTTPError) as refused:
            who.track_message(message_id=what)
        assert refused.value.response is not None
        assert refused.value.response.status_code == 404


def test_endpoint_lookup(alice: MeshClient) -> None:
    found = alice.lookup_endpoint("X26", "RESTRICTED_WORKFLOW")["results"]
    assert found == [{"mailbox_id": "BOB", "mailbox_name": "TESTMB2"}]
    assert alice.lookup_endpoint("X27", "RESTRICTED_WORKFLOW")["results"] == []


def test_refusals_are_errors_that_the_client_can_read(
    client: Callable[..., MeshClient], alice: MeshClient, bob: MeshClient
) -> None:
    with pytest.raises(MeshError, match="Field required"):
        alice.send_message("BOB", b"x")
    with pytest.raises(MeshError, match="Data file is missing"):
        alice.send_message("BOB", b"", workflow_id="NOTE")
    with pytest.raises(MeshError, match="Unregistered"):
        alice.send_message("NOBODY", b"x", workflow_id="NOTE")
    with pytest.raises(MeshError, match="Workflow ID not registered"):
        bob.send_message("ALICE", b"x", workflow_id="RESTRICTED_WORKFLOW")
    with pytest.raises(HTTPError, match="403"):
        client("ALICE", shared_key=b"wrong").handshake()


def test_messages_outlive_a_crash(sandbox: Sandbox, alice: MeshClient, bob: MeshClient) -> None:
    sent = [alice.send_message("BOB", text, workflow_id="NOTE") for text in (b"one", b"two in several chunks")]
    begun = alice.send_message("BOB", b"three", workflow_id="NOTE")
    sandbox.kill()
    sandbox.start()
    assert bob.list_messages() == [*sent, begun]
    assert [bob.retrieve_message(id_).read() for id_ in sent] == [b"one", b"two in several chunks"]
