"""The life of a delivery, as a table; no I/O. Every transition is an event that is appended, and the state is read from the newest.

    ──promise──▶ waiting ──claim──▶ held ──deliver──▶ delivered
                    ▲ ╎  ◀─fail, lapse─┘ └──give up──▶ dead ──mend──▶ dead
                    │ ├╌╌expire╌╌▶ expired              │ └──discard──▶ discarded
                    │ └╌╌discard (held too)╌╌▶ discarded
                    └───────────────resend──────────────┘

An event's number in the life is part of its key in the store, and it is written only where the life stands where it starts from: of
two who would have different things happen next, one does.
"""

from __future__ import annotations

from enum import StrEnum

from fiveways.store.lives import Life


class State(StrEnum):
    """Where a delivery is."""

    WAITING = "waiting"
    """It is to be attempted: now, later, or once those before it under its key have ended."""
    HELD = "held"
    """A node attempts it, for as long as its lease runs."""
    DELIVERED = "delivered"
    """Its receiver has taken it."""
    DEAD = "dead"
    """It was given up, and waits for a person."""
    EXPIRED = "expired"
    """Nobody needs it any more: the time in which it was of use is over."""
    DISCARDED = "discarded"
    """A person decided that it shall not be delivered."""


TRANSITIONS: dict[tuple[State | None, str], State] = {
    (None, "promise"): State.WAITING,
    (State.WAITING, "claim"): State.HELD,
    (State.WAITING, "expire"): State.EXPIRED,
    (State.WAITING, "discard"): State.DISCARDED,
    (State.WAITING, "give up"): State.DEAD,
    (State.HELD, "deliver"): State.DELIVERED,
    (State.HELD, "fail"): State.WAITING,
    (State.HELD, "lapse"): State.WAITING,
    (State.HELD, "discard"): State.DISCARDED,
    (State.HELD, "give up"): State.DEAD,
    (State.DEAD, "mend"): State.DEAD,
    (State.DEAD, "resend"): State.WAITING,
    (State.DEAD, "discard"): State.DISCARDED,
}
"""What happens to a delivery in a state, and the state it is in then. What is not here does not happen.

`lapse`: the lease of the node that held it ran out, and nobody knows whether its receiver has it. `give up` while waiting: too many
attempts ended so. `discard` while held: the attempt that is under way may still reach its receiver, and is the last.
"""

ENDED = frozenset((State.DELIVERED, State.EXPIRED, State.DISCARDED))
"""States from which nothing leads on."""

_life = Life("delivery", TRANSITIONS)
after = _life.after
