"""Whatever stands behind, the consumer meets the same gateway (S32, S35): one suite over every pattern."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from string import Template

import pytest
from tests.acceptance.conftest import Backend, Serve, Served, after, dying, response

from fiveways.methods.synchronous.settings import ApiSettings

PATTERNS = ("pass-through", "wrapper", "orchestration", "sync-wrap", "promise", "middleware", "transformation")
LIMIT = 4000
DEPLOYMENT = """\
organisations: {RXN: {name: Northshire}}
applications:
  ward: {organisation: RXN, jwks: file:keys/ward.json, products: [all]}
  second: {organisation: RXN, jwks: file:keys/second.json, products: [few]}
  outsider: {organisation: RXN, jwks: file:keys/outsider.json, products: [other]}
products:
  all: {apis: [pass-through, wrapper, orchestration, sync-wrap, promise, middleware, transformation, granular]}
  other: {apis: [granular]}
  few: {apis: [pass-through, wrapper, orchestration, sync-wrap, promise, middleware, transformation], quota: 3/h}
apis:
  granular: {$common, pattern: pass-through, at: /granular, target: $target}
  pass-through: {$common, pattern: pass-through, at: /pass-through, target: $target}
  wrapper: {$common, pattern: wrapper, at: /wrapper, target: $target, present: {api_key: {header: X-Key, key: env:WRAPPER_KEY}}}
  sync-wrap: {$common, pattern: sync-wrap, at: /sync-wrap, target: $target}
  promise: {$common, pattern: promise, at: /promise, target: $target}
  middleware: {$common, pattern: middleware, at: /middleware, target: $target, facade: "plans:Through"}
  transformation: {$common, pattern: transformation, at: /transformation, target: $target, transform: {by: "plans:Mirrored"}}
  orchestration: {$common, pattern: orchestration, at: /orchestration, plan: "plans:mirrored", uses: [granular]}
