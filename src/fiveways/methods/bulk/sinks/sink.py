"""What a sink is given, and what it is: the seam that a deployment's own Python uses too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from fiveways.delivery.queue import Delivery


@dataclass(frozen=True, slots=True)
class Piece:
    """Released records: all of a file's, or a batch of them. It is the same at every attempt, byte for byte."""

    id: str
    """By which a sink knows a repeat."""
    feed: str
    transfer: str
    correlation: str
    number: int
    """Which batch of the transfer, from 1."""
    name: str
    """What a file of it is called: the same for the same piece, and no other's."""
    records: int
    """How many; 0 where they were not counted."""
    size: int
    """Bytes."""
    content_type: str
    read: Callable[[], AsyncIterator[bytes]] = field(repr=False)
    """Its bytes, as often as it is called."""


Put = Callable[[Piece, Delivery], Awaitable[str]]
"""Puts a piece where it belongs, durably, and says in a few words what came of it. Raises Retry and GiveUp (`delivery.queue`); what
else it raises is tried again. A piece that is there already is no error."""
