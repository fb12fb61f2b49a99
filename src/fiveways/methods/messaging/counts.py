"""How many messages wait in inboxes, without counting them for every list."""

from __future__ import annotations

from fiveways.clock import Clock
from fiveways.methods.messaging import records
from fiveways.store.group import GroupWriter

_RECOUNT = 5.0
"""Seconds at least between two countings of an inbox."""


class InboxCounts:
    """Counts now and then, so seldom that it takes a thousandth of the time.

    In between, what this process does is added and taken away; what other nodes do shows at the next counting.
    """

    def __init__(self, group: GroupWriter, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._known: dict[str, _Count] = {}

    async def of(self, mailbox: str) -> int:
        """How many messages wait in an inbox."""
        known = self._known.get(mailbox)
        now = self._clock.monotonic()
        if known is None or now >= known.again:
            number = (await self._group.submit(records.count, {"b_mailbox": mailbox}, synced=False)).rows[0][0]
            # Results come back in the order in which the store did things: what is added from now on came after the counting.
            took = self._clock.monotonic() - now
            known = self._known[mailbox] = _Count(number, now + max(_RECOUNT, 1000 * took))
        return known.number

    def add(self, mailbox: str, number: int) -> None:
        """So many messages have arrived in an inbox, or left it (where it is negative)."""
        known = self._known.get(mailbox)
        if known is not None:
            known.number += number

    def forget(self) -> None:
        """Count anew when next asked."""
        self._known.clear()


class _Count:
    __slots__ = ("again", "number")

    def __init__(self, number: int, again: float) -> None:
        self.number = number
        self.again = again
