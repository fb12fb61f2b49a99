"""The documentation's table of clients says what tests show, and nothing else."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest
from tests.acceptance.realtime.clients import BROWSER, FEATURES, JAVASCRIPT, PYTHON, TABLE, Recorder, claims, table, versions


@pytest.fixture(scope="module")
def written() -> Any:
    """The table as it is written down."""
    return json.loads(TABLE.read_text())


def test_what_is_written_down_is_what_tests_say_that_they_show(written: Any) -> None:
    assert written == table(), "run: python -m tests.acceptance.realtime.clients"


def test_every_claim_rests_on_a_test_that_is_run_and_must_pass(written: Any) -> None:
    named = {name for each in written["features"] for names in each["shown"].values() for name in names}
    assert named
    for name in named:
        module, _, test = name.partition(".py::")
        found = getattr(importlib.import_module(f"tests.acceptance.realtime.{module}"), test)
        marks = {mark.name for mark in getattr(found, "pytestmark", ())}
        assert not marks & {"xfail", "skip", "skipif", "long"}, name


def test_the_clients_are_those_that_are_tried(written: Any) -> None:
    assert written["clients"] == versions()
    assert list(written["clients"]) == [PYTHON, JAVASCRIPT, BROWSER]
    assert {client for shown in claims().values() for client in shown} == set(versions())


def test_every_feature_is_shown_with_some_client() -> None:
    assert all(claims()[feature] for feature in FEATURES)


def test_a_test_that_failed_once_or_was_skipped_shows_nothing() -> None:
    def report(name: str, when: Any, outcome: Any, **more: Any) -> pytest.TestReport:
        return pytest.TestReport(f"tests/x/{name}", ("x", 1, name), {}, outcome, None, when, **more)

    recorder = Recorder()
    for each in (
        report("test_a.py::test_passes[1]", "setup", "passed"), report("test_a.py::test_passes[1]", "call", "passed"),
        report("test_a.py::test_fails[1]", "call", "passed"), report("test_a.py::test_fails[2]", "call", "failed"),
        report("test_a.py::test_skipped", "setup", "skipped"), report("test_a.py::test_breaks", "call", "passed"),
        report("test_a.py::test_breaks", "teardown", "failed"), report("test_a.py::test_not_run", "setup", "passed"),
    ):  # fmt: skip
        recorder.pytest_runtest_logreport(each)
    assert recorder.passed - recorder.others == {"test_a.py::test_passes"}
