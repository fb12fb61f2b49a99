"""What a client has open in a channel."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.tree import Entry, Reading, Writing

LARGEST: Final = 2**62
"""No offset or size is larger."""


@dataclass(slots=True)
class ReadHandle:
    """A file that is read."""

    path: str
    """Where it was opened."""
    reading: Reading
    """Its content."""


@dataclass(slots=True)
class WriteHandle:
    """An upload."""

    path: str
    """Where it is to appear."""
    writing: Writing
    """What it is written to."""
    failed: str = ""
    """Why it is not whole any more."""
    modified: int | None = None
    """What it is to be marked with once it is kept."""


@dataclass(slots=True)
class FolderHandle:
    """A folder that is listed."""

    pages: AsyncIterator[list[Entry]]
    """What is in it."""
    left: list[bytes] = field(default_factory=list)
    """Entries that have not been told yet, the next one last."""


async def next_page(folder: FolderHandle) -> bool:
    """Have the next entries at hand; whether there are any."""
    async for page in folder.pages:
        if page:
            folder.left = [wire.name(entry) for entry in reversed(page)]
            return True
    return False


async def close(opened: ReadHandle | FolderHandle) -> None:
    """No more of it is read."""
    if isinstance(opened, ReadHandle):
        await opened.reading.close()
    elif isinstance(opened.pages, AsyncGenerator):
        await opened.pages.aclose()
