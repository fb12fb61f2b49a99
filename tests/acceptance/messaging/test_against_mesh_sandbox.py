"""Fiveways and the public mesh-sandbox, asked the same: where they differ is listed, with the reason, and all else is a fault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest
from tests.acceptance.messaging.conftest import Sandbox
from tests.acceptance.messaging.differences import DIFFERENCES
from tests.acceptance.messaging.scenarios import SCENARIOS, Step
from tests.acceptance.messaging.wire import PublicSandbox, Wire

_HEADERS = ("content-type", "content-encoding", "last-modified", "location", "etag")
_VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?"), "<moment>"),
    (
        re.compile(r"\d{4}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d(\.\d+)?(Z|%2B00%3A00)?|\d{4}-\d\d-\d\d\+\d\d%3A\d\d%3A\d\d(\.\d+)?"),
        "<moment>",
    ),
    (re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d (GMT|UTC)?"), "<date>"),
    (re.compile(r"\b20\d{12}\b"), "<stamp>"),
    (re.compile(r"continue_from=[^&]+"), "continue_from=<cursor>"),
)
_ABSENT = "(absent)"
_RANDOM = ("internal_id", "internalID", "query_id")


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PublicSandbox]:
    """The public sandbox."""
    running = PublicSandbox(tmp_path_factory.mktemp("public"))
    yield running
    running.stop()


class Server:
    """One of the two, and the message ids that it has given."""

    def __init__(self, url: str) -> None:
        self._wire = Wire(url)
        self._ids: dict[str, str] = {}
        self._wire("DELETE", "/admin/reset")

    def answers(self, steps: list[Step]) -> dict[str, dict[str, Any]]:
        """What is answered to each step, place by place, with nothing in it that varies by nature."""
        assert len({step.name for step in steps}) == len(steps)
        try:
            return {step.name: self._answer(step) for step in steps}
        finally:
            self._wire.close()

    def _answer(self, step: Step) -> dict[str, Any]:
        headers = {name: self._filled(value) if isinstance(value, str) else value for name, value in step.headers.items()}
        answer = self._wire(step.method, self._filled(step.path), step.by, accept=step.accept, headers=headers, body=step.body)
        content: Any = answer.content
        if "json" in answer.headers.get("content-type", "") and content[:1] in (b"{", b"["):
            content = json.loads(content)
            if step.method == "POST" and isinstance(content, dict) and answer.status < 300:
                self._ids.setdefault(step.save or step.name, str(content.get("message_id") or content.get("messageID")))
        places: dict[str, Any] = {"status": answer.status}
        places |= {name: value for name, value in answer.headers.items() if name in _HEADERS or name.startswith("mex-")}
        places |= dict(_flat("body", content))
        return {place: self._steady(place, value) for place, value in places.items()}

    def _filled(self, text: str) -> str:
        return re.sub(r"\{([^}]+)\}", lambda name: self._ids.get(name[1], "NONE"), text)

    def _steady(self, place: str, value: Any) -> Any:
        if place.rpartition(".")[2] in _RANDOM:
            return "<random>"
        if isinstance(value, list):
            return [self._steady(place, each) for each in value]
        if isinstance(value, str):
            for name, id_ in self._ids.items():
                value = value.replace(id_, f"<{name}>")
            value = re.sub(r"\b([0-9A-F]{32}|20\d{18}_[0-9A-F]{6})\b", "<id>", value)
            for pattern, name in _VARYING:
                value = pattern.sub(name, value)
        return value


def _flat(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, each in value.items():
            yield from _flat(f"{place}.{name}", each)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for number, each in enumerate(value):
            yield from _flat(f"{place}.{number}", each)
    else:
        yield place, [f"{each}" for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def differing(public: PublicSandbox, sandbox: Sandbox) -> dict[tuple[str, str], tuple[Any, Any]]:
    """Where the two differ: scenario and step, and place; what the public one says there, and what we say."""
    found = {}
    for scenario, steps in SCENARIOS.items():
        theirs, ours = Server(public.url).answers(steps), Server(sandbox.url).answers(steps)
        for step in theirs:
            alike = theirs[step]["status"] == ours[step]["status"]  # where not, the rest differs by nature
            for place in theirs[step].keys() | ours[step].keys() if alike else ("status",):
                pair = theirs[step].get(place, _ABSENT), ours[step].get(place, _ABSENT)
                if pair[0] != pair[1]:
                    found[f"{scenario}: {step}", place] = pair
    return found


def _listed(step: str, place: str) -> bool:
    return any(
        any(fnmatchcase(step, pattern) for pattern in each.steps) and any(fnmatchcase(place, pattern) for pattern in each.places)
        for each in DIFFERENCES
    )


def test_nothing_differs_that_is_not_listed(differing: dict[tuple[str, str], tuple[Any, Any]]) -> None:
    unlisted = sorted(((where, pair) for where, pair in differing.items() if not _listed(*where)), key=repr)
    told = [f"{step} | {place} | public {theirs!r} | ours {ours!r}" for (step, place), (theirs, ours) in unlisted]
    assert not told, "\n".join(told)


def test_nothing_is_listed_that_does_not_differ(differing: dict[tuple[str, str], tuple[Any, Any]]) -> None:
    """Every pattern of a listed difference is met by one."""
    stale = [
        (step, place, each.reason)
        for each in DIFFERENCES
        for step in each.steps
        for place in each.places
        if not any(fnmatchcase(found[0], step) and fnmatchcase(found[1], place) for found in differing)
    ]
    assert not stale


def test_nothing_of_this_is_a_500(sandbox: Sandbox) -> None:
    for steps in SCENARIOS.values():
        for name, answer in Server(sandbox.url).answers(steps).items():
            assert answer["status"] < 500, name