"""
COMMON = (
    f"security: [signed-jwt], model: {{fhir: {{version: R4}}}}, limits: {{body: {LIMIT}B}}, "
    "resilience: {breaker: {failures: 1000}}"
)


@pytest.fixture(scope="module")
def served(behind: Backend, serve: Serve) -> Iterator[Served]:
    target = f'{{url: "{behind.url}", timeout: {{first_byte: 700ms, progress: 700ms}}}}'
    text = Template(DEPLOYMENT).substitute(common=COMMON, target=target)
    with serve(text, started=False, environment={"WRAPPER_KEY": "key-of-the-gateway"}) as made:
        shutil.copy(Path(__file__).parent / "plans.py", made.folder)
        made.start()
        yield made


pattern = pytest.mark.parametrize("pattern", PATTERNS)


@pattern
def test_a_good_token_opens_it_and_ends_at_the_gateway(served: Served, behind: Backend, pattern: str) -> None:
    path = behind.at(response(200, b'{"a": 1}', ("Content-Type", "application/json"), ("ETag", '"1"')))
    answer = served.call("GET", f"/{pattern}{path}?b=c", headers=served.bearer())
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b'{"a": 1}', '"1"')
    (seen,) = behind.requests(path)
    assert seen.target.endswith(b"?b=c")
    assert seen.all(b"authorization") == []
    assert seen.all(b"nhsd-application") == [b"ward"]


@pattern
@pytest.mark.parametrize(("application", "status", "code"), [("", 401, "ACCESS_DENIED"), ("outsider", 403, "ACCESS_DENIED")])
def test_nobody_else_gets_in(served: Served, behind: Backend, pattern: str, application: str, status: int, code: str) -> None:
    path = behind.at(response())
    answer = served.call("GET", f"/{pattern}{path}", headers=served.bearer(application) if application else {})
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (status, code)
    assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)
    assert behind.requests(path) == []
    event = served.event(id=answer.json()["id"])
    assert (event["api"], event["status"]) == (pattern, status)


@pattern
def test_ids_are_mirrored_passed_on_and_in_the_audit(served: Served, behind: Backend, pattern: str) -> None:
    path = behind.at(response())
    request, correlation = "60e0b220-8136-4ca5-ae46-1d97ef59d068", f"11111111-2222-4333-8444-{PATTERNS.index(pattern):012}"
    headers = {**served.bearer(), "X-Request-ID": request, "X-Correlation-ID": correlation}
    answer = served.call("GET", f"/{pattern}{path}", headers=headers)
    assert (answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == (request, correlation)
    (seen,) = behind.requests(path)
    assert seen.all(b"nhsd-request-id") == [request.encode()]
    assert seen.all(b"nhsd-correlation-id")[0].startswith(f"{request}.{correlation}.".encode())
    event = served.event(api=pattern, correlation_id=correlation)
    assert (event["status"], event["application"], event["calls"], event["request_id"]) == (200, "ward", 1, request)


@pattern
@pytest.mark.parametrize("status", [400, 404, 409, 410, 422, 503])
def test_a_back_ends_own_answer_keeps_its_status(served: Served, behind: Backend, pattern: str, status: int) -> None:
    answer = served.call("GET", f"/{pattern}{behind.at(response(status))}", headers=served.bearer())
    assert answer.status_code == status


@pattern
@pytest.mark.parametrize(
    ("answer", "status", "party"),
    [(dying(b""), 502, "REC_BAD_GATEWAY"), (after(5), 504, "REC_TIMEOUT"), (dying(b"HTTP/1.1 2"), 502, "REC_BAD_GATEWAY")],
)
def test_a_back_end_in_trouble_is_the_providers_fault(
    served: Served, behind: Backend, pattern: str, answer: object, status: int, party: str
) -> None:
    path = behind.at(answer)  # type: ignore[arg-type]
    told = served.call("GET", f"/{pattern}{path}", headers=served.bearer())
    assert told.status_code == status
    assert told.json()["issue"][0]["details"]["coding"][1]["code"] == party
    assert served.event(id=told.json()["id"])["party"] == "provider"


@pattern
def test_a_body_arrives_and_one_that_is_too_large_is_413_and_goes_nowhere(served: Served, behind: Backend, pattern: str) -> None:
    path = behind.at(response(201))
    answer = served.call("POST", f"/{pattern}{path}", headers=served.bearer(), content=b"x" * LIMIT)
    assert answer.status_code == (202 if pattern == "promise" else 201)
    behind.wait(lambda: behind.requests(path) and behind.requests(path)[0].whole)
    assert behind.requests(path)[0].body == b"x" * LIMIT
    large = served.call("POST", f"/{pattern}{path}", headers=served.bearer(), content=b"x" * (LIMIT + 1))
    assert (large.status_code, large.json()["issue"][0]["details"]["coding"][0]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    chunked = served.call("POST", f"/{pattern}{path}", headers=served.bearer(), content=iter([b"x" * LIMIT, b"x"]))
    assert chunked.status_code == 413
    assert [seen.whole for seen in behind.requests(path)].count(True) == 1


@pattern
def test_a_quota_is_counted_once_a_request(served: Served, behind: Backend, pattern: str) -> None:
    path = behind.at(response())
    answers = [served.call("GET", f"/{pattern}{path}", headers=served.bearer("second")) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert answers[0].headers["ratelimit-policy"]
    assert len(behind.requests(path)) == 3


@pattern
def test_a_consumer_that_goes_away_takes_the_call_with_it(served: Served, behind: Backend, pattern: str) -> None:
    path = behind.at(after(0.6))
    with served.connect() as connection:
        authorization = served.bearer()["Authorization"]
        connection.sendall(f"GET /{pattern}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n".encode())
        behind.wait(lambda: behind.requests(path))
        time.sleep(0.3)  # what lasts longer than this is watched
        connection.shutdown(socket.SHUT_RDWR)
    behind.wait(lambda: behind.requests(path)[0].gone, 3)
    event = served.event(api=pattern, status=499)
    assert event["outcome"] == "CLIENT_GONE"


@pattern
@pytest.mark.parametrize("path", ["/a/../b", "/a/%2e%2e/b", "/a%zz", "/a\\b"])
def test_a_path_that_could_mean_two_things_is_refused(served: Served, behind: Backend, pattern: str, path: str) -> None:
    before = len(behind.seen)
    fields = {"Host": "x", "Connection": "close", **served.bearer()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    assert served.raw(f"GET /{pattern}{path} HTTP/1.1\r\n{head}\r\n".encode()).startswith(b"HTTP/1.1 400")
    assert len(behind.seen) == before


@pattern
def test_metrics_and_probes_are_the_same(served: Served, behind: Backend, pattern: str) -> None:
    assert served.call("GET", f"/{pattern}/_ping").status_code == 200
    assert served.call("GET", f"/{pattern}/_status").status_code == 401
    assert served.call("GET", f"/{pattern}{behind.at(response())}", headers=served.bearer()).status_code == 200
    counted = [line for line in served.call("GET", "/metrics").text.splitlines() if f'api="{pattern}"' in line]
    assert any('application="ward"' in line for line in counted)


def test_the_patterns_are_all_that_there_are() -> None:
    assert set(ApiSettings.model_json_schema()["properties"]["pattern"]["enum"]) == set(PATTERNS)
