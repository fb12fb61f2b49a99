"""The transformation example runs as its README says."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
PORTS = (8085, 2575, 2576, 8090)


@dataclass
class Running:
    """The example, copied, with ports of its own."""

    folder: Path
    ports: dict[int, int]

    def run(self, *command: str) -> str:
        """What a command of the README prints."""
        done = subprocess.run(
            [sys.executable, *command], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def fiveways(self, *command: str) -> str:
        """What a command of Fiveways prints."""
        return self.run("-m", "fiveways", *command)

    def said(self) -> str:
        """What the systems around have shown so far."""
        return (self.folder / "systems.log").read_text()


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("example")
    for name in ("transformation", "pass-through"):
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("keys", "data", "__pycache__"))
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in PORTS]
    ports = dict(zip(PORTS, (probe.getsockname()[1] for probe in probes), strict=True))
    for probe in probes:
        probe.close()
    running = Running(folder / "transformation", ports)
    for file in ("deployment.yaml", "systems.py"):
        path = running.folder / file
        path.write_text(re.sub(r"\b(8085|2575|2576|8090)\b", lambda found: str(ports[int(found[1])]), path.read_text()))
    running.run("../pass-through/consumer.py", "keys", "ward-system")
    with ExitStack() as stack:
        for command, log in ((["systems.py"], "systems.log"), (["-m", "fiveways", "serve"], "serve.log")):
            out = stack.enter_context((running.folder / log).open("w"))
            process = subprocess.Popen([sys.executable, *command], cwd=running.folder, stdout=out, stderr=subprocess.STDOUT)
            stack.callback(process.wait, 20)
            stack.callback(process.terminate)
        _until(lambda: "ready" in running.said() and "(adt)" in (running.folder / "serve.log").read_text())
        yield running


def _until(condition: object, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_it_becomes_and_golden_files(example: Running) -> None:
    shown = example.fiveways("transform", "golden/adt/admission.request.hl7", "--api", "adt")
    assert "not mapped: ZPI-1, ZPI-2" in " ".join(shown.split())
    assert "3 tested, 0 different" in example.fiveways("transform", "test")
    file = example.folder / "golden" / "adt" / "admission.asked.json"
    kept = file.read_text()
    file.write_text(kept.replace("Khan", "Kahn"))
    failed = subprocess.run(
        [sys.executable, "-m", "fiveways", "transform", "test"], cwd=example.folder, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert re.search(r'^-\s+"family": "Kahn"', failed.stdout, re.MULTILINE), failed.stdout
    example.fiveways("transform", "test", "--write")
    assert json.loads(file.read_text()) == json.loads(kept)


def test_an_admission_arrives_once(example: Running) -> None:
    first = example.run("systems.py", "golden/adt/admission.request.hl7")
    assert "MSA|AA|MSG00001" in first
    assert example.run("systems.py", "golden/adt/admission.request.hl7") == first
    _until(lambda: "transaction: PUT Patient?identifier=" in example.said())
    time.sleep(0.3)
    assert example.said().count("transaction:") == 1
    assert "MSA|AR|MSG00002" in example.run("systems.py", "golden/adt/a-type-nobody-takes.request.hl7")


def test_an_update_and_results(example: Running) -> None:
    url = f"http://127.0.0.1:{example.ports[8085]}"
    token = example.run("../pass-through/consumer.py", "token", "--url", url).strip()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
    patient = {"resourceType": "Patient", "id": "k100", "name": [{"family": "Khan"}]}
    answer = httpx.put(f"{url}/old-pas/FHIR/R4/Patient/k100", headers=headers, json=patient)
    assert answer.status_code == 200, answer.text
    assert "ADT^A31^ADT_A05" in example.said()
    assert "PID|1||||Khan" in example.said()
    results = httpx.get(f"{url}/laboratory/FHIR/R4/Observation?patient=9990000018", headers=headers).json()
    assert [entry["resource"]["valueQuantity"]["value"] for entry in results["entry"]] == [4.1, 139]
    refused = httpx.post(f"{url}/laboratory/FHIR/R4/Observation", headers=headers, json={})
    assert (refused.status_code, refused.json()["resourceType"]) == (405, "OperationOutcome")
    _until(lambda: "line 3" in example.fiveways("transform", "report"))
    assert "transformation" in example.fiveways("debt")
