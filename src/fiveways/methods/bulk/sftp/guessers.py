"""Who guesses: failures by address and by name, and for how long whom nobody listens to."""

from __future__ import annotations

from collections import OrderedDict, deque
from ipaddress import ip_network
from typing import Final

from fiveways.clock import Clock
from fiveways.methods.bulk.sftp.partners import within
from fiveways.methods.bulk.sftp.settings import LockOut

_MOST: Final = 100_000
"""Addresses and names that are remembered; the oldest go first."""


class Guessers:
    """Failures of one kind (addresses, names), and who has had too many."""

    def __init__(self, settings: LockOut, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._locked: OrderedDict[str, float] = OrderedDict()

    def locked(self, who: str) -> bool:
        """Whether they are locked out now."""
        until = self._locked.get(who)
        if until is None:
            return False
        if until > self._clock.monotonic():
            return True
        del self._locked[who]
        return False

    def failed(self, who: str) -> bool:
        """Count a failure; whether it has locked them out just now."""
        if self.locked(who):
            return False
        now = self._clock.monotonic()
        times = self._failures.setdefault(who, deque(maxlen=self._settings.failures))
        self._failures.move_to_end(who)
        times.append(now)
        if len(self._failures) > _MOST:
            self._failures.popitem(last=False)
        if len(times) < self._settings.failures or times[0] < now - self._settings.within.total_seconds():
            return False
        del self._failures[who]
        self._locked[who] = now + self._settings.lasts.total_seconds()
        if len(self._locked) > _MOST:
            self._locked.popitem(last=False)
        return True

    def succeeded(self, who: str) -> None:
        """They have logged in: what failed before does not count."""
        self._failures.pop(who, None)

    def exempt(self, address: str) -> bool:
        """Whether an address is never locked out."""
        return bool(self._settings.never) and within(address, self._settings.never)


def address_of(address: str) -> str:
    """What failures of an address count towards: of IPv6, its /64, of which one host has all the rest to itself."""
    if ":" not in address or address.startswith("::ffff:"):
        return address.removeprefix("::ffff:")
    return str(ip_network((address.partition("%")[0], 64), strict=False))
