"""The life of a request that a consumer has made, as a table; no I/O. Every transition is an event that is appended.

    ──open──▶ open ──send──▶ sent ──lapse──▶ overdue
                │              └──────answer──────┴──▶ answered
                └──hand over──▶ done                   (fail, from anywhere but answered ──▶ failed)

A request is open before a byte of it is sent, so that a crash cannot lose it. An answer is proof: it counts whatever was thought
of the request before, late, failed or answered already (one answer may say *received*, the next *processed*, A12).
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a request is."""

    OPEN = "open"
    """It is noted here; whether the other side has it is not known."""
    SENT = "sent"
    """The other side took it, and an answer is awaited."""
    OVERDUE = "overdue"
    """No answer came in time."""
    DONE = "done"
    """The other side took it, and no answer is awaited."""
    ANSWERED = "answered"
    """An answer is here."""
    FAILED = "failed"
    """It was refused, or a report says that it did not get through."""


TRANSITIONS: dict[tuple[State | None, str], State] = {
    (None, "open"): State.OPEN,
    (State.OPEN, "try"): State.OPEN,
    (State.OVERDUE, "try"): State.OVERDUE,
    (State.OPEN, "send"): State.SENT,
    (State.OPEN, "hand over"): State.DONE,
    (State.OPEN, "lapse"): State.OVERDUE,
    (State.SENT, "lapse"): State.OVERDUE,
    (State.OVERDUE, "send"): State.OVERDUE,
    (State.OPEN, "fail"): State.FAILED,
    (State.SENT, "fail"): State.FAILED,
    (State.OVERDUE, "fail"): State.FAILED,
    (State.DONE, "fail"): State.FAILED,
    (State.FAILED, "open"): State.OPEN,
    (State.OPEN, "answer"): State.ANSWERED,
    (State.SENT, "answer"): State.ANSWERED,
    (State.OVERDUE, "answer"): State.ANSWERED,
    (State.DONE, "answer"): State.ANSWERED,
    (State.FAILED, "answer"): State.ANSWERED,
    (State.ANSWERED, "answer"): State.ANSWERED,
}
"""What happens to a request in a state, and the state it is in then. What is not here does not happen."""

UNANSWERED = frozenset((State.OPEN, State.SENT, State.OVERDUE))
"""States in which somebody waits."""
ENDED = frozenset((State.ANSWERED, State.FAILED))
"""States in which whoever waits is to be told."""


def after(state: State | None, happening: str) -> State | None:
    """The state after `happening`; None where that does not happen in `state`."""
    return TRANSITIONS.get((state, happening))
