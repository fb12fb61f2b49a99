"""Slow and broken clients and back ends, and what the gateway does about them (S12, S21, A24, A25)."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import API_KEY, Backend, Seen, Serve, Served, after, dying, hashed, read_body, response

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"


def test_a_body_that_stops_arriving_is_408(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    start = time.monotonic()
    answer = platform.raw(f"POST /small{path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc".encode(), seconds=4)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert 0.3 < time.monotonic() - start < 3
    assert not any(seen.whole for seen in behind.requests(path))


def test_a_body_over_the_limit_is_413_declared_or_counted(platform: Served, behind: Backend) -> None:
    path = behind.at(response())
    assert platform.call("POST", f"/small{path}", content=b"x" * 1000).status_code == 200
    assert platform.call("POST", f"/small{path}", content=b"x" * 1001).status_code == 413
    head = f"POST /small{path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    counted = platform.raw(head + b"200\r\n" + b"x" * 512 + b"\r\n200\r\n" + b"x" * 512 + b"\r\n0\r\n\r\n", seconds=2)
    assert counted.startswith(b"HTTP/1.1 413 ")
    assert len([seen for seen in behind.requests(path) if seen.whole]) == 1


def test_a_back_end_that_does_not_answer_is_504_and_left(platform: Served, behind: Backend) -> None:
    path = behind.at(after(5))
    start = time.monotonic()
    answer = platform.call("GET", f"/hasty{path}")
    assert (answer.status_code, answer.json()["party"]) == (504, "provider")
    assert time.monotonic() - start < 2
    behind.wait(lambda: behind.requests(path)[0].gone)


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
def test_a_back_end_that_does_not_speak_http_is_502(platform: Served, behind: Backend, sent: bytes) -> None:
    path = behind.at(dying(sent))
    answer = platform.call("POST", f"/brittle{path}", content=b"x")
    issue = answer.json()["issue"][0]
    assert answer.status_code == 502
    assert [coding["code"] for coding in issue["details"]["coding"]] == ["BAD_GATEWAY", "REC_BAD_GATEWAY"]
    assert len(behind.requests(path)) == 1


def test_an_answer_that_breaks_off_is_not_taken_for_whole(platform: Served, behind: Backend) -> None:
    """A status line is out already: the connection is cut, over HTTP/2 the stream."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
    for sent in (HALF, chunked):
        path = behind.at(dying(sent))
        for http2 in (False, True):
            with platform.client(http1=not http2, http2=http2) as client:
                try:
                    assert client.get(f"/brittle{path}").status_code == 502
                except httpx.RemoteProtocolError:
                    pass
    assert platform.call("GET", "/brittle/well").status_code == 200


def test_a_client_that_goes_away_cancels_the_call_and_is_in_the_audit(platform: Served, behind: Backend) -> None:
    path, request_id = behind.at(after(8)), str(uuid4())
    with pytest.raises(httpx.ReadTimeout), platform.client() as client:
        client.get(f"/open{path}", headers={"X-Request-ID": request_id}, timeout=0.4)
    behind.wait(lambda: behind.requests(path)[0].gone)
    assert platform.event(request_id=request_id)["status"] == 499


DEPLOYMENT = """\
programme: {{alerts: {{error_rate: 20%, window: 12s, at_least: 3, webhook: {{url: "{hook}", secret: "env:HOOK_SECRET"}}}}}}
apis:
  tried:
    pattern: pass-through
    at: /tried
    target: {{url: "{url}/tried"}}
    security: [open]
    resilience: {{retries: {{attempts: 3, wait: 5ms}}, breaker: {{failures: 1000}}}}
  broken:
    pattern: pass-through
    at: /broken
    target: {{url: "{url}/broken"}}
    security: [open]
    resilience: {{breaker: {{failures: 3, rest: 600ms}}}}
  narrow:
    pattern: pass-through
    at: /narrow
    target: {{url: "{url}/narrow"}}
    security: [open]
    resilience: {{concurrency: 2}}
    operations: [{{match: GET /declared/**, idempotent: true}}]
"""


