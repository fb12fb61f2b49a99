"""Payloads: the same bytes come back, a broken-off upload leaves nothing, and no reference leads anywhere else."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.seaweed import free_ports, seaweed

from fiveways.correlation import new_id
from fiveways.errors import PayloadTooLarge, StoreError
from fiveways.store.payloads import Payloads, open_payloads, verified
from fiveways.store.payloads_folder import FolderPayloads

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """An S3-compatible server, and a bucket in it."""
    with seaweed() as server:
        yield server.url("payloads")


@pytest.fixture(params=["folder", "memory", "s3"])
async def payloads(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Payloads]:
    match request.param:
        case "folder":
            url = f"file://{tmp_path}/payloads"
        case "memory":
            url = "memory://"
        case _:
            url = request.getfixturevalue("s3")
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = open_payloads(url)
    yield store
    await store.close()


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def read(payloads: Payloads, ref: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in payloads.open(ref, start=start, end=end)])


@pytest.mark.parametrize("size", [0, 1, 300_000, 20_000_000])
async def test_the_same_bytes_come_back_whole_and_in_ranges(payloads: Payloads, size: int) -> None:
    content = os.urandom(size)
    payload = await payloads.put(stream(*(content[at : at + 70_001] for at in range(0, size, 70_001))))
    assert (payload.size, payload.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert await read(payloads, payload.ref) == content
    assert await read(payloads, payload.ref, 10, 250_000) == content[10:250_000]
    assert await read(payloads, payload.ref, size // 2) == content[size // 2 :]
    assert await read(payloads, payload.ref, size) == b""
    assert await payloads.size(payload.ref) == size


async def test_bytes_are_put_as_they_are(payloads: Payloads) -> None:
    payload = await payloads.put(b"content")
    assert await read(payloads, payload.ref) == b"content"
    assert await payloads.exists(payload.ref)
    assert payload.ref in [ref async for ref in payloads.list()]


async def test_what_was_deleted_is_gone_and_deleting_it_again_is_no_error(payloads: Payloads) -> None:
    payload = await payloads.put(b"content")
    await payloads.delete(payload.ref)
    await payloads.delete(payload.ref)
    assert not await payloads.exists(payload.ref)
    with pytest.raises(KeyError):
        await read(payloads, payload.ref)
    with pytest.raises(KeyError):
        await payloads.size(payload.ref)


async def test_too_much_is_refused_and_leaves_nothing(payloads: Payloads) -> None:
    before = {ref async for ref in payloads.list()}
    assert (await payloads.put(stream(b"12345", b"67890"), limit=10)).size == 10
    for content in (stream(b"12345", b"67890", b"1"), b"12345678901"):
        with pytest.raises(PayloadTooLarge):
            await payloads.put(content, limit=10)
    assert len({ref async for ref in payloads.list()} - before) == 1


async def test_a_broken_off_upload_leaves_nothing(payloads: Payloads) -> None:
    async def broken() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield bytes(512 * 1024)
        raise ConnectionResetError("gone")

    before = {ref async for ref in payloads.list()}
    with pytest.raises(ConnectionResetError):
        await payloads.put(broken())
    assert {ref async for ref in payloads.list()} == before


REFERENCE = "01a205c5-6857-776d-abbe-e5ffadce7449"


@pytest.mark.parametrize("ref", ["", "..", "../../etc/passwd", "a/b", "0" * 36, REFERENCE.upper(), REFERENCE + "\n"])
async def test_only_references_lead_anywhere(payloads: Payloads, ref: str) -> None:
    assert not await payloads.exists(ref)
    await payloads.delete(ref)
    with pytest.raises(KeyError):
        await read(payloads, ref)


async def test_memory_stays_flat_while_a_large_body_passes(tmp_path: Path) -> None:
    store = open_payloads(f"file://{tmp_path}/payloads")
    chunk = os.urandom(65536)

    async def large() -> AsyncIterator[bytes]:
        for _ in range(2000):
            yield chunk

    await store.put(stream(chunk))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    payload = await store.put(large())
    total = 0
    async for piece in store.open(payload.ref):
        total += len(piece)
    assert total == 2000 * 65536
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB; the body has 128,000


async def test_a_cancelled_upload_leaves_no_temporary_file(tmp_path: Path) -> None:
    store = open_payloads(f"file://{tmp_path}/payloads")

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(500_000)
        await asyncio.sleep(60)

    task = asyncio.create_task(store.put(slow()))
    while not list((tmp_path / "payloads" / "incoming").iterdir()):
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list((tmp_path / "payloads" / "incoming").iterdir()) == []


async def test_what_a_killed_process_left_is_purged_after_a_day(tmp_path: Path) -> None:
    store = FolderPayloads.at(tmp_path)
    left = tmp_path / "incoming" / new_id()
    left.write_bytes(b"half")
    now = datetime.now(UTC)
    assert await store.purge(now) == 0
    assert await store.purge(now + timedelta(days=2)) == 1
    assert not left.exists()


async def test_what_is_purged_while_it_comes_in_is_a_store_error(tmp_path: Path) -> None:
    store = FolderPayloads.at(tmp_path)

    async def content() -> AsyncIterator[bytes]:
        yield b"half"
        assert await store.purge(datetime.now(UTC) + timedelta(days=2)) == 1
        yield b"and half"

    async with asyncio.timeout(10):
        with pytest.raises(StoreError):
            await store.put(content())


async def test_a_folder_that_fails_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_payloads("file:///proc/nowhere")
    store = open_payloads(f"file://{tmp_path}/payloads")
    shutil.rmtree(tmp_path / "payloads")
    with pytest.raises(StoreError):
        await store.put(b"content")


@pytest.mark.parametrize("url", ["", "ftp://x", "file://host/x", "s3://", "s3://b/p?other=1", "s3://user:secret@bucket"])
def test_a_wrong_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        open_payloads(url)
    assert "secret" not in str(caught.value)


async def test_a_store_out_of_reach_is_a_store_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    store = open_payloads(f"s3://bucket?endpoint=http://127.0.0.1:{free_ports(1)[0]}")
    with pytest.raises(StoreError):
        await store.put(b"content")


@given(st.lists(st.binary(max_size=20)), st.booleans())
def test_content_is_whole_or_known_not_to_be_before_its_end(parts: list[bytes], damaged: bool) -> None:
    whole = b"".join(parts)
    sha256 = hashlib.sha256(whole + b"x" * damaged).hexdigest()

    async def read() -> bytes:
        found = b""
        try:
            async for piece in verified(_each(parts), sha256):
                found += piece
        except StoreError:
            assert damaged
            assert len(found) < len(whole) or not whole, "its last piece was not handed out"
            return b"damaged"
        return found

    assert asyncio.run(read()) == (b"damaged" if damaged else whole)


async def _each(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
