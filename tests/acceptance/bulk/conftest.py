"""Partners with OpenSSH's own client, and the platform that they send files to."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import msgspec
import pytest
from tests.acceptance.conftest import Backend, Serve, Served, free_port

DEPLOYMENT = """
$store
listeners:
  main: {http: "127.0.0.1:$main"}
  files: {sftp: "127.0.0.1:$sftp"}
organisations: {RXN: {name: Northshire}, RXS: {name: Southshire}}
outbound: {allow: ["127.0.0.1"], networks: ["127.0.0.1/32"], plain_http: true}
mailboxes:
  RXN-OUT: {organisation: RXN, password: env:PASSWORD}
  RXS-IN: {organisation: RXS, password: env:PASSWORD}
workflows: {EXTRACT: {from: [RXN-OUT], to: [RXS-IN]}}
messaging: {shared_key: env:PASSWORD}
bulk: {at_rest: {key: env:FILES_KEY}}
partners:
  northshire: {organisation: RXN, access: {keys: ["file:northshire.pub"]}, folders: [/private]}
  southshire: {organisation: RXS, access: {keys: ["file:southshire.pub"]}}
feeds:
$feeds
"""


_TRANSFERS = """
SELECT t.*, e.state FROM bulk_transfers t JOIN bulk_transfer_events e ON e.transfer = t.id
WHERE ($1 = '' OR t.feed = $1) AND e.number = (SELECT max(number) FROM bulk_transfer_events WHERE transfer = t.id)
ORDER BY t.at DESC, t.id DESC
"""


@dataclass
class Partner:
    """A partner, with its key and a client."""

    name: str
    key: Path
    port: int

    def options(self) -> list[str]:
        """What OpenSSH's clients are told."""
        return [
            "-i", str(self.key), "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "BatchMode=yes",
        ]  # fmt: skip

    def sftp(self, *commands: str, check: bool = True, seconds: float = 60) -> str:
        """Have OpenSSH's sftp do this; what it said."""
        done = self.run_sftp(*commands, seconds=seconds)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def run_sftp(self, *commands: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        """The same, and how it ended: with 0 where all was done."""
        return subprocess.run(
            ["sftp", *self.options(), "-P", str(self.port), "-b", "-", f"{self.name}@127.0.0.1"],
            input="\n".join(commands), capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip


@dataclass
class Estate:
    """The platform, its partners, and a folder of theirs."""

    served: Served
    folder: Path
    partners: dict[str, Partner] = field(default_factory=dict)
    backend: Backend | None = None
    database: str = ""
    """The URL of its PostgreSQL; '' where it has SQLite, in its data folder."""

    @property
    def north(self) -> Partner:
        """The one that sends."""
        return self.partners["northshire"]

    @property
    def south(self) -> Partner:
        """The one that collects."""
        return self.partners["southshire"]

    def file(self, name: str, content: bytes | str) -> Path:
        """A file of a partner's."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def bulk(self, *command: str, check: bool = True) -> str:
        """A command of `fiveways bulk`; what it said."""
        done = self.served.run("bulk", *command)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def transfers(self, feed: str = "") -> list[dict[str, Any]]:
        """What there is, newest first, as the store has it."""
        rows = self.ask(_TRANSFERS, feed)
        return [{**row, "reasons": msgspec.msgpack.decode(row["reasons"]) if row["reasons"] else []} for row in rows]

    def undelivered(self, transfer: str) -> int:
        """How many of a transfer's batches are still to be brought to sinks."""
        asked = "SELECT count(*) AS undelivered FROM bulk_batches WHERE transfer = $1 AND delivered = 0"
        return int(self.ask(asked, transfer)[0]["undelivered"])

    def ask(self, question: str, *values: object) -> list[dict[str, Any]]:
        """The rows that answer a question, whose parameters are `$1` and so on."""
        if self.database:
            return asyncio.run(_asked(self.database, question, values))
        database = sqlite3.connect(f"file:{self.served.data / 'fiveways.db'}?mode=ro", uri=True)
        try:
            database.row_factory = sqlite3.Row
            named = {str(number): value for number, value in enumerate(values, 1)}
            return [dict(row) for row in database.execute(question, named)]
        finally:
            database.close()

    def payloads(self) -> set[str]:
        """The large contents, or their blocks, that are in the payload folder."""
        return {path.name for path in (self.served.data / "payloads").rglob("*") if path.is_file()}

    def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.served.log[-3000:]
            time.sleep(0.05)

    def ended(self, feed: str, name: str, *states: str, seconds: float = 30) -> dict[str, Any]:
        """The newest transfer of a name, once it is in one of these states."""
        wanted = states or ("released", "part-released", "rejected", "collected", "expired")
        until = time.monotonic() + seconds
        while True:
            found = [each for each in self.transfers(feed) if each["name"] == name]
            if found and found[0]["state"] in wanted:
                return found[0]
            assert time.monotonic() < until, (found, self.served.log[-3000:])
            time.sleep(0.05)


async def _asked(database: str, question: str, values: Sequence[object]) -> list[dict[str, Any]]:
    connection = await asyncpg.connect(database)
    try:
        return [dict(row) for row in await connection.fetch(question, *values)]
    finally:
        await connection.close()


def make_key(path: Path) -> None:
    """A key of a partner's."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def estate_of(serve: Serve, feeds: str, folder: Path, store: str = "", backend: Backend | None = None) -> Any:
    """A context in which the platform serves these feeds."""
    sftp = free_port()
    names = ("northshire", "southshire")
    for name in names:
        if not (folder / name).exists():
            make_key(folder / name)
    said = {"store": store, "main": str(free_port()), "sftp": str(sftp), "feeds": feeds}
    environment = {"PASSWORD": "a-password-of-the-tests", "FILES_KEY": "6b" * 32}
    return serve(Template(DEPLOYMENT).substitute(said), http="", environment=environment, started=False), sftp, names


def started(served: Served, folder: Path, sftp: int, names: tuple[str, ...], backend: Backend | None = None) -> Estate:
    """The platform, started, with its partners."""
    for name in names:
        (served.folder / f"{name}.pub").write_bytes((folder / f"{name}.pub").read_bytes())
    served.start()
    return Estate(served, folder, {name: Partner(name, folder / name, sftp) for name in names}, backend)


FEEDS = """
  plain: {from: northshire, folder: /plain, files: "*.csv", to: [{partner: southshire}], receipt: {folder: /receipts}}
  marked: {from: northshire, folder: /marked, files: "*.csv", complete_when: {marker: "{name}.done"}}
  summed: {from: northshire, folder: /summed, files: "*.csv", digest: {by: sidecar}, deliver_to: [{folder: out/summed}]}
  listed:
    from: northshire
    folder: /listed
    files: "*.csv"
    complete_when: {manifest: "*.manifest.json"}
    digest: {by: manifest}
    deliver_to: [{http: "$backend/taken"}, {mailbox: {from: RXN-OUT, to: RXS-IN, workflow: EXTRACT}}]
  ended: {from: northshire, folder: /ended, files: "*.csv", complete_when: {trailer: 'TRL,(?P<records>\\d+)'}, repeats: accept}
  still: {from: northshire, folder: /still, files: "*.csv", complete_when: {still_for: 1s}}
  numbered: {from: northshire, folder: /numbered, files: "*.csv", sequence: 'N(?P<sequence>\\d+)'}
  awaited: {from: northshire, folder: /awaited, files: "*.csv", schedule: {every: 10s, early: 30s}}
  brief: {from: northshire, folder: /brief, files: "*.csv", complete_when: {marker: "{name}.done"}, within: 1s}
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Backend]:
    """Where batches are posted."""
    backend = Backend()
    yield backend
    backend.go()


@pytest.fixture(scope="module")
def estate(serve: Serve, receiver: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The platform, with a feed for each way in which a file is known to be complete."""
    folder = tmp_path_factory.mktemp("partners")
    context, sftp, names = estate_of(serve, Template(FEEDS).substitute(backend=receiver.url), folder)
    with context as served:
        yield started(served, folder, sftp, names, receiver)
