"""The example of bulk transfer runs as its README says."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fiveways.cli import cli
from fiveways.linter import lint

ROOT = Path(__file__).parents[3]
PORTS = (8091, 2291)
JUDGED = ("released", "part-released", "rejected", "collected")
pytestmark = pytest.mark.skipif(shutil.which("sftp") is None, reason="needs OpenSSH's sftp")


@dataclass
class Running:
    """The example, copied, with ports of its own."""

    folder: Path
    ports: dict[int, int]

    def done(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """A command of the README, done."""
        line = [sys.executable, *command]
        return subprocess.run(line, cwd=self.folder, input=given, capture_output=True, text=True, timeout=90, check=False)

    def run(self, *command: str, given: str = "") -> str:
        """What a command of the README prints."""
        done = self.done(*command, given=given)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout

    def bulk(self, *command: str, given: str = "") -> str:
        """What a command of `fiveways bulk` prints; it is run in this process, as beginning one takes longer than the command."""
        with contextlib.chdir(self.folder):
            done = CliRunner().invoke(cli, ["bulk", *command], input=given)
        assert (done.exit_code, done.stderr) == (0, ""), done.output
        return done.stdout

    def judged(self, feed: str, count: int) -> list[dict[str, Any]]:
        """A feed's transfers, newest first, once so many are judged."""
        until = time.monotonic() + 40
        while True:
            found = list(json.loads(self.bulk("list", "--feed", feed, "--json")))
            if len(found) == count and all(each["state"] in JUDGED for each in found):
                return found
            assert time.monotonic() < until, (found, (self.folder / "serve.log").read_text()[-3000:])
            time.sleep(0.1)

    def receipt(self, name: str, *more: str) -> str:
        """What a receipt says, checked as its sender would."""
        self.run("northshire.py", "receipts")
        return self.run("verify_receipt.py", f"receipts/{name}.receipt.jws", *more)


