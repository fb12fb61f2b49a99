"""How often open jobs are asked after; no I/O."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from fiveways.client.errors import ClientError


@dataclass(frozen=True, slots=True)
class Pace:
    """Between `least` and `most` from one question to the next, further apart the longer it takes, and at random (decorrelated
    jitter), so that jobs that were submitted together are not asked after together.

    Where the other side says how long (Retry-After), it is that and up to a tenth more, if not longer than `trusted`. A job whose
    outcome is to be brought by callback is asked after between `slow` and twice that, since a callback may be lost. Raises
    ClientError for what makes no sense.
    """

    least: timedelta = timedelta(seconds=1)
    most: timedelta = timedelta(minutes=1)
    slow: timedelta = timedelta(minutes=5)
    trusted: timedelta = timedelta(days=1)
    at_once: int = 32
    """Questions that are asked at once."""
    monitors: int = 100
    """Long polls that are held at once; whoever comes after them polls."""
    look: timedelta = timedelta(milliseconds=500)
    """How often the ledger is looked into for what another process has learned."""

    def __post_init__(self) -> None:
        if not timedelta(0) < self.least <= self.most <= self.trusted or self.slow <= timedelta(0) or self.look <= timedelta(0):
            raise ClientError("a pace has 0 < least <= most <= trusted, and slow and look are longer than nothing")
        if self.at_once < 1 or self.monitors < 0:
            raise ClientError("at least one question is asked at once")

    def after(
        self, last: float, asked: timedelta | None = None, *, slow: bool = False, random: Callable[[], float] = random.random
    ) -> float:
        """Seconds until the next question, when the last wait was `last` seconds (0 at first)."""
        if slow:
            wait = self.slow.total_seconds() * (1 + random())
            return max(wait, min(asked, self.trusted).total_seconds()) if asked is not None else wait
        least = self.least.total_seconds()
        if asked is not None:
            return max(least, min(asked, self.trusted).total_seconds()) * (1 + random() / 10)
        return min(self.most.total_seconds(), least + max(0.0, 3 * max(last, least) - least) * random())
