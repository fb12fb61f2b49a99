"""Two stages over HTTP: a request is accepted, its outcome asked for until it is there; nobody else has it; it can be cancelled."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from tests.acceptance.conftest import API_KEY, Answer, Seen, after, dying, read_body, response
from tests.acceptance.exchange.conftest import OTHER_KEY, PROVIDER_KEY, Exchanged, path_of

FHIR = ("Content-Type", "application/fhir+json")
DONE = response(201, b'{"resourceType":"RiskAssessment","id":"r1"}', FHIR, ("Location", "/RiskAssessment/r1"))


def in_turn(*answers: Answer) -> Answer:
    """One answer after another, the last for ever."""
    left = list(answers)

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = left.pop(0) if len(left) > 1 else left[0]
        if callable(now):
            await now(seen, reader, writer)
            return
        await read_body(seen, reader)
        writer.write(now)

    return answer


def test_a_request_is_accepted_and_its_outcome_is_the_providers_own(exchanged: Exchanged) -> None:
    ids = {"x_request_id": str(uuid4()), "x_correlation_id": str(uuid4())}
    job = exchanged.submit("risk", after(0.5, DONE), **ids)
    assert job.status_code == 202, job.text
    assert job.headers["content-location"].startswith(f"{exchanged.served.url}/risk/FHIR/R4/_jobs/")
    assert (job.headers["retry-after"], job.headers["preference-applied"]) == ("1", "respond-async")
    assert job.json()["resourceType"] == "OperationOutcome"
    outcome = exchanged.outcome(job)
    assert (outcome.status_code, outcome.json()["id"]) == (201, "r1")
    assert (outcome.headers["content-type"], outcome.headers["location"]) == ("application/fhir+json", "/RiskAssessment/r1")
    assert exchanged.outcome(job).content == outcome.content, "it may be asked for again"
    seen = exchanged.backend.requests(exchanged.ids[path_of(job)])
    assert len(seen) == 1
    assert seen[0].all(b"idempotency-key") == [path_of(job).rpartition("/")[2].encode()]
    assert json.loads(seen[0].body) == {"of": exchanged.ids[path_of(job)]}
    by_correlation, by_job = (
        exchanged.served.run("trace", id_, str(exchanged.served.file)).stdout
        for id_ in (ids["x_correlation_id"], path_of(job).rpartition("/")[2])
    )
    assert by_correlation.count("risk") >= 3, by_correlation
    assert by_job.splitlines()[:3] == by_correlation.splitlines()[:3], "what was read is there a moment later"


def test_progress_is_told_and_nothing_new_is_304(exchanged: Exchanged) -> None:
    fields = [("X-Progress", "40 %"), ("Retry-After", "1")]
    told = exchanged.backend.at(response(202, b"", *fields))
    job = exchanged.submit("risk", response(202, b"", ("Content-Location", told), *fields))
    exchanged.backend.wait(lambda: exchanged.backend.requests(told))
    first = exchanged.status(job)
    assert (first.status_code, first.headers["x-progress"]) == (202, "40 %")
    time.sleep(0.6)
    again = exchanged.status(job, headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["retry-after"]) == (304, b"", "1")


def test_who_asks_too_often_is_told_to_wait(exchanged: Exchanged) -> None:
    job = exchanged.submit("risk", after(3, DONE))
    assert exchanged.status(job).status_code == 202
    too_soon = exchanged.status(job)
    assert (too_soon.status_code, too_soon.headers["retry-after"]) == (429, "1")
    time.sleep(0.6)
    assert exchanged.status(job).status_code == 202
    assert exchanged.status(job, method="DELETE").status_code == 202


def test_a_repeat_finds_the_job_and_another_request_under_its_id_is_refused(exchanged: Exchanged) -> None:
    headers = {"apikey": API_KEY, "x-request-id": str(uuid4())}
    where = exchanged.backend.at(after(0.3, DONE))
    jobs = [exchanged.served.call("POST", f"/elsewhere{where}", headers=headers, content=b"same") for _ in range(3)]
    assert {job.headers["content-location"] for job in jobs} == {jobs[0].headers["content-location"]}
    assert exchanged.served.call("POST", f"/elsewhere{where}", headers=headers, content=b"other").status_code == 422
    outcome = exchanged.outcome(jobs[0])
    assert (outcome.status_code, outcome.content) == (303, b"")
    assert outcome.headers["location"] == jobs[0].headers["content-location"] + "/outcome"
    assert exchanged.status(jobs[0], below="/outcome").status_code == 201
    assert len(exchanged.backend.requests(where)) == 1


def test_nobody_else_has_it(exchanged: Exchanged) -> None:
    job = exchanged.submit("risk", DONE)
    exchanged.outcome(job)
    for method in ("GET", "DELETE"):
        assert exchanged.status(job, key=OTHER_KEY, method=method).status_code == 404
    assert exchanged.served.call("GET", path_of(job)).status_code == 401
    assert exchanged.status(f"/plain/_jobs/{path_of(job).rpartition('/')[2]}").status_code == 404, "another API's"
    for path in ("/risk/FHIR/R4/_jobs/", f"/risk/FHIR/R4/_jobs/{uuid4()}", path_of(job) + "/x"):
        assert exchanged.status(path).status_code in (400, 404)
    assert exchanged.status(job, method="PUT", below="/outcome", key=PROVIDER_KEY).status_code == 404, "not reported"
    assert exchanged.status(job, method="POST").status_code == 405
    assert exchanged.outcome(job).status_code == 201


@pytest.mark.parametrize("when", ["before", "under way", "after"])
def test_a_job_is_cancelled(exchanged: Exchanged, when: str) -> None:
    job = exchanged.submit("risk", DONE if when == "after" else after(2, DONE))
    if when == "after":
        assert exchanged.outcome(job).status_code == 201
    elif when == "under way":
        exchanged.backend.wait(lambda: exchanged.backend.requests(exchanged.ids[path_of(job)]))
    assert exchanged.status(job, method="DELETE").status_code == 202
    gone = exchanged.status(job)
    assert (gone.status_code, gone.json()["resourceType"]) == (404, "OperationOutcome")
    assert exchanged.status(job, method="DELETE").status_code == 404


@pytest.mark.parametrize("status", [200, 303, 400, 404, 409, 422, 500, 501])
def test_whatever_the_provider_says_is_the_outcome(exchanged: Exchanged, status: int) -> None:
    job = exchanged.submit("risk", response(status, b'{"said":1}', ("Content-Type", "application/json"), ("Set-Cookie", "a=b")))
    outcome = exchanged.outcome(job)
    assert (outcome.status_code, outcome.content) == (status, b'{"said":1}')
    assert "set-cookie" not in outcome.headers


@pytest.mark.parametrize("trouble", [response(503), response(429, b"", ("Retry-After", "1")), response(504), dying(b"")])
def test_what_passes_is_tried_again_under_the_same_key(exchanged: Exchanged, trouble: Answer) -> None:
    job = exchanged.submit("risk", in_turn(trouble, DONE))
    assert exchanged.outcome(job).status_code == 201
    seen = exchanged.backend.requests(exchanged.ids[path_of(job)])
    assert len(seen) == 2
    assert len({each.all(b"idempotency-key")[0] for each in seen}) == 1


def test_a_back_end_that_answers_202_is_polled(exchanged: Exchanged) -> None:
    told = exchanged.backend.at(in_turn(response(202, b"", ("X-Progress", "half")), response(503), DONE))
    begun = response(202, b"", ("Content-Location", f"{exchanged.backend.url}{told}?of=1"), ("Retry-After", "1"))
    job = exchanged.submit("elsewhere", begun)
    assert exchanged.outcome(job, 15).status_code == 303
    assert exchanged.status(job, below="/outcome").status_code == 201
    polls = exchanged.backend.requests(told)
    assert [(seen.method, seen.target) for seen in polls] == [(b"GET", f"{told}?of=1".encode())] * 3
    assert len(exchanged.backend.requests(exchanged.ids[path_of(job)])) == 1


@pytest.mark.parametrize("where", ["https://somewhere.test/status", "//somewhere.test/x", ""])
def test_a_back_end_that_points_elsewhere_is_not_followed(exchanged: Exchanged, where: str) -> None:
    fields = [("Content-Location", where)] if where else []
    outcome = exchanged.outcome(exchanged.submit("risk", response(202, b"", *fields)))
    assert (outcome.status_code, outcome.json()["resourceType"]) == (500, "OperationOutcome")


def test_who_does_not_ask_for_two_stages_gets_one(exchanged: Exchanged) -> None:
    where = exchanged.backend.at(response(200, b"at once"))
    for prefer, status in (
        ("", 200),
        ("return=minimal", 200),
        ("respond-async", 202),
        ("handling=lenient, Respond-Async; x=1", 202),
    ):
        headers = {"apikey": API_KEY, **({"prefer": prefer} if prefer else {})}
        answer = exchanged.served.call("GET", f"/plain{where}", headers=headers)
        assert answer.status_code == status, prefer
        if status == 202:
            outcome = exchanged.outcome(answer)
            assert (outcome.status_code, outcome.content) == (200, b"at once")
    assert [seen.all(b"prefer") for seen in exchanged.backend.requests(where)][-2:] == [[], [b"handling=lenient"]]
    headers = {"apikey": API_KEY, "prefer": "respond-async"}
    assert exchanged.served.call("POST", f"/plain{where}", headers=headers).status_code == 200, "not what is exchanged"


def test_too_many_open_jobs_are_refused(exchanged: Exchanged) -> None:
    headers = {"apikey": OTHER_KEY, "prefer": "respond-async"}
    where = exchanged.backend.at(after(5))
    jobs = [exchanged.served.call("GET", f"/plain{where}", headers=headers) for _ in range(4)]
    assert [job.status_code for job in jobs] == [202, 202, 202, 429]
    for job in jobs[:3]:
        assert exchanged.status(job, key=OTHER_KEY, method="DELETE").status_code == 202


def test_a_provider_reports_an_outcome_later(exchanged: Exchanged) -> None:
    job = exchanged.submit("reports", response(200, b"noted"))
    where = exchanged.ids[path_of(job)]
    exchanged.backend.wait(lambda: exchanged.backend.requests(where))
    assert exchanged.backend.requests(where)[0].all(b"fiveways-job") == [path_of(job).rpartition("/")[2].encode()]
    time.sleep(0.2)
    assert exchanged.status(job).status_code == 202
    report: dict[str, Any] = {"method": "PUT", "below": "/outcome", "content": b'{"score":7}'}
    said = {"content-type": "application/json", "fiveways-status": "201"}
    assert exchanged.status(job, headers=said, **report).status_code == 404, "a consumer reports nothing"
    for status in ("99", "202", "503", "600", "ok"):
        bad = exchanged.status(job, key=PROVIDER_KEY, headers={**said, "fiveways-status": status}, **report)
        assert bad.status_code == 400, status
    assert exchanged.status(job, key=PROVIDER_KEY, headers=said, **report).status_code == 204
    assert exchanged.status(job, key=PROVIDER_KEY, headers=said, **report).status_code == 409, "once"
    outcome = exchanged.outcome(job)
    assert (outcome.status_code, outcome.json(), outcome.headers["content-type"]) == (201, {"score": 7}, "application/json")


def test_a_job_without_an_outcome_in_time_has_expired(exchanged: Exchanged) -> None:
    job = exchanged.submit("brief", after(30))
    time.sleep(1.2)
    assert exchanged.outcome(job).status_code == 410


def test_the_end_of_the_exchange_is_announced(exchanged: Exchanged) -> None:
    job = exchanged.submit("risk", DONE)
    for answer in (job, exchanged.outcome(job)):
        assert answer.headers["sunset"] == "Wed, 31 Mar 2027 23:59:59 GMT"
        assert answer.headers["deprecation"].startswith("@")
        assert '<https://northshire.test/risk>; rel="deprecation"' in answer.headers["link"]


def test_a_large_outcome_streams(exchanged: Exchanged) -> None:
    body = bytes(range(256)) * 40_000
    job = exchanged.submit("risk", response(200, body, ("Content-Type", "application/octet-stream")))
    assert exchanged.outcome(job).content == body


def test_a_batch_process_gives_an_outcome(exchanged: Exchanged) -> None:
    job, other = (exchanged.submit("reports", response(202, b"")) for _ in range(2))
    id_, run = path_of(job).rpartition("/")[2], exchanged.served.run
    (exchanged.served.folder / "outcome.json").write_text('{"score":8}')
    done = run("exchange", "complete", id_, "--body", "outcome.json", "--status", "200")
    assert (done.returncode, done.stdout) == (0, f"completed: {id_}, status 200\n"), done.stderr
    assert exchanged.outcome(job).json() == {"score": 8}
    again = run("exchange", "complete", id_)
    assert again.returncode == 1
    assert "it is not waiting for an outcome" in again.stderr
    gone = path_of(other).rpartition("/")[2]
    assert run("exchange", "cancel", gone, "--reason", "a mistake").returncode == 0
    assert exchanged.status(other).status_code == 404
    shown = json.loads(run("exchange", "show", id_, "--json").stdout)
    assert [each["happening"] for each in shown["events"]] == ["submit", "begin", "complete", "collect"]
    listed = json.loads(run("exchange", "list", "--api", "reports", "--json").stdout)
    assert {each["id"]: each["state"] for each in listed}[gone] == "cancelled"
    assert run("exchange", "show", str(uuid4())).returncode == 1
