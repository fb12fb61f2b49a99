"""The example of HTTP exchange runs as its README says, and the page that shows the same request in six ways shows what is run."""

from __future__ import annotations

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

import pytest

from fiveways.linter import lint

ROOT = Path(__file__).parents[3]
PORTS = (8089, 8079, 8078, 8077)
GATEWAY, ENGINE = PORTS[0], PORTS[2]
WAYS = ("synchronous", "sync_wrap", "short_polling", "callback", "long_polling", "mailbox")


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
        self.served.append(self.start("-m", "fiveways", "serve", port=GATEWAY))

    def kill(self) -> None:
        """End who serves it, as `kill -9` does."""
        self.served[-1].kill()
        self.served[-1].wait(20)


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
    folder = tmp_path_factory.mktemp("example") / "exchange"
    made = shutil.ignore_patterns("secrets", "data", "batch", "*.sqlite*", "__pycache__")
    shutil.copytree(ROOT / "examples" / "exchange", folder, ignore=made)
    with ExitStack() as probing:
        probes = [probing.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        running = Running(folder, dict(zip(PORTS, (probe.getsockname()[1] for probe in probes), strict=True)))
    for file in (*folder.glob("*.py"), folder / "deployment.yaml"):
        file.write_text(re.sub(r"\b80(89|79|78|77)\b", lambda found: str(running.ports[int(found[0])]), file.read_text()))
    assert running.run("provider.py", "secrets") == []
    with ExitStack() as stack:
        stack.callback(lambda: _end(running.served[-1]))
        running.serve()
        stack.callback(_end, running.start("provider.py", port=ENGINE))
        yield running


def test_what_is_found_is_what_the_book_discourages(example: Running) -> None:
    assert [finding.rule for finding in lint(example.folder / "deployment.yaml")] == []


def test_a_job_is_polled(example: Running) -> None:
    submitted, *said, outcome = example.run("short_polling.py")
    assert submitted.startswith("job ")
    assert said[0] == "accepted"
    assert any(each.endswith("%") or each == "waiting" for each in said)
    assert outcome == "201 0.12"


def test_an_outcome_is_brought(example: Running) -> None:
    _, outcome, *life = example.run("callback.py")
    assert outcome == "201 0.12"
    assert [" ".join(each.split()) for each in life] == ["open open", "try open", "send sent", "answer answered 201 callback"]


def test_a_request_is_held(example: Running) -> None:
    _, outcome = example.run("long_polling.py")
    assert outcome.startswith("201 0.12 after ")


def test_a_batch_reports(example: Running) -> None:
    assert example.run("reported.py", "ask") == ["bed-7 sent", "bed-8 sent"]
    assert example.run("reported.py", "ask") == ["bed-7 sent", "bed-8 sent"]
    _until(lambda: len(list((example.folder / "batch").glob("*.json"))) == 2)
    assert example.run("reported.py", "batch") == ["reported 204"] * 2
    collected = sorted(example.run("reported.py", "collect"))
    assert [line[:10] for line in collected] == ["bed-7 201 ", "bed-8 201 "]
    assert all('"probabilityDecimal":0.12' in line for line in collected)


def test_the_same_request_in_six_ways(example: Running) -> None:
    lines = [line.split() for line in example.run("same_request.py")]
    assert [line[0] for line in lines] == list(WAYS)
    assert [line[1:3] for line in lines] == [["201", "0.12"]] * 5 + [["200", "0.12"]]


def test_a_job_outlives_the_platform_and_who_asked(example: Running) -> None:
    example.run("short_polling.py", "--leave")
    example.kill()
    example.serve()
    assert example.run("short_polling.py", "--later")[-1] == "201 0.12"


def test_the_page_shows_what_is_run() -> None:
    program = (ROOT / "examples" / "exchange" / "same_request.py").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "same-request.md").read_text(), re.MULTILINE | re.DOTALL)
    assert all(block in program for block in blocks), [block for block in blocks if block not in program]
    assert {way for way in WAYS if f"async def {way}(" in "".join(blocks)} == set(WAYS)
