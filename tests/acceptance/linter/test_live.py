"""`fiveways check --live`: a platform that runs is observed, and what is no platform is said to be none, within bounds."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from tests.acceptance.conftest import Backend, Seen, Serve, Served, after, response

from fiveways.clock import SystemClock
from fiveways.linter.live import observe
from fiveways.linter.observed import ObservationError

DEPLOYMENT = """
programme: {{patience: 20ms, availability: 99%}}
apis:
  slow: {{pattern: pass-through, at: /slow, security: [open], target: {{url: "{slow}"}}}}
  broken: {{pattern: pass-through, at: /broken, security: [open], target: {{url: "{broken}"}}}}
  asked-little: {{pattern: pass-through, at: /little, security: [open], target: {{url: "{slow}"}}}}
"""


def ask(served: Served, path: str, times: int) -> None:
    """Make requests, eight at a time."""
    with served.client() as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.get(path), range(times)))


def checked(served: Served, *options: str) -> list[dict[str, Any]]:
    """What a check of the deployment finds, without what every file shows."""
    found = json.loads(served.run("check", str(served.file), "--format", "json", *options).stdout)
    return [each for each in found if each["rule"].startswith("SY")]


def test_a_running_platform_is_observed(serve: Serve, backend: Backend) -> None:
    text = DEPLOYMENT.format(slow=backend.url + backend.at(after(0.06)), broken=backend.url + backend.at(response(500)))
    with serve(text) as served:
        ask(served, "/slow", 40)
        ask(served, "/broken", 40)
        ask(served, "/little", 10)
        assert checked(served) == []
        found = {(each["rule"], each["path"]): each["message"] for each in checked(served, "--live", served.url)}
    assert ("SY01", "apis.slow") in found
    assert "observed: the 95th centile of 40 requests is " in found["SY01", "apis.slow"]
    assert "observed: 40 of 40 requests had a fault" in found["SY02", "apis.broken"]
    assert not [path for _, path in found if path == "apis.asked-little"]


def test_what_it_is_is_said_where_it_is_no_platform(serve: Serve, backend: Backend) -> None:
    with serve("apis: {}\n", started=False) as served:
        for url, said in (
            ("http://127.0.0.1:1/metrics", "cannot be reached"),
            (backend.url + backend.at(response(404)), "answered 404; /metrics answers callers on the platform's own machine"),
            (backend.url + backend.at(response(302, b"", ("Location", "http://127.0.0.1:1"))), "answered 302"),
            (backend.url + backend.at(response(200, b"<html>hello</html>")), "no metrics of a Fiveways platform"),
            (backend.url + backend.at(response(200, b"fiveways_messaging_waiting x")), "not in the Prometheus text form"),
            (backend.url + backend.at(response(200, b"\xff\xfe")), "not text"),
            ("gopher://example", "expected a URL such as http"),
            ("http://[", "expected a URL such as http"),
        ):
            ran = served.run("check", str(served.file), "--live", url)
            assert ran.returncode == 1, url
            assert said in ran.stderr
            assert "Traceback" not in ran.stderr


def test_a_password_in_the_url_is_not_shown(serve: Serve) -> None:
    with serve("apis: {}\n", started=False) as served:
        ran = served.run("check", str(served.file), "--live", "http://me:secret@127.0.0.1:1/federate?match[]=secret")
        assert "cannot be reached" in ran.stderr
        assert "secret" not in ran.stderr + ran.stdout


def test_several_files_are_not_observed_in_one_platform(serve: Serve) -> None:
    with serve("apis: {}\n", started=False) as served:
        second = served.file.with_name("other.yaml")
        second.write_text("apis: {}\n")
        ran = served.run("check", str(served.file), str(second), "--live", "http://127.0.0.1:1")
        assert ran.returncode == 1
        assert "name the one file that this platform runs" in ran.stderr


async def endless(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Metrics without end."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b"fiveways_messaging_waiting 1\n" * 1000)
        await writer.drain()


async def trickling(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Metrics that come a byte at a time."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b"#")
        await writer.drain()
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "said"), [(endless, "more than 100000 bytes"), (trickling, "longer than 0.5 s"), (after(60), "longer than 0.5 s")]
)
def test_metrics_have_bounds(backend: Backend, answer: Any, said: str) -> None:
    begun = time.monotonic()
    with pytest.raises(ObservationError, match=said):
        observe(backend.url + backend.at(answer), SystemClock(), timedelta(seconds=0.5), 100_000)
    assert time.monotonic() - begun < 5
