"""The orchestration façade: several granular APIs, one answer, one budget, one correlation id; and what became of each call."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.acceptance.conftest import Backend, Serve, Served, after, dying, response

DEPLOYMENT = """\
organisations: {RXN: {name: Northshire}}
applications:
  ward: {organisation: RXN, jwks: file:keys/ward.json, products: [summaries]}
  second: {organisation: RXN, jwks: file:keys/second.json, products: [granular]}
products: {summaries: {apis: [summary, brief, booking, faulty, odd, forwarded], quota: 1000/min}, granular: {apis: [patients]}}
apis:
  patients: {$granular, at: /patients}
  allergies: {$granular, at: /allergies}
  medications: {$granular, at: /medications}
  hidden: {$granular, at: /hidden}
  summary: {$orchestration, at: /summary, plan: "plans:summary", within: 10s}
  brief: {$orchestration, at: /brief, plan: "plans:summary", within: 700ms}
  booking: {$orchestration, at: /booking, plan: "plans:booking", within: 5s}
  faulty: {$orchestration, at: /faulty, plan: "plans:undeclared"}
  odd: {$orchestration, at: /odd, plan: "plans:unwritable"}
  forwarded: {$orchestration, at: /forwarded, plan: "plans:forwarded"}
"""
GRANULAR = (
    'pattern: pass-through, target: {url: "%s", timeout: {first_byte: 8s}}, security: [signed-jwt], model: {fhir: {version: R4}}, '
    "resilience: {breaker: {failures: 1000}}"
)
ORCHESTRATION = (
    "pattern: orchestration, uses: [patients, allergies, medications], security: [signed-jwt], model: {fhir: {version: R4}}"
)
FHIR = ("Content-Type", "application/fhir+json")
PATIENT = response(200, b'{"resourceType": "Patient", "id": "1"}', FHIR)
ALLERGIES = response(
    200,
    b'{"resourceType": "Bundle", "type": "searchset", '
    b'"entry": [{"fullUrl": "urn:a", "resource": {"resourceType": "AllergyIntolerance"}}]}',
    FHIR,
)
NONE = response(200, b'{"resourceType": "Bundle", "type": "searchset"}', FHIR)


@pytest.fixture(scope="module")
def platform(behind: Backend, serve: Serve) -> Iterator[Served]:
    text = Template(DEPLOYMENT).substitute(granular=GRANULAR % behind.url, orchestration=ORCHESTRATION)
    with serve(text, started=False) as served:
        shutil.copy(Path(__file__).parent / "plans.py", served.folder)
        served.start()
        yield served


def ask(platform: Served, at: str, application: str = "ward", **query: str) -> httpx.Response:
    return platform.call("GET", f"/{at}?{urlencode(query)}", headers=platform.bearer(application))


def asked(behind: Backend, patient: Any = PATIENT, allergies: Any = ALLERGIES, medications: Any = NONE) -> dict[str, str]:
    """Paths at which the three back ends answer so."""
    return {"patient": behind.at(patient), "allergies": behind.at(allergies), "medications": behind.at(medications)}


def test_three_apis_are_asked_side_by_side_and_answered_as_one_bundle(platform: Served, behind: Backend) -> None:
    paths = asked(behind, after(0.5, PATIENT), after(0.5, ALLERGIES), after(0.5, NONE))
    began = time.monotonic()
    answer = ask(platform, "summary", **paths)
    assert time.monotonic() - began < 1.3, "one after another they would take 1.5 s"
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+json")
    bundle = answer.json()
    assert [each["resource"]["resourceType"] for each in bundle["entry"]] == ["Patient", "AllergyIntolerance"]
    assert {each["search"]["mode"] for each in bundle["entry"]} == {"match"}
    assert bundle["entry"][1]["fullUrl"] == "urn:a"


def test_the_consumers_ids_cross_every_call_and_each_call_is_audited(platform: Served, behind: Backend) -> None:
    paths = asked(behind)
    correlation = "7f9d2b14-5a77-4c9f-9d3a-000000000001"
    headers = {**platform.bearer(), "X-Correlation-ID": correlation}
    answer = platform.call("GET", f"/summary?{urlencode(paths)}", headers=headers)
    assert answer.headers["x-correlation-id"] == correlation
    seen = [request for path in paths.values() for request in behind.requests(path)]
    assert len(seen) == 3
    assert {each.all(b"nhsd-request-id")[0].decode() for each in seen} == {answer.headers["x-request-id"]}
    assert all(correlation.encode() in each.all(b"nhsd-correlation-id")[0] for each in seen)
    assert all(each.all(b"authorization") == [] for each in seen)
    own = platform.event(api="summary", correlation_id=correlation)
    assert (own["status"], own["calls"], own["application"]) == (200, 3, "ward")
    calls = [platform.event(api=api, correlation_id=correlation) for api in ("patients", "allergies", "medications")]
    assert {each["status"] for each in calls} == {200}
    assert len({each["id"] for each in (own, *calls)}) == 4
    counted = platform.call("GET", "/metrics").text
    assert 'fiveways_gateway_request_duration_seconds_count{api="medications",application="ward"' in counted
    assert "allergies" in platform.run("trace", correlation).stdout


def test_what_could_not_be_had_is_in_the_bundle_with_its_own_status(platform: Served, behind: Backend) -> None:
    answer = ask(platform, "summary", **asked(behind, allergies=response(503, b"{}"), medications=dying(b"")))
    assert answer.status_code == 200
    patient, *missing = answer.json()["entry"]
    assert patient["resource"]["resourceType"] == "Patient"
    issues = [each["resource"]["issue"][0] for each in missing]
    assert {each["search"]["mode"] for each in missing} == {"outcome"}
    assert [each["details"]["coding"][0]["code"] for each in issues] == ["503", "502"]
    assert [each["diagnostics"].partition(":")[0] for each in issues] == ["allergies", "medications"]
    assert {each["severity"] for each in issues} == {"warning"}


def test_a_call_may_have_a_time_of_its_own_within_the_budget(platform: Served, behind: Backend) -> None:
    paths = asked(behind, medications=after(6, NONE))
    began = time.monotonic()
    answer = ask(platform, "summary", within="0.3", **paths)
    assert time.monotonic() - began < 3
    assert answer.json()["entry"][-1]["resource"]["issue"][0]["details"]["coding"][0]["code"] == "504"
    behind.wait(lambda: behind.requests(paths["medications"])[0].gone)


@pytest.mark.parametrize(
    ("patient", "status", "own", "party"),
    [
        (response(404, b"{}"), 404, "404", "SEND_NOT_FOUND"),
        (response(500, b"{}"), 502, "500", "REC_BAD_GATEWAY"),
        (response(503, b"{}"), 503, "503", "REC_SERVICE_UNAVAILABLE"),
        (dying(b""), 502, "502", "REC_BAD_GATEWAY"),
    ],
)
def test_a_required_call_that_fails_fails_the_whole_and_says_which_and_how(
    platform: Served, behind: Backend, patient: Any, status: int, own: str, party: str
) -> None:
    paths = asked(behind, patient=patient, allergies=after(6, ALLERGIES))
    began = time.monotonic()
    answer = ask(platform, "summary", **paths)
    assert time.monotonic() - began < 3, "the others are not waited for"
    assert answer.status_code == status
    first, cause = answer.json()["issue"]
    assert first["details"]["coding"][1]["code"] == party
    assert (cause["diagnostics"].partition(":")[0], cause["details"]["coding"][0]["code"]) == ("patient", own)
    behind.wait(lambda: all(seen.gone for seen in behind.requests(paths["allergies"])))  # or it had not been sent yet


def test_the_budget_bounds_the_whole_and_what_was_awaited_is_named(platform: Served, behind: Backend) -> None:
    paths = asked(behind, allergies=after(6, ALLERGIES), medications=after(6, NONE))
    began = time.monotonic()
    answer = ask(platform, "brief", **paths)
    assert 0.6 < time.monotonic() - began < 3
    assert answer.status_code == 504
    assert [issue["diagnostics"].partition(":")[0] for issue in answer.json()["issue"][1:]] == ["allergies", "medications"]
    behind.wait(lambda: all(behind.requests(paths[name])[0].gone for name in ("allergies", "medications")))


def test_a_consumer_that_goes_away_cancels_all_calls(platform: Served, behind: Backend) -> None:
    paths = asked(behind, *[after(8, NONE)] * 3)
    _ask_and_go(platform, f"GET /summary?{urlencode(paths)}", lambda: all(behind.requests(path) for path in paths.values()))
    behind.wait(lambda: all(behind.requests(path)[0].gone for path in paths.values()))


def _ask_and_go(platform: Served, line: str, reached: Callable[[], object], body: bytes = b"") -> None:
    with platform.connect() as connection:
        fields = {"Host": "x", **platform.bearer(), "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.sendall(f"{line} HTTP/1.1\r\n{head}\r\n".encode() + body)
        until = time.monotonic() + 5
        while not reached():
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.4)
        connection.shutdown(socket.SHUT_RDWR)


def test_entitlement_is_asked_once_where_the_consumer_enters(platform: Served, behind: Backend) -> None:
    paths = asked(behind)
    assert ask(platform, "summary", **paths).status_code == 200
    assert ask(platform, f"patients{paths['patient']}").status_code == 403, "this consumer has the summary only"
    assert ask(platform, f"patients{paths['patient']}", "second").status_code == 200, "the granular API is published all the same"
    assert ask(platform, "summary", "second", **paths).status_code == 403
    assert platform.call("GET", f"/summary?{urlencode(paths)}").status_code == 401


def test_what_was_written_is_undone_where_the_plan_fails(platform: Served, behind: Backend) -> None:
    paths = {"slot": behind.at(response(201, b"{}")), "back": behind.at(response(200)), "letter": behind.at(response(500))}
    refused = platform.call("POST", f"/booking?{urlencode(paths)}", headers=platform.bearer(), content=b'{"a": 1}')
    assert refused.status_code == 500
    assert "no letter" not in refused.text
    (back,) = behind.requests(paths["back"])
    assert back.method == b"DELETE"
    assert behind.requests(paths["letter"])[0].body == b'{"a": 1}'
    paths["letter"] = behind.at(response(201))
    done = platform.call("POST", f"/booking?{urlencode(paths)}", headers=platform.bearer(), content=b"{}")
    assert (done.status_code, len(behind.requests(paths["back"]))) == (201, 1)


def test_what_was_written_is_undone_where_the_consumer_goes_away(platform: Served, behind: Backend) -> None:
    paths = {"slot": behind.at(response(201, b"{}")), "back": behind.at(response(200)), "letter": behind.at(after(8))}
    _ask_and_go(platform, f"POST /booking?{urlencode(paths)}", lambda: behind.requests(paths["letter"]), b"{}")
    behind.wait(lambda: behind.requests(paths["back"]))


def test_what_could_not_be_undone_is_in_the_audit_and_the_log(platform: Served, behind: Backend) -> None:
    paths = {"slot": behind.at(response(201, b"{}")), "back": behind.at(response(503)), "letter": behind.at(response(500))}
    answer = platform.call("POST", f"/booking?{urlencode(paths)}", headers=platform.bearer(), content=b"{}")
    event = platform.event(api="booking", request_id=answer.headers["x-request-id"])
    assert event["details"]["not_compensated"] == ["slot"]
    assert '"event": "not compensated"' in platform.log


@pytest.mark.parametrize("at", ["faulty", "odd"])
def test_a_plan_that_is_wrong_is_a_500_that_says_nothing_of_it(platform: Served, at: str) -> None:
    answer = ask(platform, at)
    assert answer.status_code == 500
    assert "hidden" not in answer.text
    assert "object" not in answer.text


def test_a_granular_answer_may_be_passed_on_as_it_is(platform: Served, behind: Backend) -> None:
    answer = ask(platform, "forwarded", where=behind.at(response(410, b"gone", ("ETag", '"x"'), ("X-Other", "y"))))
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (410, b"gone", '"x"')
    assert "x-other" not in answer.headers


@pytest.mark.parametrize("where", ["/../x", "/a/../../b", "/%2e%2e/x", "/a/./b"])
def test_what_a_consumer_sends_does_not_lead_a_plan_out_of_its_api(platform: Served, behind: Backend, where: str) -> None:
    before = len(behind.seen)
    assert ask(platform, "forwarded", where=where).status_code == 400
    assert len(behind.seen) == before


def test_each_call_lasts_as_long_as_it_lasts(platform: Served, behind: Backend) -> None:
    correlation = "7f9d2b14-5a77-4c9f-9d3a-000000000002"
    paths = {"slot": behind.at(after(0.6, response(201))), "back": behind.at(response()), "letter": behind.at(response())}
    headers = {**platform.bearer(), "X-Correlation-ID": correlation}
    assert platform.call("POST", f"/booking?{urlencode(paths)}", headers=headers, content=b"{}").status_code == 201
    slot, letter = (platform.event(api=api, correlation_id=correlation)["duration_us"] for api in ("patients", "allergies"))
    assert (slot > 500_000, letter < 500_000) == (True, True), "a call's time does not begin with the consumer's request"


def test_a_granular_answer_that_is_too_long_for_a_plan_is_the_providers_fault(platform: Served, behind: Backend) -> None:
    answer = ask(platform, "summary", **asked(behind, medications=response(200, bytes(17 * 2**20))))
    issue = answer.json()["entry"][-1]["resource"]["issue"][0]
    assert (issue["details"]["text"], issue["details"]["coding"][0]["code"]) == ("BAD_GATEWAY", "502")


@pytest.mark.parametrize(
    ("api", "mistake"),
    [
        ("plan: 'plans:summary', uses: [nobody]", "found 'nobody', expected one of apis"),
        ("plan: 'plans:summary', uses: [a]", "'a' is an orchestration itself"),
        ("plan: 'plans:summary'", "an orchestration has plan: and uses:"),
        ("uses: [b]", "an orchestration has plan: and uses:"),
        ("plan: 'plans:summary', uses: [b], target: {url: 'http://x'}", "an orchestration has plan: and uses:"),
        ("plan: 'no.such:plan', uses: [b]", "no.such:plan cannot be loaded"),
    ],
)
def test_an_orchestration_that_cannot_be_is_refused_where_it_stands(serve: Serve, api: str, mistake: str) -> None:
    granular = "b: {pattern: pass-through, at: /b, security: [open], target: {url: 'http://x'}}"
    text = f"apis:\n  {granular}\n  a: {{pattern: orchestration, at: /a, security: [open], {api}}}\n"
    with serve(text, started=False) as served:
        shutil.copy(Path(__file__).parent / "plans.py", served.folder)
        refused = served.run("check")
        assert refused.returncode == 1
        assert mistake in refused.stdout + refused.stderr