def test_retries_breaker_concurrency_and_the_alert(serve: Serve, backend: Backend) -> None:
    told: list[Seen] = []

    async def hook(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        told.append(seen)
        writer.write(response(204, b""))

    text = DEPLOYMENT.format(url=backend.url, hook=backend.url + backend.at(hook))
    with serve(text, environment={"HOOK_SECRET": "of the hook"}) as served:
        # Retries: only where repeating is safe, as often as asked for, until their budget is spent (S22).
        failing = backend.at(response(503, b"busy"))
        for method, calls in (("GET", 3), ("DELETE", 2), ("POST", 1)):
            before = len(backend.requests(failing))
            request_id = str(uuid4())
            answer = served.call(method, f"/tried{failing}", headers={"X-Request-ID": request_id})
            assert (answer.status_code, answer.content) == (503, b"busy")
            assert len(backend.requests(failing)) - before == calls
            assert served.event(request_id=request_id)["calls"] == calls
        # Breaker: open after three failures in a row, then one probe (S21).
        broken = backend.at(dying(b""))
        assert [served.call("GET", f"/broken{broken}").status_code for _ in range(3)] == [502] * 3
        refused = served.call("GET", f"/broken{broken}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "resend with the same X-Request-ID" in refused.json()["detail"]
        assert len(backend.requests(broken)) == 3
        assert f'fiveways_gateway_breaker_open{{target="{backend.url}/broken"}} 1.0' in served.call("GET", "/metrics").text
        time.sleep(0.7)
        assert served.call("GET", f"/broken{broken}").status_code == 502
        assert served.call("GET", f"/broken{broken}").status_code == 503
        time.sleep(0.7)
        assert [served.call("GET", "/broken/well").status_code for _ in range(4)] == [200] * 4
        # Concurrency: one limit for the API, whichever operation (A24).
        slow = backend.at(after(0.6))
        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(served.call, "GET", f"/narrow{base}{slow}") for base in ("", "/declared")]
            backend.wait(lambda: len(backend.requests(slow)) == 2)
            full = served.call("GET", f"/narrow{slow}")
            assert (full.status_code, full.headers["retry-after"]) == (503, "1")
            assert [each.result().status_code for each in held] == [200, 200]
        assert served.call("GET", "/narrow/x").status_code == 200
        # The alert: told once, signed (S12).
        backend.wait(lambda: told, 8)
        signature = "sha256=" + hmac.new(b"of the hook", told[0].body, hashlib.sha256).hexdigest()
        assert told[0].all(b"x-fiveways-signature") == [signature.encode()]
        assert b'"rule":"error-rate"' in b"".join(seen.body for seen in told)


QUOTA = """\
organisations: {{RXN: {{name: Northshire Hospitals}}}}
applications: {{ward: {{organisation: RXN, api_keys: ["{key}"], products: [few, quick]}}}}
products:
  few: {{apis: [fhir], quota: 40/h}}
  quick: {{apis: [fast], burst: 10/s}}
apis:
  fhir: {{pattern: pass-through, at: /fhir, target: {{url: "{url}"}}, security: [api-key], model: {{fhir: {{version: R4}}}}}}
  fast: {{pattern: pass-through, at: /fast, target: {{url: "{url}"}}, security: [api-key]}}
"""


def test_a_quota_is_exact_over_two_processes(serve: Serve, backend: Backend) -> None:
    """40 an hour is 40 of 120, whichever process takes them; then 429 in the words of the NHS platform."""
    with serve(QUOTA.format(url=backend.url, key=hashed(API_KEY)), "--processes", "--gateways", "2") as served:
        path = backend.at(response())
        headers = {"apikey": API_KEY}
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: served.call("GET", f"/fhir{path}", headers=headers), range(120)))
        passed = [answer for answer in answers if answer.status_code == 200]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert (len(passed), len(refused), len(backend.requests(path))) == (40, 80, 40)
        body, fields = refused[-1].json(), refused[-1].headers
        assert body["issue"][0]["details"]["coding"][0]["code"] == "TOO_MANY_REQUESTS"
        assert body["issue"][0]["diagnostics"].startswith(
            "Your application, ward, has exceeded its quota of 40 requests every 1 hour(s)"
        )
        assert 0 < int(fields["retry-after"]) <= 3600
        assert fields["ratelimit-policy"] == '"quota";q=40;w=3600'
        assert fields["ratelimit"] == f'"quota";r=0;t={fields["retry-after"]}'
        assert passed[0].headers["ratelimit"].startswith('"quota";r=')
        start = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: served.call("GET", "/fast/x", headers=headers), range(40)))
        most = 10 + 10 * (time.monotonic() - start) + 1
        assert 10 <= sum(answer.status_code == 200 for answer in answers) <= most
        assert {answer.status_code for answer in answers} == {200, 429}
