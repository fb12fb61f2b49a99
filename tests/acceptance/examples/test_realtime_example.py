"""The example of real time runs as its README says."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from fiveways.linter import lint

ROOT = Path(__file__).parents[3]
PORTS = (8076, 8075, 8074)
GATEWAY, LIVE, SCREEN = PORTS


@dataclass
class Running:
    """The example, copied, with ports of its own."""

    folder: Path
    ports: dict[int, int]
    served: list[subprocess.Popen[bytes]] = field(default_factory=list)
    """Each process that served the deployment; the last one does."""

    def run(self, *command: str) -> list[str]:
        """The lines that a command of the README prints."""
        line = [sys.executable, *command]
        done = subprocess.run(line, cwd=self.folder, capture_output=True, text=True, timeout=90, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout.splitlines()

    def start(self, *command: str, port: int) -> subprocess.Popen[bytes]:
        """Have a program run; it is waited for until it listens."""
        with (self.folder / f"{command[-1]}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, *command], cwd=self.folder, stdout=log, stderr=log)
        _until(lambda: _listens(self.ports[port]))
        return process

    def serve(self) -> None:
        """Serve the deployment."""
        self.served.append(self.start("-m", "fiveways", "serve", port=LIVE))

    def kill(self) -> None:
        """End who serves it, as `kill -9` does."""
        self.served[-1].kill()
        self.served[-1].wait(20)

    def events(self, last: str = "") -> Iterator[dict[str, Any]]:
        """What the page is told, until it stops listening."""
        headers = {"Last-Event-ID": last} if last else {}
        with httpx.stream("GET", f"http://127.0.0.1:{self.ports[SCREEN]}/events", headers=headers, timeout=20) as answer:
            event: dict[str, Any] = {}
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if line == "" and event:
                    yield {"event": "message", **event}
                    event = {}
                elif name:
                    event[name] = json.loads(value) if name == "data" else value


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(condition: Callable[[], bool], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("example") / "realtime"
    shutil.copytree(ROOT / "examples" / "realtime", folder, ignore=shutil.ignore_patterns("keys", "data", "__pycache__"))
    with ExitStack() as probing:
        probes = [probing.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        running = Running(folder, dict(zip(PORTS, (probe.getsockname()[1] for probe in probes), strict=True)))
    for file in (*folder.glob("*.py"), folder / "deployment.yaml"):
        file.write_text(re.sub(r"\b80(76|75|74)\b", lambda found: str(running.ports[int(found[0])]), file.read_text()))
    assert running.run("tokens.py", "keys") == []
    with ExitStack() as stack:
        stack.callback(lambda: _end(running.served[-1]))
        running.serve()
        stack.callback(_end, running.start("screen.py", port=SCREEN))
        yield running


def test_nothing_is_found(example: Running) -> None:
    assert lint(example.folder / "deployment.yaml") == []


def test_a_conversation_goes_on_after_a_break_and_is_written_out(example: Running) -> None:
    lines = example.run("conversation.py")
    heard = [line.split()[:4] for line in lines if " <- " in line]
    assert [(side, what) for side, _, _, what in heard] == [
        ("surgery-system", "say"),
        ("ward-system", "deliver"),
        ("ward-system", "read"),
        ("ward-system", "say"),
        ("ward-system", "correct"),
    ]
    assert [number for _, _, number, _ in heard] == ["2", "3", "4", "5", "6"]
    assert "the question is read" in lines
    states = [found[1] for line in lines if (found := re.match(r" +\d+  \S+  \S+  \[(\w+)\]", line))]
    assert states == ["invite", "read", "corrected", "close"]
    assert '        formerly: {"text":"Yes, 50 mg"}' in lines
    (name,) = (each["channel"] for each in json.loads("".join(example.run("-m", "fiveways", "channel", "list", "--json"))))
    transcript = example.run("-m", "fiveways", "channel", "transcript", name)
    assert [line.rstrip() for line in transcript] == [line.rstrip() for line in lines[-len(transcript) :]]


def test_a_board_is_read_whole_then_as_it_changes_and_on_from_where_it_was(example: Running) -> None:
    page = httpx.get(f"http://127.0.0.1:{example.ports[SCREEN]}/").raise_for_status()
    assert "EventSource" in page.text
    assert len(example.run("beds.py", "--count", "3", "--every", "0")) == 3
    events = example.events()
    assert next(events)["event"] == "joined"
    whole = next(events)
    assert whole["event"] == "snapshot"
    assert {f"bed-{number}" for number in range(1, 13)} | {"as of"} == set(whole["data"]["data"])
    first, second = (line.partition(" ")[0] for line in example.run("beds.py", "--count", "2", "--every", "0"))
    told = [next(events) for _ in range(14)]
    assert [each["data"]["offset"] for each in told[-2:]] == [int(first), int(second)]
    assert {each["event"] for each in told} == {"message"}
    events.close()  # type: ignore[attr-defined]
    example.run("beds.py", "--count", "1", "--every", "0")
    example.kill()
    example.serve()
    again = example.events(last=told[-1]["id"])
    assert next(again)["event"] == "joined"
    missed = [next(again) for _ in range(13)]
    assert [each["data"]["offset"] for each in missed] == list(range(int(second) + 1, int(second) + 14))


def test_another_organisation_sees_no_board(example: Running) -> None:
    (token,) = example.run("tokens.py", "surgery-system")
    url = f"http://127.0.0.1:{example.ports[LIVE]}/channels/ward:8:board/events"
    assert httpx.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=5).status_code == 403
