"""A scrape of any gateway process shows what all of them have counted, also while one is killed and comes back (S15, S17)."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from tests.acceptance.conftest import Backend, Serve, Served

OPEN = 'apis: {{a: {{pattern: pass-through, at: /a, target: {{url: "{url}"}}, security: [open]}}}}\n'
_COUNT = re.compile(r'^fiveways_gateway_request_duration_seconds_count\{.*api="a".*\} (\S+)$', re.MULTILINE)


def scraped(served: Served) -> int:
    """Requests to API a, as a gateway process that is asked on a new connection has them."""
    text = served.call("GET", "/metrics").text
    return int(sum(float(count) for count in _COUNT.findall(text)))


def gateways(served: Served) -> list[int]:
    """The process ids of the gateways."""
    children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
    return [int(child) for child in children if b"gateway" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")]


def ask(served: Served, times: int) -> None:
    """Requests, each on a connection of its own: the kernel spreads them over the processes."""
    with ThreadPoolExecutor(4) as pool:
        assert {answer.status_code for answer in pool.map(lambda _: served.call("GET", "/a/x"), range(times))} == {200}


def wait_for(condition: Callable[[], bool], seconds: float = 15) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


def test_a_scrape_shows_all_processes_and_kill_9_takes_nothing_back(serve: Serve, backend: Backend) -> None:
    with serve(OPEN.format(url=backend.url), "--processes", "--gateways", "3") as served:
        ask(served, 60)
        wait_for(lambda: scraped(served) == 60, 5)
        assert [scraped(served) for _ in range(12)] == [60] * 12, "whichever process is asked"
        assert "\nfiveways_gateway_processes 3.0\n" in served.call("GET", "/metrics").text
        [run] = (served.data / "run").iterdir()
        counted = [json.loads((run / f"{number}.json").read_bytes())["series"] for number in range(3)]
        assert all(any(api == "a" for _, api, *_ in series) for series in counted), "each has served some"
        seen, stop = [60], threading.Event()

        def watch() -> None:
            while not stop.is_set():
                try:
                    seen.append(scraped(served))
                except httpx.TransportError:
                    time.sleep(0.01)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            victim, *others = gateways(served)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: len(gateways(served)) == 3 and victim not in gateways(served))
            time.sleep(3)
        finally:
            stop.set()
            watcher.join()
        assert seen == sorted(seen), "no counter goes backwards"
        assert set(seen) == {60}
        ask(served, 30)
        wait_for(lambda: scraped(served) == 90, 5)
        for other in others:  # nobody is left who counted before: the newcomers have it from the files
            os.kill(other, signal.SIGKILL)
        wait_for(lambda: len(gateways(served)) == 3)
        wait_for(lambda: _answers(served))
        assert scraped(served) == 90
        assert served.stop() == 0
    assert not (served.data / "run").exists()


def _answers(served: Served) -> bool:
    try:
        return served.call("GET", "/_ping").status_code == 200
    except httpx.TransportError:
        return False


def test_what_somebody_puts_in_the_place_of_a_file_breaks_no_scrape(serve: Serve, backend: Backend) -> None:
    with serve(OPEN.format(url=backend.url), "--processes", "--gateways", "2") as served:
        ask(served, 20)
        wait_for(lambda: scraped(served) == 20, 5)
        [run] = (served.data / "run").iterdir()
        (run / "7.json").write_bytes((run / "0.json").read_bytes())
        for garbage in (b"", b"\xff" * 1000, b'{"at": 1}'):
            for file in ("0.json", "1.json"):
                (run / file).write_bytes(garbage)
            assert scraped(served) <= 20
        wait_for(lambda: scraped(served) == 20, 5)
        assert "a process's metrics are left out" in served.log


def test_one_process_keeps_no_files(serve: Serve, backend: Backend) -> None:
    with serve(OPEN.format(url=backend.url)) as served:
        ask(served, 3)
        assert scraped(served) == 3
        assert "\nfiveways_gateway_processes 1.0\n" in served.call("GET", "/metrics").text
        assert not (served.data / "run").exists()
