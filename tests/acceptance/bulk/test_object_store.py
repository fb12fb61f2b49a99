"""Bulk transfer with its payloads in S3, and S3 as a sink; and what happens when it fails, is slow, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from string import Template

import obstore
import pytest
from obstore.store import S3Store
from tests.acceptance.bulk.conftest import FEEDS, Estate, estate_of, started
from tests.acceptance.bulk.test_quality_control import FEEDS as QUALITY
from tests.acceptance.bulk.test_quality_control import test_good_records_go_on_and_bad_ones_are_mended as mends
from tests.acceptance.bulk.test_quality_control import test_too_many_bad_records_reject_the_file as rejects
from tests.acceptance.bulk.test_transfers import test_a_digest_beside_it_is_compared as compares
from tests.acceptance.bulk.test_transfers import test_a_file_is_released_to_who_collects_it_and_its_receipt_to_who_sent_it as goes
from tests.acceptance.bulk.test_transfers import test_the_files_of_a_manifest_are_complete_together as lists
from tests.acceptance.conftest import Backend, Serve
from tests.contract.test_bulk_files import Nobody
from tests.seaweed import ENVIRONMENT, Seaweed, seaweed, slow_line

from fiveways.clock import ManualClock, SystemClock
from fiveways.delivery.queue import Delivery, GiveUp
from fiveways.ledger.audit import AuditLog
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.files import Files, PartnerFiles
from fiveways.methods.bulk.settings import Quota
from fiveways.methods.bulk.sinks.object_store import ObjectSink
from fiveways.methods.bulk.sinks.sink import Piece
from fiveways.methods.bulk.tree import Broken, Writing
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Visit
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.migrate import migrate
from fiveways.store.payloads import open_payloads

MORE = """
  sunk: {from: northshire, folder: /sunk, files: "*.csv", deliver_to: [{s3: "$sink"}]}
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[Seaweed]:
    """An object store."""
    with seaweed() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        yield server


