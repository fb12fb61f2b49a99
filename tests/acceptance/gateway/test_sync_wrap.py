"""Sync-wrap: a back end that answers 202 and is polled, and consumers who have their answer, or a way to it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import Backend, Seen, Serve, Served, read_body, response

DEPLOYMENT = """\
organisations: {{RXN: {{name: Northshire}}}}
applications:
  ward: {{organisation: RXN, jwks: file:keys/ward.json, products: [all]}}
  second: {{organisation: RXN, jwks: file:keys/second.json, products: [all]}}
products: {{all: {{apis: [slow, brief]}}}}
apis:
  slow: {{{common}, at: /slow}}
  brief: {{{common}, at: /brief, sync_wrap: {{wait: 400ms, most: 2s, longest_pause: 300ms}}}}
  anyone: {{{common}, at: /anyone, security: [open]}}
"""
COMMON = (
    'pattern: sync-wrap, target: {{url: "{url}/app"}}, model: {{fhir: {{version: R4}}}}, '
    "resilience: {{breaker: {{failures: 1000}}}}"
)


@dataclass
class Job:
    """A back end's work: begun by a request, polled, done after a while."""

    behind: Backend
    seconds: float
    last: bytes = response(200, b'{"done": true}', ("Set-Cookie", "SID=9"))
    location: str = ""
    begun: list[bytes] = field(default_factory=list)
    polled: list[tuple[float, list[bytes]]] = field(default_factory=list)
    path: str = ""

    def __post_init__(self) -> None:
        status = self.behind.at(self._poll)
        self.location = (self.location or "/app{}").format(status)
        self.path = self.behind.at(self._begin)
        self._started = 0.0

    async def _begin(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        self.begun.append(seen.body)
        self._started = time.monotonic()
        writer.write(response(202, b"", ("Content-Location", self.location), ("Set-Cookie", "SID=1; Path=/")))

    async def _poll(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.polled.append((time.monotonic() - self._started, seen.all(b"cookie")))
        done = time.monotonic() - self._started >= self.seconds
        writer.write(self.last if done else response(202, b"", ("Set-Cookie", "POLLED=yes")))


@pytest.fixture(scope="module")
def served(behind: Backend, serve: Serve) -> Iterator[Served]:
    text = DEPLOYMENT.format(common=COMMON.format(url=behind.url))
    text = re.sub(r"at: /(slow|brief)", r"at: /\1, security: [signed-jwt]", text)
    with serve(text) as made:
        yield made


def post(
    served: Served, job: Job, api: str = "slow", application: str = "ward", body: bytes = b"{}", **headers: str
) -> httpx.Response:
    who = served.bearer(application) if api != "anyone" else {}
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    return served.call("POST", f"/{api}{job.path}", headers={**who, **said}, content=body)


def test_the_answer_comes_on_the_connection_that_asked(served: Served, behind: Backend) -> None:
    job = Job(behind, 1.0)
    answer = post(served, job)
    assert (answer.status_code, answer.json()) == (200, {"done": True})
    assert "set-cookie" not in answer.headers
    assert job.begun == [b"{}"]
    assert [round(at, 1) for at, _ in job.polled] == pytest.approx([0.25, 0.75, 1.75], abs=0.2), "250 ms, doubling"
    assert [cookies for _, cookies in job.polled] == [[b"SID=1"], [b"SID=1; POLLED=yes"], [b"SID=1; POLLED=yes"]]
    polls = [seen for seen in behind.seen if seen.target.decode() == job.location]
    assert all(seen.method == b"GET" and not seen.all(b"content-type") for seen in polls)
    (event,) = [event for event in served.events(api="slow") if event["request_id"] == answer.headers["x-request-id"]]
    assert (event["status"], event["calls"]) == (200, 4)


def test_what_is_answered_at_once_passes(served: Served, behind: Backend) -> None:
    path = behind.at(response(201, b'{"now": 1}'))
    answer = served.call("POST", f"/slow{path}", headers={**served.bearer(), "Prefer": "return=minimal"}, content=b"{}")
    assert (answer.status_code, answer.json()) == (201, {"now": 1})
    (seen,) = behind.requests(path)
    assert (seen.all(b"x-sync-wrapped"), seen.all(b"prefer")) == ([b"true"], [])


@pytest.mark.parametrize(("said", "least", "most"), [("0.6", 0.5, 1.3), ("0", 0.2, 0.9), ("100", 1.9, 3.5), ("soon", 0.3, 1.0)])
def test_a_consumer_waits_as_long_as_it_says_within_the_limits(
    served: Served, behind: Backend, said: str, least: float, most: float
) -> None:
    began = time.monotonic()
    answer = post(served, Job(behind, 60), "brief", X_Sync_Wait=said)
    assert least < time.monotonic() - began < most
    issue = answer.json()["issue"][0]
    assert (answer.status_code, answer.headers["retry-after"], issue["code"]) == (503, "5", "timeout")
    assert issue["details"]["coding"][0]["code"] == "SERVICE_UNAVAILABLE"
    assert "same 'X-Request-ID'" in issue["diagnostics"]


def test_a_request_sent_again_joins_the_work_under_way(served: Served, behind: Backend) -> None:
    job, id_ = Job(behind, 1.2), str(uuid4())
    assert post(served, job, "brief", X_Request_ID=id_, body=b"once").status_code == 503
    answer = post(served, job, "brief", X_Request_ID=id_, X_Sync_Wait="2", body=b"once")
    assert (answer.status_code, answer.json(), job.begun) == (200, {"done": True}, [b"once"])
    assert post(served, job, "brief", X_Request_ID=id_, body=b"once").status_code == 200, "and again"
    assert job.begun == [b"once"]


def test_those_who_ask_at_the_same_moment_share_the_work(served: Served, behind: Backend) -> None:
    job, id_ = Job(behind, 0.6), str(uuid4())
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: post(served, job, X_Request_ID=id_), range(6)))
    assert ({answer.status_code for answer in answers}, len(job.begun)) == ({200}, 1)


