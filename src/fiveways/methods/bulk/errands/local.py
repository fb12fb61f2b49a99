"""What is on our side of an errand: a partner's files (`tree.Tree`), or a folder of the machine (`folder.Folder`).

Only a part of `Tree` is needed; paths are as there.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Protocol, TypeVar

from fiveways.methods.bulk.tree import Entry, Reading, Writing


class Local(Protocol):
    """Files on our side. Methods raise FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError, and `tree`'s
    Refused, Full and Broken."""

    async def stat(self, path: str) -> Entry:
        """What is there."""
        ...

    def list(self, path: str) -> AsyncIterator[list[Entry]]:
        """What is in a folder, some at a time, by name."""
        ...

    async def read(self, path: str) -> Reading:
        """Open a file to read it; its content does not change while it is open."""
        ...

    async def write(self, path: str, *, create: bool, truncate: bool, exclusive: bool, append: bool) -> Writing:
        """Open a file to write it: anew (`truncate`), or on from what there is of it."""
        ...

    async def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file another name, at once."""
        ...

    async def digest(self, path: str, algorithm: str, start: int, length: int, block: int) -> Sequence[bytes]:
        """Digests of a file's bytes from `start`, `length` of them (0: to the end), one for each `block` (0: one of all)."""
        ...


_T = TypeVar("_T")


async def done(result: _T | Awaitable[_T]) -> _T:
    """What a call comes to that waits only where it must."""
    if inspect.isawaitable(result):
        awaited: _T = await result
        return awaited
    return result


async def found(local: Local, path: str) -> Entry | None:
    """What is at a path; None where nothing is."""
    try:
        return await local.stat(path)
    except FileNotFoundError:
        return None
