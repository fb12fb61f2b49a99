"""When a listener looks again: within the protocol's rules, less often where nothing comes or nothing answers; no I/O.

MESH asks that a mailbox be looked at at least daily and at most every five minutes, and that a client shake hands daily.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from fiveways.client.errors import ClientError

MOST_OFTEN = timedelta(minutes=5)
LEAST_OFTEN = timedelta(days=1)
HANDSHAKE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Looks every `every` while messages come, and ever less often, up to every `idle`, while none do or the other side fails.

    `sandbox` allows looking more often than MESH does. Raises ClientError for what the protocol does not allow.
    """

    every: timedelta = MOST_OFTEN
    idle: timedelta | None = None
    """Three times `every` unless said otherwise."""
    sandbox: bool = False

    def __post_init__(self) -> None:
        if self.every < MOST_OFTEN and not self.sandbox:
            raise ClientError(f"MESH wants mailboxes looked at at most every {MOST_OFTEN}; a sandbox may be looked at more often")
        if not timedelta(0) < self.every <= self.slowest <= LEAST_OFTEN:
            raise ClientError("MESH wants mailboxes looked at daily, and it makes no sense to look less often when messages come")

    @property
    def slowest(self) -> timedelta:
        """How long it is at most until it looks again."""
        return self.idle if self.idle is not None else min(3 * self.every, LEAST_OFTEN)

    def after(self, rounds: int, random: Callable[[], float] = random.random) -> timedelta:
        """How long until it looks again after `rounds` in a row in which nothing came, or nothing answered."""
        longest = _grown(self.every, rounds, self.slowest)
        return self.every + (longest - self.every) * random()


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a message is given to its handler, and how long after a failure again: `first`, then twice as long each time."""

    attempts: int = 5
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=1)

    def after(self, attempt: int, random: Callable[[], float] = random.random) -> timedelta:
        """How long after its `attempt`th failure a message is tried again: between half of the time and all of it."""
        return _grown(self.first, attempt - 1, self.longest) * (0.5 + random() / 2)


def _grown(first: timedelta, times: int, longest: timedelta) -> timedelta:
    """`first`, doubled so many times, but no longer than `longest`."""
    for _ in range(times):
        if first >= longest:
            break
        first *= 2
    return min(first, longest)
