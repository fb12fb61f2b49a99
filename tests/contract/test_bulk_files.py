"""Partners' files, on both stores: whole or not at all, gone on with after a cut, encrypted where that is asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from fiveways.clock import ManualClock
from fiveways.errors import StoreError
from fiveways.ledger.audit import AuditLog
from fiveways.methods.bulk import uploads
from fiveways.methods.bulk.at_rest import Wrapping
from fiveways.methods.bulk.contents import Contents
from fiveways.methods.bulk.file_records import add_name
from fiveways.methods.bulk.files import Files, PartnerFiles
from fiveways.methods.bulk.settings import Quota
from fiveways.methods.bulk.tree import Broken, Full, Refused
from fiveways.methods.bulk.uploads import Steps
from fiveways.methods.bulk.usage import Usage
from fiveways.methods.bulk.watch import Arrived, Visit
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import Payloads, open_payloads

pytestmark = pytest.mark.anyio
BIG = os.urandom(1_500_000)


class Nobody:
    """Watches, and does nothing."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def largest(self, partner: str, folder: str, name: str) -> int | None:
        return 2_000_000 if name == "limited" else None

    def begins(self, file: Arrived) -> None:
        self.seen.append(("begins", file.name))

    async def arrives(self, file: Arrived) -> Steps:
        self.seen.append(("arrives", file.name))
        return []

    def arrived(self, file: Arrived) -> None:
        self.seen.append(("arrived", file.name))

    async def taken(self, transfer: str, visit: Visit) -> None:
        self.seen.append(("taken", transfer))


@pytest.fixture
def watch() -> Nobody:
    """Who is told."""
    return Nobody()


@pytest.fixture(params=["plain", "encrypted"])
def wrapping(request: pytest.FixtureRequest) -> Wrapping | None:
    """Whether files are encrypted."""
    return Wrapping([b"k" * 32]) if request.param == "encrypted" else None


@pytest.fixture
async def audit(database: Database, group: GroupWriter, tmp_path: Path) -> AsyncIterator[AuditLog]:
    """The audit."""
    log = await AuditLog.open(database, group, tmp_path / "node", "north", database.clock)
    yield log
    await log.close()


@pytest.fixture
def payloads(tmp_path: Path) -> Payloads:
    """A folder of payloads."""
    return open_payloads(f"file://{tmp_path / 'payloads'}")


@pytest.fixture
def files(group: GroupWriter, payloads: Payloads, audit: AuditLog, watch: Nobody, wrapping: Wrapping | None) -> Files:
    """The files of a store."""
    clock = ManualClock()
    contents = Contents(group, payloads, clock, wrapping)
    return Files(contents, audit, lambda name: blake3(name).hexdigest()[:8], watch, Usage(group, clock.monotonic))


@pytest.fixture
def tree(files: Files) -> PartnerFiles:
    """What one partner sees."""
    return files.tree(
        Visit("northshire", "c1", {"cipher": "aes128-gcm@openssh.com"}), Quota(bytes=10_000_000, files=30), ["/in/deep"]
    )


async def put(tree: PartnerFiles, path: str, content: bytes, size: int = 100_000, *, keep: bool = True) -> None:
    """Upload a file in pieces."""
    writing = await tree.write(path, create=True, truncate=True, exclusive=False, append=False)
    for at in range(0, len(content), size):
        waiting = writing.write(at, content[at : at + size])
        if waiting is not None:
            await waiting
    await (writing.keep() if keep else writing.abandon())


async def get(tree: PartnerFiles, path: str, size: int = 100_000, start: int = 0) -> bytes:
    """Download a file in pieces."""
    reading, found = await tree.read(path), b""
    try:
        while True:
            data = reading.read(start + len(found), size)
            piece = data if isinstance(data, bytes) else await data
            if not piece:
                return found
            found += piece
    finally:
        await reading.close()


