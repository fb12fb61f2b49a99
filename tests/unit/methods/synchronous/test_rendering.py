"""How faults look: OperationOutcome on FHIR APIs, problem details elsewhere; every fault there is, and defects too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from fiveways import errors
from fiveways.clock import ManualClock
from fiveways.errors import Fault, StoreError, TooManyRequests
from fiveways.methods.synchronous.policies.faults import Faults
from fiveways.methods.synchronous.rendering import Render, as_operation_outcome, as_problem
from fiveways.methods.synchronous.request import ClientGone, read
from fiveways.methods.synchronous.upstream import faults as upstream_faults
from fiveways.types import Interaction, Outcome

ID = "0190a0b0-0000-7000-8000-000000000001"
PARTIES = {"consumer": "SEND", "platform": "PROXY", "provider": "REC"}


def every_fault() -> Iterator[type[Fault]]:
    """Every kind of fault: the tree of `errors`, and what is mixed of it for back ends."""
    for module in (errors, upstream_faults):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Fault) and kind.__module__ == module.__name__:
                yield kind


def made(kind: type[Fault], diagnostics: str) -> Fault:
    if issubclass(kind, upstream_faults.UpstreamFault):
        return kind(diagnostics, phase="connect", reached=False)
    return kind(diagnostics)


FAULTS = sorted({kind for kind in every_fault() if kind is not upstream_faults.UpstreamFault}, key=lambda kind: kind.__name__)


def content(outcome: Outcome) -> Any:
    """The body, decoded, with what the header section must say of it."""
    assert isinstance(outcome.body, bytes)
    headers = dict(outcome.headers)
    assert headers[b"content-length"] == str(len(outcome.body)).encode()
    assert headers[b"cache-control"] == b"no-store"
    return json.loads(outcome.body)


def expected_party(kind: type[Fault]) -> str:
    return "PROXY" if kind.status == 429 else PARTIES[kind.party]


def test_the_tree_is_looked_at_whole() -> None:
    assert len(FAULTS) >= 24
    assert {kind.party for kind in FAULTS} == set(PARTIES)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_as_operation_outcome(kind: type[Fault]) -> None:
    fault = made(kind, "What to do: \u201cthis\u201d")
    outcome = as_operation_outcome(fault, ID)
    body = content(outcome)
    (issue,) = body.pop("issue")
    nhs, party = issue["details"]["coding"]
    assert (outcome.status, outcome.fault) == (kind.status, fault)
    assert dict(outcome.headers)[b"content-type"] == b"application/fhir+json"
    assert body == {"resourceType": "OperationOutcome", "id": ID}
    assert (issue["severity"], issue["code"], issue["diagnostics"]) == ("error", kind.issue, "What to do: \u201cthis\u201d")
    assert nhs == {
        "system": "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode",
        "version": "1",
        "code": kind.code,
        "display": kind.display,
    }
    assert party["system"] == "https://fhir.nhs.uk/Codesystem/http-error-codes"
    assert party["code"].startswith(f"{expected_party(kind)}_")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_as_problem_details(kind: type[Fault]) -> None:
    """RFC 9457 §3.1; about:blank leaves the meaning to the status, so the two must agree."""
    fault = made(kind, "What to do")
    outcome = as_problem(fault, ID)
    body = content(outcome)
    assert outcome.status == body["status"] == kind.status
    assert dict(outcome.headers)[b"content-type"] == b"application/problem+json"
    assert body["party_code"].startswith(f"{expected_party(kind)}_")
    assert body | {"party_code": ""} == {
        "type": "about:blank",
        "title": kind.display,
        "status": kind.status,
        "detail": "What to do",
        "instance": f"urn:uuid:{ID}",
        "code": kind.code,
        "party": kind.party,
        "party_code": "",
    }


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_has_a_status_of_http_and_of_its_party(kind: type[Fault]) -> None:
    assert HTTPStatus(kind.status)
    assert (kind.status < 500) == (kind.party == "consumer")


@pytest.mark.parametrize("render", [as_operation_outcome, as_problem])
def test_the_fields_of_a_fault_are_on_the_answer(render: Render) -> None:
    outcome = render(TooManyRequests("Slowly", headers={"Retry-After": "7"}), ID)
    assert (b"retry-after", b"7") in outcome.headers


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_without_words_says_what_it_is(kind: type[Fault]) -> None:
    assert json.loads(as_problem(made(kind, ""), ID).body)["detail"] == kind.display  # type: ignore[arg-type]


# --- what is no fault -----------------------------------------------------------------------------------------------------


def interaction() -> Interaction:
    scope = {
        "method": "GET", "raw_path": b"/a", "query_string": b"", "headers": [(b"host", b"a")], "http_version": "1.1",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        raise AssertionError("nothing to receive")

    made, fault = read(scope, receive, ManualClock())
    assert fault is None
    return made


@pytest.mark.anyio
@pytest.mark.parametrize("render", [as_operation_outcome, as_problem])
async def test_a_defect_becomes_a_plain_500_without_its_trace(render: Render) -> None:
    async def defective(_: Interaction) -> Outcome:
        raise ZeroDivisionError("patient 9434765919 in /srv/secret.py")

    asked = interaction()
    outcome = await Faults(render)(asked, defective)
    assert isinstance(outcome.body, bytes)
    assert outcome.status == 500
    assert asked.id.encode() in outcome.body
    for inside in (b"Traceback", b"ZeroDivision", b"9434765919", b".py", b'File \\"'):
        assert inside not in outcome.body


@pytest.mark.anyio
async def test_what_the_store_cannot_keep_is_503_to_be_sent_again() -> None:
    async def unkept(_: Interaction) -> Outcome:
        raise StoreError("disk full at /var/lib")

    outcome = await Faults(as_problem)(interaction(), unkept)
    assert isinstance(outcome.body, bytes)
    assert (outcome.status, dict(outcome.headers)[b"retry-after"]) == (503, b"5")
    assert b"disk full" not in outcome.body
    assert b"X-Request-ID" in outcome.body


@pytest.mark.anyio
async def test_nobody_is_answered_who_has_gone() -> None:
    async def gone(_: Interaction) -> Outcome:
        raise ClientGone

    with pytest.raises(ClientGone):
        await Faults(as_problem)(interaction(), gone)
