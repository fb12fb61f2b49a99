"""A mailbox as folders: files there and back, crashes in between, and what cannot be sent (A3, A4)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_client import MeshClient
from tests.acceptance.client.conftest import Consumer, Open
from tests.acceptance.messaging.conftest import Sandbox

from fiveways.client import Folders, Mailbox, Unavailable
from fiveways.client.landing import sidecar

pytestmark = pytest.mark.anyio
NOW = timedelta(0)
Public = Callable[[str], MeshClient]


def put(folder: Path, name: str, content: bytes = b"content", **control: Any) -> None:
    """Have a file sent."""
    if control:
        sidecar(folder / "out" / name).write_text(json.dumps(control))
    (folder / "out" / name).write_bytes(content)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def facts(path: Path) -> dict[str, Any]:
    found = json.loads(sidecar(path).read_text())
    assert isinstance(found, dict)
    return found


async def test_a_file_is_sent_and_its_answer_arrives_beside_its_facts(tmp_path: Path, mailbox: Open, public: Public) -> None:
    async with mailbox("ALICE", chunk_size=1000) as alice:
        exchanged = Folders(alice, tmp_path, still=NOW)
        content = os.urandom(2500)
        put(tmp_path, "letter.json", content, to="bob", workflow="X", subject="About", answer_within="5d", compress=True)
        await exchanged.once()
        assert names(exchanged.out) == []
        assert names(exchanged.sent) == ["letter.json", "letter.json.mesh.json"]
        (sent,) = public("BOB").list_messages()
        told = facts(exchanged.sent / "letter.json")
        assert (told["message_id"], told["to"], told["workflow"]) == (sent, "bob", "X")
        message = public("BOB").retrieve_message(sent)
        assert (message.read(), message.subject, message.filename) == (content, "About", "letter.json")
        answer = public("BOB").send_message("ALICE", b"answer", workflow_id="X_ACK", local_id=message.local_id)
        await exchanged.once()
        assert names(exchanged.arrived) == [f"{answer}.dat", f"{answer}.dat.mesh.json"]
        assert (exchanged.arrived / f"{answer}.dat").read_bytes() == b"answer"
        told = facts(exchanged.arrived / f"{answer}.dat")
        assert (told["from"], told["answers"]["message_id"], told["answers"]["label"]) == ("BOB", sent, "letter.json")
        assert alice.ledger.waiting() == []


async def test_what_is_not_whole_or_has_no_destination_waits(tmp_path: Path, mailbox: Open) -> None:
    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path, still=timedelta(seconds=0.5))
        put(tmp_path, "whole", to="BOB", workflow="X")
        for name in ("growing.tmp", "growing.part", ".hidden"):
            put(tmp_path, name, to="BOB", workflow="X")
        put(tmp_path, "nowhere")
        await exchanged.once()
        assert names(exchanged.sent) == []
        time.sleep(0.6)
        put(tmp_path, "later", to="BOB", workflow="X")
        await exchanged.once()
        assert names(exchanged.sent) == ["whole", "whole.mesh.json"]
        assert {"later", "nowhere", "growing.tmp", "growing.part", ".hidden"} <= set(names(exchanged.out))
        time.sleep(0.6)
        await Folders(alice, tmp_path, to="BOB", workflow="X", still=timedelta(seconds=0.5)).once()
        assert {"later", "nowhere"} <= set(names(exchanged.sent))
        assert {"growing.tmp", "growing.part", ".hidden"} <= set(names(exchanged.out))


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        ({"to": "NOBODY", "workflow": "X"}, "code 12"),
        ({"to": "BOB"}, "does not say workflow"),
        ({"to": "BOB", "workflow": "X", "answer_within": "soon"}, "answer_within: found 'soon'"),
        ({"to": "BOB", "workflow": "X", "colour": "red"}, "colour"),
    ],
)
async def test_what_cannot_be_sent_is_in_failed_with_the_reason(
    tmp_path: Path, mailbox: Open, control: dict[str, str], reason: str
) -> None:
    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path, still=NOW)
        for _ in range(2):
            put(tmp_path, "letter", b"content", **control)
            await exchanged.once()
        assert reason in (exchanged.failed / "letter.error.txt").read_text()
        assert facts(exchanged.failed / "letter")["to"] == control["to"]
        assert len([name for name in names(exchanged.failed) if name.startswith("letter")]) == 6
        assert names(exchanged.out) == names(tmp_path / ".sending") == []


async def test_files_of_one_name_do_not_replace_each_other(tmp_path: Path, mailbox: Open, public: Public) -> None:
    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path, to="BOB", workflow="X", still=NOW)
        for content in (b"one", b"two"):
            put(tmp_path, "letter", content)
            await exchanged.once()
        kept = [path.read_bytes() for path in sorted(exchanged.sent.iterdir()) if not path.name.endswith(".json")]
        assert sorted(kept) == [b"one", b"two"]
        assert len(public("BOB").list_messages()) == 2


class Crash(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("point", ["claimed", "sent", "noted", "moved"])
async def test_no_file_is_sent_twice_wherever_it_was_interrupted(
    tmp_path: Path, mailbox: Open, public: Public, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    async def before(*_: Any, **__: Any) -> Any:
        raise Crash

    sending = Mailbox.send

    async def sent(*given: Any, **said: Any) -> Any:
        await sending(*given, **said)
        raise Crash

    def stop(*_: Any, **__: Any) -> None:
        raise Crash

    (tmp_path / "files" / "out").mkdir(parents=True)
    put(tmp_path / "files", "letter", to="BOB", workflow="X")
    with monkeypatch.context() as patch:
        if point in ("claimed", "sent"):
            patch.setattr(Mailbox, "send", before if point == "claimed" else sent)
        else:
            patch.setattr("fiveways.client.folders." + ("_move" if point == "noted" else "shutil.rmtree"), stop)
        async with mailbox("ALICE") as alice:
            with pytest.raises(Crash):
                await Folders(alice, tmp_path / "files", still=NOW).once()
    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path / "files", still=NOW)
        await exchanged.once()
        assert names(exchanged.sent) == ["letter", "letter.mesh.json"]
        assert names(exchanged.out) == names(tmp_path / "files" / ".sending") == names(exchanged.failed) == []
        assert public("BOB").list_messages() == [facts(exchanged.sent / "letter")["message_id"]]


async def test_a_report_moves_the_file_that_it_is_about_to_failed(sandbox: Sandbox, tmp_path: Path, mailbox: Open) -> None:
    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path, to="BOB", workflow="X", still=NOW)
        put(tmp_path, "letter")
        await exchanged.once()
        linked = facts(exchanged.sent / "letter")["message_id"]
        report = {"mailbox_id": "ALICE", "code": "14", "description": "", "workflow_id": "X", "linked_message_id": linked}
        httpx.post(f"{sandbox.url}/messageexchange/admin/report", json=report).raise_for_status()
        await exchanged.once()
        assert names(exchanged.sent) == []
        assert names(exchanged.failed) == ["letter", "letter.error.txt", "letter.mesh.json"]
        assert "not collected" in (exchanged.failed / "letter.error.txt").read_text()


async def test_what_cannot_be_sent_now_stays_and_is_sent_when_it_can_be(
    tmp_path: Path, mailbox: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Any:
        raise Unavailable("nobody there")

    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path, to="BOB", workflow="X", still=NOW)
        put(tmp_path, "letter")
        with monkeypatch.context() as patch:
            patch.setattr(Mailbox, "send", away)
            with pytest.raises(Unavailable):
                await exchanged.once()
        assert names(exchanged.sent) == names(exchanged.failed) == []
        await exchanged.once()
        assert names(exchanged.sent) == ["letter", "letter.mesh.json"]


async def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, mailbox: Open, public: Public) -> None:
    public("BOB").send_message("ALICE", b"x", workflow_id="X", filename="../../evil", local_id="../up")
    async with mailbox("ALICE") as alice:
        exchanged = Folders(alice, tmp_path / "files", still=NOW)
        await exchanged.once()
        assert len(names(exchanged.arrived)) == 2
        assert "evil" not in "".join(names(tmp_path) + names(exchanged.arrived))


def test_folders_on_the_command_line(tmp_path: Path, consumer: Consumer, public: Public) -> None:
    (tmp_path / "box" / "out").mkdir(parents=True)
    (tmp_path / "box" / "out" / "letter").write_bytes(b"content")
    arrives = public("BOB").send_message("ALICE", b"hello", workflow_id="Y")
    done = consumer("folders", "ALICE", "box", "--to", "BOB", "--workflow", "X", "--still", "1ms", "--once")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "box" / "in" / f"{arrives}.dat").read_bytes() == b"hello"
    assert [public("BOB").retrieve_message(each).read() for each in public("BOB").list_messages()] == [b"content"]
    assert names(tmp_path / "box" / "sent") == ["letter", "letter.mesh.json"]