async def names(tree: PartnerFiles, path: str = "/") -> list[str]:
    """What is in a folder."""
    return [entry.name for some in [each async for each in tree.list(path)] for entry in some]


@pytest.mark.parametrize("content", [b"", b"small", os.urandom(65_536), os.urandom(65_537), BIG], ids=len)
async def test_what_was_put_is_what_is_got(tree: PartnerFiles, files: Files, content: bytes) -> None:
    await put(tree, "/a.csv", content, 40_000)
    assert await get(tree, "/a.csv", 33_333) == content
    assert await get(tree, "/a.csv", 262_144, start=len(content) // 3) == content[len(content) // 3 :]
    entry = await tree.stat("/a.csv")
    assert (entry.name, entry.size, entry.folder) == ("a.csv", len(content), False)
    assert await tree.digest("/a.csv", "sha256", 0, 0, 0) == [hashlib.sha256(content).digest()]
    assert await tree.digest("/a.csv", "blake3", 0, 0, 0) == [blake3(content).digest()]


async def test_digests_of_blocks_are_those_of_a_file_s_parts(tree: PartnerFiles) -> None:
    await put(tree, "/a", BIG)
    expected = [hashlib.md5(BIG[at : at + 65_536]).digest() for at in range(1000, 300_000, 65_536) if at < 300_000]
    expected[-1] = hashlib.md5(BIG[1000 + 4 * 65_536 : 300_000]).digest()
    assert list(await tree.digest("/a", "md5", 1000, 299_000, 65_536)) == expected
    with pytest.raises(ValueError, match="crc"):
        await tree.digest("/a", "crc", 0, 0, 0)


async def test_nobody_sees_a_file_before_it_is_whole(tree: PartnerFiles, files: Files, watch: Nobody) -> None:
    writing = await tree.write("/a", create=True, truncate=True, exclusive=False, append=False)
    waiting = writing.write(0, BIG)
    if waiting is not None:
        await waiting
    assert await names(tree) == ["in"]
    with pytest.raises(FileNotFoundError):
        await tree.read("/a")
    await writing.keep()
    assert await names(tree) == ["a", "in"]
    assert watch.seen == [("begins", "a"), ("arrives", "a"), ("arrived", "a")]


async def test_what_was_broken_off_is_gone_on_with_and_never_arrives_before(
    tree: PartnerFiles, files: Files, watch: Nobody
) -> None:
    await put(tree, "/a", BIG[:1_000_000], keep=False)
    assert ("arrives", "a") not in watch.seen
    kept = (await tree.stat("/a")).size
    assert kept == 1_000_000
    writing = await tree.write("/a", create=True, truncate=False, exclusive=False, append=True)
    waiting = writing.write(kept, BIG[kept:])
    if waiting is not None:
        await waiting
    await writing.keep()
    assert await get(tree, "/a") == BIG
    assert await tree.digest("/a", "blake3", 0, 0, 0) == [blake3(BIG).digest()]
    row = await kept_digest(files)
    assert row == blake3(BIG).digest(), "the digest is of all of it, and not of what came last"


async def kept_digest(files: Files) -> bytes:
    """The digest of the only content that is whole."""
    async with files.contents.group.database.read() as connection:
        return bytes((await connection.execute(text("SELECT blake3 FROM bulk_contents WHERE kept = 1"))).scalar_one())


async def test_a_broken_off_upload_never_takes_a_whole_file_s_place(tree: PartnerFiles) -> None:
    await put(tree, "/a", b"first")
    await put(tree, "/a", BIG, keep=False)
    assert await get(tree, "/a") == b"first"


async def test_two_uploads_of_one_name_are_each_whole_and_the_later_one_has_it(tree: PartnerFiles, files: Files) -> None:
    other = files.tree(tree.visit, Quota())
    first = await tree.write("/a", create=True, truncate=True, exclusive=False, append=False)
    second = await other.write("/a", create=True, truncate=True, exclusive=False, append=False)
    for at in range(0, 1_500_000, 100_000):
        for writing, content in ((first, BIG), (second, bytes(reversed(BIG)))):
            waiting = writing.write(at, content[at : at + 100_000])
            if waiting is not None:
                await waiting
    await second.keep()
    assert await get(tree, "/a") == bytes(reversed(BIG))
    await first.keep()
    assert await get(tree, "/a") == BIG


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(st.permutations(range(15)))
async def test_pieces_that_overtake_each_other_are_put_together(tree: PartnerFiles, order: list[int]) -> None:
    writing = await tree.write("/a", create=True, truncate=True, exclusive=False, append=False)
    for number in order:
        waiting = writing.write(number * 100_000, BIG[number * 100_000 : (number + 1) * 100_000])
        if waiting is not None:
            await waiting
    await writing.keep()
    assert await get(tree, "/a", 250_000) == BIG


async def test_a_file_with_a_hole_is_not_whole(tree: PartnerFiles) -> None:
    writing = await tree.write("/a", create=True, truncate=True, exclusive=False, append=False)
    writing.write(0, b"one")
    waiting = writing.write(10, b"two")
    assert waiting is not None
    await waiting
    with pytest.raises(Refused, match="have not come"):
        await writing.keep()
    assert await names(tree) == ["in"]
    with pytest.raises(Refused, match="cannot be changed"):
        await writing.write(1, b"x")  # type: ignore[misc]
    with pytest.raises(Refused, match="front to back"):
        await writing.write(uploads.AHEAD + 100, b"x")  # type: ignore[misc]


async def test_quotas_and_limits_are_kept(tree: PartnerFiles, files: Files) -> None:
    with pytest.raises(Full, match="10000000 bytes"):
        await put(tree, "/a", bytes(11_000_000), 1_000_000)
    with pytest.raises(Refused, match="over the 2000000 bytes"):
        await put(tree, "/limited", bytes(2_500_000))
    for number in range(28):
        await put(tree, f"/{number}", b"x")
    with pytest.raises(Full, match="30 files"):
        await put(tree, "/more", b"x")
    with pytest.raises(Full, match="30 files"):
        await tree.make_folder("/more")
    space = await tree.space()
    assert (space.files_used, space.bytes_used) == (30, 28)


async def test_folders_and_names(tree: PartnerFiles) -> None:
    assert [await names(tree), await names(tree, "/in"), await names(tree, "/in/deep")] == [["in"], ["deep"], []]
    await tree.make_folder("/out")
    await put(tree, "/out/a", b"a")
    await put(tree, "/out/b", b"b")
    with pytest.raises(FileExistsError):
        await tree.make_folder("/out")
    with pytest.raises(FileExistsError):
        await tree.rename("/out/a", "/out/b", replace=False)
    await tree.rename("/out/a", "/out/b", replace=True)
    assert (await names(tree, "/out"), await get(tree, "/out/b")) == (["b"], b"a")
    await tree.make_folder("/out/sub")
    await put(tree, "/out/sub/c", b"c")
    await tree.rename("/out", "/sent", replace=False)
    assert (await names(tree), await names(tree, "/sent/sub")) == (["in", "sent"], ["c"])
    assert await get(tree, "/sent/sub/c") == b"c"
    with pytest.raises(Refused, match="not empty"):
        await tree.remove_folder("/sent")
    with pytest.raises(Refused, match="agreed"):
        await tree.remove_folder("/in/deep")
    for path in ("/sent/sub/c", "/sent/b"):
        await tree.remove(path)
    await tree.remove_folder("/sent/sub")
    await tree.remove_folder("/sent")
    assert await names(tree) == ["in"]
    with pytest.raises(FileNotFoundError):
        await put(tree, "/gone/a", b"a")
    with pytest.raises(Refused):
        await put(tree, "/in", b"a")
    with pytest.raises(IsADirectoryError):
        await tree.read("/in")
    await put(tree, "/f", b"a")
    with pytest.raises(NotADirectoryError):
        await put(tree, "/f/a", b"a")
    await tree.touch("/f", 1_000_000)
    assert (await tree.stat("/f")).modified == 1_000_000


async def test_one_partner_s_names_are_nobody_else_s(tree: PartnerFiles, files: Files) -> None:
    await put(tree, "/a", b"a")
    other = files.tree(Visit("southshire"), Quota())
    assert await names(other) == []
    with pytest.raises(FileNotFoundError):
        await other.read("/a")


async def test_a_listing_has_every_name_once(tree: PartnerFiles, files: Files) -> None:
    large = files.tree(Visit("large"), Quota())
    rows = [large._names.row("", f"{number:05}", "none", 1) for number in range(1234)]
    await files.contents.group.submit(add_name, rows)
    assert await names(large) == [f"{number:05}" for number in range(1234)]


async def test_the_audit_says_what_was_done_and_no_name(
    tree: PartnerFiles, files: Files, audit: AuditLog, database: Database
) -> None:
    await put(tree, "/9434765919.csv", b"a")
    await get(tree, "/9434765919.csv")
    await tree.remove("/9434765919.csv")
    await files.contents.group.flush()
    async with database.read() as connection:
        bodies = [bytes(row[0]).decode() for row in await connection.execute(text("SELECT body FROM audit_events ORDER BY seq"))]
    assert [kind for body in bodies for kind in ("kept", "read", "removed") if f'"bulk.file.{kind}"' in body] == [
        "kept",
        "read",
        "removed",
    ]
    assert not any("9434765919" in body for body in bodies)
    assert blake3(b"a").hexdigest() in bodies[0]


async def test_what_is_encrypted_is_read_with_its_key_only_and_keys_change(
    group: GroupWriter, payloads: Payloads, audit: AuditLog, watch: Nobody, tmp_path: Path
) -> None:
    clock, content = ManualClock(), b"9434765919," * 50_000

    def files(*keys: bytes) -> Files:
        contents = Contents(group, payloads, clock, Wrapping(keys) if keys else None)
        return Files(contents, audit, lambda name: "", watch, Usage(group, clock.monotonic))

    first, second = b"1" * 32, b"2" * 64
    tree = files(first).tree(Visit("north"), Quota())
    await put(tree, "/a", content)
    await put(tree, "/small", b"9434765919")
    stored = b"".join(path.read_bytes() for path in (tmp_path / "payloads").rglob("*") if path.is_file())
    assert len(stored) > len(content)
    assert b"9434765919" not in stored
    for wrong in (files(), files(b"3" * 32)):
        with pytest.raises(Broken):
            await wrong.tree(Visit("north"), Quota()).read("/a")
    changed = files(second, first)
    assert await changed.contents.rewrap() == 2
    after = files(second).tree(Visit("north"), Quota())
    assert (await get(after, "/a"), await get(after, "/small")) == (content, b"9434765919")
    for path in (tmp_path / "payloads").rglob("*"):
        if path.is_file():
            damaged = bytearray(path.read_bytes())
            damaged[1000] ^= 1
            path.write_bytes(damaged)
    with pytest.raises(Broken, match="not what was put"):
        await get(after, "/a")


async def test_a_store_that_fails_keeps_nothing_and_says_so(
    tree: PartnerFiles, payloads: Payloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing = await tree.write("/a", create=True, truncate=True, exclusive=False, append=False)
    waiting = writing.write(0, BIG)
    if waiting is not None:
        await waiting

    def full(*_: object) -> None:
        raise StoreError("the payload folder failed: No space left on device")

    monkeypatch.setattr("fiveways.store.payloads_folder.IncomingFile.finish", full)
    with pytest.raises(Full, match="No space"):
        await writing.keep()
    assert await names(tree) == ["in"]
