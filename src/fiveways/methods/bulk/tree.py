"""A partner's files, as the SFTP server sees them: folders and files below a root that is the partner's own.

What stands behind (rows and payloads: `files.py`) decides what becomes of an upload. The server only says what its client asked
for, and, of an upload, whether the client closed it or went away: the first keeps it, the second never does.

Paths are absolute, of this root, and without `.`, `..` or empty parts: `/inbox/activity.csv`; the root itself is `/`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or a folder."""

    name: str
    """Its name in its folder; '' of the root."""
    folder: bool
    size: int = 0
    """Bytes; of an upload that was broken off and may be resumed, those that are kept."""
    modified: int = 0
    """Seconds since the Unix epoch."""
    writable: bool = True
    """Whether the partner may write to it, or in it."""
    partial: bool = False
    """Whether it is an upload that was broken off: it is there to be gone on with, and for nothing else."""


class Space(NamedTuple):
    """How much a partner may keep, in bytes and files; None is no limit."""

    bytes_used: int
    bytes_limit: int | None
    files_used: int
    files_limit: int | None


class Refused(Exception):
    """What was asked is not allowed or not possible; the text is for the partner's people."""


class Full(Refused):
    """There is no room: the partner's quota is used up, or the store is full."""


class Broken(Exception):
    """The store could not do it; it may be tried again."""


class Reading(Protocol):
    """A file that is being read. Its content does not change while it is open, whatever becomes of its name."""

    entry: Entry

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `offset`; b'' at the end. Waits only where the store has to be waited for. Raises Broken."""
        ...

    async def close(self) -> None:
        """No more is read."""
        ...


class Writing(Protocol):
    """A file that is being uploaded. Nobody else sees it before it is kept."""

    @property
    def entry(self) -> Entry:
        """As it is so far."""
        ...

    def write(self, offset: int, data: bytes) -> Awaitable[None] | None:
        """Take bytes in. Waits only where more is coming than the store takes.

        Raises Full, Refused (for what cannot be put together: a hole that is too far ahead, a change of what is written down
        already) and Broken.
        """
        ...

    async def truncate(self, size: int) -> None:
        """Have it end at `size`. Raises Refused where it cannot."""
        ...

    async def sync(self) -> None:
        """Return when all that was written is on the disk (fsync@openssh.com). Raises Broken."""
        ...

    async def keep(self) -> None:
        """The client has closed it: it is whole, durable, and appears under its name. Raises Full, Refused and Broken; then it has
        not appeared."""
        ...

    async def abandon(self) -> None:
        """The client has gone away: it does not appear. What has come of it may be resumed."""
        ...


class Tree(Protocol):
    """One partner's files. Methods raise FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, Refused, Full
    and Broken."""

    async def stat(self, path: str) -> Entry:
        """What is there."""
        ...

    def list(self, path: str) -> AsyncIterator[list[Entry]]:
        """What is in a folder, some hundred at a time, by name."""
        ...

    async def read(self, path: str) -> Reading:
        """Open a file to read it."""
        ...

    async def write(self, path: str, *, create: bool, truncate: bool, exclusive: bool, append: bool) -> Writing:
        """Open a file to write it. `truncate`: begin anew; otherwise what there is is gone on with: an upload that was broken off,
        or else a copy of the file. `exclusive`: only where there is no such file yet. `append`: writes go to the end whatever
        their offset."""
        ...

    async def make_folder(self, path: str) -> None:
        """Make a folder in a folder that is there."""
        ...

    async def remove_folder(self, path: str) -> None:
        """Remove a folder that is empty."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file or a folder another name, at once. `replace`: what has the name goes (posix-rename@openssh.com)."""
        ...

    async def touch(self, path: str, modified: int) -> None:
        """Set when it was modified, in seconds since the Unix epoch."""
        ...

    async def digest(self, path: str, algorithm: str, start: int, length: int, block: int) -> Sequence[bytes]:
        """Digests (`md5`, `sha1`, `sha256`, `sha512`, `blake3`) of a file's bytes from `start`, `length` of them (0: to the end),
        one for each `block` (0: one of all): the check-file extension. ValueError for an algorithm that is not known."""
        ...

    async def space(self) -> Space:
        """How much is kept, and may be."""
        ...
