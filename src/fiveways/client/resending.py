"""Which requests may be sent again, and how soon; no I/O.

A request is sent again only where that cannot have two effects: its method is idempotent, or the other side has said that it did
not take it (429, or 503 with Retry-After: the platform knows a repeat by its X-Request-ID), or nothing of it was sent.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

IDEMPOTENT = frozenset(("GET", "HEAD", "PUT", "DELETE", "OPTIONS"))
NOT_TAKEN = frozenset((429, 503))
"""Statuses that say with Retry-After: send it again, then."""
PASSING = frozenset((408, 425, 429, 502, 503, 504))
"""Statuses that say nothing of the request itself, or not for long."""


@dataclass(frozen=True, slots=True)
class Resend:
    """How often a request is sent in all, and how long after it failed again: up to `first`, then twice as long each time, at
    random.

    What the other side asks for with Retry-After is waited for besides, and does not count: the time-out bounds it.
    """

    attempts: int = 4
    first: timedelta = timedelta(milliseconds=250)
    longest: timedelta = timedelta(seconds=5)

    def after(self, failures: int, asked: timedelta | None = None, random: Callable[[], float] = random.random) -> timedelta:
        """How long to wait after so many failures (from 1 on): never less than was `asked` for, full jitter otherwise."""
        most: timedelta = min(self.longest, self.first * 2 ** min(failures - 1, 20))
        jitter: timedelta = most * random()
        return max(asked or timedelta(0), jitter)


def may_repeat(method: str, status: int, asked: timedelta | None) -> bool:
    """Whether a request that was answered so may be sent again."""
    return (status in NOT_TAKEN and asked is not None) or (status in PASSING and method.upper() in IDEMPOTENT)
