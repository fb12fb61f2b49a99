"""Parsing HL7 v2 beside two libraries that do, and how many messages a second an MLLP feed takes, up to the promise on disk.

make bench-transformation        or: python -m bench.transformation [--rounds N] [--seconds S] [--connections C,C]

Parsing: an ADT of 8 KB and 24 segments is parsed and twenty named fields are read, by us, by hl7kit (Rust) and by hl7 (Python), in
turn; time a message, median of the rounds. All are asked for the same values, and the run fails unless they give them.

A feed: `fiveways serve`, pinned to the first core, takes that message with a control id of its own each time, checks who sends it,
makes a FHIR transaction of it, puts that on disk as a promise, with the audit event, and acknowledges it with AA. A second feed
takes an ADT as most are, of 10 segments. The back end is away: accepting is what is measured. The sender is on the other core. The
run fails unless as many promises are on disk as were acknowledged. Writes docs/benchmarks/transformation.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import hl7  # type: ignore[import-untyped]
import hl7kit
from rich.console import Console
from rich.progress import Progress

from bench.gateway import OTHER_CORE, PROXY_CORE, free_port, started
from bench.processes import Program, machine
from fiveways.hl7v2.message import Message

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "transformation.json"
OURS, KIT, PYTHON = "fiveways", "hl7kit", "hl7"
FIELDS = (
    "MSH-3", "MSH-4", "MSH-7", "MSH-10", "MSH-12", "EVN-1", "PID-3.1", "PID-3.4", "PID-5.1", "PID-5.2", "PID-7", "PID-8",
    "PID-11.1", "PID-11.5", "PID-13.1", "NK1-2.1", "PV1-2", "PV1-3.1", "PV1-7.2", "PV1-44",
)  # fmt: skip
DEPLOYMENT = """\
listeners:
  main: {{http: "127.0.0.1:{port}"}}
  adt: {{mllp: "127.0.0.1:{feed}", api: adt, as: pas}}
organisations: {{RXN: {{name: Bench}}}}
applications: {{pas: {{organisation: RXN, products: [all]}}}}
products: {{all: {{apis: [adt], quota: 3000000/min}}}}
apis:
  adt:
    pattern: transformation
    at: /adt
    transform: {{by: hl7v2-to-fhir}}
    target: {{url: "http://127.0.0.1:{nobody}"}}
    promise: {{}}
    security: [signed-jwt]
