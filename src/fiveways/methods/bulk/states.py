"""The life of a transfer, as a table; no I/O. Every transition is an event that is appended, and the state is read from the newest.

    ──announce──▶ announced ──begin──▶ receiving ──receive──▶ received ──verify──▶ verifying
                      └──expire──▶ expired ◀──expire──┘           ┌───────────────────┤
                                                               (no records      examine
    rejected ◀──reject── verifying, quality control             are said)             ▼
                                                                  │           quality control
    part-released ◀──release_part── quality control               ▼                   │
         ├──resubmit──▶ part-released: some were mended        released ◀──release────┘
         ├──mend──▶ released, once nothing is set aside any more
         └──collect──▶ collected ◀──collect── released

What is collected may be mended all the same, and is part-released or released again then, to be collected once more.

An event's number is part of its key in the store, so that of two nodes that would take a transfer further only one does.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fiveways.store.lives import Life


class State(StrEnum):
    """Where a transfer is."""

    ANNOUNCED = "announced"
    """A manifest has come that names files which have not."""
    RECEIVING = "receiving"
    """Its file is being uploaded, or was, and is not known to be complete."""
    RECEIVED = "received"
    """It is complete as agreed: by manifest, marker, trailer, stillness or its upload's end (B21)."""
    VERIFYING = "verifying"
    """What was agreed of it is being compared with what came (B20, B21)."""
    QUALITY_CONTROL = "quality-control"
    """Its records are being checked (B15)."""
    RELEASED = "released"
    """All of it is handed on."""
    PART_RELEASED = "part-released"
    """The good records are handed on; some are set aside (B16)."""
    REJECTED = "rejected"
    """Nothing of it is handed on."""
    COLLECTED = "collected"
    """A recipient has taken it, or it was brought to all of them."""
    EXPIRED = "expired"
    """It was not complete in time."""


TRANSITIONS: Final[dict[tuple[State | None, str], State]] = {
    (None, "announce"): State.ANNOUNCED,
    (None, "begin"): State.RECEIVING,
    (State.ANNOUNCED, "begin"): State.RECEIVING,
    (State.ANNOUNCED, "receive"): State.RECEIVED,
    (State.ANNOUNCED, "expire"): State.EXPIRED,
    (State.RECEIVING, "receive"): State.RECEIVED,
    (State.RECEIVING, "expire"): State.EXPIRED,
    (State.RECEIVED, "verify"): State.VERIFYING,
    (State.VERIFYING, "reject"): State.REJECTED,
    (State.VERIFYING, "examine"): State.QUALITY_CONTROL,
    (State.VERIFYING, "release"): State.RELEASED,
    (State.QUALITY_CONTROL, "reject"): State.REJECTED,
    (State.QUALITY_CONTROL, "release"): State.RELEASED,
    (State.QUALITY_CONTROL, "release_part"): State.PART_RELEASED,
    (State.PART_RELEASED, "resubmit"): State.PART_RELEASED,
    (State.COLLECTED, "resubmit"): State.PART_RELEASED,
    (State.PART_RELEASED, "mend"): State.RELEASED,
    (State.COLLECTED, "mend"): State.RELEASED,
    (State.RELEASED, "collect"): State.COLLECTED,
    (State.PART_RELEASED, "collect"): State.COLLECTED,
}
"""What happens to a transfer in a state, and the state it is in then. What is not here does not happen."""

COMING: Final = frozenset((State.ANNOUNCED, State.RECEIVING))
"""It is not known to be complete."""
AT_WORK: Final = frozenset((State.RECEIVED, State.VERIFYING, State.QUALITY_CONTROL))
"""It is complete, and not judged."""
ENDED: Final = frozenset((State.RELEASED, State.PART_RELEASED, State.REJECTED, State.COLLECTED, State.EXPIRED))
"""It is judged."""

_life = Life("transfer", TRANSITIONS)
after, before = _life.after, _life.before
