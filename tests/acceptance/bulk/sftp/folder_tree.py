"""A partner's files in a folder of this machine: what the server's tests stand on. What is kept is hashed while it is written."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

from blake3 import blake3

from fiveways.methods.bulk.tree import Entry, Full, Refused, Space

Digests = list[bytes]


class FolderTree:
    """Uploads go to `.uploads/` and appear by being renamed. `quota`: bytes. `slow`: seconds that each read and write takes."""

    def __init__(self, root: Path, quota: int | None = None, slow: float = 0.0, page: int = 200) -> None:
        self.root = root
        self.quota = quota
        self.slow = slow
        self.page = page
        self.used = 0
        self.kept: list[str] = []
        self.abandoned: list[str] = []
        self.digests: dict[str, str] = {}
        self.open = 0
        self.part = root.with_name(f"{root.name}.uploads")
        root.mkdir(parents=True, exist_ok=True)
        self.part.mkdir(exist_ok=True)

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def entry(self, path: Path, name: str) -> Entry:
        found = path.stat()
        return Entry(name, path.is_dir(), found.st_size if path.is_file() else 0, int(found.st_mtime))

    async def stat(self, path: str) -> Entry:
        return self.entry(self.at(path), path.rpartition("/")[2])

    async def list(self, path: str) -> AsyncIterator[list[Entry]]:
        names = sorted(each.name for each in self.at(path).iterdir())
        for first in range(0, len(names), self.page):
            yield [self.entry(self.at(path) / name, name) for name in names[first : first + self.page]]

    async def read(self, path: str) -> FolderReading:
        if self.at(path).is_dir():
            raise IsADirectoryError
        return FolderReading(self, path)

    async def write(self, path: str, *, create: bool, truncate: bool, exclusive: bool, append: bool) -> FolderWriting:
        place = self.at(path)
        if place.is_dir():
            raise IsADirectoryError
        if not place.parent.is_dir():
            raise FileNotFoundError
        if exclusive and place.exists():
            raise FileExistsError
        if not create and not place.exists() and not self.partial(path).exists():
            raise FileNotFoundError
        return FolderWriting(self, path, truncate, append)

    def partial(self, path: str) -> Path:
        return self.part / hashlib.sha256(path.encode()).hexdigest()

    async def make_folder(self, path: str) -> None:
        self.at(path).mkdir()

    async def remove_folder(self, path: str) -> None:
        try:
            self.at(path).rmdir()
        except FileNotFoundError:
            raise
        except OSError:
            raise Refused("The folder is not empty") from None

    async def remove(self, path: str) -> None:
        if self.at(path).is_dir():
            raise IsADirectoryError
        self.at(path).unlink()

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        if not replace and self.at(new).exists():
            raise FileExistsError
        self.at(old).rename(self.at(new))

    async def touch(self, path: str, modified: int) -> None:
        os.utime(self.at(path), (modified, modified))

    async def digest(self, path: str, algorithm: str, start: int, length: int, block: int) -> Digests:
        content = self.at(path).read_bytes()[start:]
        content = content[:length] if length else content
        parts = [content[at : at + block] for at in range(0, len(content), block)] if block else [content]
        return [blake3(part).digest() if algorithm == "blake3" else hashlib.new(algorithm, part).digest() for part in parts]

    async def space(self) -> Space:
        return Space(self.used, self.quota, 0, None)


class FolderReading:
    def __init__(self, tree: FolderTree, path: str) -> None:
        self._tree = tree
        self._file = os.open(tree.at(path), os.O_RDONLY)
        self.entry = tree.entry(tree.at(path), path)
        tree.open += 1

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        if self._tree.slow:
            return self._late(offset, size)
        return os.pread(self._file, size, offset)

    async def _late(self, offset: int, size: int) -> bytes:
        await asyncio.sleep(self._tree.slow)
        return os.pread(self._file, size, offset)

    async def close(self) -> None:
        self._tree.open -= 1
        os.close(self._file)


class FolderWriting:
    """Hashed in order as it comes; what is written otherwise is hashed at the end."""

    def __init__(self, tree: FolderTree, path: str, truncate: bool, append: bool) -> None:
        self._tree = tree
        self._path = path
        self._place = tree.partial(path)
        self._append = append
        fresh = truncate or not (self._place.exists() or tree.at(path).exists())
        if not fresh and not self._place.exists():
            self._place.write_bytes(tree.at(path).read_bytes())
        self._file = os.open(self._place, os.O_RDWR | os.O_CREAT | (os.O_TRUNC if fresh else 0), 0o600)
        self._size = os.fstat(self._file).st_size
        self._hash = blake3()
        self._hashed = 0
        tree.open += 1

    @property
    def entry(self) -> Entry:
        return Entry(self._path.rpartition("/")[2], False, self._size)

    def write(self, offset: int, data: bytes) -> Awaitable[None] | None:
        offset = self._size if self._append else offset
        if self._tree.quota is not None and max(self._size, offset + len(data)) > self._tree.quota:
            raise Full("The quota is used up")
        if offset > self._size + 64 * 1024 * 1024:
            raise Refused("The hole is too far ahead")
        os.pwrite(self._file, data, offset)
        if offset == self._hashed:
            self._hash.update(data)
            self._hashed += len(data)
        self._size = max(self._size, offset + len(data))
        return asyncio.sleep(self._tree.slow) if self._tree.slow else None

    async def truncate(self, size: int) -> None:
        os.ftruncate(self._file, size)
        self._size = size

    async def sync(self) -> None:
        os.fsync(self._file)

    async def keep(self) -> None:
        os.close(self._file)
        self._tree.open -= 1
        digest = self._hash if self._hashed == self._size else blake3(self._place.read_bytes())
        self._tree.digests[self._path] = digest.hexdigest()
        self._place.rename(self._tree.at(self._path))
        self._tree.kept.append(self._path)

    async def abandon(self) -> None:
        os.close(self._file)
        self._tree.open -= 1
        self._tree.abandoned.append(self._path)
