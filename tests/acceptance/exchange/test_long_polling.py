"""Requests are held open until there is an outcome, at a listener of their own; the gateway holds none."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

import httpx
from tests.acceptance.conftest import API_KEY, after, response
from tests.acceptance.exchange.conftest import OTHER_KEY, Exchanged, path_of

DONE = response(201, b'{"score":7}', ("Content-Type", "application/json"))


def monitor(job: httpx.Response) -> str:
    """Where a job may be waited for."""
    found = re.search('<([^>]+)>; rel="monitor"', job.headers["link"])
    assert found is not None
    return found[1]


def wait(url: str, key: str = API_KEY, method: str = "GET", **headers: str) -> httpx.Response:
    """A request that may be held."""
    return httpx.request(method, url, headers={"apikey": key, **headers}, timeout=20, trust_env=False)


def test_who_waits_has_the_outcome_as_soon_as_it_is_there(exchanged: Exchanged) -> None:
    job = exchanged.submit("held", after(0.7, DONE))
    started = time.monotonic()
    answer = wait(monitor(job))
    assert (answer.status_code, answer.json()) == (201, {"score": 7})
    assert 0.3 < time.monotonic() - started < 2
    assert wait(monitor(job)).json() == {"score": 7}, "it is there already"
    assert exchanged.outcome(job).json() == {"score": 7}


def test_who_waits_in_vain_is_told_so_in_time(exchanged: Exchanged) -> None:
    job = exchanged.submit("held", after(6, DONE))
    for prefer, least, most in (("wait=1", 0.9, 2), ("respond-async, wait=0", 0, 0.5), ("wait=60", 2.8, 4.5)):
        started = time.monotonic()
        answer = wait(monitor(job), prefer=prefer)
        assert (answer.status_code, answer.headers["retry-after"]) == (202, answer.headers["retry-after"])
        assert least <= time.monotonic() - started < most, prefer
    exchanged.status(job, method="DELETE")


def test_a_job_that_is_cancelled_ends_the_wait(exchanged: Exchanged) -> None:
    job = exchanged.submit("held", after(6, DONE))
    answers: list[httpx.Response] = []
    waiting = threading.Thread(target=lambda: answers.append(wait(monitor(job))))
    waiting.start()
    time.sleep(0.5)
    started = time.monotonic()
    assert exchanged.status(job, method="DELETE").status_code == 202
    waiting.join(5)
    assert time.monotonic() - started < 1
    assert [answer.status_code for answer in answers] == [404]


def test_only_those_who_may_ask_may_wait_and_for_nothing_else(exchanged: Exchanged) -> None:
    job = exchanged.submit("held", after(1, DONE))
    assert wait(monitor(job), OTHER_KEY).status_code == 404
    assert httpx.get(monitor(job), trust_env=False).status_code == 401
    assert wait(monitor(job), method="DELETE").status_code == 405
    base = monitor(job).partition("/held")[0]
    unheld = exchanged.submit("risk", DONE)
    for path in ("/held", "/", "/oauth2/token", path_of(unheld), path_of(job) + "/outcome", "/held/_jobs/x"):
        assert wait(base + path).status_code == 404, path


def test_the_gateway_holds_nothing(exchanged: Exchanged) -> None:
    job = exchanged.submit("held", after(2, DONE))
    started = time.monotonic()
    assert exchanged.status(job, headers={"prefer": "wait=10"}).status_code == 202
    assert time.monotonic() - started < 1


def test_who_has_gone_is_not_waited_for(exchanged: Exchanged) -> None:
    """A request is answered no more once its connection is closed; others go on."""
    job = exchanged.submit("held", after(1.5, DONE))
    gone: list[Any] = []

    def impatient() -> None:
        try:
            httpx.get(monitor(job), headers={"apikey": API_KEY}, timeout=0.3, trust_env=False)
        except httpx.ReadTimeout as error:
            gone.append(error)

    waiting = [threading.Thread(target=impatient) for _ in range(5)]
    for thread in waiting:
        thread.start()
    assert wait(monitor(job)).status_code == 201
    for thread in waiting:
        thread.join()
    assert len(gone) == 5
    assert "Traceback" not in exchanged.served.log
