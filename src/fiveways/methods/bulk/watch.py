"""What is told of partners' files, and to whom: who came by what connection, what came, and those who want to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fiveways.methods.bulk.uploads import Steps


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is there, and by what connection: told to the audit, and on receipts."""

    partner: str
    correlation: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What is known of the connection: `cipher`, `kex`, `mac`, `client`, `key`, `address`, and so on."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that is whole, as it is about to be given its name."""

    partner: str
    folder: str
    name: str
    content: str
    size: int
    correlation: str


class Watch(Protocol):
    """Who wants to know of files: the feeds."""

    def largest(self, partner: str, folder: str, name: str) -> int | None:
        """How many bytes such a file may have; None is no limit."""
        ...

    def begins(self, file: Arrived) -> None:
        """An upload has begun; its size is not known."""
        ...

    async def arrives(self, file: Arrived) -> Steps:
        """What is to be written together with a file's name. Raises StoreError."""
        ...

    def arrived(self, file: Arrived) -> None:
        """It has its name."""
        ...

    async def taken(self, transfer: str, visit: Visit) -> None:
        """A file that a transfer has released was read to its end by a partner."""
        ...
