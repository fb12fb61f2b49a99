"""The listener in processes that are killed, with handlers that fail: nothing is lost, and what is handled stays so (A3, A45)."""

from __future__ import annotations

import asyncio
import gzip
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from mesh_client import MeshClient
from tests.acceptance.client.conftest import KILLED, Consumer, Open
from tests.acceptance.messaging.conftest import Sandbox
from typer.testing import CliRunner

from fiveways.cli import cli
from fiveways.client import ClientError, DeadLetter, Ledger, Listener, Mailbox, Message, Retry, Schedule
from fiveways.client.command import Command
from fiveways.client.errors import AlreadyListening

pytestmark = pytest.mark.anyio
MILLISECOND = timedelta(milliseconds=1)
SOON = Schedule(50 * MILLISECOND, sandbox=True)
AT_ONCE = ("--sandbox", "--every", "50ms", "--retry-after", "1ms")

Public = Callable[[str], MeshClient]


async def ignore(message: Message) -> None:
    """Handle nothing, successfully."""


@pytest.mark.parametrize(
    ("point", "attempts"),
    [("before", [1]), ("handler", [1, 2]), ("handled", [1]), ("acknowledged", [1]), ("never", [1])],
)
def test_a_listener_killed_at_any_point_loses_nothing_and_repeats_nothing_that_was_handled(
    tmp_path: Path, program: Consumer, public: Public, point: str, attempts: list[int]
) -> None:
    sent = public("ALICE").send_message("BOB", b"x", workflow_id="X")
    assert program("crashing.py", "listen", point).returncode == (0 if point == "never" else KILLED)
    assert program("crashing.py", "listen", "never").returncode == 0
    assert (tmp_path / "handled.txt").read_text().split() == [word for number in attempts for word in (sent, str(number))]
    assert public("BOB").list_messages() == []


def test_a_message_that_kills_whoever_handles_it_is_a_dead_letter_in_the_end(
    tmp_path: Path, program: Consumer, public: Public
) -> None:
    sent = public("ALICE").send_message("BOB", b"poison", workflow_id="X")
    assert [program("crashing.py", "listen", "handler").returncode for _ in range(4)] == [KILLED] * 3 + [0]
    assert (tmp_path / "handled.txt").read_text().split()[1::2] == ["1", "2", "3"]
    assert (tmp_path / "BOB.sqlite.dead" / f"{sent}.dat").read_bytes() == b"poison"
    facts = json.loads((tmp_path / "BOB.sqlite.dead" / f"{sent}.dat.mesh.json").read_text())
    assert (facts["from"], facts["attempts"], facts["reason"]) == ("ALICE", 3, "whoever handled it came to an end meanwhile")
    assert public("BOB").list_messages() == []


@pytest.mark.parametrize("keep", [False, True])
async def test_what_fails_is_tried_again_and_then_kept_while_the_others_go_on(
    tmp_path: Path, mailbox: Open, public: Public, keep: bool
) -> None:
    sent = [public("ALICE").send_message("BOB", content, workflow_id="X") for content in (b"bad", b"good", b"hopeless", b"late")]
    seen: list[tuple[bytes, int]] = []

    async def handle(message: Message) -> None:
        content = message.content.read()
        seen.append((content, message.attempt))
        if content == b"hopeless":
            raise DeadLetter("never will be")
        if content == b"bad" or (content == b"late" and message.attempt == 1):
            raise ValueError(f"cannot read {content!r}")

    async with mailbox("BOB") as bob:
        listener = Listener(bob, handle, schedule=SOON, retry=Retry(3, MILLISECOND), dead_letters=tmp_path / "dead", keep_dead=keep)
        running = asyncio.create_task(listener.run())
        while len(seen) < 7 or len(list((tmp_path / "dead").glob("*.dat"))) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # some rounds more: nothing comes again
        with pytest.raises(AlreadyListening):
            await Listener(bob, handle).once()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert sorted(seen) == [(b"bad", 1), (b"bad", 2), (b"bad", 3), (b"good", 1), (b"hopeless", 1), (b"late", 1), (b"late", 2)]
    reasons = {
        json.loads(file.read_text())["message_id"]: json.loads(file.read_text())["reason"]
        for file in (tmp_path / "dead").glob("*.mesh.json")
    }
    assert reasons == {sent[0]: "ValueError: cannot read b'bad'", sent[2]: "DeadLetter: never will be"}
    assert public("BOB").list_messages() == ([sent[0], sent[2]] if keep else [])


async def test_a_handler_that_takes_too_long_has_failed(mailbox: Open, public: Public) -> None:
    public("ALICE").send_message("BOB", b"x", workflow_id="X")

    async def sleep(_: Message) -> None:
        await asyncio.sleep(60)

    async with mailbox("BOB") as bob:
        assert (await Listener(bob, sleep, patience=20 * MILLISECOND).once()).put_off == 1


async def test_an_attempt_that_we_break_off_ourselves_does_not_count(mailbox: Open, public: Public) -> None:
    public("ALICE").send_message("BOB", b"x", workflow_id="X")
    attempts: list[int] = []
    begun = asyncio.Event()

    async def handle(message: Message) -> None:
        attempts.append(message.attempt)
        begun.set()
        if len(attempts) == 1:
            await asyncio.sleep(60)

    async with mailbox("BOB") as bob:
        running = asyncio.create_task(Listener(bob, handle, schedule=SOON).run())
        await begun.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert (await Listener(bob, handle).once()).handled == 1
    assert attempts == [1, 1]


