"""What loses its name is forgotten soon, where nobody needs it; over PostgreSQL, where other nodes may be reading, never so."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, text
from tests.contract.test_bulk_files import BIG, Nobody, get, put

from fiveways.clock import SystemClock
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.records import delivery_queue
from fiveways.errors import StoreError
from fiveways.ledger.audit import AuditLog
from fiveways.methods.bulk.agreement import Agreements
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.file_records import add_name
from fiveways.methods.bulk.files import Files, PartnerFiles
from fiveways.methods.bulk.receiving import Receiving
from fiveways.methods.bulk.service import Transfers
from fiveways.methods.bulk.settings import FeedSettings, Quota
from fiveways.methods.bulk.tree import Reading
from fiveways.methods.bulk.unnamed import Unnamed
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Visit, Watch
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio
SOON = 0.05
OTHER = os.urandom(len(BIG))


@pytest.fixture
async def make(
    group: GroupWriter, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., PartnerFiles]]:
    """Makes a partner's files, of which some may be a feed's."""
    monkeypatch.setattr("fiveways.methods.bulk.unnamed.AFTER", SOON)
    clock = SystemClock()
    audit = await AuditLog.open(database, group, tmp_path / "node", "north", clock)

    def made(feeds: dict[str, Any] | None = None, *, alone: bool = True) -> PartnerFiles:
        deliveries = Deliveries(group, open_payloads(f"file://{tmp_path / 'payloads'}"), LocalBus(), clock, "north")
        contents = Contents(group, deliveries.payloads, clock, None)
        said = {name: FeedSettings.model_validate({"from": "north", **each}) for name, each in (feeds or {}).items()}
        agreements = Agreements(said)
        receiving = Receiving(Transfers(deliveries, audit, clock), contents, lambda: agreements)
        watch: Watch = receiving if feeds else Nobody()
        files = Files(
            contents, audit, lambda name: "", watch, Usage(group, clock.monotonic), Unnamed(contents, alone=alone)
        )  # fmt: skip
        return files.tree(Visit("north"), Quota(), [f"/{name}" for name in feeds or {}])

    yield made
    await audit.close()


@pytest.fixture
def prompt(database: Database) -> bool:
    """Whether anything is to be forgotten at once."""
    return database.kind == "sqlite"


async def kept(tree: PartnerFiles, tmp_path: Path) -> int:
    """How many large contents there are, in rows and on the disk."""
    async with tree._group.database.read() as connection:
        blocks = (await connection.execute(text("SELECT content, payload FROM bulk_blocks"))).all()
        contents = (await connection.execute(text("SELECT id FROM bulk_contents WHERE body IS NULL AND kept = 1"))).scalars().all()
    assert {block.payload for block in blocks} == {path.name for path in (tmp_path / "payloads").rglob("*") if path.is_file()}
    assert {block.content for block in blocks} == set(contents)
    return len(contents)


async def settled(tree: PartnerFiles) -> None:
    """Wait until what is to be forgotten is."""
    await asyncio.sleep(4 * SOON)
    unnamed = tree._files.unnamed
    assert unnamed is not None
    await asyncio.gather(*unnamed._forgetting)


async def read_on(reading: Reading, start: int) -> bytes:
    """The rest of a file that is open."""
    found = b""
    while True:
        data = reading.read(start + len(found), 100_000)
        piece = data if isinstance(data, bytes) else await data
        if not piece:
            return found
        found += piece


async def test_what_a_newer_upload_replaces_is_gone_soon_after(
    make: Callable[..., PartnerFiles], tmp_path: Path, prompt: bool
) -> None:
    tree = make()
    for content in (BIG, OTHER, BIG):
        await put(tree, "/a", content)
    await settled(tree)
    assert await kept(tree, tmp_path) == (1 if prompt else 3)
    assert await get(tree, "/a") == BIG
    await tree.remove("/a")
    await settled(tree)
    assert await kept(tree, tmp_path) == (0 if prompt else 3)


async def test_what_a_file_that_is_renamed_replaces_goes_and_the_file_itself_stays(
    make: Callable[..., PartnerFiles], tmp_path: Path, prompt: bool
) -> None:
    tree = make()
    await put(tree, "/a", BIG)
    await put(tree, "/a.part", OTHER)
    await tree.rename("/a.part", "/a", replace=True)
    await settled(tree)
    assert await kept(tree, tmp_path) == (1 if prompt else 2)
    assert await get(tree, "/a") == OTHER
    await put(tree, "/b", BIG)
    await tree.rename("/b", "/c", replace=False)
    await put(tree, "/b", OTHER)
    await settled(tree)
    assert await get(tree, "/c") == BIG


async def test_who_has_it_open_reads_it_to_its_end_and_then_it_is_gone(
    make: Callable[..., PartnerFiles], tmp_path: Path, prompt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiveways.methods.bulk.uploads.BLOCK", 300_000)
    tree = make()
    await put(tree, "/a", BIG)
    first, second = await tree.read("/a"), await tree.read("/a")
    begun = first.read(0, 1000)
    begun = begun if isinstance(begun, bytes) else await begun
    await put(tree, "/a", OTHER)
    await settled(tree)
    assert await kept(tree, tmp_path) == 2
    await second.close()
    await second.close()
    await settled(tree)
    assert begun + await read_on(first, len(begun)) == BIG, "blocks that it had not opened are there too"
    await first.close()
    await settled(tree)
    assert await kept(tree, tmp_path) == (1 if prompt else 2)
    assert await get(tree, "/a") == OTHER


async def test_the_purge_too_leaves_what_somebody_reads(make: Callable[..., PartnerFiles]) -> None:
    tree = make()
    await put(tree, "/a", BIG)
    reading = await tree.read("/a")
    content = str((await tree._names.find("/a") or ())[3])
    assert not await tree._contents.forget(content)
    assert await read_on(reading, 0) == BIG
    await reading.close()
    assert await tree._contents.forget(content)


async def test_a_name_that_is_given_to_the_same_content_elsewhere_keeps_it(
    make: Callable[..., PartnerFiles], tmp_path: Path
) -> None:
    tree = make()
    await put(tree, "/a", BIG)
    row = await tree._names.find("/a")
    assert row is not None
    other = tree._files.tree(Visit("south"), Quota())
    await other._names.do(add_name, other._names.row("", "b", row[3], len(BIG)))
    await tree.remove("/a")
    await settled(tree)
    assert await get(other, "/b") == BIG


async def test_what_was_broken_off_and_may_be_gone_on_with_just_now_stays(
    make: Callable[..., PartnerFiles], tmp_path: Path
) -> None:
    tree = make()
    await put(tree, "/a", BIG[:1_000_000], keep=False)
    resumed = await tree.write("/a", create=True, truncate=False, exclusive=False, append=True)
    await put(tree, "/a", OTHER)
    await settled(tree)
    waiting = resumed.write(1_000_000, BIG[1_000_000:])
    if waiting is not None:
        await waiting
    await resumed.keep()
    assert await get(tree, "/a") == BIG


FEEDS = {"feed": {"files": "*.csv", "complete_when": {"manifest": "*.json"}}}


async def test_a_file_of_a_feed_stays(make: Callable[..., PartnerFiles], tmp_path: Path) -> None:
    tree = make(FEEDS)
    for content in (BIG, OTHER):
        await put(tree, "/feed/a.csv", content)
        await settled(tree)
        await tree._group.submit(delete(delivery_queue), {})  # it was looked at, and is a transfer
    await tree.remove("/feed/a.csv")
    await settled(tree)
    assert await kept(tree, tmp_path) == 2


async def test_a_file_that_was_given_to_a_feed_and_not_looked_at_stays_wherever_it_goes(
    make: Callable[..., PartnerFiles], tmp_path: Path, prompt: bool
) -> None:
    tree = make(FEEDS)
    for path in ("/one", "/other"):
        await put(tree, path, BIG)
    await tree.rename("/one", "/feed/a.csv", replace=False)
    await tree.rename("/feed/a.csv", "/one", replace=False)
    for path in ("/one", "/other"):
        await tree.remove(path)
    await settled(tree)
    assert await kept(tree, tmp_path) == (1 if prompt else 2)


async def test_where_another_process_may_be_reading_nothing_goes(make: Callable[..., PartnerFiles], tmp_path: Path) -> None:
    tree = make(alone=False)
    for content in (BIG, OTHER):
        await put(tree, "/a", content)
    await settled(tree)
    assert await kept(tree, tmp_path) == 2


async def test_a_store_that_fails_over_it_is_nobody_s_concern(
    make: Callable[..., PartnerFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make()

    async def fail(*_: object) -> None:
        raise StoreError("the payload folder failed: Input/output error")

    monkeypatch.setattr("fiveways.store.payloads_folder.FolderPayloads.delete", fail)
    for content in (BIG, OTHER):
        await put(tree, "/a", content)
    await settled(tree)
    assert await get(tree, "/a") == OTHER
    assert await kept(tree, tmp_path) == 2, "the purge finds it"