@pytest.fixture(scope="module")
def estate(serve: Serve, s3: Seaweed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The platform, all of whose payloads are in S3."""
    folder, backend = tmp_path_factory.mktemp("partners"), Backend()
    feeds = Template(FEEDS + QUALITY + MORE).substitute(backend=backend.url, sink=s3.url("sink"))
    context, sftp, names = estate_of(serve, feeds, folder, f"store: {{payloads: '{s3.url('payloads')}'}}")
    with context as served:
        served.environment.update(ENVIRONMENT)
        yield started(served, folder, sftp, names, backend)
    backend.go()


def objects(s3: Seaweed, prefix: str) -> dict[str, int]:
    """What is under a prefix, and its sizes."""
    store = S3Store(
        "fiveways", prefix=prefix, region="us-east-1", endpoint=f"http://127.0.0.1:{s3.port}", virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )  # fmt: skip
    return {each["path"]: each["size"] for batch in obstore.list(store) for each in batch}


# --- as over a folder ------------------------------------------------------------------------------------------------------


def test_files_go_from_who_sends_them_to_who_collects_them(estate: Estate) -> None:
    goes(estate)


def test_an_upload_that_was_cut_is_gone_on_with(estate: Estate, s3: Seaweed) -> None:
    content = os.urandom(9_000_000)
    whole, got = estate.file("whole.bin", content), estate.folder / "got.bin"
    estate.north.sftp(f"put {whole} /private/whole.bin", f"get /private/whole.bin {got}")
    assert got.read_bytes() == content
    got.write_bytes(content[:5_000_000])
    estate.north.sftp(f"reget /private/whole.bin {got}")
    assert got.read_bytes() == content
    assert [size for size in objects(s3, "payloads").values() if size > 9_000_000], "it is where it was to be, and encrypted"


@pytest.mark.long
def test_digests_manifests_and_quality_control(estate: Estate) -> None:
    compares(estate)
    lists(estate)
    mends(estate)
    rejects(estate)


def test_a_sink_in_s3_gets_each_file_once(estate: Estate, s3: Seaweed) -> None:
    file = estate.file("sunk.csv", "id\n1\n")
    estate.north.sftp(f"put {file} /sunk/sunk.csv")
    transfer = estate.ended("sunk", "sunk.csv", "collected")
    assert objects(s3, "sink") == {f"sunk-{transfer['id']}.csv": 5}


@pytest.mark.anyio
@pytest.mark.parametrize("size", [5, 9 * 2**20], ids=["one request", "in parts"])
async def test_a_piece_that_is_there_is_no_error_and_another_in_its_place_is(s3: Seaweed, size: int) -> None:
    sink, content = ObjectSink(s3.url("pieces")), os.urandom(size)

    def reading(body: bytes) -> AsyncIterator[bytes]:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 2**20):
                yield body[at : at + 2**20]

        return pieces()

    piece = Piece("1", "f", "t", "c", 1, f"piece-{size}", 1, size, "text/csv", lambda: reading(content))
    delivery: Delivery = None  # type: ignore[assignment]  # a bucket does not look at it
    assert [await sink(piece, delivery) for _ in range(2)] == ["created", "it was there"]
    other = replace(piece, read=lambda: reading(bytes(reversed(content))))
    with pytest.raises(GiveUp, match="another object"):
        await sink(other, delivery)
    assert objects(s3, "pieces")[piece.name] == size


# --- when it fails ---------------------------------------------------------------------------------------------------------


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database."""
    database = Database.open(f"sqlite:///{tmp_path / 'fiveways.db'}", SystemClock())
    await migrate(database)
    yield database
    await database.close()


@contextlib.asynccontextmanager
async def tree_over(database: Database, folder: Path, url: str) -> AsyncIterator[PartnerFiles]:
    """A partner's files over a store."""
    group, clock = GroupWriter(database), ManualClock()
    audit = await AuditLog.open(database, group, folder / "node", folder.name, database.clock)
    payloads = open_payloads(url)
    files = Files(
        Contents(group, payloads, clock, None), audit, lambda name: "", Nobody(), Usage(group, clock.monotonic)
    )  # fmt: skip
    yield files.tree(Visit("northshire"), Quota())
    await audit.close()
    await group.close()
    await payloads.close()


async def put(tree: PartnerFiles, path: str, content: bytes, *, resume: bool = False) -> None:
    """Upload a file, or go on with it, in pieces as OpenSSH's client has them."""
    start = (await tree.stat(path)).size if resume else 0
    writing = await tree.write(path, create=True, truncate=not resume, exclusive=False, append=False)
    try:
        for at in range(start, len(content), 261_120):
            waiting = writing.write(at, content[at : at + 261_120])
            if waiting is not None:
                await waiting
    except BaseException:
        await writing.abandon()
        raise
    await writing.keep()


async def get(tree: PartnerFiles, path: str) -> bytes:
    """Download a file."""
    reading, found, at = await tree.read(path), [], 0
    while True:
        data = reading.read(at, 261_120)
        piece = data if isinstance(data, bytes) else await data
        if not piece:
            break
        found.append(piece)
        at += len(piece)
    await reading.close()
    return b"".join(found)


async def names(tree: PartnerFiles) -> dict[str, tuple[int, bool]]:
    """What is there: sizes, and whether it may only be gone on with."""
    return {entry.name: (entry.size, entry.partial) async for some in tree.list("/") for entry in some}


async def written_while(s3: Seaweed, writing: Writing, content: bytes, when: str) -> None:
    """Upload, and close; the store dies meanwhile."""
    try:
        for at in range(0, len(content), 2**20):
            if at == 140 * 2**20 and when == "while it is uploaded":
                s3.kill()
            waiting = writing.write(at, content[at : at + 2**20])
            if waiting is not None:
                await waiting
            await asyncio.sleep(0)
    except Broken:
        await writing.abandon()  # as the SFTP server does
        raise
    if when == "before it is closed":
        s3.kill()
    await writing.keep()


@pytest.mark.anyio
@pytest.mark.long
@pytest.mark.parametrize("when", ["before it is closed", "while it is uploaded"])
async def test_an_upload_survives_the_death_of_the_store(s3: Seaweed, database: Database, tmp_path: Path, when: str) -> None:
    content = os.urandom(150 * 2**20)
    async with tree_over(database, tmp_path, s3.url(f"killed-{len(when)}")) as tree:
        await put(tree, "/before", content[:1_000_000])
        writing = await tree.write("/a", create=True, truncate=True, exclusive=False, append=False)
        try:
            with pytest.raises(Broken):
                await written_while(s3, writing, content, when)
            assert (await names(tree))["before"] == (1_000_000, False)
            with pytest.raises(Broken):
                await get(tree, "/before")
        finally:
            s3.come_back()
        found = await names(tree)
        assert found["a"][1], "it has not appeared"
        assert found["a"][0] >= 2**26, "what was durable of it need not come again"
        assert await get(tree, "/before") == content[:1_000_000]
        await put(tree, "/a", content, resume=True)
        assert hashlib.sha256(await get(tree, "/a")).digest() == hashlib.sha256(content).digest()


@pytest.mark.long
def test_a_platform_whose_store_dies_loses_nothing_and_releases_nothing_twice(estate: Estate, s3: Seaweed) -> None:
    big = estate.file("died.csv", "id,value\n" + "".join(f"{number},{'x' * 90}\n" for number in range(60_000)))
    s3.kill()
    try:
        assert estate.north.run_sftp(f"put {big} /plain/died.csv").returncode, "what is not durable is not acknowledged"
        small = estate.file("small.csv", "id,value\n1,small\n")
        estate.north.sftp(f"put {small} /plain/small.csv")  # it is kept in its row
        estate.ended("plain", "small.csv", "released")
    finally:
        s3.come_back()
    estate.north.sftp(f"put {big} /plain/died.csv")
    transfer = estate.ended("plain", "died.csv", "released")
    got = estate.folder / "died-got.csv"
    estate.south.sftp(f"get /plain/died.csv {got}")
    assert got.read_bytes() == big.read_bytes()
    found = [each for each in estate.transfers("plain") if each["name"] == "died.csv" and each["blake3"]]
    assert [each["id"] for each in found] == [transfer["id"]]


# --- when it is slow -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.long
async def test_five_milliseconds_a_request_cost_no_more_than_half_of_the_speed(
    s3: Seaweed, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = os.urandom(128 * 2**20)
    speeds: dict[str, list[tuple[float, float]]] = {"local": [], "slow": []}
    async with slow_line(s3.port, 0) as near, slow_line(s3.port, 0.005) as far:
        for turn in range(3):
            for name, port in (("local", near), ("slow", far)):
                async with tree_over(database, tmp_path / f"{name}{turn}", s3.url(f"{name}-{turn}", port)) as tree:
                    began = time.perf_counter()
                    await put(tree, f"/{name}-{turn}", content)
                    up = time.perf_counter() - began
                    began = time.perf_counter()
                    assert len(await get(tree, f"/{name}-{turn}")) == len(content)
                    speeds[name].append((128 / up, 128 / (time.perf_counter() - began)))
    best = {name: [max(turn[way] for turn in turns) for way in (0, 1)] for name, turns in speeds.items()}
    with capsys.disabled():
        print({name: [f"{mib:.0f} MiB/s" for mib in both] for name, both in best.items()})
    await asyncio.sleep(0)
    assert best["slow"][0] >= best["local"][0] / 2
    assert best["slow"][1] >= best["local"][1] / 2
