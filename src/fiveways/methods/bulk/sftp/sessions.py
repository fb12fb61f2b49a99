"""A partner's session, as the audit and receipts tell of it, and whom events are told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

Event = Literal["bulk.session.opened", "bulk.session.refused", "bulk.session.closed", "bulk.locked_out"]
"""What happens to sessions."""


@dataclass(frozen=True, slots=True)
class Session:
    """One log-in of a partner, over one connection."""

    partner: str
    correlation: str
    """The id of whatever comes of the session."""
    address: str
    """Where the partner comes from."""
    port: int
    cipher: str
    """What encrypts, as negotiated: `aes128-gcm@openssh.com`; of two that differ, what the partner sends under. Agreeing on new
    keys never changes it: a connection that tries is closed."""
    cipher_back: str
    """What encrypts what the partner is sent."""
    key_exchange: str
    """How keys were agreed on: `curve25519-sha256`."""
    client: str
    """What the client calls itself: `SSH-2.0-OpenSSH_9.2p1`."""
    by: Literal["key", "certificate", "password"]
    """How the partner came in."""
    key: str
    """The fingerprint of the key that it has used (SHA256:…); of a certificate, the authority's; '' of a password."""
    certificate: str = ""
    """The id and the serial number of the certificate: `night-extract (17)`."""


class Record(Protocol):
    """Whom events are told to. It returns when the event is as safe as the audit makes it; raises where it cannot be."""

    async def __call__(
        self, event: Event, partner: str, address: str, session: Session | None, details: dict[str, str | int]
    ) -> None:
        """`partner`: '' where nobody of the name tried is known. `session`: None before anybody is logged in. `details`: `why` of
        refused, closed and locked_out; `bytes_in`, `bytes_out`, `kept` (uploads), `seconds` of closed."""
        ...
