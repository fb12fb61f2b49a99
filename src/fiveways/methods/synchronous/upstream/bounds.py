"""A target's time-outs and limits, as the connection to it looks at them."""

from __future__ import annotations

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
