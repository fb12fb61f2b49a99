"""Whenever the platform is killed, before or after the commit of whatever can happen to a job, no accepted request is lost, and no
outcome; and two nodes share the work without doing a job twice."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import API_KEY, Backend, Serve, after, free_port, response
from tests.acceptance.exchange.conftest import SECRET, Exchanged, deployment, path_of
from tests.contract.conftest import postgres  # noqa: F401 - a fixture

from fiveways.methods.exchange.states import TRANSITIONS

HAPPENINGS = sorted({happening for _, happening in TRANSITIONS})
OUTCOMES = {"fail": (422, b'{"no":1}'), "complete": (200, b'{"score":7}')}
Urls = Callable[[], str]


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_no_request_and_no_outcome_is_lost(serve: Serve, store: str, postgres: Urls, tmp_path: Path) -> None:  # noqa: F811
    behind, receiver = Backend(), Backend()
    said = f"store: {{url: '{postgres()}', payloads: 'file://{tmp_path}/payloads'}}" if store == "postgresql" else ""
    text = deployment(behind.url, receiver.url, (free_port(), free_port()), said)
    with serve(text, http="", started=False, environment={"CALLBACK_SECRET": SECRET}) as served:
        exchanged = Exchanged(served, behind, receiver)
        sent: dict[tuple[str, str], tuple[str, str, dict[str, str]]] = {}
        for happening in HAPPENINGS:
            for when in ("before", "after"):
                served.environment["CRASH_AT"] = f"job_events {happening} {when}"
                served.start()
                api = {"expire": "brief"}.get(happening, "elsewhere")
                slow = 30 if happening in ("expire", "cancel") else 0.1
                where = behind.at(after(slow, response(*OUTCOMES.get(happening, (200, b'{"score":7}')))))
                ids = {"apikey": API_KEY, "x-request-id": str(uuid4())}
                sent[happening, when] = api, where, ids
                with suppress(httpx.TransportError):
                    job = served.call("POST", f"/{api}{where}", headers=ids, content=b"x")
                    if happening == "cancel":
                        exchanged.status(job, method="DELETE")
                    elif happening == "collect":
                        exchanged.outcome(job)
                        exchanged.status(job, below="/outcome")
                        time.sleep(1)
                assert served.process.wait(20) == -signal.SIGKILL, (happening, when)
        del served.environment["CRASH_AT"]
        served.start()
        for (happening, when), (api, where, ids) in sent.items():
            again = served.call("POST", f"/{api}{where}", headers=ids, content=b"x")
            assert again.status_code == 202, (happening, when, again.text)
            if happening == "cancel":
                if when == "before":
                    assert exchanged.status(again, method="DELETE").status_code == 202
                assert exchanged.status(again).status_code == 404
            elif happening == "expire":
                assert exchanged.outcome(again, 20).status_code == 410
            else:
                exchanged.outcome(again, 45)
                outcome = exchanged.status(again, below="/outcome")
                wanted = OUTCOMES.get(happening, (200, b'{"score":7}'))
                assert (outcome.status_code, outcome.content) == wanted, (happening, when)
                keys = {key.decode() for seen in behind.requests(where) for key in seen.all(b"idempotency-key")}
                assert keys == {path_of(again).rpartition("/")[2]}, "one key, however often it was asked"
                if when == "after" and happening in ("complete", "fail", "collect"):
                    assert len(behind.requests(where)) == 1, "an outcome that is kept is not asked for again"
    behind.stop()
    receiver.stop()


def test_two_nodes_share_the_work_and_do_nothing_twice(serve: Serve, postgres: Urls, tmp_path: Path) -> None:  # noqa: F811
    behind, receiver = Backend(), Backend()
    said = f"store: {{url: '{postgres()}', payloads: 'file://{tmp_path}/payloads'}}"
    with ExitStack() as stack:
        nodes = []
        for name in ("one", "two"):
            text = deployment(behind.url, receiver.url, (free_port(), free_port()), said)
            environment = {"CALLBACK_SECRET": SECRET}
            nodes.append(stack.enter_context(serve(text, "--node", name, http="", environment=environment)))
        both = [Exchanged(node, behind, receiver) for node in nodes]
        jobs: list[httpx.Response] = []

        def submit(number: int) -> None:
            jobs.extend(both[number % 2].submit("elsewhere", after(0.05, response(200, b'{"score":7}'))) for _ in range(10))

        threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ids = both[0].ids | both[1].ids
        for number, job in enumerate(jobs):
            assert job.status_code == 202, job.text
            assert both[number % 2].outcome(job, 20).status_code == 303
            assert both[1 - number % 2].status(job, below="/outcome").json() == {"score": 7}, "the other node has it too"
            assert len(behind.requests(ids[path_of(job)])) == 1
        shown = [json.loads(nodes[0].run("exchange", "show", path_of(job).rpartition("/")[2], "--json").stdout) for job in jobs[:3]]
        assert all([each["happening"] for each in job["events"]] == ["submit", "begin", "complete", "collect"] for job in shown)
    behind.stop()
    receiver.stop()
