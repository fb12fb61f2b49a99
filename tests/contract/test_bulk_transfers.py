"""What senders say of their files: lies, contradictions and repeats come to a verdict, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from fiveways.clock import ManualClock
from fiveways.delivery.engine import Deliveries
from fiveways.delivery.queue import Delivery
from fiveways.ledger.audit import AuditLog
from fiveways.methods.bulk.agreement import LARGEST_MANIFEST, Agreements
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.files import Files, PartnerFiles
from fiveways.methods.bulk.receiving import Receiving
from fiveways.methods.bulk.releasing import Releasing
from fiveways.methods.bulk.service import Transfer, Transfers, new
from fiveways.methods.bulk.settings import FeedSettings, Quota
from fiveways.methods.bulk.states import State
from fiveways.methods.bulk.tree import Refused
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Arrived, Visit
from fiveways.methods.bulk.working import Working
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio
FEEDS: dict[str, dict[str, Any]] = {
    "listed": {"files": "*.csv", "complete_when": {"manifest": "*.json"}},
    "summed": {"files": "*.csv", "digest": {}},
    "marked": {"files": "*.csv", "complete_when": {"marker": "{name}.done"}, "within": "1h"},
}


class Estate:
    """Feeds over a store, without the workers that would do all by themselves: here it is done step by step."""

    def __init__(self, group: GroupWriter, audit: AuditLog, payloads: Path) -> None:
        self.clock = ManualClock()
        deliveries = Deliveries(group, open_payloads(f"file://{payloads}"), LocalBus(), self.clock, "north")
        self.agreements = agreements = Agreements(
            {name: FeedSettings.model_validate({"from": "north", **said}) for name, said in FEEDS.items()}
        )
        self.transfers = Transfers(deliveries, audit, self.clock)
        contents = Contents(group, deliveries.payloads, self.clock, None)
        self.receiving = Receiving(self.transfers, contents, lambda: agreements)
        files = Files(contents, audit, lambda name: "", self.receiving, Usage(group, self.clock.monotonic))
        self.tree: PartnerFiles = files.tree(Visit("north"), Quota(), [f"/{name}" for name in FEEDS])
        nobody: Any = None
        releasing = Releasing(
            self.transfers, contents, lambda: agreements, lambda feed: (), nobody, nobody, lambda feed: ()
        )  # fmt: skip
        self.working = Working(self.transfers, contents, lambda: agreements, nobody, releasing, lambda claims: "signed")
        self.group = group

    async def put(self, path: str, content: bytes) -> None:
        """A file is uploaded, and looked at."""
        writing = await self.tree.write(path, create=True, truncate=True, exclusive=False, append=False)
        for at in range(0, len(content), 2**20):
            waiting = writing.write(at, content[at : at + 2**20])
            if waiting is not None:
                await waiting
        await writing.keep()
        folder, _, name = path.rpartition("/")
        await self.look_at(Arrived("north", folder, name, writing.content, len(content), "c"))  # type: ignore[attr-defined]

    async def look_at(self, file: Arrived) -> None:
        """What the worker of arrivals does."""
        self.last = file
        body = msgspec.msgpack.encode((file.partner, file.folder, file.name, file.content, file.size, file.correlation))

        async def content() -> AsyncIterator[bytes]:
            yield body

        await self.receiving(Delivery("d", "q", "k", "t", "", len(body), "c", self.clock.now(), 1, content))

    async def work(self, transfer: Transfer) -> None:
        """What the worker of transfers does."""
        await self.working(Delivery(transfer.id, "q", "k", "t", "", 0, "c", self.clock.now(), 1, lambda: None))  # type: ignore[arg-type, return-value]

    async def all(self) -> list[tuple[str, str]]:
        """Every transfer's name and state, oldest first."""
        async with self.group.database.read() as connection:
            ids = [row[0] for row in await connection.execute(text("SELECT id FROM bulk_transfers ORDER BY id"))]
        found = [await self.transfers.find(id_) for id_ in ids]
        return [(each.name, str(each.state)) for each in found if each is not None]

    async def judged(self, feed: str, name: str) -> Transfer:
        """A transfer that is complete, once it was worked on."""
        async with self.group.database.read() as connection:
            asked = text("SELECT id FROM bulk_transfers WHERE feed = :feed AND name = :name ORDER BY id DESC LIMIT 1")
            id_ = (await connection.execute(asked, {"feed": feed, "name": name})).scalar_one()
        transfer = await self.transfers.find(id_)
        assert transfer is not None
        assert transfer.state is State.RECEIVED, transfer.state
        await self.work(transfer)
        after = await self.transfers.find(id_)
        assert after is not None
        return after


