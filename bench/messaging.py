"""Messages a second of our mailboxes, on disk, beside the public mesh-sandbox in memory; and what a large store costs.

    make bench-messaging        or: python -m bench.messaging [--rounds N] [--seconds S] [--stored N,N]

A message is sent, listed, collected and acknowledged: four requests, 1 KiB of content, 1 connection or 16. `fiveways sandbox`
runs as it comes: each message and acknowledgement is synced to disk before it is answered, with its audit event, and every token is
remembered. mesh-sandbox runs in its memory mode. Both are started anew for every round, rounds alternate, figures are medians.

A round lasts a minute, as rates do not stay what they are at first: mesh-sandbox looks through all that it has ever been sent, and
slows with every message. What each does in its first ten seconds and in every ten that follow is in the result too.

Then our store is filled, with a thousand messages that wait and with a million, and listing and sending are timed on each.
Writes docs/benchmarks/messaging.json.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from bench.mailboxes import STRETCH
from bench.processes import Program, machine
from bench.stored import fill

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "messaging.json"
CONNECTIONS = (1, 16)
OURS, THEIRS = "fiveways", "mesh-sandbox"

_STORED_SECONDS = 8.0

console = Console()
Figures = dict[str, Any]


def main() -> None:
    """Measure, and write the result."""
    asked = _arguments()
    rounds: dict[str, dict[int, list[Figures]]] = {name: {each: [] for each in CONNECTIONS} for name in (OURS, THEIRS)}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=asked.rounds * len(CONNECTIONS) * 2)
        for number in range(1, asked.rounds + 1):
            for connections in CONNECTIONS:
                for name, server in ((OURS, _ours), (THEIRS, _theirs)):
                    progress.update(task, description=f"round {number} of {asked.rounds}: {name}, {connections} at once")
                    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as folder, server(Path(folder)) as (program, port):
                        _load(program, port, connections, 1.0)
                        rounds[name][connections].append(_load(program, port, connections, asked.seconds))
                    progress.advance(task)
    if any(run["unlisted"] for runs in rounds[OURS].values() for run in runs):
        raise SystemExit("a message whose sending was answered was not listed")
    stored = {count: _stored(count) for count in asked.stored}
    _write(asked, rounds, stored)


@contextmanager
def _ours(folder: Path) -> Iterator[tuple[Program, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "fiveways", "sandbox", "--http", f"127.0.0.1:{port}", "--data", str(folder / "data")]
    with _running(Program(command), port) as program:
        yield program, port


@contextmanager
def _theirs(folder: Path) -> Iterator[tuple[Program, int]]:
    port = _free_port()
    command = [sys.executable, "-m", "uvicorn", "mesh_sandbox.api:app", "--port", str(port), "--log-level", "critical"]
    environment = {"STORE_MODE": "memory", "SHARED_KEY": "TestKey", "AUTH_MODE": "full"}
    with _running(Program([*command, "--no-access-log"], environment=environment), port) as program:
        yield program, port


@contextmanager
def _running(program: Program, port: int) -> Iterator[Program]:
    try:
        program.answers(port)
        yield program
    finally:
        program.stop()


def _load(program: Program, port: int, connections: int, seconds: float, only: str = "") -> Figures:
    """One run; its figures, with the server's CPU for each message (or request, where it is `only` one)."""
    before = program.cpu()
    command = [sys.executable, "-m", "bench.mailboxes", "127.0.0.1", str(port), str(connections), str(seconds)]
    command += ["--only", only] if only else []
    figures: Figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=seconds + 60).stdout)
    return {**figures, "cpu_us": (program.cpu() - before) * 1e6 / figures["messages"]}


def _stored(count: int) -> dict[str, Figures]:
    """Listing and sending, where so many messages are stored and wait in the inbox that is listed."""
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as folder:
        with _ours(Path(folder)):
            pass  # makes the tables
        fill(Path(folder) / "data" / "data" / "fiveways.db", count)
        with _ours(Path(folder)) as (program, port):
            figures = {}
            for only in ("list", "send"):
                console.print(f"{count:,} stored: {only}", highlight=False)
                _load(program, port, 1, 1.0, only)
                runs = [_load(program, port, 1, _STORED_SECONDS, only) for _ in range(3)]
                figures[only] = {figure: statistics.median(run[figure] for run in runs) for figure in ("p50_ms", "cpu_us")}
            return figures


def _write(asked: argparse.Namespace, rounds: dict[str, dict[int, list[Figures]]], stored: dict[int, dict[str, Figures]]) -> None:
    def medians(figure: str, digits: int = 2) -> dict[str, dict[str, float]]:
        return {
            name: {str(each): round(statistics.median(run[figure] for run in runs), digits) for each, runs in by.items()}
            for name, by in rounds.items()
        }

    def over_time(name: str, connections: int) -> list[float]:
        runs = [run["over_time"] for run in rounds[name][connections]]
        return [round(statistics.median(rates), 1) for rates in zip(*runs, strict=True)]

    rates = medians("per_second", 1)
    course = {name: {str(each): over_time(name, each) for each in by} for name, by in rounds.items()}
    least, most = min(stored), max(stored)
    result: dict[str, Any] = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "method": {
            "rounds": asked.rounds,
            "seconds": asked.seconds,
            "content_bytes": 1024,
            "connections": " and ".join(str(each) for each in CONNECTIONS),
        },
        "versions": {name: metadata.version(name) for name in ("mesh-sandbox", "uvicorn", "uvloop")},
        "ratio_to_mesh_sandbox": {each: round(rates[OURS][each] / rates[THEIRS][each], 2) for each in rates[OURS]},
        "ratio_in_the_first_stretch": {each: round(course[OURS][each][0] / course[THEIRS][each][0], 2) for each in rates[OURS]},
        "messages_per_second": rates,
        "stretch_seconds": STRETCH,
        "messages_per_second_over_time": course,
        "cpu_us_per_message": medians("cpu_us", 0),
        "latency_p50_ms": medians("p50_ms"),
        "latency_p99_ms": medians("p99_ms"),
        "messages_per_second_rounds": {
            name: {str(each): [round(run["per_second"], 1) for run in runs] for each, runs in by.items()}
            for name, by in rounds.items()
        },
        "unlisted_after_sending": {
            name: sum(run["unlisted"] for runs in by.values() for run in runs) for name, by in rounds.items()
        },
        "stored": {
            f"{count:_}": {only: {key: round(value, 3) for key, value in each.items()} for only, each in figures.items()}
            for count, figures in stored.items()
        },
        "ratio_of_stored": {
            only: {key: round(value / stored[least][only][key], 2) for key, value in stored[most][only].items()}
            for only in stored[most]
        },
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default 3)")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds of each round, 10 at least (default 60)")
    parser.add_argument(
        "--stored",
        type=lambda value: [int(each) for each in value.split(",")],
        default=[1_000, 1_000_000],
        metavar="N,N",
        help="messages stored, for the cost of listing and sending (default 1000,1000000)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
