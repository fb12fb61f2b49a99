"""Bytes on their way: several requests are under way side by side, digests are taken as they pass, and no more is in memory than
that.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from fiveways.methods.bulk.errands.failures import FileChanged, FileFailed
from fiveways.methods.bulk.errands.local import done
from fiveways.methods.bulk.errands.remote import RemoteFile
from fiveways.methods.bulk.errands.wire import Answer
from fiveways.methods.bulk.tree import Reading, Writing

AHEAD: Final = 4 * 2**20
"""Bytes that are under way at once."""
TAIL: Final = 2**20
"""Bytes before the place where moving goes on that are compared once more."""
CHECKPOINT: Final = 256 * 2**20
"""Bytes after which it is written down how far a file is here."""

Advance = Callable[[int], None]
"""Told to which byte it is done."""


class Digests:
    """Digests of what has passed: SHA-256, and others that are asked for."""

    def __init__(self, algorithms: Iterable[str] = ()) -> None:
        self._made: dict[str, Any] = {
            each: hashlib.new(each, usedforsecurity=False) for each in dict.fromkeys(("sha256", *algorithms))
        }

    def update(self, data: bytes) -> None:
        """More has passed."""
        for each in self._made.values():
            each.update(data)

    def digest(self, algorithm: str = "sha256") -> bytes:
        """The digest so far."""
        made: bytes = self._made[algorithm].digest()
        return made

    def hexdigest(self, algorithm: str = "sha256") -> str:
        """The same, in hexadecimal."""
        return self.digest(algorithm).hex()


class Tail:
    """The last bytes of what has passed."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0

    def update(self, data: bytes) -> None:
        """More has passed."""
        self._parts.append(data)
        self._size += len(data)
        while self._size - len(self._parts[0]) >= TAIL:
            self._size -= len(self._parts.popleft())

    def hexdigest(self) -> str:
        """The SHA-256 of the last `TAIL` bytes, or of all that there are."""
        return hashlib.sha256(b"".join(self._parts)[-TAIL:]).hexdigest()


async def upload(reading: Reading, file: RemoteFile, start: int, size: int, digests: Digests, advance: Advance) -> None:
    """Write a file's bytes from `start` up to `size`. Raises FileChanged where there are fewer, LineLost and FileFailed."""
    under_way: deque[tuple[int, asyncio.Future[Answer]]] = deque()
    depth = max(1, AHEAD // file.block)
    at = start
    while at < size or under_way:
        while at < size and len(under_way) < depth:
            data = await done(reading.read(at, min(file.block, size - at)))
            if not data:
                raise FileChanged("the file has become shorter while it was read")
            digests.update(data)
            asked = file.put(at, data)
            at += len(data)
            under_way.append((at, asked))
        reached, asked = under_way.popleft()
        await file.taken(asked)
        advance(reached)


async def download(
    file: RemoteFile, writing: Writing, start: int, size: int, passed: Callable[[bytes, int], Any], advance: Advance
) -> None:
    """Write a file's bytes from `start` up to `size` here, in order. `passed` is told of each piece that has been written and where
    it ends; it may have to be waited for. Raises FileChanged where there are fewer, LineLost and FileFailed."""
    under_way: deque[tuple[int, int, asyncio.Future[Answer]]] = deque()
    depth = max(1, AHEAD // file.block)
    asked_to = start
    while asked_to < size or under_way:
        while asked_to < size and len(under_way) < depth:
            wanted = min(file.block, size - asked_to)
            under_way.append((asked_to, wanted, file.ask(asked_to, wanted)))
            asked_to += wanted
        at, wanted, asked = under_way.popleft()
        data = await file.got(asked, wanted)
        if 0 < len(data) < wanted:  # a server may answer with less, and is asked for the rest
            data += await file.read(at + len(data), wanted - len(data))
        if len(data) < wanted:
            raise FileChanged("the file has become shorter while it was read")
        await done(writing.write(at, data))
        await done(passed(data, at + wanted))
        advance(at + wanted)


async def digest_here(reading: Reading, end: int, digests: Digests) -> None:
    """Let what is before `end` pass. Raises FileFailed where there is less."""
    at = 0
    while at < end:
        data = await done(reading.read(at, min(TAIL, end - at)))
        if not data:
            raise FileFailed("the file is shorter here than it was listed")
        digests.update(data)
        at += len(data)
