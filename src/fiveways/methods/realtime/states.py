"""The life of a message in a conversation, as a table. Each happening is a numbered entry of its channel, and nothing is erased:
what was corrected or retracted stays in the record, and says that it was.

| state | what is true |
|---|---|
| sent | it is in the channel, for everybody, in one order |
| delivered | it is on a device of everybody who is meant |
| read | everybody who is meant has seen it |
| corrected | its sender has said it anew; the old wording is kept |
| retracted | its sender has taken it back; it is kept, and told to be retracted |
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from fiveways.store.lives import Life


class State(StrEnum):
    """Where a message is in its life."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    CORRECTED = "corrected"
    RETRACTED = "retracted"


TRANSITIONS: Final[dict[tuple[State | None, str], State]] = {
    (None, "say"): State.SENT,
    (State.SENT, "deliver"): State.DELIVERED,
    (State.SENT, "read"): State.READ,
    (State.DELIVERED, "read"): State.READ,
    **{(state, "correct"): State.CORRECTED for state in (State.SENT, State.DELIVERED, State.READ, State.CORRECTED)},
    **{(State.CORRECTED, happening): State.CORRECTED for happening in ("deliver", "read")},
    **{(state, "retract"): State.RETRACTED for state in (State.SENT, State.DELIVERED, State.READ, State.CORRECTED)},
}
"""What can happen to a message, and what it is then."""
LIFE: Final = Life("message", TRANSITIONS)
HAPPENINGS: Final = ("say", "deliver", "read", "correct", "retract", "invite", "leave", "close")
"""The entries of a channel: what happens to messages, and who takes part."""
PASSING: Final = ("arrive", "depart", "type")
"""What is told to whoever is there, and not kept."""
