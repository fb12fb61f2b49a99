"""Nothing acknowledged is lost (A10): every answered write has its event, whenever the platform is killed."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import Backend, Serve, Served

DEPLOYMENT = """\
apis:
  open: {{pattern: pass-through, at: /open, target: {{url: "{url}"}}, security: [open]}}
  fhir: {{pattern: pass-through, at: /fhir, target: {{url: "{url}"}}, security: [open], model: {{fhir: {{version: R4}}}}}}
"""


def hammer(served: Served, method: str, answered: list[str], stop: threading.Event) -> None:
    """Send requests until the platform is gone; the ids of those that got their answer."""
    with served.client() as client:
        while not stop.is_set():
            request_id = str(uuid4())
            try:
                answer = client.request(method, "/open/x", headers={"X-Request-ID": request_id}, content=b"x")
            except httpx.TransportError:
                return
            assert answer.status_code == 200
            answered.append(request_id)


@pytest.mark.parametrize("seconds", [0.15, 0.6])
def test_a_write_that_was_answered_is_in_the_audit_after_kill_9(serve: Serve, backend: Backend, seconds: float) -> None:
    with serve(DEPLOYMENT.format(url=backend.url)) as served:
        writes: list[str] = []
        reads: list[str] = []
        stop = threading.Event()
        jobs = [("POST", writes), ("PUT", writes), ("DELETE", writes), ("GET", reads)]
        threads = [threading.Thread(target=hammer, args=(served, method, ids, stop)) for method, ids in jobs]
        for thread in threads:
            thread.start()
        while len(writes) < 20:
            time.sleep(0.01)
        time.sleep(seconds)
        served.stop(signal.SIGKILL)
        stop.set()
        for thread in threads:
            thread.join()
        durable = {event["request_id"] for event in served.events(kind="interaction")}
        assert len(writes) > 20
        assert set(writes) <= durable
        served.start()
        lost = len(set(reads) - durable)
        verified = served.run("audit", "verify", str(served.file))
        assert verified.returncode == 0, verified.stdout
        assert "intact" in verified.stdout
        assert ("gap" in verified.stdout) >= (lost > 0)
        assert served.call("POST", "/open/x").status_code == 200
        assert served.run("audit", "verify", str(served.file)).returncode == 0


def test_a_stop_loses_nothing_at_all(serve: Serve, backend: Backend) -> None:
    """Reads neither: a graceful stop writes what is grouped behind them."""
    with serve(DEPLOYMENT.format(url=backend.url)) as served:
        reads: list[str] = []
        with served.client() as client:
            for _ in range(200):
                request_id = str(uuid4())
                client.get("/open/x", headers={"X-Request-ID": request_id})
                reads.append(request_id)
        assert served.stop() == 0
        assert {event["request_id"] for event in served.events(kind="interaction")} == set(reads)
        verified = served.run("audit", "verify", str(served.file))
        assert "gap" not in verified.stdout


def test_tampering_is_found(serve: Serve, backend: Backend) -> None:
    with serve(DEPLOYMENT.format(url=backend.url)) as served:
        for _ in range(5):
            served.call("POST", "/open/x")
        served.stop()
        with sqlite3.connect(served.data / "fiveways.db") as connection:
            connection.execute(
                "UPDATE audit_events SET body = CAST(replace(CAST(body AS TEXT), 'POST', 'GOST') AS BLOB) WHERE seq = 3"
            )
        verified = served.run("audit", "verify", str(served.file))
        assert verified.returncode == 1
        assert "TAMPERED" in verified.stdout


def test_a_write_that_cannot_be_recorded_is_not_acknowledged(serve: Serve, backend: Backend) -> None:
    """The store fails underneath: 503 in the words of the API, with its ids, and no stack trace."""
    with serve(DEPLOYMENT.format(url=backend.url)) as served:
        assert served.call("POST", "/fhir/Patient").status_code == 200
        with sqlite3.connect(served.data / "fiveways.db", timeout=5) as connection:
            connection.execute("ALTER TABLE audit_events RENAME TO mislaid")
        for path, kind in (("/fhir/Patient", "application/fhir+json"), ("/open/x", "application/problem+json")):
            answer = served.call("POST", path, headers={"X-Request-ID": "mine"})
            assert (answer.status_code, answer.headers["content-type"]) == (503, kind)
            assert (answer.headers["x-request-id"], answer.headers["retry-after"]) == ("mine", "5")
        with sqlite3.connect(served.data / "fiveways.db", timeout=5) as connection:
            connection.execute("ALTER TABLE mislaid RENAME TO audit_events")
        assert served.call("POST", "/fhir/Patient").status_code == 200