@pytest.fixture
async def estate(database: Database, group: GroupWriter, tmp_path: Path) -> AsyncIterator[Estate]:
    """Feeds."""
    audit = await AuditLog.open(database, group, tmp_path / "node", "north", database.clock)
    yield Estate(group, audit, tmp_path / "payloads")
    await audit.close()


def manifest(*files: dict[str, Any]) -> bytes:
    """A manifest."""
    return json.dumps({"files": files}).encode()


CONTENT = b"id\n1\n2\n"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"size": 8}, "8 are said"),
        ({"sha256": "0" * 64}, f"is {SHA}"),
        ({"blake3": "0" * 64}, "BLAKE3"),
        ({"records": 9}, "9 records are said"),
        ({"size": 7, "records": 2, "sha256": SHA}, ""),
    ],
    ids=["size", "sha256", "blake3", "records", "nothing"],
)
async def test_a_manifest_that_lies_rejects_its_file(estate: Estate, lie: dict[str, Any], reason: str) -> None:
    await estate.put("/listed/a.csv", CONTENT)
    await estate.put("/listed/m.json", manifest({"name": "a.csv", **lie}))
    transfer = await estate.judged("listed", "a.csv")
    assert transfer.state is (State.REJECTED if reason else State.RELEASED)
    assert reason in " ".join(transfer.reasons)
    assert len(transfer.reasons) == bool(reason)


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b'{"files": [{"name": "\xff.csv"}]}',
        b'{"files": [{"name": "a\\u0000.csv"}]}',
        b'{"files": [{"name": "\\ud800.csv"}]}',
        b"[" * 3_000_000,
        b'{"files": ' * 300_000,
        manifest({"name": "a.csv"}, {"name": "a.csv"}),
        manifest({"name": "../a.csv"}),
        b'{"files": [' + b",".join([b'{"name": "%d.csv"}' % number for number in range(200_000)]) + b"]}",
        b" " * (LARGEST_MANIFEST - 1) + b"x",
    ],
    ids=["cut", "not UTF-8", "NUL", "surrogate", "deep", "deep objects", "twice", "elsewhere", "too many", "spaces"],
)
async def test_a_manifest_that_cannot_be_read_is_rejected_at_once_and_the_next_one_is_read(estate: Estate, content: bytes) -> None:
    began = time.process_time()
    await estate.put("/listed/bad.json", content)
    assert time.process_time() - began < 3
    transfer = await estate.judged("listed", "bad.json")
    assert transfer.state is State.REJECTED
    assert "manifest" in transfer.reasons[0]
    assert len(await estate.all()) == 1, "nothing else is awaited"
    await estate.put("/listed/a.csv", CONTENT)
    await estate.put("/listed/good.json", manifest({"name": "a.csv"}))
    assert (await estate.judged("listed", "a.csv")).state is State.RELEASED


async def test_a_manifest_of_ten_megabytes_is_refused_while_it_is_uploaded(estate: Estate) -> None:
    with pytest.raises(Refused, match="agreed"):
        await estate.put("/listed/big.json", b" " * 10 * 2**20)
    assert await estate.all() == []


async def test_two_manifests_that_contradict_each_other_reject_the_file(estate: Estate) -> None:
    await estate.put("/listed/1.json", manifest({"name": "a.csv", "size": 7}))
    await estate.put("/listed/2.json", manifest({"name": "a.csv", "size": 8}))
    await estate.put("/listed/a.csv", CONTENT)
    transfer = await estate.judged("listed", "a.csv")
    assert (transfer.state, transfer.reasons) == (State.REJECTED, ["two things are said of its size"])


