"""Every request of a mailbox is in the audit once, under its name; a write's event is there when it is answered (A10)."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest
from mesh_client import MeshClient
from requests import HTTPError
from tests.acceptance.messaging.conftest import Sandbox


def events(sandbox: Sandbox) -> list[tuple[str, str, str, int]]:
    """Kind, application, name and status of everything in the audit."""
    with sqlite3.connect(sandbox.folder / "data" / "fiveways.db") as database:
        bodies = [msgspec.json.decode(row[0]) for row in database.execute("SELECT body FROM audit_events ORDER BY seq")]
    database.close()
    return [(each["kind"], each.get("application", ""), each.get("name", ""), each.get("status", 0)) for each in bodies]


def test_each_request_leaves_one_event(sandbox: Sandbox, alice: MeshClient, bob: MeshClient) -> None:
    before = len(events(sandbox))
    sent = alice.send_message("BOB", b"in 2 chunks", workflow_id="NOTE", max_chunk_size=6)
    assert events(sandbox)[before:] == [
        ("interaction", "ALICE", "message.send", 202),
        ("interaction", "ALICE", "message.chunk", 202),
    ], "nothing had to be waited for"
    bob.acknowledge_message(sent)
    assert events(sandbox)[-1] == ("interaction", "BOB", "message.acknowledge", 200)
    with pytest.raises(HTTPError, match="403"):
        alice.acknowledge_message(sent)
    assert events(sandbox)[before + 3 :] == [
        ("write.not_made", "ALICE", "message.acknowledge", 0),
        ("interaction", "ALICE", "message.acknowledge", 403),
    ]
