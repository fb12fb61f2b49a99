"""The life of a person's session, as a table; no I/O.

    ──offer──▶ offered ──redeem──▶ active ──renew──▶ active
                  └─────end─────┐     └──end──▶ ended
    ──open──▶ active            └────────────────▶ ended

In combined access a session begins with a code, which is redeemed once; in separate access with an ID token that is exchanged.
Each transition is one conditional write, so that of two requests that would make the same one only one does. That time has run out
is not a state: it is looked at each time.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a session is."""

    OFFERED = "offered"
    """The application has a code and not used it yet."""
    ACTIVE = "active"
    """It has tokens, and may renew them."""
    ENDED = "ended"
    """It was ended before its time; what it gave is revoked."""


TRANSITIONS: dict[tuple[State | None, str], State] = {
    (None, "offer"): State.OFFERED,
    (None, "open"): State.ACTIVE,
    (State.OFFERED, "redeem"): State.ACTIVE,
    (State.ACTIVE, "renew"): State.ACTIVE,
    (State.OFFERED, "end"): State.ENDED,
    (State.ACTIVE, "end"): State.ENDED,
}
"""What happens to a session in a state, and the state it is in then. What is not here does not happen."""


class Reason(StrEnum):
    """Why a session was ended."""

    SIGNED_OUT = "signed out"
    """The identity provider says so (back-channel logout)."""
    REVOKED = "revoked"
    """The application gave it back (RFC 7009)."""
    OPERATOR = "operator"
    """Somebody who runs the platform ended it."""
    CODE_REUSED = "code reused"
    """Its code came a second time, or from another application: it has been stolen (RFC 6749 §10.5)."""
    REFRESH_REUSED = "refresh token reused"
    """A refresh token came that had been replaced: one of the two who have it stole it (RFC 9700 §4.14.2)."""
