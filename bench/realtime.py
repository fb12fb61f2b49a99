"""Messages to a thousand sockets a second, and how long each takes, beside other servers, in one run.

    make bench-realtime        or: python -m bench.realtime [--rounds N] [--seconds S] [--sockets N] [--idle N] [--dry]

Every server is pinned to the first core; the client, a process with picows, is on the second. A thousand sockets read one channel,
one more publishes messages of 200 bytes. In a burst ten messages are in flight: one that has come to every socket is followed by
the next. Latency is from publishing to the receipt at each socket, at ten messages a second. Fiveways is `fiveways serve` on SQLite
with a channel of which nothing is kept, and one whose messages are on disk, with their audit, before they go to anybody. Beside it:
Node's `ws` and Python's `websockets` with the broadcast that their documentation has, and `nats-server` through its own listener
for WebSockets. Rounds are interleaved; figures are medians.

Then Fiveways alone: memory of connections that each read a channel and are idle; and CPU of a delivery where a hundred sockets read
one channel, and where they read a thousand, in which messages are published in turn, one at a time and in a burst.
Writes docs/benchmarks/realtime.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress

from bench import realtime_servers as servers
from bench.processes import Program, machine
from bench.realtime_load import SIZE, Asked, Order, Report
from bench.realtime_servers import Server

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "realtime.json"
EPHEMERAL, DURABLE = "fiveways-ephemeral", "fiveways-durable"
PEERS: dict[str, Callable[[Path], AbstractContextManager[Server]]] = {
    "ws": servers.ws, "websockets": servers.websockets, "nats-server": servers.nats,
}  # fmt: skip
CHANNELS = {EPHEMERAL: "board:1", DURABLE: "talk:1"}
IN_FLIGHT = 10
A_SECOND = 10
MANY, FEW = 1000, 100
"""Channels, and the sockets that read all of them."""
WARM = 1.0

console = Console()


@dataclass(slots=True)
class Subject:
    """Something measured, and what each round showed."""

    name: str
    server: Server
    rounds: list[dict[str, float]] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(each[figure] for each in self.rounds)


class Clients:
    """A process that is a server's clients; a context manager."""

    def __init__(self, server: Program, asked: Asked) -> None:
        self._server = server
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.realtime_load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            preexec_fn=lambda: os.sched_setaffinity(0, {servers.CLIENT_CORE}),
        )  # fmt: skip
        self._line(msgspec.json.encode(asked))

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def carry_out(self, order: Order) -> dict[str, float]:
        """What came of an order, with the CPU of the server and of the clients for each delivery."""
        before = self._server.cpu()
        report = msgspec.json.decode(self._line(msgspec.json.encode(order)), type=Report)
        return {
            "per_second": report.deliveries / report.seconds, "p50_ms": report.p50_ms, "p99_ms": report.p99_ms,
            "cpu_us": (self._server.cpu() - before) * 1e6 / report.deliveries,
            "clients_cpu_us": report.client_cpu * 1e6 / report.deliveries,
        }  # fmt: skip

    def _line(self, said: bytes) -> bytes:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(said + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit("the clients have failed: see above")
        return answer


def main() -> None:
    """Measure, and write the result."""
    asked = _arguments()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("this benchmark needs two cores: one for the server, one for its clients")
    os.sched_setaffinity(0, {servers.CLIENT_CORE})
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        ours = stack.enter_context(servers.fiveways(folder / "fiveways"))
        subjects = [Subject(EPHEMERAL, ours), Subject(DURABLE, ours)]
        subjects += [Subject(name, stack.enter_context(start(folder / name))) for name, start in PEERS.items()]
        subjects = [each for each in subjects if not asked.only or each.name in asked.only]
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("", total=asked.rounds * len(subjects))
            for number in range(1, asked.rounds + 1):
                for subject in subjects if number % 2 else reversed(subjects):
                    progress.update(task, description=f"round {number} of {asked.rounds}: {subject.name}")
                    subject.rounds.append(_round(subject, asked))
                    console.print(subject.name.ljust(18), _shown(subject.rounds[-1]), highlight=False, soft_wrap=True)
                    progress.advance(task)
    result = _result(asked, subjects)
    if asked.idle:
        result["idle"] = _alone(lambda server: _idle(server, asked.idle))
    if asked.rounds:
        result["channels"] = _alone(lambda server: _channels(server, asked))
    if not asked.dry:
        RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


def _round(subject: Subject, asked: argparse.Namespace) -> dict[str, float]:
    """A burst, then latency."""
    connecting = subject.server.asked(asked.sockets, [CHANNELS.get(subject.name, "board")])
    with Clients(subject.server.program, connecting) as clients:
        clients.carry_out(Order(WARM, in_flight=IN_FLIGHT))
        burst = clients.carry_out(Order(asked.seconds, in_flight=IN_FLIGHT))
        steady = clients.carry_out(Order(asked.seconds, a_second=A_SECOND))
    return {**burst, "p50_ms": steady["p50_ms"], "p99_ms": steady["p99_ms"]}


def _alone(measure: Callable[[Server], dict[str, Any]]) -> dict[str, Any]:
    """What is measured of Fiveways alone, freshly started."""
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as folder, servers.fiveways(Path(folder) / "data") as server:
        return measure(server)


def _idle(server: Server, connections: int) -> dict[str, Any]:
    """Memory of connections that are there, and each read a channel."""
    with Clients(server.program, server.asked(200, ["board:1"])):
        pass  # what is made once is made before it is measured
    time.sleep(2)
    before = server.program.resident()
    with Clients(server.program, server.asked(connections, ["board:1"])):
        time.sleep(3)
        memory = server.program.resident() - before
        cpu, at = server.program.cpu(), time.monotonic()
        time.sleep(30)  # longer than it takes to ask each whether it is there
        share = (server.program.cpu() - cpu) / (time.monotonic() - at)
    return {"connections": connections, "bytes_a_connection": round(memory / connections), "share_of_a_core": round(share, 4)}


def _channels(server: Server, asked: argparse.Namespace) -> dict[str, Any]:
    """CPU of a delivery in one channel and round many, of a message at a time and in a burst."""
    ways = {"one_at_a_time": 1, "burst": IN_FLIGHT}
    rounds: dict[str, dict[str, list[float]]] = {way: {"1": [], str(MANY): []} for way in ways}
    for number in range(asked.rounds):
        for many in (1, MANY) if number % 2 else (MANY, 1):
            with Clients(server.program, server.asked(FEW, [f"board:{each}" for each in range(many)])) as clients:
                for way, in_flight in ways.items():
                    clients.carry_out(Order(WARM, in_flight=in_flight))
                    rounds[way][str(many)].append(clients.carry_out(Order(asked.seconds, in_flight=in_flight))["cpu_us"])
    medians = {way: {many: statistics.median(runs) for many, runs in by.items()} for way, by in rounds.items()}
    return {
        "sockets": FEW,
        "ratio": {way: round(by[str(MANY)] / by["1"], 2) for way, by in medians.items()},
        "cpu_us_per_delivery": {way: {many: round(each, 2) for many, each in by.items()} for way, by in medians.items()},
        "cpu_us_rounds": {
            way: {many: [round(each, 2) for each in runs] for many, runs in by.items()} for way, by in rounds.items()
        },
    }


def _result(asked: argparse.Namespace, subjects: list[Subject]) -> dict[str, Any]:
    def medians(figure: str, digits: int) -> dict[str, float]:
        return {each.name: round(each.median(figure), digits) for each in subjects}

    def rounds(figure: str, digits: int) -> dict[str, list[float]]:
        return {each.name: [round(run[figure], digits) for run in each.rounds] for each in subjects}

    def ratios(figures: dict[str, float], to: str) -> dict[str, float]:
        return {name: round(figures[name] / figures[to], 2) for name in (EPHEMERAL, DURABLE) if {name, to} <= figures.keys()}

    rates, late = medians("per_second", 0), medians("p99_ms", 2)
    return {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "method": {
            "rounds": asked.rounds, "seconds": asked.seconds, "sockets": asked.sockets, "in_flight": IN_FLIGHT,
            "message_bytes": SIZE, "broadcasts_a_second": A_SECOND,
        },
        "versions": servers.versions(),
        "deliveries_per_second": rates,
        **{f"ratio_to_{name.replace('-', '_')}": ratios(rates, name) for name in PEERS},
        "latency_p50_ms": medians("p50_ms", 2),
        "latency_p99_ms": late,
        "ratio_of_p99_to_nats_server": ratios(late, "nats-server"),
        "cpu_us_per_delivery": medians("cpu_us", 2),
        "clients_cpu_us_per_delivery": medians("clients_cpu_us", 2),
        "deliveries_per_second_rounds": rounds("per_second", 0),
        "latency_p99_ms_rounds": rounds("p99_ms", 2),
    }  # fmt: skip


def _shown(run: dict[str, float]) -> str:
    rate, cpu, late = (
        f"{run['per_second']:10,.0f} a second",
        run["cpu_us"],
        f"p50 {run['p50_ms']:.2f} ms, p99 {run['p99_ms']:.2f} ms",
    )
    return f"{rate}, {cpu:.2f} µs of CPU each, the clients' {run['clients_cpu_us']:.2f}; {late}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each (default 7)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of each burst, and of latency (default 5)")
    parser.add_argument("--sockets", type=int, default=1000, help="sockets that read (default 1000)")
    parser.add_argument("--idle", type=int, default=10_000, help="idle connections; 0 leaves them out (default 10000)")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this one alone; may be given several times")
    parser.add_argument("--dry", action="store_true", help="say the result, and do not write it")
    return parser.parse_args()


if __name__ == "__main__":
    main()