def _until(condition: Callable[[], object], seconds: float = 40) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("example") / "bulk"
    made = shutil.ignore_patterns(
        "keys", "data", "outgoing", "receipts", "payments", "planners", "board", "*.sqlite*", "*.html", "__pycache__"
    )
    shutil.copytree(ROOT / "examples" / "bulk", folder, ignore=made)
    with ExitStack() as probing:
        probes = [probing.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
        running = Running(folder, dict(zip(PORTS, (probe.getsockname()[1] for probe in probes), strict=True)))
    for file in (*folder.glob("*.py"), folder / "deployment.yaml"):
        file.write_text(re.sub(r"\b(8091|2291)\b", lambda found: str(running.ports[int(found[0])]), file.read_text()))
    assert running.run("northshire.py", "keys") == ""
    with ExitStack() as stack:
        log = stack.enter_context((folder / "serve.log").open("wb"))
        process = subprocess.Popen([sys.executable, "-m", "fiveways", "serve"], cwd=folder, stdout=log, stderr=log)
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        _until(lambda: "(files)" in (folder / "serve.log").read_text())
        assert running.run("northshire.py", "extracts") == ""
        yield running


def test_nothing_is_found(example: Running) -> None:
    assert lint(example.folder / "deployment.yaml") == []


def test_planning_goes_on_without_three_records_until_they_are_mended(example: Running) -> None:
    example.run("northshire.py", "send", "planning")
    (transfer,) = example.judged("planning", 1)
    name = transfer["name"]
    assert (transfer["records"], transfer["accepted"], transfer["set_aside"]) == (2000, 1997, 3)
    said = example.receipt(name, "--file", f"outgoing/{name}", "--save", "keys.json")
    assert said.splitlines()[0] == f"{name}: part-released"
    assert "complete: 2000 records, 2000 said; 3 set aside" in said
    assert said.splitlines()[-1] == "it is the file that was sent"
    id_ = example.run("verify_receipt.py", f"receipts/{name}.receipt.jws", "--id", "--keys", "keys.json").strip()
    assert id_ == transfer["id"]
    aside = json.loads(example.bulk("quarantine", "list", id_, "--json"))
    assert {each["record"]: [breach["rule"] for breach in each["breaches"]] for each in aside} == {
        10: ["check-digit"],
        1200: ["left-after-arriving"],
        1500: ["columns"],
    }
    example.bulk("quarantine", "mend", id_, "10", "--set", "nhs_number=9990000018", "--reason", "a slip")
    example.bulk("quarantine", "mend", id_, "1200", "--set", "left=", "--reason", "not known when")
    shown = example.bulk("quarantine", "show", id_, "1500")
    example.bulk("quarantine", "mend", id_, "1500", "--raw", "-", "--reason", "too many", given=shown.replace(",more", ""))
    assert "released: 3; still set aside: 0" in example.bulk("quarantine", "resubmit", id_, "--reason", "mended")
    example.bulk("report", id_, "--out", "report.html")
    assert "<svg" in (example.folder / "report.html").read_text()
    assert json.loads(example.bulk("receipt", id_))["records"] == {"counted": 2000, "accepted": 2000, "set_aside": 0}
    collected = [Path(line).name for line in example.run("northshire.py", "fetch", "planners").splitlines()]
    assert sorted(collected) == [name, name.replace(".csv", ".mended-1.csv")]
    rows = [line for file in collected for line in (example.folder / "planners" / file).read_text().splitlines()[1:]]
    assert len(rows) == 2000


def test_a_receipt_of_others_and_a_file_that_was_not_sent_are_found_out(example: Running) -> None:
    (file,) = (example.folder / "receipts").glob("attendances-*.jws")
    signed = file.read_text()
    head, payload, signature = signed.split(".")
    forged = example.folder / "forged.jws"
    forged.write_text(f"{head}.{payload[:-8]}{payload[-8:][::-1]}.{signature}")
    done = example.done("verify_receipt.py", "forged.jws")
    assert done.returncode == 1
    assert "not a receipt of this platform" in done.stderr
    done = example.done("verify_receipt.py", f"receipts/{file.name}", "--file", "deployment.yaml")
    assert done.returncode == 1
    assert "NOT THE FILE" in done.stdout


def test_commissioning_is_taken_once_in_batches(example: Running) -> None:
    example.run("northshire.py", "send", "commissioning")
    (transfer,) = example.judged("commissioning", 1)
    assert (transfer["accepted"], transfer["set_aside"]) == (997, 3)
    aside = json.loads(example.bulk("quarantine", "list", transfer["id"], "--json"))
    broken = {each["record"]: sorted(breach["rule"] for breach in each["breaches"]) for each in aside}
    assert broken == {42: ["bed-days", "range"], 100: ["code"], 500: ["json"]}
    _until(lambda: example.run("ledger.py") == "997 spells, of 3 batches\n")
    assert example.run("northshire.py", "fetch", "board").startswith("board/spells-")


def test_a_tariff_is_right_or_rejected_whole(example: Running) -> None:
    example.run("northshire.py", "send", "tariff")
    third, first = sorted(example.judged("tariff", 2), key=lambda each: each["name"], reverse=True)
    assert (first["accepted"], third["state"]) == (997, "rejected")
    payments = example.folder / "payments"
    _until(lambda: len(list(payments.glob("*.csv"))) == 2)
    assert [len(file.read_text().splitlines()) - 1 for file in sorted(payments.glob("*.csv"))] == [500, 497]
    said = example.receipt("tariff-0003.csv.gz")
    assert said.splitlines()[0] == "tariff-0003.csv.gz: rejected"
    assert "number 2 of the sequence has not come" in said
    assert len(list(payments.glob("*.csv"))) == 2


def test_a_file_that_was_released_is_not_taken_again(example: Running) -> None:
    example.run("northshire.py", "send", "planning")
    again, _ = example.judged("planning", 2)
    assert again["state"] == "rejected"
    assert "released before" in " ".join(again["reasons"])
