"""A queue, as the method that promises its deliveries declares it; and what an attempt at one of them is given and may say."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fiveways.deployment.settings import Rate
from fiveways.errors import FivewaysError


class Retry(FivewaysError):
    """The attempt came to nothing, and another may succeed; after `after` at the earliest, where the receiver has said so."""

    def __init__(self, reason: str, after: timedelta | None = None) -> None:
        super().__init__(reason)
        self.after = after


class GiveUp(FivewaysError):
    """The attempt came to nothing, and so would every other: the delivery is a dead letter, for the reason given."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something to be delivered, as an attempt is given it. `id` is the same at every attempt: the receiver's idempotency key."""

    id: str
    queue: str
    key: str
    target: str
    content_type: str
    size: int
    """Bytes of the body."""
    correlation: str
    at: datetime
    """When it was promised."""
    attempt: int
    """Which attempt this is, from 1; from 1 again after a person has sent it again."""
    content: Callable[[], AsyncIterator[bytes]] = field(repr=False)
    """The body in pieces, as often as it is called."""
    envelope: bytes = b""
    """What was given with it, besides the body, when it was promised."""


Handler = Callable[[Delivery], Awaitable[str | None]]
"""Attempts a delivery. Returning says that the receiver has it, and what it said, for people to read (no content); `Retry` and
`GiveUp` say otherwise, any other exception is retried.

It may be called again for what the receiver has: where a node dies, or its lease runs out, before the outcome is durable. It is
cancelled when the lease is lost.
"""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a receiver has declared that it takes (A24), whichever queue and key it comes from: all of one `receiver` share it."""

    receiver: str
    rate: Rate | None = None
    """Attempts in a time, over all nodes."""
    concurrency: int | None = None
    """Attempts at once, over all nodes."""


MANY = 2**31


def room() -> int:
    """Of a queue whose receivers are never to be left alone."""
    return MANY


def unlimited(delivery: Delivery) -> Capacity | None:
    """The capacity of receivers that have declared none."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """How deliveries of one sort are attempted."""

    name: str
    handler: Handler
    attempts: int = 25
    """After so many, the delivery is a dead letter."""
    patience: timedelta = timedelta(days=3)
    """A delivery that fails this long after it was promised, or sent again, is a dead letter."""
    first_wait: timedelta = timedelta(seconds=1)
    longest_wait: timedelta = timedelta(hours=1)
    """Between attempts: a random time up to `first_wait`, doubled with each, and never above this (`backoff`)."""
    longest_heed: timedelta = timedelta(days=1)
    """A receiver that asks for more time is given this much."""
    lease: timedelta = timedelta(seconds=30)
    """A node that dies is replaced after this; a node that works renews it in time. Clocks of nodes must agree well within it."""
    time_limit: timedelta = timedelta(minutes=5)
    """An attempt that takes longer has failed."""
    concurrency: int = 16
    """Keys that one node works on at once."""
    blocking: bool = False
    """Whether a dead letter holds up what is behind it under its key, until a person has dealt with it."""
    capacity: Callable[[Delivery], Capacity | None] = unlimited
    room: Callable[[], int] = room
    """How many keys may be worked on just now: none while all of the queue's receivers are to be left alone (an open breaker)."""

    def backoff(self, attempt: int, chance: Callable[[], float] = random.random) -> timedelta:
        """How long to wait after a failed attempt (from 1): exponential, with full jitter, so that many do not come back at once.

        `chance` gives a number from 0 up to 1.
        """
        doubled = self.first_wait.total_seconds() * 2.0 ** min(attempt - 1, 40)
        return timedelta(seconds=min(self.longest_wait.total_seconds(), doubled) * chance())
