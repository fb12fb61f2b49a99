"""A folder of the machine, as a side of an errand.

What is being written is beside its place under a name of its own (`.NAME.uploading`) until it is kept; so a crash leaves nothing
under a real name that is not whole and on the disk. Links at the end of a path are not followed.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from blake3 import blake3

from fiveways.methods.bulk.tree import Broken, Entry, Full, Refused
from fiveways.store.syncing import sync_folder

_PAGE: Final = 500
_BLOCK: Final = 1024 * 1024
_SUFFIX: Final = ".uploading"


class Folder:
    """The files of a folder and the folders below it. Nothing else may change what is being written."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def stat(self, path: str) -> Entry:
        """What is there."""
        return _entry(self._at(path))

    async def list(self, path: str) -> AsyncIterator[list[Entry]]:
        """What is in a folder, some at a time, by name; what is neither a file nor a folder is left out."""
        folder = self._at(path)
        names = sorted(name for name in await asyncio.to_thread(os.listdir, folder) if not _is_ours(name))
        for start in range(0, len(names), _PAGE):
            yield await asyncio.to_thread(_entries, [folder / name for name in names[start : start + _PAGE]])

    async def read(self, path: str) -> FileReading:
        """Open a file to read it."""
        at = self._at(path)
        descriptor = os.open(at, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return FileReading(descriptor, _entry_of(at.name, os.fstat(descriptor)))
        except BaseException:
            os.close(descriptor)
            raise

    async def write(self, path: str, *, create: bool, truncate: bool, exclusive: bool, append: bool) -> FileWriting:
        """Open a file to write it."""
        at = self._at(path)
        there = at.exists()
        if exclusive and there:
            raise FileExistsError(errno.EEXIST, "there is such a file")
        if not create and not there:
            raise FileNotFoundError(errno.ENOENT, "there is no such file")
        beside = at.with_name(f".{at.name}{_SUFFIX}")
        if there and not truncate and not beside.exists():
            await asyncio.to_thread(_copied, at, beside)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_TRUNC if truncate else 0)
        return FileWriting(os.open(beside, flags, 0o640), at, beside, append=append)

    async def remove(self, path: str) -> None:
        """Remove a file, or what there is of one that was broken off."""
        at = self._at(path)
        begun = at.with_name(f".{at.name}{_SUFFIX}")
        if not at.exists() and begun.exists():
            begun.unlink()
            return
        if _entry(at).folder:
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        at.unlink()

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file another name."""
        source, target = self._at(old), self._at(new)
        await asyncio.to_thread(_renamed, source, target, replace=replace)

    async def digest(self, path: str, algorithm: str, start: int, length: int, block: int) -> Sequence[bytes]:
        """Digests of a file's bytes."""
        return await asyncio.to_thread(_digests, self._at(path), algorithm, start, length, block)

    def _at(self, path: str) -> Path:
        parts = path.strip("/").split("/") if path.strip("/") else []
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise Refused("that is no path of a file in a folder")
        return self._root.joinpath(*parts)


class FileReading:
    """A file that is being read."""

    def __init__(self, descriptor: int, entry: Entry) -> None:
        self._descriptor = descriptor
        self.entry = entry

    def read(self, offset: int, size: int) -> bytes:
        """Up to so many bytes."""
        try:
            return os.pread(self._descriptor, size, offset)
        except OSError as error:
            raise _broken(error) from None

    async def close(self) -> None:
        """No more is read."""
        os.close(self._descriptor)


class FileWriting:
    """A file that is being written."""

    def __init__(self, descriptor: int, at: Path, beside: Path, *, append: bool) -> None:
        self._descriptor = descriptor
        self._at = at
        self._beside = beside
        self._append = append

    @property
    def entry(self) -> Entry:
        """As it is so far."""
        return _entry_of(self._at.name, os.fstat(self._descriptor))

    def write(self, offset: int, data: bytes) -> None:
        """Take bytes in."""
        try:
            at, rest = self.entry.size if self._append else offset, memoryview(data)
            while rest:
                written = os.pwrite(self._descriptor, rest, at)
                at, rest = at + written, rest[written:]
        except OSError as error:
            raise _broken(error) from None

    async def truncate(self, size: int) -> None:
        """Have it end there."""
        os.ftruncate(self._descriptor, size)

    async def sync(self) -> None:
        """Have it on the disk."""
        try:
            await asyncio.to_thread(os.fsync, self._descriptor)
        except OSError as error:
            raise _broken(error) from None

    async def keep(self) -> None:
        """It is whole, and appears under its name."""
        try:
            await self.sync()
        finally:
            os.close(self._descriptor)
        try:
            self._beside.replace(self._at)
            await asyncio.to_thread(sync_folder, self._at.parent)
        except OSError as error:
            raise _broken(error) from None

    async def abandon(self) -> None:
        """It does not appear; it may be gone on with."""
        with suppress(OSError):
            os.close(self._descriptor)


def _is_ours(name: str) -> bool:
    return name.startswith(".") and name.endswith(_SUFFIX)


def _entry(path: Path) -> Entry:
    return _entry_of(path.name, path.lstat())


def _entry_of(name: str, found: os.stat_result) -> Entry:
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise Refused("it is neither a file nor a folder")
    return Entry(name, stat.S_ISDIR(found.st_mode), found.st_size, int(found.st_mtime))


def _entries(paths: list[Path]) -> list[Entry]:
    found = []
    for path in paths:
        with suppress(Refused, FileNotFoundError):  # it may be gone since it was listed
            found.append(_entry(path))
    return found


def _broken(error: OSError) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Full("there is no room on the disk")
    return Broken(f"the disk failed ({errno.errorcode.get(error.errno or 0, 'unknown')})")


def _renamed(source: Path, target: Path, *, replace: bool) -> None:
    if not replace and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "there is such a file")
    source.replace(target)
    sync_folder(target.parent)


def _copied(source: Path, target: Path) -> None:
    whole = target.with_name(f".{target.name}.copy{_SUFFIX}")
    shutil.copyfile(source, whole, follow_symlinks=False)
    whole.replace(target)


def _digests(path: Path, algorithm: str, start: int, length: int, block: int) -> Sequence[bytes]:
    with path.open("rb") as file:
        left = max(0, min(length or 2**63, os.fstat(file.fileno()).st_size - start))
        file.seek(start)
        found: list[bytes] = []
        while left or not found:
            digest = blake3() if algorithm == "blake3" else hashlib.new(algorithm, usedforsecurity=False)
            of_block = min(block or left, left)
            left -= of_block
            while of_block and (data := file.read(min(of_block, _BLOCK))):
                digest.update(data)
                of_block -= len(data)
            found.append(digest.digest())
        return found
