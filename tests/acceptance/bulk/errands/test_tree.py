"""Errands with a partner's files here as they are kept: rows and payloads, encrypted."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.acceptance.bulk.errands.partner import Partner

from fiveways.clock import SystemClock
from fiveways.delivery.engine import Deliveries
from fiveways.ledger.audit import AuditLog
from fiveways.methods.bulk.at_rest import Wrapping
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.errands import Errands
from fiveways.methods.bulk.errands.settings import Errand
from fiveways.methods.bulk.files import Files, PartnerFiles
from fiveways.methods.bulk.settings import Quota
from fiveways.methods.bulk.uploads import Steps
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Arrived, Visit
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio
LARGE = os.urandom(12 * 2**20 + 7)


class Watch:
    """Hears of what arrives."""

    def __init__(self) -> None:
        self.arrivals: list[str] = []

    def largest(self, partner: str, folder: str, name: str) -> int | None:
        return None

    def begins(self, file: Arrived) -> None:
        """An upload begins."""

    async def arrives(self, file: Arrived) -> Steps:
        return []

    def arrived(self, file: Arrived) -> None:
        self.arrivals.append(f"{file.folder}/{file.name}")

    async def taken(self, transfer: str, visit: Visit) -> None:
        """Something released was read."""


@pytest.fixture
def watch() -> Watch:
    """Who hears of what arrives."""
    return Watch()


@pytest.fixture
async def tree(group: GroupWriter, deliveries: Deliveries, watch: Watch, tmp_path: Path) -> AsyncIterator[PartnerFiles]:
    """A partner's files."""
    audit = await AuditLog.open(group.database, group, tmp_path / "node", "north", SystemClock())
    contents = Contents(group, deliveries.payloads, SystemClock(), Wrapping([b"k" * 32]))
    files = Files(contents, audit, lambda name: name.hex()[:8], watch, Usage(group, SystemClock().monotonic))
    yield files.tree(Visit("rxn"), Quota(bytes=100_000_000, files=100), ["/inbox", "/outbox"])
    await audit.close()


@pytest.fixture
def make(partner: Partner, tree: PartnerFiles, book: Book, deliveries: Deliveries) -> Callable[..., Errands]:
    """Makes errands."""

    def made(do: str, **settings: Any) -> Errands:
        where = (
            {"from": "/outbox", "to": "/in"}
            if do == "push"
            else {"from": "/out", "to": "/inbox", "complete_when": {"still_for": "0s"}}
        )
        errand = TypeAdapter[Any](Errand).validate_python({"do": do, "partner": "rxn", **where, **settings})
        return Errands(
            {"errand": errand}, lambda name: partner.server, lambda name, secured: tree, book, deliveries, SystemClock(),
            partner.base, rest=0.01,
        )  # fmt: skip

    return made


async def put(tree: PartnerFiles, path: str, content: bytes, *, keep: bool = True) -> None:
    """Upload a file."""
    writing = await tree.write(path, create=True, truncate=True, exclusive=False, append=False)
    for at in range(0, len(content), 2**18):
        waiting = writing.write(at, content[at : at + 2**18])
        if waiting is not None:
            await waiting
    await (writing.keep() if keep else writing.abandon())


async def get(tree: PartnerFiles, path: str) -> bytes:
    """Read a file."""
    reading = await tree.read(path)
    content = b""
    while True:
        said = reading.read(len(content), 2**18)
        piece = said if isinstance(said, bytes) else await said
        if not piece:
            break
        content += piece
    await reading.close()
    return content


async def listed(tree: PartnerFiles, folder: str) -> list[str]:
    """The names in a folder."""
    return [entry.name async for page in tree.list(folder) for entry in page]


async def test_what_is_fetched_arrives_once_it_is_whole(
    partner: Partner, tree: PartnerFiles, watch: Watch, make: Callable[..., Errands]
) -> None:
    partner.put("out/a.bin", LARGE)
    partner.put("out/b.csv", b"small")
    partner.put("out/c.csv", b"")
    reads = [0]

    def cut(partner: Partner, asked: str) -> None:
        reads[0] += asked.startswith("read")
        if reads[0] == 30:
            partner.on = None
            partner.cut()

    partner.on = cut
    report = await make("pull", after="remove").run("errand")
    assert sorted(each.path for each in report.moved) == ["/out/a.bin", "/out/b.csv", "/out/c.csv"]
    assert {name: await get(tree, f"/inbox/{name}") for name in await listed(tree, "/inbox")} == {
        "a.bin": LARGE, "b.csv": b"small", "c.csv": b"",
    }  # fmt: skip
    assert [name for name in watch.arrivals if not name.endswith(".part")] == ["/inbox/a.bin", "/inbox/b.csv", "/inbox/c.csv"]
    assert partner.files("out") == {}
    asked = [asked for asked in partner.asked if asked.startswith(("open", "read"))]
    again = [int(each.split()[1]) for each, before in zip(asked[1:], asked, strict=False) if before.startswith("open")]
    assert any(begun > 0 for begun in again), "it went on where it was"


async def test_what_is_brought_is_removed_here(partner: Partner, tree: PartnerFiles, make: Callable[..., Errands]) -> None:
    await put(tree, "/outbox/a.bin", LARGE)
    await put(tree, "/outbox/b.csv", b"small")
    report = await make("push", after="remove").run("errand")
    assert len(report.moved) == 2
    assert partner.files("in") == {"a.bin": LARGE, "b.csv": b"small"}
    assert await listed(tree, "/outbox") == []


async def test_an_upload_that_was_broken_off_is_not_brought(
    partner: Partner, tree: PartnerFiles, make: Callable[..., Errands]
) -> None:
    await put(tree, "/outbox/a.csv", b"half of it", keep=False)
    assert (await make("push").run("errand")).moved == []
    assert partner.files("in") == {}
