"""The life of a message, as a table; no I/O. Every transition is an event that is appended, and the state is read from the newest.

    ──begin──▶ uploading ──complete──▶ accepted ──acknowledge──▶ acknowledged
                   └──abandon──▶ error    ├──expire──▶ undeliverable
    ──send──▶ accepted                    └──fail──▶ error

An event's place in the life is part of its key in the store, so that of two nodes that would end a message only one does.
"""

from __future__ import annotations

from enum import StrEnum

from fiveways.store.lives import Life


class State(StrEnum):
    """Where a message is; the words are those of the wire."""

    UPLOADING = "uploading"
    """Some of its chunks are here."""
    ACCEPTED = "accepted"
    """It is whole, and waits in the recipient's inbox."""
    ACKNOWLEDGED = "acknowledged"
    """Its recipient has it. That says nothing of what the recipient has done with it (A12)."""
    UNDELIVERABLE = "undeliverable"
    """Nobody collected it in time; its sender was told."""
    ERROR = "error"
    """It could not be delivered, and its sender was told; or its upload was never completed."""


TRANSITIONS: dict[tuple[State | None, str], State] = {
    (None, "begin"): State.UPLOADING,
    (None, "send"): State.ACCEPTED,
    (State.UPLOADING, "complete"): State.ACCEPTED,
    (State.UPLOADING, "abandon"): State.ERROR,
    (State.ACCEPTED, "acknowledge"): State.ACKNOWLEDGED,
    (State.ACCEPTED, "expire"): State.UNDELIVERABLE,
    (State.ACCEPTED, "fail"): State.ERROR,
}
"""What happens to a message in a state, and the state it is in then. What is not here does not happen."""

PLACE = {State.UPLOADING: 0, State.ACCEPTED: 1, State.ACKNOWLEDGED: 2, State.UNDELIVERABLE: 2, State.ERROR: 2}
"""The place of the event that leads to a state: there is one beginning, one acceptance and one end."""

COLLECTABLE = frozenset((State.ACCEPTED, State.ACKNOWLEDGED))
"""States in which a recipient may read a message."""

_life = Life("message", TRANSITIONS)
after = _life.after
