"""What came of a promise, for whoever made it and asked to be told: an event of its own, after the delivery."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from fiveways.methods.synchronous.promise.settings import OutcomeSettings


class Answered(NamedTuple):
    """A provider's answer (2xx), to be told to the application whose promise it was. `promise` is the same each time that it is
    told, should a node die in between; `body` is '' where the answer has none, or one too long to be told."""

    how: OutcomeSettings
    application: str
    promise: str
    correlation: str
    status: int
    content_type: str
    body: bytes


Tell = Callable[[Answered], Awaitable[None]]
"""Tells of an answer, durably. Raises StoreError where that cannot be done."""
