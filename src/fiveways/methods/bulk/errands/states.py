"""The life of a file on an errand, as a table; no I/O. Every transition is an event that is appended, and the state is read from
the newest.

    ──see──▶ seen ──begin──▶ moving ──ready──▶ ready ──place──▶ placed ──settle──▶ settled
               │               │ ▲               │
               ├──refuse──▶ refused ──begin──┘   └──begin──▶ moving (what was ready is gone)
               └──change, skip (moving and refused too)──▶ changed, settled

Between two events one thing is done that shows outside, and that can be looked at: after `begin` bytes are brought under a
temporary name; after `ready` that is given its real name; after `place` the file where it came from is removed or moved. So whoever
finds a file in a state knows what was done last, and does at most that again.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fiveways.store.lives import Life


class State(StrEnum):
    """Where a file is."""

    SEEN = "seen"
    """It was seen where it comes from."""
    MOVING = "moving"
    """Its bytes are being moved, under a temporary name."""
    READY = "ready"
    """All of them are there, durable and verified; it is given its name."""
    PLACED = "placed"
    """It is there under its name; what is agreed is done with it where it came from."""
    SETTLED = "settled"
    """Nothing is left to be done."""
    REFUSED = "refused"
    """It is not moved, and the reason says why. Where the reason goes, it is."""
    CHANGED = "changed"
    """It became another file, or went away, before it was moved. Where it comes back as it was, it is moved."""


TRANSITIONS: Final[dict[tuple[State | None, str], State]] = {
    (None, "see"): State.SEEN,
    (State.SEEN, "begin"): State.MOVING,
    (State.REFUSED, "begin"): State.MOVING,
    (State.READY, "begin"): State.MOVING,
    (State.CHANGED, "begin"): State.MOVING,
    (State.MOVING, "ready"): State.READY,
    (State.READY, "place"): State.PLACED,
    (State.PLACED, "settle"): State.SETTLED,
    (State.SEEN, "skip"): State.SETTLED,
    (State.MOVING, "skip"): State.SETTLED,
    (State.REFUSED, "skip"): State.SETTLED,
    (State.SEEN, "refuse"): State.REFUSED,
    (State.MOVING, "refuse"): State.REFUSED,
    (State.REFUSED, "refuse"): State.REFUSED,
    (State.SEEN, "change"): State.CHANGED,
    (State.MOVING, "change"): State.CHANGED,
    (State.REFUSED, "change"): State.CHANGED,
}
"""What happens to a file in a state, and the state it is in then. What is not here does not happen."""

ENDED: Final = frozenset((State.SETTLED, State.CHANGED))
"""Nothing is left to be done, as long as it does not come back."""
WANTED: Final = frozenset((State.SEEN, State.MOVING, State.REFUSED))
"""It is to be moved, as long as it is there."""

_life = Life("file", TRANSITIONS)
after, before = _life.after, _life.before
