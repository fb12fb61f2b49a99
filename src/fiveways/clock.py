"""Time, injected: whatever depends on it takes a `Clock`, so that tests and sandboxes can move it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall-clock and monotonic time."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...


def micros(clock: Clock) -> int:
    """The present as tables and the audit have it: microseconds since the Unix epoch."""
    return int(clock.time() * 1_000_000)


def micros_of(moment: datetime) -> int:
    """An aware moment as tables and the audit have it: microseconds since the Unix epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def micros_in(span: timedelta) -> int:
    """A length of time in microseconds."""
    return span // _MICROSECOND


def moment_of(at: int) -> datetime:
    """The moment so many microseconds after the Unix epoch, in UTC."""
    return _EPOCH + timedelta(microseconds=at)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        return time.monotonic()

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is told to advance."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 0.0

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return self._now

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return self._now.timestamp()

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Move both clocks forward."""
        self._now += by
        self._monotonic += by.total_seconds()


class AdjustableClock:
    """A clock that can be put ahead of another: in a sandbox next week is a call away. Durations (`monotonic`) stay real."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.ahead = timedelta()

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        return self._base.now() + self.ahead

    def time(self) -> float:
        """Seconds since the Unix epoch."""
        return self._base.time() + self.ahead.total_seconds()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        return self._base.monotonic()

    def advance(self, by: timedelta) -> None:
        """Put it further ahead."""
        self.ahead += by

    def reset(self) -> None:
        """Have it say what the other clock says."""
        self.ahead = timedelta()
