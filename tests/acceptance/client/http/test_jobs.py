"""Jobs: submitted once, followed where the other side says and nowhere else, their outcome kept (A50 to A58)."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from tests.acceptance.client.http.backend import DROP, Asked, Backend, Reply, json_reply
from tests.acceptance.client.http.conftest import QUICK, Open

from fiveways.client import (
    ClientError,
    Denied,
    Fiveways,
    Gone,
    Ledger,
    LocalIdReused,
    Pace,
    StillRunning,
    TooLarge,
    Unavailable,
    Unsent,
    Untrusted,
)
from fiveways.client.following import Following
from fiveways.client.states import State

pytestmark = pytest.mark.anyio
SOON = timedelta(seconds=5)
SHORT = timedelta(seconds=0.3)
OUTCOME = Reply(201, {"Content-Type": "application/fhir+json", "X-Own": "of the provider"}, b'{"score":3}')


def issue(code: str) -> bytes:
    return json.dumps({"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}).encode()


async def test_a_job_is_submitted_followed_and_its_outcome_is_the_providers_own(
    five: Fiveways, backend: Backend, ledger: Ledger
) -> None:
    job = await five.submit(
        "POST", "/risk/$score", {"resourceType": "Parameters"}, local_id="one", expect_within=timedelta(hours=1)
    )
    (asked,) = backend.of("POST")
    assert (asked.id, asked.headers["prefer"], asked.headers["apikey"]) == (job.id, "respond-async", "secret-key")
    assert (job.state, job.local_id, [each.id for each in await five.open_jobs()]) == (State.SENT, "one", [job.id])
    with pytest.raises(StillRunning):
        await job.outcome(timedelta(seconds=0.1))
    backend.finish(OUTCOME)
    answer = await job.outcome(SOON)
    assert (answer.status, answer.json(), answer.headers["x-own"], answer.request_id) == (
        201,
        {"score": 3},
        "of the provider",
        job.id,
    )
    assert (job.state, await five.open_jobs(), ledger.waiting()) == (State.ANSWERED, [], [])
    polls = backend.of("GET", "/status/1")
    assert {poll.headers["x-correlation-id"] for poll in polls} == {job.correlation_id}
    assert len({poll.id for poll in (asked, *polls)}) == 1 + len(polls)
    before = len(backend.asked)
    assert await job.outcome() == answer
    assert len(backend.asked) == before
    assert [happening for _, happening, *_ in ledger.history(job.id)] == ["open", "try", "send", "answer"]


async def test_the_outcome_is_there_after_a_restart_and_large_ones_are_in_a_file(
    open_: Open, backend: Backend, ledger: Ledger
) -> None:
    first = open_()
    small, large = [await first.submit("POST", "/x", {"n": n}) for n in range(2)]
    body = b"0123456789" * 100_000
    backend.finish(OUTCOME, "1")
    backend.finish(Reply(200, body=body), "2")
    given = [await job.outcome(SOON) for job in (small, large)]
    await first.close()
    backend.over.clear()
    with Ledger(ledger.path) as again:
        async with Fiveways(backend.origin, ledger=again) as second:
            assert [await second.job(job.id).outcome() for job in (small, large)] == given
        folder = ledger.path.with_name("ledger.sqlite.outcomes")
        assert [path.name for path in folder.iterdir()] == [large.id]
        assert again.forget(datetime.now(UTC) + timedelta(days=1)) == 2
        assert not list(folder.iterdir())


async def test_a_job_that_ends_while_it_is_looked_up_is_not_missed(
    open_: Open, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_()
    job = (await first.submit("POST", "/x")).id
    await first.close()
    backend.finish(OUTCOME)
    known = Following._known

    def slowly(following: Following, jobs: Any) -> Any:
        found = known(following, jobs)
        time.sleep(0.15)
        return found

    monkeypatch.setattr(Following, "_known", slowly)
    assert (await open_().job(job).outcome(SOON)).status == 201


async def test_a_restarted_consumer_goes_on_with_what_was_open(open_: Open, backend: Backend) -> None:
    first = open_()
    job = await first.submit("POST", "/x", {"n": 1}, local_id="one")
    await first.close()
    second = open_()
    (found,) = await second.open_jobs()
    assert (found.id, second.job("one").id) == (job.id, job.id)
    backend.finish(OUTCOME)
    assert (await found.outcome(SOON)).status == 201
    assert len(backend.of("POST")) == 1


async def test_the_same_local_id_is_the_same_job(five: Fiveways, backend: Backend) -> None:
    job = await five.submit("POST", "/x", {"n": 1}, local_id="one")
    assert (await five.submit("POST", "/x", {"n": 1}, local_id="one")).id == job.id
    assert len(backend.of("POST")) == 1
    for path, body in (("/x", {"n": 2}), ("/y", {"n": 1}), ("/x?a=1", {"n": 1})):
        with pytest.raises(LocalIdReused):
            await five.submit("POST", path, body, local_id="one")
    assert len(backend.of("POST")) == 1


@pytest.mark.parametrize("failure", [DROP, Reply(502), Reply(504), Reply(429, {"Retry-After": "100"})])
async def test_what_was_maybe_not_taken_is_submitted_again_under_the_same_id(
    five: Fiveways, backend: Backend, failure: Reply
) -> None:
    backend.script["POST", "/x"].append(failure)
    with pytest.raises(Unavailable):
        await five.submit("POST", "/x", {"n": 1}, local_id="one")
    (lost,) = await five.open_jobs()
    with pytest.raises(Unsent, match="local_id='one'"):
        await lost.outcome()
    job = await five.submit("POST", "/x", {"n": 1}, local_id="one")
    assert [asked.id for asked in backend.of("POST")] == [job.id, job.id] == [lost.id] * 2
    backend.finish(OUTCOME)
    assert (await job.outcome(SOON)).status == 201


@pytest.mark.parametrize("status", [200, 204, 303])
async def test_an_answer_at_once_is_the_outcome(five: Fiveways, backend: Backend, status: int) -> None:
    backend.script["POST", "/x"].append(Reply(status, {"Content-Location": "/status/1"}, b"" if status == 204 else b"now"))
    job = await five.submit("POST", "/x")
    assert (job.state, (await job.outcome()).status) == (State.ANSWERED, status)
    assert len(backend.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 422, 500])
async def test_a_refusal_is_the_outcome_and_may_be_mended_under_the_same_local_id(
    five: Fiveways, backend: Backend, status: int
) -> None:
    backend.script["POST", "/x"].append(Reply(status, {}, b"no"))
    job = await five.submit("POST", "/x", local_id="one")
    assert (job.state, (await job.outcome()).status, (await job.outcome()).content) == (State.FAILED, status, b"no")
    assert (await five.submit("POST", "/x", local_id="one")).id == job.id
    backend.finish(OUTCOME)
    assert (await job.outcome(SOON)).status == 201
    assert {asked.id for asked in backend.of("POST")} == {job.id}


async def test_202_without_a_place_to_ask_is_all_there_is(five: Fiveways, backend: Backend) -> None:
    backend.script["POST", "/x"].append(Reply(202))
    assert (await (await five.submit("POST", "/x")).outcome()).status == 202


# --- status answers -----------------------------------------------------------------------------------------------------------


async def test_303_leads_to_the_outcome(five: Fiveways, backend: Backend) -> None:
    job = await five.submit("POST", "/x")
    backend.script["GET", "/outcomes/1"].extend([Reply(503), OUTCOME])
    backend.finish(Reply(303, {"Location": "../outcomes/1"}))
    assert (await job.outcome(SOON)).status == 201
    assert [asked.headers["apikey"] for asked in backend.of("GET", "/outcomes")] == ["secret-key"] * 2


@pytest.mark.parametrize("status", [404, 410])
async def test_what_the_other_side_does_not_know_is_gone(five: Fiveways, backend: Backend, status: int) -> None:
    job = await five.submit("POST", "/x")
    backend.finish(Reply(status))
    for _ in range(2):
        with pytest.raises(Gone, match="knows nothing"):
            await job.outcome(SOON)
    assert job.state is State.FAILED


PASSING: list[Any] = [
    DROP,
    Reply(202, {"Retry-After": "0"}, b"x" * 1000, cut=5),
    Reply(429, {"Retry-After": "0"}),
    Reply(500),
    Reply(502, {}, b"<html>"),
    Reply(503, {}, issue("processing")),
    Reply(504, {}, issue("processing")),
    Reply(408),
    Reply(408, {}, issue("timeout")),
    Reply(500, {}, issue("transient")),
    Reply(500, {}, issue("throttled")),
]


@pytest.mark.parametrize("failure", PASSING, ids=range(len(PASSING)))
async def test_a_failure_to_ask_is_no_outcome(five: Fiveways, backend: Backend, failure: Reply) -> None:
    job = await five.submit("POST", "/x")
    backend.script["GET", "/status/1"].extend([failure, failure, OUTCOME])
    assert (await job.outcome(SOON)).status == 201
    assert len(backend.of("GET", "/status/1")) == 3


FINAL = [
    Reply(500, {}, issue("exception")),
    Reply(500, {}, b"<html>"),
    Reply(408, {}, b"text"),
    Reply(501, {}, issue("not-supported")),
    Reply(400),
    Reply(403),
    Reply(409),
    Reply(422, {}, issue("transient")),
    Reply(302, {"Location": "/y"}),
    Reply(204),
]


@pytest.mark.parametrize("outcome", FINAL, ids=range(len(FINAL)))
async def test_any_other_answer_is_the_outcome(five: Fiveways, backend: Backend, outcome: Reply) -> None:
    job = await five.submit("POST", "/x")
    backend.finish(outcome)
    answer = await job.outcome(SOON)
    assert (answer.status, answer.content) == (outcome.status, outcome.body)
    assert backend.of("GET", "/y") == []


async def test_header_fields_of_any_bytes_are_no_obstacle(five: Fiveways, backend: Backend) -> None:
    odd = {"X-Progress": "un caf\xe9 \xff", "Retry-After": "\xb2", "ETag": '"\xe9"', "Link": "<\xff>; rel=\xff"}
    job = await five.submit("POST", "/x")
    backend.script["GET", "/status/1"].extend([Reply(202, odd), Reply(202, odd), Reply(200, odd, b"done")])
    answer = await job.outcome(SOON)
    assert answer.content == b"done"
    assert (await five.job(job.id).outcome()).headers == answer.headers


async def test_what_has_not_changed_need_not_be_said_again(five: Fiveways, backend: Backend) -> None:
    job = await five.submit("POST", "/x")
    running = Reply(202, {"ETag": '"1"', "X-Progress": "30% done", "Retry-After": "0"})
    backend.script["GET", "/status/1"].extend([running, Reply(304), Reply(304), OUTCOME])
    seen = [step async for step in job.progress()]
    assert [(step.said, step.percent) for step in seen] == [("30% done", 30.0)]
    assert [asked.headers.get("if-none-match") for asked in backend.of("GET", "/status")] == [None, '"1"', '"1"', '"1"']
    assert (await job.outcome()).status == 201


async def test_progress_is_told_step_by_step(five: Fiveways, backend: Backend) -> None:
    job = await five.submit("POST", "/x")
    backend.progress = "begun"
    steps = []
    async for step in job.progress():
        steps.append(step.said)
        backend.progress = "half"
        if step.said == "half":
            backend.finish(OUTCOME)
    assert steps == ["begun", "half"]
    assert [step async for step in job.progress()] == []


async def test_we_are_patient_as_long_as_we_are_asked_to_be(five: Fiveways, backend: Backend) -> None:
    backend.submitted = {"Retry-After": "1"}
    job = await five.submit("POST", "/x")
    with pytest.raises(StillRunning):
        await job.outcome(SHORT)
    assert backend.of("GET") == []
    backend.finish(OUTCOME)
    assert (await job.outcome(SOON)).status == 201
    backend.submitted = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)}
    later = await five.submit("POST", "/x", {"n": 2})
    backend.finish(OUTCOME, "2")
    with pytest.raises(StillRunning):
        await later.outcome(SHORT)
    assert backend.of("GET", "/status/2") == []


async def test_what_is_due_when_is_remembered_over_a_restart(open_: Open, backend: Backend) -> None:
    first = open_()
    job = await first.submit("POST", "/x")
    backend.script["GET", "/status/1"].append(Reply(202, {"Retry-After": "3600", "ETag": '"7"', "X-Progress": "waiting"}))
    async for step in job.progress():
        assert step.said == "waiting"
        break
    await asyncio.sleep(0.05)
    await first.close()
    second = open_()
    with pytest.raises(StillRunning):
        await second.job(job.id).outcome(SHORT)
    assert len(backend.of("GET")) == 1
    assert second.job(job.id).step.said == "waiting"
    assert (await second.job(job.id).status()).state is State.SENT  # asked for, it is asked at once
    assert len(backend.of("GET")) == 2


async def test_status_asks_once(five: Fiveways, backend: Backend) -> None:
    backend.retry_after = "100"
    job = await five.submit("POST", "/x")
    backend.progress = "12.5 % of 80"
    status = await job.status()
    assert (status.state, status.step) == (State.SENT, ("12.5 % of 80", 12.5))
    backend.script["GET", "/status/1"].extend([Reply(429), Reply(503)])
    assert await job.status() == status
    with pytest.raises(Unavailable):
        await job.status()
    backend.finish(OUTCOME)
    assert (await job.status()).state is State.ANSWERED
    assert (await job.outcome()).status == 201
    assert len(backend.of("GET")) == 4


async def test_a_job_that_is_cancelled_ends_for_whoever_waits(five: Fiveways, backend: Backend) -> None:
    job = await five.submit("POST", "/x")
    waiting = asyncio.create_task(job.outcome())
    await backend.until(lambda: len(backend.of("GET")) > 1)
    backend.script["DELETE", "/status/1"].append(Reply(409))
    with pytest.raises(ClientError, match="409"):
        await job.cancel()
    assert job.state is State.SENT
    await job.cancel()
    with pytest.raises(Gone, match="cancelled"):
        await waiting
    with pytest.raises(Gone, match="cancelled"):
        await job.outcome()
    backend.script["DELETE", "/status/1"].append(Reply(404))
    await job.cancel()
    assert (job.state, len(backend.of("DELETE"))) == (State.FAILED, 3)


async def test_an_outcome_outlives_letting_go_of_it(five: Fiveways, backend: Backend) -> None:
    job = await five.submit("POST", "/x")
    backend.finish(OUTCOME)
    await job.outcome(SOON)
    await job.cancel()
    assert ((await job.outcome()).status, job.state) == (201, State.ANSWERED)


# --- where we do not go -------------------------------------------------------------------------------------------------------


async def test_a_status_url_that_is_somebody_elses_is_not_followed(open_: Open, backend: Backend, ledger: Ledger) -> None:
    other = Backend()
    async with other.serving():
        five = open_()
        for lie in (f"{other.origin}/status/1", other.origin.replace("http:", ""), "http://user@127.0.0.1/", "file:///etc/passwd"):
            backend.script["POST", "/x"].append(Reply(202, {"Content-Location": lie}))
            with pytest.raises(Untrusted):
                await five.submit("POST", "/x", {"lie": lie}, local_id=lie)
        assert ledger.waiting() == []
        trusting = open_(trusted_origins=[other.origin])
        backend.script["POST", "/x"].append(Reply(202, {"Content-Location": f"{other.origin}/status/1", "Retry-After": "0"}))
        job = await trusting.submit("POST", "/x", {"lie": 0})
        other.finish(OUTCOME)
        assert (await job.outcome(SOON)).status == 201
        assert not any("apikey" in asked.headers for asked in other.asked)


async def test_a_redirect_to_somebody_else_is_not_followed(open_: Open, backend: Backend) -> None:
    other = Backend()
    async with other.serving():
        other.script["GET", "/outcome"].append(OUTCOME)
        backend.finish(Reply(303, {"Location": f"{other.origin}/outcome"}))
        five = open_(pace=Pace(QUICK.least, QUICK.most, QUICK.least, look=QUICK.look))
        job = await five.submit("POST", "/x")
        with pytest.raises(Untrusted, match=other.origin):
            await job.outcome(SOON)
        assert (other.asked, job.state) == ([], State.SENT)
        await five.close()
        trusting = open_(trusted_origins=[other.origin])
        assert (await trusting.job(job.id).outcome(SOON)).status == 201
        assert "apikey" not in other.asked[0].headers
        also = open_(also_at=[other.origin])
        other.script["GET", "/outcome"].append(OUTCOME)
        second = await also.submit("POST", "/x", {"n": 2})
        backend.finish(Reply(303, {"Location": f"{other.origin}/outcome"}), "2")
        assert (await second.outcome(SOON)).status == 201
        assert other.asked[1].headers["apikey"] == "secret-key"


async def test_credentials_that_are_refused_end_no_job(open_: Open, backend: Backend) -> None:
    five = open_()
    job = await five.submit("POST", "/x")
    backend.script["GET", "/status/1"].append(Reply(401))
    with pytest.raises(Denied):
        await job.outcome(SOON)
    assert job.state is State.SENT
    backend.finish(OUTCOME)
    assert (await job.outcome(SOON)).status == 201  # whoever waits again has mended it


async def test_an_outcome_that_is_too_large_ends_no_job(open_: Open, backend: Backend) -> None:
    five = open_(largest=100)
    job = await five.submit("POST", "/x")
    backend.finish(Reply(200, body=b"x" * 101))
    with pytest.raises(TooLarge):
        await job.outcome(SOON)
    await five.close()
    assert len((await open_().job(job.id).outcome(SOON)).content) == 101


async def test_a_back_end_that_restarts_is_asked_until_it_answers(five: Fiveways) -> None:
    first = Backend()
    async with first.serving():
        port = int(first.origin.rpartition(":")[2])
        client = Fiveways(first.origin, ledger=five.ledger, pace=QUICK)
        job = await client.submit("POST", "/x")
        waiting = asyncio.create_task(job.outcome())
        await first.until(lambda: len(first.of("GET")) > 0)
    await asyncio.sleep(0.2)
    assert not waiting.done()
    first.finish(OUTCOME)
    async with first.serving(port), asyncio.timeout(5):
        assert (await waiting).status == 201
    await client.close()


# --- several at once ----------------------------------------------------------------------------------------------------------


async def test_outcomes_come_in_the_order_in_which_they_are_there(five: Fiveways, backend: Backend) -> None:
    jobs = [await five.submit("POST", "/x", {"n": n}) for n in range(4)]
    backend.finish(OUTCOME, "3")
    backend.finish(Reply(410), "2")
    found = []
    async for job, outcome in five.outcomes(jobs[:3], timedelta(seconds=0.5)):
        found.append((jobs.index(job), getattr(outcome, "status", type(outcome))))
        if len(found) == 2:
            backend.finish(OUTCOME, "1")
    assert sorted(found[:2]) == [(1, Gone), (2, 201)]
    assert found[2:] == [(0, 201)]
    assert [pair async for pair in five.outcomes(jobs[3:], timedelta(seconds=0.1))] == []


async def test_what_another_process_learns_is_known_here(open_: Open, backend: Backend, ledger: Ledger) -> None:
    backend.retry_after = "3600"
    here = open_()
    jobs = [await here.submit("POST", "/x", {"n": n}) for n in range(2)]
    waiting = [asyncio.create_task(job.outcome(SOON)) for job in jobs]
    await asyncio.sleep(0.05)
    backend.finish(OUTCOME, "1")
    with Ledger(ledger.path) as other:
        async with Fiveways(backend.origin, ledger=other) as there:
            await there.job(jobs[0].id).status()
            await there.job(jobs[1].id).cancel()
    assert (await waiting[0]).status == 201
    with pytest.raises(Gone, match="cancelled"):
        await waiting[1]


async def test_long_polls_are_held_where_they_are_offered(open_: Open, backend: Backend) -> None:
    backend.submitted = {"Retry-After": "3600", "Link": '</held/1>; rel="monitor"'}
    ready = asyncio.Event()

    async def held(asked: Asked) -> Reply:
        assert asked.headers["prefer"] == "wait=25"
        await ready.wait()
        return OUTCOME

    backend.script["GET", "/held/1"].append(Reply(202, {"X-Progress": "holding"}))
    backend.script["GET", "/held/1"].append(held)
    five = open_(long_poll=True)
    job = await five.submit("POST", "/x")
    waiting = asyncio.create_task(job.outcome(SOON))
    await backend.until(lambda: len(backend.of("GET", "/held/1")) == 2)
    assert job.step.said == "holding"
    ready.set()
    assert (await waiting).status == 201
    assert backend.of("GET", "/status") == []


@pytest.mark.parametrize("failure", [DROP, Reply(503), Reply(400), Reply(404), json_reply({}, 500), Reply(401)])
async def test_a_long_poll_that_fails_is_no_outcome_and_the_job_is_polled(open_: Open, backend: Backend, failure: Reply) -> None:
    backend.submitted = {"Link": '<http://elsewhere.example/>; rel="next", </held/1>; rel="monitor"'}
    backend.script["GET", "/held/1"].append(failure)
    five = open_(long_poll=True)
    job = await five.submit("POST", "/x")
    backend.finish(OUTCOME)
    assert (await job.outcome(SOON)).status == 201
    assert len(backend.of("GET", "/held/1")) <= 1
    assert backend.of("GET", "/status/1")


async def test_jobs_need_a_ledger(backend: Backend) -> None:
    async with Fiveways(backend.origin) as five:
        with pytest.raises(ClientError, match="ledger="):
            await five.submit("POST", "/x")
        assert (await five.call("GET", "/x")).ok
