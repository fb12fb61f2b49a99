"""What it costs to wait: idle long polls, their wake-up, and a client that polls thousands of jobs.

    make bench-exchange        or: python -m bench.exchange [--waiters N] [--woken N] [--jobs N] [--seconds S]

Waiters: `fiveways serve`, pinned to the first core, holds so many requests for outcomes. Memory is resident memory with
them less that without, divided by their number; CPU is what the process takes while nothing happens.

Wake-up: so many waiters, each for a job of its own; outcomes are reported one after another, as a provider does. Latency is from
sending the report to the waiter's having its answer, so that it includes making the outcome durable.

Polling: one process with the client library has so many jobs open, at a server that says to ask again in half a minute. Writes
docs/benchmarks/exchange.json.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import httpx
import uvloop
from rich.console import Console

from bench.gateway import OTHER_CORE, PROXY_CORE, free_port, started
from bench.processes import Program, machine

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "exchange.json"
KEY = "fwk_key-of-the-bench-00000000000000000000000"
DEPLOYMENT = """\
listeners:
  main: {{http: "127.0.0.1:{main}"}}
  waiting: {{http: "127.0.0.1:{waiting}", long_poll: true}}
organisations: {{RXN: {{name: Bench}}}}
applications: {{ward: {{organisation: RXN, products: [all], api_keys: ["{key}"]}}}}
products: {{all: {{apis: [risk], quota: 3000000/min}}}}
apis:
  risk: {{pattern: pass-through, at: /risk, target: {{url: "http://127.0.0.1:{back_end}"}}, security: [api-key]}}
exchanges:
  risk:
    interaction: POST /**
    outcome: reported
    provider: ward
    long_poll: {{listener: waiting, hold: 10m}}
    transitional: {{constraint: a bench, retire_by: 2099-01-01}}
"""
BACK_END = """
import asyncio, sys

async def answer(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 202 Accepted\\r\\nContent-Length: 0\\r\\n\\r\\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    async with await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1])) as server:
        await server.serve_forever()

asyncio.run(main())
"""
console = Console()


def main() -> None:
    """Measure, and write the result."""
    asked = _arguments()
    os.sched_setaffinity(0, {OTHER_CORE})
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as temporary, ExitStack() as stack:
        process, base, waiting = _ours(stack, Path(temporary))
        figures = uvloop.run(_waiting(process, base, waiting, asked))
        process.stop()
    command = [sys.executable, "-m", "bench.exchange_polling", str(asked.jobs), str(asked.seconds)]
    polling = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    result = {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "versions": {"fiveways": metadata.version("fiveways"), "python": platform.python_version()},
        "long_poll": figures,
        "polling": polling,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(json.dumps(result))


def _ours(stack: ExitStack, folder: Path) -> tuple[Program, str, int]:
    port, waiting, back_end = free_port(), free_port(), free_port()
    file = folder / "deployment.yaml"
    key = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
    file.write_text(DEPLOYMENT.format(main=port, waiting=waiting, back_end=back_end, key=key))
    started(stack, [sys.executable, "-c", BACK_END, str(back_end)], OTHER_CORE, back_end)
    process = started(stack, [sys.executable, "-m", "fiveways", "serve", str(file), "--log-level", "error"], PROXY_CORE, port)
    process.answers(waiting)
    return process, f"http://127.0.0.1:{port}", waiting


async def _waiting(process: Program, base: str, waiting: int, asked: argparse.Namespace) -> dict[str, float]:
    limits = httpx.Limits(max_connections=32)
    async with httpx.AsyncClient(base_url=base, headers={"apikey": KEY}, limits=limits, timeout=60, trust_env=False) as client:
        jobs = await _submitted(client, max(asked.woken, 200))
        await _wait(process, waiting, jobs[:200], 200)  # what is made once is made before it is measured
        before = process.resident()
        held = await _held(waiting, [jobs[number % len(jobs)] for number in range(asked.waiters)])
        await asyncio.sleep(2)
        memory = (process.resident() - before) / asked.waiters
        cpu, started_at = process.cpu(), time.monotonic()
        await asyncio.sleep(asked.seconds)
        idle = (process.cpu() - cpu) / (time.monotonic() - started_at)
        for _, writer in held:
            writer.close()
        await asyncio.sleep(1)
        latencies = await _woken(client, waiting, jobs[: asked.woken])
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "waiters": asked.waiters, "bytes_a_waiter": round(memory), "idle_share_of_a_core": round(idle, 5), "woken": asked.woken,
        "wake_p50_ms": round(quantiles[49] * 1e3, 2), "wake_p99_ms": round(quantiles[98] * 1e3, 2),
    }  # fmt: skip


async def _submitted(client: httpx.AsyncClient, number: int) -> list[str]:
    async def one() -> str:
        answer = await client.post("/risk/score", json={})
        assert answer.status_code == 202, answer.text
        return answer.headers["content-location"].partition("/_jobs/")[2]

    return list(await asyncio.gather(*(one() for _ in range(number))))


async def _held(port: int, jobs: list[str]) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open requests, none of which has been answered."""
    held = []
    for at in range(0, len(jobs), 100):
        held += await asyncio.gather(*(_asked(port, job) for job in jobs[at : at + 100]))
    return held


async def _asked(port: int, job: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /risk/_jobs/{job} HTTP/1.1\r\nHost: localhost\r\napikey: {KEY}\r\n\r\n".encode())
    return reader, writer


async def _wait(process: Program, port: int, jobs: list[str], number: int) -> None:
    held = await _held(port, jobs[:number])
    await asyncio.sleep(1)
    for _, writer in held:
        writer.close()
    await asyncio.sleep(1)


async def _woken(client: httpx.AsyncClient, port: int, jobs: list[str]) -> list[float]:
    held = dict(zip(jobs, await _held(port, jobs), strict=True))
    await asyncio.sleep(2)
    latencies = []
    for job, (reader, writer) in held.items():
        started_at = time.perf_counter()
        reporting = asyncio.create_task(client.put(f"/risk/_jobs/{job}/outcome", content=b"{}"))
        head = await reader.readuntil(b"\r\n\r\n")
        latencies.append(time.perf_counter() - started_at)
        assert head.startswith(b"HTTP/1.1 200"), head
        assert (await reporting).status_code == 204
        writer.close()
    return latencies


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--waiters", type=int, default=5000, help="idle waiters")
    parser.add_argument("--woken", type=int, default=1000, help="waiters that are woken one after another")
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs that one client polls")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds for which what is idle is watched")
    return parser.parse_args()


if __name__ == "__main__":
    main()
