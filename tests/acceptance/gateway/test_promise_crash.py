"""What was answered with "received" is delivered, whenever the platform is killed: before and after each commit on its way."""

from __future__ import annotations

import signal
import time
from uuid import uuid4

import httpx
from tests.acceptance.conftest import Backend, Serve, Served, response

DEPLOYMENT = """\
organisations: {{RXN: {{name: Northshire}}}}
applications: {{ward: {{organisation: RXN, jwks: file:keys/ward.json, products: [all]}}}}
products: {{all: {{apis: [updates]}}}}
apis:
  updates:
    pattern: promise
    at: /updates
    target: {{url: "{url}"}}
    security: [signed-jwt]
    promise: {{first_wait: 50ms, longest_wait: 200ms, order: {{header: X-Key}}}}
"""
COMMITS = ("the promise", "the lease", "the attempt", "its event in the audit", "what became of it")


def promise(served: Served, path: str, ids: dict[str, str]) -> httpx.Response | None:
    """The answer, where the platform lived to give one."""
    try:
        return served.call("POST", f"/updates{path}", headers={**served.bearer(), **ids}, content=b"x")
    except httpx.TransportError:
        return None


def test_nothing_received_is_lost_and_nothing_has_two_keys(serve: Serve, behind: Backend) -> None:
    with serve(DEPLOYMENT.format(url=behind.url), started=False) as served:
        sent: dict[str, tuple[dict[str, str], httpx.Response | None]] = {}
        for number in range(len(COMMITS)):
            for when in ("before", "after"):
                path, ids = behind.at(response(201)), {"X-Request-ID": str(uuid4()), "X-Key": f"{number} {when}"}
                served.environment["CRASH_AT"] = f"deliveries {number} {when}"
                served.start()
                sent[path] = ids, promise(served, path, ids)
                assert served.process.wait(20) == -signal.SIGKILL, COMMITS[number]
        del served.environment["CRASH_AT"]
        served.start()
        unanswered = [ids["X-Key"] for ids, answer in sent.values() if answer is None]
        assert unanswered == ["0 before", "0 after"], "it is answered as soon as it is durable"
        for path, (ids, answer) in sent.items():
            known = answer or promise(served, path, ids)
            assert known is not None
            assert known.status_code == 202
            behind.wait(lambda path=path: behind.requests(path), 45)  # type: ignore[misc]
            time.sleep(0.1)
            of_it = {key.decode() for seen in behind.requests(path) for key in seen.all(b"idempotency-key")}
            assert of_it == {known.headers["fiveways-promise"]}
