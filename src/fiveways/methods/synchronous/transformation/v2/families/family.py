"""A family of messages: those that are built alike, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable


@dataclass(frozen=True, slots=True)
class Family:
    """`code` is MSH-9.1, `events` are the trigger events (MSH-9.2) with the structure (MSH-9.3) of each. `read` makes the entries
    of a message; `write` adds the segments after MSH, and raises Unsayable where what the message must have is not there."""

    code: str
    events: dict[str, str]
    read: Callable[[Reading], None]
    write: Callable[[Writing], None]
    tables: Mapping[str, Sequence[SegmentTable]] = field(default_factory=dict)
