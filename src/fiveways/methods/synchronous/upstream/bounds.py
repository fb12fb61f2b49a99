"""A target's time-outs and limits, and how a connection is held to them.

There are no timers: the pool looks every now and then, stamps what it sees, and what has taken too long is found by comparing two
looks. That keeps the clock off the path of a request.
"""

from __future__ import annotations

from fiveways.methods.synchronous.upstream.faults import Phase, UpstreamTimeout
from fiveways.methods.synchronous.upstream.settings import Target


class Bounds:
    """A target's bounds as numbers: seconds and bytes."""

    __slots__ = ("first_byte", "header_bytes", "idle", "progress", "total")

    def __init__(self, target: Target) -> None:
        self.first_byte = target.timeout.first_byte.total_seconds()
        self.progress = target.timeout.progress.total_seconds()
        self.total = target.timeout.total.total_seconds()
        self.idle = target.idle.total_seconds()
        self.header_bytes = target.limits.header_bytes


class Watch:
    """What was seen of a connection at the looks so far. `moved`: bytes have come from the back end since the last one."""

    __slots__ = ("_bounds", "_pending", "_since", "_started", "moved")

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.moved = False
        self._pending = 0
        self._started: float | None = None
        self._since: float | None = None

    def begin(self) -> None:
        """An exchange begins."""
        self._started = self._since = None
        self.moved = False

    def turn(self) -> None:
        """Something else is waited for from now on."""
        self._since = None

    def rested(self, now: float) -> bool:
        """Whether an idle connection has rested for as long as it may."""
        return self._waited(now) >= self._bounds.idle

    def first(self, now: float) -> bool:
        """Whether this is the first look at an exchange: nothing is late yet."""
        if self._started is None:
            self._started = now
            return True
        return False

    def overdue(self, now: float) -> UpstreamTimeout | None:
        """The fault of an exchange that has gone on for too long in all."""
        if self._started is not None and now - self._started >= self._bounds.total:
            return _too_long("total", "The exchange with the back end took too long.")
        return None

    def awaiting(self, now: float, pending: int, *, sent: bool) -> UpstreamTimeout | None:
        """The fault of a back end that does not take the request (`pending` bytes wait to leave), or does not answer it."""
        if pending != self._pending or not (pending or sent):  # bytes leave, or the sender has none to give yet
            self._pending = pending
            self._since = now
        elif self._waited(now) >= (self._bounds.progress if pending else self._bounds.first_byte):
            if pending:
                return _too_long("request", "The back end stopped taking the request.")
            return _too_long("first_byte", "The back end did not answer in time.")
        return None

    def reading(self, now: float, *, paused: bool) -> UpstreamTimeout | None:
        """The fault of a back end that stops in its answer; while we are `paused` it is not its turn."""
        if self.moved or paused:
            self.moved = False
            self._since = now
        elif self._waited(now) >= self._bounds.progress:
            return _too_long("body", "The back end stopped in the middle of its answer.")
        return None

    def _waited(self, now: float) -> float:
        if self._since is None:
            self._since = now
        return now - self._since


def _too_long(phase: Phase, diagnostics: str) -> UpstreamTimeout:
    return UpstreamTimeout(diagnostics, phase=phase, reached=True)
