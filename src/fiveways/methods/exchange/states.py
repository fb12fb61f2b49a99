"""The life of a job, as a table; no I/O. Every transition is an event that is appended, and the state is read from the newest.

    ──submit──▶ submitted ──begin──▶ running ──complete──▶ completed ──collect──▶ collected
                    │                   ├──fail─────▶ failed ─────────collect──▶ collected
                    ├──expire──▶ expired ◀──expire──┤
                    └──cancel──▶ cancelled ◀──cancel── running, completed, failed, collected

What a consumer cancels after its end is let go of: there is no outcome for it any more. An event's number is part of its key in the
store, so that of two nodes that would end a job only one does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fiveways.store.lives import Life


class State(StrEnum):
    """Where a job is."""

    SUBMITTED = "submitted"
    """It is accepted, and the back end has not been asked."""
    RUNNING = "running"
    """The back end has been asked, or is being asked."""
    COMPLETED = "completed"
    """There is an outcome."""
    FAILED = "failed"
    """There is an outcome, and it says that the request came to nothing."""
    COLLECTED = "collected"
    """Its consumer has had the outcome, and may have it again while it is kept."""
    CANCELLED = "cancelled"
    """Its consumer does not want it, or not any more."""
    EXPIRED = "expired"
    """There was no outcome in time."""


TRANSITIONS: Final[dict[tuple[State | None, str], State]] = {
    (None, "submit"): State.SUBMITTED,
    (State.SUBMITTED, "begin"): State.RUNNING,
    (State.RUNNING, "complete"): State.COMPLETED,
    (State.RUNNING, "fail"): State.FAILED,
    (State.COMPLETED, "collect"): State.COLLECTED,
    (State.FAILED, "collect"): State.COLLECTED,
    (State.SUBMITTED, "cancel"): State.CANCELLED,
    (State.RUNNING, "cancel"): State.CANCELLED,
    (State.COMPLETED, "cancel"): State.CANCELLED,
    (State.FAILED, "cancel"): State.CANCELLED,
    (State.COLLECTED, "cancel"): State.CANCELLED,
    (State.SUBMITTED, "expire"): State.EXPIRED,
    (State.RUNNING, "expire"): State.EXPIRED,
}
"""What happens to a job in a state, and the state it is in then. What is not here does not happen."""

OPEN: Final = frozenset((State.SUBMITTED, State.RUNNING))
"""There is no outcome yet, and may be one."""
KNOWN: Final = frozenset((State.COMPLETED, State.FAILED, State.COLLECTED))
"""There is an outcome."""

_life = Life("job", TRANSITIONS)
after, before = _life.after, _life.before
