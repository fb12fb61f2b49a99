"""Content that a disk has damaged is never handed out as whole."""

from __future__ import annotations

import sqlite3

import httpx
import pytest
from mesh_client import MeshClient
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.wire import token


def collect(sandbox: Sandbox, message: str) -> httpx.Response:
    return httpx.get(f"{sandbox.url}/messageexchange/BOB/inbox/{message}", headers={"authorization": token("BOB")})


def test_in_the_payload_store(sandbox: Sandbox, alice: MeshClient) -> None:
    content = bytes(range(256)) * 4000
    message = alice.send_message("BOB", content, workflow_id="NOTE", max_chunk_size=10**7)
    (file,) = [
        path for path in (sandbox.folder / "data" / "payloads").rglob("*") if path.is_file() and path.stat().st_size == len(content)
    ]
    assert collect(sandbox, message).content == content
    with file.open("r+b") as changed:
        changed.seek(500_000)
        changed.write(b"\0\0")
    with pytest.raises(httpx.RemoteProtocolError):
        collect(sandbox, message)


def test_in_a_row(sandbox: Sandbox, alice: MeshClient) -> None:
    message = alice.send_message("BOB", b"fine", workflow_id="NOTE", max_chunk_size=10**7)
    with sqlite3.connect(sandbox.folder / "data" / "fiveways.db") as database:
        database.execute("UPDATE message_chunks SET body = ? WHERE message = ?", (b"Fine", message))
    database.close()
    answer = collect(sandbox, message)
    assert answer.status_code == 503
    assert isinstance(answer.json()["detail"], list), "mesh-client can read it"
