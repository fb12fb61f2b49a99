"""A folder of the machine as a side of an errand."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest
from blake3 import blake3

from fiveways.methods.bulk.errands.folder import Folder
from fiveways.methods.bulk.tree import Broken, Full, Refused

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder."""
    return Folder(tmp_path)


async def write(folder: Folder, path: str, content: bytes, *, truncate: bool = True, keep: bool = True) -> None:
    """Write a file, and keep it or go away."""
    writing = await folder.write(path, create=True, truncate=truncate, exclusive=False, append=False)
    writing.write(writing.entry.size, content)
    await (writing.keep() if keep else writing.abandon())


async def listed(folder: Folder, path: str = "/") -> list[str]:
    """The names in a folder."""
    return [entry.name async for page in folder.list(path) for entry in page]


async def test_a_file_appears_once_it_is_kept(folder: Folder, tmp_path: Path) -> None:
    await write(folder, "/a", b"one", keep=False)
    assert await listed(folder) == []
    with pytest.raises(FileNotFoundError):
        await folder.stat("/a")
    await write(folder, "/a", b" two", truncate=False)
    assert (await listed(folder), (tmp_path / "a").read_bytes()) == (["a"], b"one two")


async def test_a_file_that_is_there_is_gone_on_with_as_a_copy(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    await write(folder, "/a", b" two", truncate=False, keep=False)
    assert (tmp_path / "a").read_bytes() == b"one"
    await write(folder, "/a", b" three", truncate=False)
    assert (tmp_path / "a").read_bytes() == b"one two three"
    await write(folder, "/a", b"anew")
    assert (tmp_path / "a").read_bytes() == b"anew"


async def test_what_may_not_be(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("/etc/hostname")
    with pytest.raises(FileExistsError):
        await folder.write("/a", create=True, truncate=True, exclusive=True, append=False)
    with pytest.raises(FileNotFoundError):
        await folder.write("/b", create=False, truncate=True, exclusive=False, append=False)
    with pytest.raises(FileExistsError):
        await folder.rename("/a", "/link", replace=False)
    with pytest.raises(IsADirectoryError):
        await folder.remove("/sub")
    for path in ("/../a", "/sub/../a", "/./a", "/a\0", "//a/b/.."):
        with pytest.raises(Refused):
            await folder.stat(path)
    with pytest.raises(Refused):
        await folder.stat("/link")
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the system's
        await folder.read("/link")
    assert caught.value.errno == errno.ELOOP
    assert await listed(folder) == ["a", "sub"], "links are left out"


async def test_what_was_broken_off_can_be_removed(folder: Folder, tmp_path: Path) -> None:
    await write(folder, "/a", b"x", keep=False)
    await folder.remove("/a")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        await folder.remove("/a")


async def test_large_folders_come_in_pages(folder: Folder, tmp_path: Path) -> None:
    for number in range(1200):
        (tmp_path / f"{number:04}").touch()
    pages = [page async for page in folder.list("/")]
    assert [len(page) for page in pages] == [500, 500, 200]
    assert [entry.name for page in pages for entry in page] == sorted(path.name for path in tmp_path.iterdir())


async def test_digests(folder: Folder, tmp_path: Path) -> None:
    content = os.urandom(3000)
    (tmp_path / "a").write_bytes(content)
    (tmp_path / "empty").touch()
    assert await folder.digest("/a", "sha256", 0, 0, 0) == [hashlib.sha256(content).digest()]
    assert await folder.digest("/a", "blake3", 100, 0, 0) == [blake3(content[100:]).digest()]
    assert await folder.digest("/a", "sha256", 10, 2000, 1500) == [
        hashlib.sha256(content[10:1510]).digest(), hashlib.sha256(content[1510:2010]).digest(),
    ]  # fmt: skip
    assert await folder.digest("/empty", "sha256", 0, 0, 0) == [hashlib.sha256().digest()]
    with pytest.raises(ValueError, match="unsupported"):
        await folder.digest("/a", "md6", 0, 0, 0)


async def test_a_full_disk_says_so(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    writing = await folder.write("/a", create=True, truncate=True, exclusive=False, append=False)
    for number, raised in ((errno.ENOSPC, Full), (errno.EIO, Broken)):

        def fail(*args: object, number: int = number) -> int:
            raise OSError(number, "")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", fail)
            with pytest.raises(raised):
                writing.write(0, b"x")
    await writing.abandon()
