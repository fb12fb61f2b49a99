"""Which operation of an API a request is for."""

from __future__ import annotations

from typing import Any

import pytest

from fiveways.clock import ManualClock
from fiveways.errors import Fault, NotFound
from fiveways.methods.synchronous.api import Api, Match, Route, template
from fiveways.methods.synchronous.policies.faults import Faults
from fiveways.methods.synchronous.rendering import as_operation_outcome, as_problem
from fiveways.methods.synchronous.request import read
from fiveways.types import Interaction, Outcome


def interaction(method: str, below: str) -> Interaction:
    scope = {
        "method": method, "raw_path": b"/base" + below.encode(), "query_string": b"", "headers": [(b"host", b"a")],
        "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing to receive")

    made, fault = read(scope, receive, ManualClock())
    assert fault is None
    made.below = below.encode()
    return made


async def nothing(_: Interaction) -> Outcome:
    return Outcome(204, [])


def route(name: str) -> Route:
    return Route(name, nothing, ())


def api(*, fhir: bool, matches: tuple[str, ...] = (), named: tuple[str, ...] = ()) -> Api:
    made = Api("a", b"/base", fhir, route("default"), (Faults(as_problem),), (), as_operation_outcome if fhir else as_problem)
    for match in matches:
        method, path = match.split(" ")
        made.matches.append(Match(method, template(path), route(match)))
    made.named |= {name: route(name) for name in named}
    return made


@pytest.mark.parametrize(
    ("path", "matching", "others"),
    [
        ("/orders", ["/orders", "/orders/"], ["/orders/1", "/order", "/orderss", "/a/orders", "//orders", "/orders//"]),
        ("/orders/{id}", ["/orders/1", "/orders/a.b-c", "/orders/%2f", "/orders/1/"], ["/orders/", "/orders", "/orders/1/2"]),
        ("/orders/{id}/lines/{line}", ["/orders/1/lines/2"], ["/orders/1/lines", "/orders/1/2/lines/3"]),
        ("/files/**", ["/files", "/files/", "/files/a", "/files/a/b/c"], ["/filesx", "/file", "/x/files/a"]),
        ("/{any}/**", ["/a", "/a/b", "/a/b/c/"], ["/"]),
        ("/**", ["/", "", "/a", "/a/b"], ["a"]),
        ("/a.b/$c", ["/a.b/$c"], ["/axb/$c", "/a.b/c"]),
        ("/{id}.json", ["/a.json", "/a.b.json"], ["/a.xml", "/.json", "/ajson"]),
    ],
)
def test_a_template_matches(path: str, matching: list[str], others: list[str]) -> None:
    pattern = template(path)
    assert [each for each in matching if pattern.fullmatch(each.encode()) is None] == []
    assert [each for each in others if pattern.fullmatch(each.encode()) is not None] == []


def chosen(api: Api, method: str, below: str) -> str:
    """The name that the request is given; the route's own, but for the default route."""
    asked = interaction(method, below)
    found = api.route(asked)
    assert asked.name == found.name
    return found.name


def test_the_first_template_that_matches_wins() -> None:
    made = api(fhir=False, matches=("GET /a/special", "GET /a/{id}", "GET /**"))
    assert chosen(made, "GET", "/a/special") == "GET /a/special"
    assert chosen(made, "GET", "/a/1") == "GET /a/{id}"
    assert chosen(made, "GET", "/b") == "GET /**"
    assert chosen(made, "GET", "") == "GET /**"


def test_a_method_is_matched_as_it_is_written() -> None:
    made = api(fhir=False, matches=("POST /a",))
    assert chosen(made, "POST", "/a") == "POST /a"
    assert chosen(made, "PUT", "/a") == "PUT"
    assert chosen(made, "post", "/a") == "other"


def test_templates_come_before_fhir_interactions_and_these_before_the_default() -> None:
    made = api(fhir=True, matches=("POST /Patient/$match",), named=("Patient.$match", "Patient.create"))
    assert chosen(made, "POST", "/Patient/$match") == "POST /Patient/$match"
    assert chosen(made, "POST", "/Patient") == "Patient.create"
    assert chosen(made, "GET", "/Patient/1") == "Patient.read"
    assert made.route(interaction("POST", "/Patient")) is made.named["Patient.create"]
    assert made.route(interaction("GET", "/Patient/1")).handler is made.default.handler


def test_an_api_without_fhir_has_no_fhir_interactions() -> None:
    made = api(fhir=False)
    assert chosen(made, "GET", "/Patient/1") == "GET"
    assert chosen(made, "PURGE", "/Patient/1") == "other"


def test_what_a_client_sends_makes_only_so_many_routes() -> None:
    """Names label metrics: made-up methods, types and operations share one."""
    made = api(fhir=True)
    paths = ("/Nonsense/x", "/$made-up", "/1", "/Patient/$up", "/Patient/1/2/3/4/5/6")
    names = {chosen(made, method, path) for method in ("GET", "BREW") for path in paths}
    assert names == {"other", "system.$other", "Patient.$other"}
    assert made.route(interaction("GET", "/Patient/1")) is made.route(interaction("GET", "/Patient/2"))


@pytest.mark.anyio
async def test_a_refusal_is_behind_the_outer_policies() -> None:
    fault: Fault = NotFound("Not here")
    refusing = api(fhir=False).refuse(fault)
    outcome = await refusing.handler(interaction("GET", "/a"))
    assert (outcome.status, outcome.fault) == (404, fault)
