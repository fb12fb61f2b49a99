"""Which features of real time have been shown with which client: tests say so of themselves, and a run of them is written down.

    python -m tests.acceptance.realtime.clients [options of pytest]

runs the tests that say so. Where all of them passed, docs/methods/realtime-clients.json has the table from then on.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import pytest

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "docs" / "methods" / "realtime-clients.json"
MODULES = ("test_centrifuge_python", "test_centrifuge_js", "test_browser")
PYTHON, JAVASCRIPT, BROWSER = "centrifuge-python", "centrifuge-js", "EventSource"
FEATURES = {
    "token": "connects with an access token",
    "asked": "asks for a token when it needs one",
    "refresh": "has its token refreshed on the same connection",
    "read": "reads a channel",
    "publish": "publishes in a channel",
    "refused": "is told what is not open to it, by a code",
    "presence": "asks who is there",
    "come": "is told who comes and goes",
    "history": "reads the history, page by page",
    "recovery": "is given what it missed while it was away",
    "lost": "is told when what it missed cannot be given",
    "board": "is given the whole of a board, then changes",
    "rpc": "calls methods: conversations, receipts, corrections, retractions",
    "together": "sends commands together in one frame",
    "pings": "answers pings, and the connection lasts",
    "restart": "comes back by itself when the server was stopped, and goes on with where it was",
    "page": "runs in a page of a browser",
}
"""What the table has, in its order."""
T = TypeVar("T", bound=Callable[..., Any])


def shows(client: str, *features: str) -> Callable[[T], T]:
    """A test that passes only where a client has these features."""
    assert set(features) <= set(FEATURES), features

    def marked(test: T) -> T:
        vars(test).setdefault("shows", []).append((client, features))
        return test

    return marked


def claims() -> dict[str, dict[str, list[str]]]:
    """By feature and client: the tests that say that they show it."""
    found: dict[str, dict[str, list[str]]] = {feature: {} for feature in FEATURES}
    for name, test in _tests():
        for client, features in test.shows:
            for feature in features:
                found[feature].setdefault(client, []).append(name)
    return found


def versions() -> dict[str, str]:
    """The clients, in the table's order, and which version of them is tried."""
    packages = json.loads((HERE / "javascript" / "package.json").read_text())["dependencies"]
    return {PYTHON: version("centrifuge-python"), JAVASCRIPT: packages["centrifuge"], BROWSER: "of Chromium"}


def table() -> dict[str, Any]:
    """The table, as it is written down."""
    shown = claims()
    return {"clients": versions(), "features": [{"feature": text, "shown": shown[key]} for key, text in FEATURES.items()]}


def _tests() -> Iterator[tuple[str, Any]]:
    for name in MODULES:
        module = importlib.import_module(f"tests.acceptance.realtime.{name}")
        for each, test in vars(module).items():
            if each.startswith("test_") and hasattr(test, "shows"):
                yield f"{name}.py::{each}", test


class Recorder:
    """Notes which tests passed: all of what they are run with, from beginning to end."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self.others: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A part of a test is over."""
        name = report.nodeid.rpartition("/")[2].partition("[")[0]
        if report.passed and not hasattr(report, "wasxfail"):
            self.passed |= {name} if report.when == "call" else set()
        else:
            self.others.add(name)


def record(options: Sequence[str]) -> int:
    """Run the tests, and write the table where all passed that show something; the exit code."""
    recorder, wanted = Recorder(), sorted(name for name, _ in _tests())
    pytest.main([*(str(HERE / name) for name in wanted), "-q", *options], plugins=[recorder])
    if missing := [name for name in wanted if name not in recorder.passed - recorder.others]:
        print("not written down: these did not pass", *missing, sep="\n  ")
        return 1
    TABLE.write_text(json.dumps(table(), indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(record(sys.argv[1:]))
