"""Message ids in MESH's form: the moment at which a message came, to the microsecond, and 24 random bits."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from fiveways.clock import Clock, micros


def new_id(at: int) -> str:
    """An id for a message that came `at` (microseconds since the Unix epoch)."""
    return f"{first_id(at)}_{secrets.token_hex(3).upper()}"


def first_id(at: int) -> str:
    """What comes before every id of a message from `at` (microseconds since the Unix epoch) on, and after all from before it."""
    return f"{datetime.fromtimestamp(at // 10**6, UTC):%Y%m%d%H%M%S}{at % 10**6:06}"


class Ids:
    """The ids and moments that this process gives to messages: no two are the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest = 0

    def now(self) -> int:
        """The present in microseconds since the Unix epoch; another each time."""
        self._newest = max(micros(self._clock), self._newest + 1)
        return self._newest

    def new(self) -> str:
        """An id of the present."""
        return new_id(self.now())

    def forget(self) -> None:
        """Begin anew: a sandbox's clock may have been put back."""
        self._newest = 0