async def test_files_of_a_manifest_wait_for_each_other_and_for_nobody_else(estate: Estate) -> None:
    await estate.put("/listed/1.json", manifest({"name": "a.csv"}, {"name": "b.csv"}))
    await estate.put("/listed/2.json", manifest({"name": "c.csv"}))
    await estate.put("/listed/a.csv", CONTENT)
    await estate.put("/listed/c.csv", CONTENT + b"3\n")
    assert sorted(await estate.all()) == [("a.csv", "receiving"), ("b.csv", "announced"), ("c.csv", "received")]
    await estate.put("/listed/b.csv", CONTENT + b"4\n")
    assert {state for _, state in await estate.all()} == {"received"}


async def test_a_manifest_of_many_files_costs_no_more_than_it_lists(estate: Estate) -> None:
    files = [f"{number}.csv" for number in range(100)]
    await estate.put("/listed/m.json", manifest(*({"name": name} for name in files)))
    began = time.process_time()
    for number, name in enumerate(files):
        await estate.put(f"/listed/{name}", b"%d\n" % number)
    assert {state for _, state in await estate.all()} == {"received"}
    assert len(await estate.all()) == 100
    assert time.process_time() - began < 10, "a question for each pair of files would be ten times that"


@pytest.mark.parametrize(
    ("feed", "about"), [("listed", "m.json"), ("marked", "a.csv.done"), ("summed", "a.csv.sha256")], ids=lambda each: each
)
async def test_what_is_heard_again_as_somebody_has_died_announces_nothing(estate: Estate, feed: str, about: str) -> None:
    said = {"m.json": manifest({"name": "a.csv"}), "a.csv.done": b"", "a.csv.sha256": SHA.encode()}[about]
    await estate.put(f"/{feed}/a.csv", CONTENT)
    await estate.put(f"/{feed}/{about}", said)
    await estate.look_at(estate.last)  # its node died before it had said that it was done
    assert await estate.all() == [("a.csv", "received")]
    assert (await estate.judged(feed, "a.csv")).state is State.RELEASED
    await estate.look_at(estate.last)
    assert await estate.all() == [("a.csv", "released")]
    await estate.put(f"/{feed}/a.csv", CONTENT + b"3\n")
    assert ("a.csv", "received") not in await estate.all(), "what was said of the first file is not said of the second"


@pytest.mark.parametrize(("said", "state"), [(SHA, State.RELEASED), ("0" * 64, State.REJECTED)], ids=["true", "false"])
async def test_what_is_said_while_an_upload_begins_is_said_of_it(estate: Estate, said: str, state: State) -> None:
    announced = new("summed", "north", "/summed", "a.csv", "c", 0)
    writing = await estate.tree.write("/summed/a.csv", create=True, truncate=True, exclusive=False, append=False)
    while not await estate.all():  # it has found that nothing is said of its file,
        await asyncio.sleep(0.01)
    assert await estate.transfers.begin(announced, "announce")  # and now something is
    await estate.transfers.claim(announced, estate.agreements.by_feed["summed"].sidecar(said.encode(), "a.csv"))
    begun = next(each for each in await estate.transfers.all_coming("summed") if each.id != announced.id)
    if (waiting := writing.write(0, CONTENT)) is not None:
        await waiting
    await writing.keep()
    await estate.look_at(Arrived("north", "/summed", "a.csv", begun.content or "", len(CONTENT), "c"))
    assert sorted(await estate.all()) == [("a.csv", "expired"), ("a.csv", "received")]
    judged = await estate.transfers.find(begun.id)
    assert judged is not None
    await estate.work(judged)
    assert (await estate.transfers.find(begun.id) or judged).state is state


async def test_what_never_comes_expires_and_says_what_is_missing(estate: Estate) -> None:
    await estate.put("/marked/a.csv", CONTENT)
    await estate.put("/marked/b.csv.done", b"")
    estate.clock.advance(timedelta(minutes=59))
    await estate.receiving.look()
    assert await estate.all() == [("a.csv", "receiving"), ("b.csv", "announced")]
    estate.clock.advance(timedelta(minutes=2))
    await estate.receiving.look()
    assert await estate.all() == [("a.csv", "expired"), ("b.csv", "expired")]


async def test_a_replay_is_refused_whatever_its_name(estate: Estate) -> None:
    for name, state in (("a.csv", State.RELEASED), ("b.csv", State.REJECTED)):
        await estate.put(f"/summed/{name}", CONTENT)
        await estate.put(f"/summed/{name}.sha256", SHA.encode())
        assert (await estate.judged("summed", name)).state is state
