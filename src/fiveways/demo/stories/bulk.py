"""A hospital's nightly extract over SFTP: whole, unaltered, checked record by record; one bad record never sinks the rest."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from joserfc.jws import extract_compact

from fiveways.demo.extract import HEADER, extract
from fiveways.demo.stage import LeftOut, Stage
from fiveways.ledger.audit import AuditEvent
from fiveways.methods.bulk.quality.findings import Breach
from fiveways.methods.bulk.service import Transfer
from fiveways.methods.bulk.states import AT_WORK, COMING
from fiveways.platform.inspect import trace
from fiveways.platform.transferdesk import TransferDesk, transfer_desk

title = "Bulk transfer: a file that arrives whole, and is checked"

ROWS: Final = 200_000
PATIENCE: Final = 60.0
"""Seconds that a transfer may take from its arrival to its verdict."""


@dataclass
class Trust:
    """The hospital's side: its client, and what it has to send."""

    stage: Stage
    desk: TransferDesk
    folder: Path
    name: str
    content: str
    errors: int
    mended: str
    """A row that is sent with a wrong check digit, as it should have been."""

    async def sftp(self, account: str, *commands: str, check: bool = True) -> tuple[int, str]:
        """Have OpenSSH's sftp do this, as one of the partners."""
        process = await asyncio.create_subprocess_exec(
            "sftp", "-b", "-", *self.options(account),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate("\n".join(commands).encode())
        if check and process.returncode:
            raise RuntimeError(said.decode(errors="replace")[-500:])
        return process.returncode or 0, said.decode(errors="replace")

    def options(self, account: str) -> list[str]:
        """What OpenSSH's client is told: who it is, and where to go."""
        host, _, port = (self.stage.platform.deployment.listeners["files"].sftp or "").rpartition(":")
        return [
            "-i", str(self.stage.folder / "keys" / account), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=accept-new",
            "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR",
            "-P", port, f"{account}@{host}",
        ]  # fmt: skip

    async def judged(self, name: str) -> Transfer:
        """The newest transfer of a file of this name, once it is judged; or as it is when that has taken too long."""
        until = time.monotonic() + PATIENCE
        while True:
            found = [row for row in await self.desk.list("activity", "", 50) if row.name == name]
            if found and (found[0].state not in {*COMING, *AT_WORK} or time.monotonic() > until):
                return await self.desk.found(found[0].id)
            if time.monotonic() > until:
                raise RuntimeError(f"{name} did not become a transfer")
            await asyncio.sleep(0.1)


async def play(stage: Stage) -> None:
    """Play the story."""
    deployment = stage.platform.deployment
    if "activity" not in deployment.feeds or "files" not in deployment.listeners:
        raise LeftOut(f"the deployment in {stage.folder} has no feed activity: play it in another --folder")
    if shutil.which("sftp") is None:
        raise LeftOut("it needs OpenSSH's sftp", outside=True)
    stage.chapter(title, f"Nightly, {ROWS:,} admissions; one in a hundred is wrong in one of eleven ways (B15, B16).")
    folder = stage.folder / "extracts"
    folder.mkdir(exist_ok=True)
    first = int(time.time()) * 1000
    content, errors, mended = await asyncio.to_thread(extract, ROWS, first, stage.platform.clock.now().date())
    name = f"activity-{first}.csv"
    (folder / name).write_text(content)
    manifest(folder, name, content)
    async with AsyncExitStack() as stack:
        data = stage.folder / "data"
        desk = await stack.enter_async_context(transfer_desk(stage.platform.file, data, "demo-desk"))
        trust = Trust(stage, desk, folder, name, content, errors.total(), mended)
        await _cut_off(trust)
        transfer = await _sent(trust)
        await _receipt(trust, transfer)
        await _examined(trust, transfer)
        await _collected(trust, transfer)
        await _mended(trust, transfer)
        await _replayed(trust)
        await _timeline(trust, transfer)
    stage.next += [
        f"{stage.command} bulk list {stage.folder}",
        f"{stage.command} bulk quarantine list {transfer.id} {stage.folder}",
        f"{stage.command} bulk receipt {transfer.id} {stage.folder}",
    ]


def manifest(folder: Path, name: str, content: str) -> Path:
    """What the hospital says of a file, beside it."""
    listed = {
        "name": name, "size": len(content.encode()), "sha256": hashlib.sha256(content.encode()).hexdigest(),
        "records": content.count("\n") - 1,
    }  # fmt: skip
    path = folder / f"{name}.manifest.json"
    path.write_bytes(msgspec.json.encode({"files": [listed]}))
    return path


async def _cut_off(trust: Trust) -> None:
    """The client is killed on its way."""
    stage, account = trust.stage, "northshire-extracts"
    process = await asyncio.create_subprocess_exec(
        "sftp",
        "-l",
        "50000",
        *trust.options(account),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    process.stdin.write(f"put {trust.folder / trust.name} /activity/\n".encode())
    await process.stdin.drain()
    await asyncio.sleep(1.2)
    process.kill()
    await process.wait()
    size, until = 0, time.monotonic() + 10
    while not size and time.monotonic() < until:
        await asyncio.sleep(0.1)
        _, listed = await trust.sftp(account, f"-ls -l /activity/{trust.name}")
        found = [line.split() for line in listed.splitlines() if line.startswith("-")]
        size = int(found[0][4]) if found else 0
    _, seen = await trust.sftp("commissioning", "ls /activity")
    state = [row.state for row in await trust.desk.list("activity", "", 10) if row.name == trust.name]
    stage.show(
        "The line is cut in the middle of it",
        did=f"sftp> put {trust.name}  (killed after a second)",
        came=f"{size / 1e6:.1f} of {len(trust.content) / 1e6:.1f} MB are kept, for its sender alone; it is {', '.join(state)}",
        because="A file is there when its upload was closed, and is on the disk: a client that goes away commits nothing.",
        ok=0 < size < len(trust.content) and state == ["receiving"] and trust.name not in seen.replace("ls /activity", ""),
    )


async def _sent(trust: Trust) -> Transfer:
    stage, name = trust.stage, trust.name
    began = time.monotonic()
    await trust.sftp(
        "northshire-extracts", f"put -a {trust.folder / name} /activity/", f"put {trust.folder / name}.manifest.json /activity/"
    )
    sent = time.monotonic() - began
    transfer = await trust.judged(name)
    took = time.monotonic() - began - sent
    stage.show(
        "The hospital goes on where it was, with the client that it has",
        did=f"sftp> put -a {name}\nsftp> put {name}.manifest.json",
        came=f"{len(trust.content) / 1e6:.1f} MB in {sent:.1f} s; {transfer.state.value} {took:.1f} s later",
        because="It is complete when its manifest is there too, as was agreed; then it is verified, and each record checked.",
        ok=transfer.state.value == "part-released" and transfer.records == ROWS,
    )
    return transfer


async def _receipt(trust: Trust, transfer: Transfer) -> None:
    stage = trust.stage
    await trust.sftp("northshire-extracts", f"get /receipts/{trust.name}.receipt.jws {trust.folder / 'receipt.jws'}")
    signed = (trust.folder / "receipt.jws").read_text()
    said = msgspec.json.decode(extract_compact(signed.encode()).payload)
    unchanged, complete = said["assurances"]["unchanged"], said["assurances"]["complete"]
    digest = hashlib.sha256(trust.content.encode()).hexdigest()
    stage.show(
        "It gets a receipt that it can show: encrypted, unchanged, complete, audited",
        did=f"sftp> get /receipts/{trust.name}.receipt.jws\nfiveways bulk receipt {transfer.id}",
        came=f"{len(signed)} characters, signed (JWS)",
        because="The four assurances of the book (B19–B22), each with what it rests on.",
        show={
            "encrypted": said["assurances"]["encrypted"]["transport"],
            "unchanged": {"sha256": unchanged["digests"]["sha256"], "agrees": unchanged["agrees"]},
            "complete": {key: complete[key] for key in ("recognised_by", "bytes", "records", "records_said")},
            "audited": [event["event"] for event in said["assurances"]["audited"]],
        },
        ok=unchanged["digests"]["sha256"] == digest and unchanged["agrees"] is True and complete["records"] == ROWS,
    )


async def _examined(trust: Trust, transfer: Transfer) -> None:
    stage, desk = trust.stage, trust.desk
    report = trust.folder / "report.html"
    report.write_bytes(await desk.reporting.report(transfer, "html"))
    found = msgspec.json.decode(await desk.reporting.report(transfer, "json"))
    aside = await desk.quarantine.aside(transfer, most=3)
    shown = [f"record {each.record}: {'; '.join(map(_said, each.breaches))}" for each in aside]
    stage.show(
        "The bad records are set aside, each with everything that is wrong with it",
        did=f"fiveways bulk report {transfer.id} --out {report.name}; fiveways bulk quarantine list {transfer.id}",
        came=f"{transfer.accepted:,} good, {transfer.set_aside:,} set aside; a report with pictures: {report}",
        because="No record was lost for another's sake, and no patient's data is in the report.",
        show=shown,
        ok=transfer.set_aside == trust.errors and transfer.accepted == ROWS - trust.errors and bool(found),
    )


async def _collected(trust: Trust, transfer: Transfer) -> None:
    stage = trust.stage
    warehouse = stage.folder / "warehouse"
    until = time.monotonic() + PATIENCE
    wanted = -(-transfer.accepted // 50_000)
    while len(parts := sorted(warehouse.glob(f"activity-{transfer.id}-*.csv"))) < wanted and time.monotonic() < until:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    await trust.sftp("commissioning", f"get /activity/{trust.name} {trust.folder / 'collected.csv'}")
    collected = (trust.folder / "collected.csv").read_text()
    joined = "".join(part.read_text().removeprefix(f"{HEADER}\n") for part in parts)
    stage.show(
        "The good ones go on: in batches to a warehouse, as one file to who collects it",
        did=f"ls warehouse/;  sftp> get /activity/{trust.name}  (as commissioning)",
        came=f"{len(parts)} batches of up to 50,000 records; {len(collected) / 1e6:.1f} MB collected",
        because="The same records in the same order, each once: a batch has a name of its own, and is never written twice (B10).",
        show=[f"{part.name}: {part.read_text().count(chr(10)) - 1:,} records" for part in parts],
        ok=len(parts) == wanted and f"{HEADER}\n{joined}" == collected and collected.count("\n") == transfer.accepted + 1,
    )


async def _mended(trust: Trust, transfer: Transfer) -> None:
    stage, desk, number = trust.stage, trust.desk, trust.mended.split(",")[1]
    aside = await desk.quarantine.aside(transfer, most=50)
    record = next(each.record for each in aside if any(breach.rule == "check-digit" for breach in each.breaches))
    agreement = desk.agreement(transfer.feed)
    now = await desk.found(transfer.id)
    await desk.quarantine.mend(now, agreement, record, {"nhs_number": number}, None, "the ward has looked at the wristband")
    done = await desk.quarantine.resubmit(now, agreement, "one that was mistyped")
    after = await desk.found(transfer.id)
    stage.show(
        "A person mends one, and sends it again",
        did=f"fiveways bulk quarantine mend {transfer.id} {record} --set nhs_number=… --reason …\n"
        f"fiveways bulk quarantine resubmit {transfer.id} --reason …",
        came=f"{done.released} released, {done.left:,} still aside: {after.accepted:,} + {after.set_aside:,} = {after.records:,}",
        because="It was checked by the same rules, against what was released already. Who did it, and why, is in the audit.",
        ok=done.released == 1 and after.accepted + after.set_aside == after.records and after.set_aside == trust.errors - 1,
    )


async def _replayed(trust: Trust) -> None:
    stage, again = trust.stage, f"again-{trust.name}"
    said = manifest(trust.folder, again, trust.content)
    await trust.sftp("northshire-extracts", f"put {trust.folder / trust.name} /activity/{again}", f"put {said} /activity/")
    transfer = await trust.judged(again)
    stage.show(
        "The same content comes again, under another name",
        did=f"sftp> put {trust.name} {again}",
        came=f"{transfer.state.value}: {'; '.join(transfer.reasons)}",
        because="It is known by its digest: nothing is released twice.",
        ok=transfer.state.value == "rejected" and "released before" in "".join(transfer.reasons),
    )


async def _timeline(trust: Trust, transfer: Transfer) -> None:
    stage = trust.stage
    await stage.settle()
    events = await trace(stage.platform.file, stage.folder / "data", transfer.correlation)
    kinds = [event.kind for event in events]
    stage.show(
        "All of it is one story in the audit",
        did=f"fiveways trace {transfer.correlation}",
        came=f"{len(events)} events",
        because="From the log-in to the mended record, under one correlation id. File names may say too much: they are not in it.",
        show=[_line(event) for event in events],
        ok=all(f"bulk.transfer.{each}" in kinds for each in ("receive", "release_part", "resubmit")) and "bulk.file.kept" in kinds,
    )


def _said(breach: Breach) -> str:
    return " ".join(part for part in (breach.column, breach.rule, breach.value or breach.note) if part)


def _line(event: AuditEvent) -> str:
    details, shown = event.details or {}, ("size", "records", "accepted", "set_aside", "released")
    return f"{event.kind:34}{', '.join(f'{key} {details[key]}' for key in shown if details.get(key))}"