def test_another_body_another_consumer_or_no_id_joins_nothing(served: Served, behind: Backend) -> None:
    job, id_ = Job(behind, 0.5), str(uuid4())
    assert post(served, job, X_Request_ID=id_, body=b"a").status_code == 200
    refused = post(served, job, X_Request_ID=id_, body=b"b")
    assert (refused.status_code, refused.json()["issue"][0]["details"]["coding"][0]["code"]) == (422, "DUPLICATE_REQUEST_ID")
    assert job.begun == [b"a"]
    post(served, job, application="second", X_Request_ID=id_, body=b"a")
    post(served, job, body=b"a")
    for _ in range(2):
        post(served, job, "anyone", X_Request_ID=id_, body=b"a")
    assert len(job.begun) == 5


def test_work_under_way_is_joined_after_a_kill(serve: Serve, behind: Backend) -> None:
    text = DEPLOYMENT.format(common=COMMON.format(url=behind.url))
    text = re.sub(r"at: /(slow|brief)", r"at: /\1, security: [signed-jwt]", text)
    with serve(text) as own:
        job, id_ = Job(behind, 3.0), str(uuid4())
        assert post(own, job, "brief", X_Request_ID=id_).status_code == 503
        own.stop(9)
        own.start()
        until = time.monotonic() + 10
        while (answer := post(own, job, "brief", X_Request_ID=id_, X_Sync_Wait="2")).status_code == 503:
            assert time.monotonic() < until
        assert (answer.json(), len(job.begun)) == ({"done": True}, 1)


def test_who_would_rather_poll_gets_the_202_with_the_gateways_address(served: Served, behind: Backend) -> None:
    job = Job(behind, 0.0)
    answer = post(served, job, Prefer="respond-async, wait=10")
    assert (answer.status_code, answer.headers["preference-applied"]) == (202, "respond-async")
    where = answer.headers["content-location"]
    assert where == job.location.replace("/app", "/slow", 1)
    assert served.call("GET", where, headers=served.bearer()).json() == {"done": True}


@pytest.mark.parametrize(
    "location", ["http://elsewhere.example/x{}", "//elsewhere.example{}", "https://127.0.0.1{}", "http://[{}", "/a b{}", "/ü{}"]
)
@pytest.mark.parametrize("prefer", ["", "respond-async"])
def test_a_back_end_that_points_elsewhere_is_not_followed(served: Served, behind: Backend, location: str, prefer: str) -> None:
    answer = post(served, Job(behind, 0.0, location=location), Prefer=prefer)
    assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][1]["code"]) == (502, "REC_BAD_GATEWAY")


@pytest.mark.parametrize(("polled", "status"), [(401, 503), (429, 503), (422, 500), (404, 404), (500, 500)])
def test_what_concerns_the_polling_is_not_the_consumers(served: Served, behind: Backend, polled: int, status: int) -> None:
    assert post(served, Job(behind, 0.0, last=response(polled))).status_code == status


def test_a_consumer_that_goes_away_ends_the_polling(served: Served, behind: Backend) -> None:
    job = Job(behind, 60)
    with served.connect() as connection:
        fields = {"Host": "x", "Content-Length": "2", **served.bearer()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        connection.sendall(f"POST /slow{job.path} HTTP/1.1\r\n{head}\r\n{{}}".encode())
        behind.wait(lambda: job.polled)
    time.sleep(1.5)
    asked = len(job.polled)
    time.sleep(2.5)
    assert len(job.polled) == asked


@pytest.mark.parametrize(
    ("api", "mistake"),
    [
        ("pattern: pass-through, sync_wrap: {}", "sync_wrap is for pattern: sync-wrap"),
        ("pattern: sync-wrap, sync_wrap: {wait: 2m}", "expected least <= wait <= most"),
        ("pattern: sync-wrap, sync_wrap: {first_poll: 0s}", "first_poll"),
    ],
)
def test_a_sync_wrap_that_cannot_be_is_refused(serve: Serve, api: str, mistake: str) -> None:
    with serve(f"apis: {{a: {{{api}, at: /a, security: [open], target: {{url: 'http://b'}}}}}}\n", started=False) as own:
        refused = own.run("check")
        assert (refused.returncode, mistake in refused.stdout + refused.stderr) == (1, True)
