"""The listener's example runs as its README says, against a sandbox."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.messaging.conftest import Sandbox

EXAMPLE = Path(__file__).parents[3] / "examples" / "listener" / "listener.py"


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox."""
    running = Sandbox(tmp_path / "sandbox")
    running.start()
    yield running
    running.stop()


def test_a_question_is_answered_and_the_ledger_knows_which(sandbox: Sandbox, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE, tmp_path)

    def run(*arguments: str) -> str:
        line = [sys.executable, EXAMPLE.name, "--url", sandbox.url, *arguments]
        return subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True).stdout

    asked = run("ask", "Is it?").split()[1]
    assert run("answer", "--once").startswith("answered  ")
    assert run("answer", "--once") == ""
    assert run("collect") == f"Yes: Is it?  answers {asked}\n"