"""
_HEAD = "MSH|^~\\&|PAS|RXN|FIVEWAYS|RXN|20261123101500+0000||ADT^A01^ADT_A01|@ID@|P|2.5.1|||||GBR|UNICODE UTF-8\r"
_SHORT = (
    "EVN|A01|20261123101500||||20261123101000\r"
    "PID|1||K123456^^^RXN^MR~9990000018^^^NHS^NH||Khan^Aisha^Maria^^Ms^^L~Ali^Aisha^^^^^M||19800101|F|||"
    "1 High Street^Flat 2^Thornaby^Cleveland^TS17 6AA^GBR^H||01642 123456^PRN^PH~^^Internet^aisha@example.test|01642 654321^WPN^PH|"
    "en|M|||||||||||||||N\r"
    "NK1|1|Khan^Omar|SPO^Spouse^HL70063|1 High Street^^Thornaby^^TS17 6AA|01642 123456\r"
    "NK1|2|Khan^Sara|MTH^Mother^HL70063|2 High Street^^Thornaby^^TS17 6AB|01642 222222\r"
    "PV1|1|I|W1^R2^B3^RXN|E|||C1234567^House^Gregory^^^Dr|C7654321^Grey^Meredith^^^Dr||100|||||7|||||V123456^^^RXN||||||||||||||||"
    "|||||||||20261123101000\r"
    "PV2|||I21^Myocardial infarction^I10\r"
    "DG1|1||I21.9^Acute myocardial infarction^I10||20261123|A\r"
    "AL1|1|DA|373270004^Penicillin^SCT|SV|Rash\r"
    "AL1|2|FA|256349002^Peanut^SCT|MO|Swelling\r"
)


def short() -> str:
    """An ADT as most are: 10 segments."""
    return _HEAD + _SHORT


def long() -> str:
    """An ADT of 8 KB: 24 segments, with what senders of such messages put into the others."""
    text = short()
    seen = "Seen on the ward round; comfortable, mobilising with help; to be looked at again. "
    for number in range(3, 17):
        if number % 2:
            text += (
                f"OBX|{number}|ST|NOTE{number}^What a ward wrote down, number {number}^LOCAL||{seen * 7}||||||F|||20261123101000\r"
            )
            continue
        address = f"{number} High Street^Flat {number}^Thornaby^Cleveland^TS17 6A{number}^GBR"
        text += f"NK1|{number}|Khan^Person{number}^Middle^^Mx|FND^Friend^HL70063|{address}|01642 {number:06}^PRN^PH|"
        text += f"01642 9{number:05}^WPN^PH||20200101|||||||F|19700101|||||{seen * 4}\r"
    return text


console = Console()


def main() -> None:
    """Measure, and write the result."""
    asked = _arguments()
    parsing = _parsing(asked.rounds)
    feeds: dict[str, dict[str, list[dict[str, float]]]] = {}
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        process, feed = _ours(stack, folder)
        made = first = 0
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("", total=(asked.rounds + 1) * len(asked.connections) * 2)
            for number in range(asked.rounds + 1):
                for name, message in (("adt_10_segments", short()), ("adt_8_kb", long())):
                    for connections in asked.connections:
                        progress.update(task, description=f"round {number}: {name}, {connections} connections", advance=1)
                        before = process.cpu()
                        came = _load(feed, connections, asked.seconds if number else 1.0, message.encode(), first)
                        if came["failed"]:
                            raise SystemExit(f"{came['failed']:.0f} messages were not taken")
                        first += 10_000_000
                        made += int(came["messages"])
                        came["cpu_us"] = (process.cpu() - before) * 1e6 / came["messages"]
                        if number:
                            feeds.setdefault(name, {}).setdefault(str(connections), []).append(came)
        process.stop()
        _check(folder / "data" / "fiveways.db", made)
    _write(asked, parsing, feeds, made)


# --- parsing --------------------------------------------------------------------------------------------------------------


def _read_by_us(text: str) -> list[str]:
    message = Message.parse(text)
    return [message.get(path) for path in FIELDS]


def _read_by_hl7kit(text: str) -> list[str]:
    message = hl7kit.parse(text)
    return [message.get(path) or "" for path in FIELDS]


def _read_by_hl7(text: str) -> list[str]:
    message = hl7.parse(text)
    return [message.extract_field(*path) for path in _HL7_PATHS]


def _hl7_path(path: str) -> tuple[Any, ...]:
    """What hl7 calls a path: segment, which, field, repetition, component."""
    segment, _, numbers = path.partition("-")
    field, _, component = numbers.partition(".")
    return segment, 1, int(field), 1, int(component or 1)


_HL7_PATHS = [_hl7_path(path) for path in FIELDS]


def _parsing(rounds: int) -> dict[str, list[float]]:
    """Microseconds a message, of each library in each round."""
    text = long().replace("@ID@", "B1")
    readers: dict[str, Callable[[str], list[str]]] = {OURS: _read_by_us, KIT: _read_by_hl7kit, PYTHON: _read_by_hl7}
    values = {name: read(text) for name, read in readers.items()}
    if len({tuple(each) for each in values.values()}) > 1:
        raise SystemExit(f"they do not read the same: {values}")
    found: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(4 * rounds + 1):
        for name, read in readers.items():
            times = 200 if name != PYTHON else 20
            started_at = time.perf_counter()
            for _ in range(times):
                read(text)
            found[name].append((time.perf_counter() - started_at) / times * 1e6)
    return {name: each[1:] for name, each in found.items()}


# --- feeds ----------------------------------------------------------------------------------------------------------------


def _ours(stack: ExitStack, folder: Path) -> tuple[Program, int]:
    port, feed = free_port(), free_port()
    file = folder / "deployment.yaml"
    file.write_text(DEPLOYMENT.format(port=port, feed=feed, nobody=free_port()))
    command = [sys.executable, "-m", "fiveways", "serve", str(file), "--log-level", "error"]
    process = started(stack, command, PROXY_CORE, port)
    process.answers(feed)
    return process, feed


def _load(port: int, connections: int, seconds: float, message: bytes, first: int) -> dict[str, float]:
    def pin() -> None:
        os.sched_setaffinity(0, {OTHER_CORE})

    command = [sys.executable, "-m", "bench.mllp_load", "127.0.0.1", str(port), str(connections), str(seconds), str(first)]
    output = subprocess.run(command, input=message, stdout=subprocess.PIPE, check=True, preexec_fn=pin, timeout=seconds + 30).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def _check(file: Path, made: int) -> None:
    with closing(sqlite3.connect(file)) as database:
        (kept,) = database.execute("SELECT count(*) FROM deliveries").fetchone()
    if kept != made:
        raise SystemExit(f"{kept} promises on disk, for {made} that were acknowledged")
    console.print(f"promises on disk: {kept} for {made} that were acknowledged")


def _write(
    asked: argparse.Namespace, parsing: dict[str, list[float]], feeds: dict[str, dict[str, list[dict[str, float]]]], made: int
) -> None:
    def medians(figure: str) -> dict[str, dict[str, float]]:
        return {
            name: {each: round(statistics.median(run[figure] for run in runs), 2) for each, runs in by.items()}
            for name, by in feeds.items()
        }

    times = {name: round(statistics.median(each), 1) for name, each in parsing.items()}
    result = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "method": {
            "rounds": asked.rounds, "seconds": asked.seconds, "parsed_bytes": len(long()), "parsed_segments": long().count("\r"),
            "fields_read": len(FIELDS), "short_bytes": len(short()), "long_bytes": len(long()),
        },
        "versions": {name: metadata.version(name) for name in ("hl7kit", "hl7")},
        "parse_us": times,
        "parse_us_rounds": {name: [round(one, 1) for one in each] for name, each in parsing.items()},
        "ratio_to_hl7kit": round(times[OURS] / times[KIT], 2),
        "ratio_to_hl7": round(times[OURS] / times[PYTHON], 3),
        "accepted_per_second": medians("per_second"),
        "latency_p50_ms": medians("p50_ms"),
        "latency_p99_ms": medians("p99_ms"),
        "cpu_us_per_message": medians("cpu_us"),
        "promises_on_disk": made,
    }  # fmt: skip
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (default 5)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round (default 4)")
    parser.add_argument(
        "--connections",
        type=lambda said: [int(each) for each in said.split(",")],
        default=[1, 16],
        metavar="N,N",
        help="connections at once (default 1,16)",
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