async def test_content_that_is_not_what_it_says_it_is_is_kept_as_it_came(tmp_path: Path, mailbox: Open, public: Public) -> None:
    broken = gzip.compress(b"hello" * 100)[:-9]
    alice = public("ALICE")
    answer = alice._session.post(
        f"{alice.mailbox_url}/outbox",
        data=broken,
        headers={"Mex-To": "BOB", "Mex-WorkflowID": "X", "Mex-Chunk-Range": "1:1", "Content-Encoding": "gzip"},
    )
    sent = answer.json()["message_id"]
    async with mailbox("BOB") as bob:
        assert (await Listener(bob, ignore, dead_letters=tmp_path / "dead").once()).dead == 1
    assert (tmp_path / "dead" / f"{sent}.dat").read_bytes() == broken


async def test_the_other_side_may_go_and_come_back(tmp_path: Path, public: Public) -> None:
    sandbox = Sandbox(tmp_path / "sandbox")
    sandbox.start()
    seen: list[bytes] = []

    async def handle(message: Message) -> None:
        seen.append(message.content.read())

    try:
        with Ledger(tmp_path / "BOB.sqlite") as ledger:
            async with Mailbox(sandbox.url, "BOB", "password", "TestKey", ledger) as bob:
                running = asyncio.create_task(Listener(bob, handle, schedule=SOON).run())
                sandbox.kill()
                await asyncio.sleep(0.3)
                await asyncio.to_thread(sandbox.start)
                with MeshClient(sandbox.url, "ALICE", "password", shared_key=b"TestKey") as alice:
                    await asyncio.to_thread(alice.send_message, "BOB", b"back", workflow_id="X")
                async with asyncio.timeout(30):
                    while not seen:
                        await asyncio.sleep(0.02)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
    finally:
        sandbox.stop()
    assert seen == [b"back"]


# --- the command ----------------------------------------------------------------------------------------------------------


def python(code: str) -> str:
    """A command that runs a piece of Python."""
    return f"{sys.executable} -c {shlex.quote(code)}"


def test_a_command_gets_content_and_facts_and_no_secret(tmp_path: Path, consumer: Consumer, public: Public) -> None:
    sent = public("ALICE").send_message("BOB", b"content", workflow_id="XX", local_id="one", subject="$(touch pwned); a b")
    public("ALICE").send_message("BOB", b"other", workflow_id="Y")
    code = """if True:
        import json, os, sys
        facts = {name: value for name, value in os.environ.items() if name.startswith("MESH_")}
        facts |= {"content": open(sys.argv[1]).read(), "sidecar": json.load(open(os.environ["MESH_SIDECAR"]))}
        json.dump(facts, open("facts.json", "w"))
    """
    done = consumer("listen", "BOB", "--exec", python(code) + " {file}", "--workflow", "XX", "--once")
    assert (done.returncode, len(public("BOB").list_messages())) == (0, 1), done.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["content"] == "content"
    assert facts["sidecar"]["message_id"] == facts["MESH_MESSAGE_ID"] == sent
    assert (facts["MESH_FROM"], facts["MESH_WORKFLOW"], facts["MESH_LOCAL_ID"], facts["MESH_ATTEMPT"]) == (
        "ALICE",
        "XX",
        "one",
        "1",
    )
    assert facts["MESH_SUBJECT"] == "$(touch pwned); a b"
    assert not {"MESH_PASSWORD", "MESH_SHARED_KEY"} & facts.keys()
    assert not Path(facts["MESH_FILE"]).exists()


def test_a_command_that_fails_gets_the_message_again_in_later_runs_until_it_is_a_dead_letter(
    tmp_path: Path, consumer: Consumer, public: Public
) -> None:
    sent = public("ALICE").send_message("BOB", b"content", workflow_id="X")
    arguments = ("BOB", "--exec", python("import sys; print(sys.stdin.read()); sys.exit(3)"), "--once", "--attempts", "2", *AT_ONCE)
    runs = [consumer("listen", *arguments, "--dead-letters", "dead") for _ in range(3)]
    assert [run.returncode for run in runs] == [1, 1, 0]
    assert [run.stdout for run in runs] == ["content\n", "content\n", ""]
    assert "ended with exit code 3" in json.loads((tmp_path / "dead" / f"{sent}.dat.mesh.json").read_text())["reason"]
    assert public("BOB").list_messages() == []


def test_a_listener_in_the_background_ends_with_its_command_when_it_is_told_to(
    sandbox: Sandbox, tmp_path: Path, environment: dict[str, str], public: Public
) -> None:
    sent = public("ALICE").send_message("BOB", b"content", workflow_id="X")
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); os.rename('pid', 'running'); time.sleep(60)"
    line = [sys.executable, "-m", "fiveways", "mailbox", "listen", sandbox.url, "BOB", "--exec", python(code), *AT_ONCE]
    with subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 20
        while not (tmp_path / "running").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not Path(f"/proc/{(tmp_path / 'running').read_text()}").exists()
    assert public("BOB").list_messages() == [sent]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--every", "1m"], "MESH wants mailboxes looked at at most every 0:05:00"),
        (["--every", "often"], "--every: found 'often'"),
        (["--cert", "cert.pem"], "--cert and --key go together"),
        (["--once"], "no password: set MESH_PASSWORD"),
    ],
)
def test_what_cannot_be_meant_is_said(arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_PASSWORD", raising=False)
    line = ["mailbox", "listen", "http://127.0.0.1:1", "BOB", "--exec", "true", *arguments]
    with pytest.raises(ClientError, match=said):
        CliRunner().invoke(cli, line, catch_exceptions=False)


def test_an_empty_command_is_refused() -> None:
    with pytest.raises(ClientError, match="no command"):
        Command([])
