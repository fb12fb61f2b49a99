"""Bytes a second, of one partner over all of its sessions here."""

from __future__ import annotations

from fiveways.clock import Clock


class Throttle:
    """A bucket that holds a second's bytes. What is taken beyond it has to be waited for."""

    def __init__(self, rate: int, clock: Clock) -> None:
        """`rate`: bytes a second."""
        self.rate = rate
        self._clock = clock
        self._free_at = clock.monotonic() - 1.0

    def take(self, size: int) -> float:
        """Take so many bytes; how many seconds to wait before they are moved. Whoever comes later waits longer."""
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now - 1.0) + size / self.rate
        return max(self._free_at - now, 0.0)
