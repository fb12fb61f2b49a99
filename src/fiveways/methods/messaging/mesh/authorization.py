"""The NHSMESH authorization scheme: a token for one request, made of a password that never travels.

    Authorization: NHSMESH mailbox:nonce:nonce-count:yyyyMMddHHmm:hex
    hex = HMAC-SHA256(shared key, "mailbox:nonce:nonce-count:password:yyyyMMddHHmm")

A token is good within two hours of its time (UTC), and once. mesh-client sends a request again, token and all, where it got no
answer: so a token is taken again for the very same method, path and query, but never to send a message, which could then be
there twice. What a token was used for is kept in the store: it holds across restarts and nodes.

A mailbox may demand a client certificate besides. It is looked at once the token has proved good: who has no password learns
nothing of what else a mailbox asks for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from fiveways.clock import Clock, micros, micros_in
from fiveways.ledger import replay
from fiveways.methods.messaging.directory import Directory, Mailbox
from fiveways.methods.messaging.mesh.faults import bad_header, forbidden, no_such_mailbox
from fiveways.methods.messaging.service import Claim
from fiveways.security.certificates import presented
from fiveways.types import Interaction

WINDOW = timedelta(hours=2)
"""How far a token's time may be from ours, either way."""
_WINDOW = micros_in(WINDOW)
_REMEMBERED = _WINDOW + 60_000_000
"""Microseconds from a token's time for which it is remembered: its time is that of a minute's beginning."""
NAMESPACE = "mesh"
_SCHEME = re.compile(rb"(?i:NHSMESH) +(.*)", re.DOTALL)
_COUNT = re.compile(rb"[0-9]{1,20}")
_TIME = re.compile(rb"[0-9]{12}")
_LONGEST = 1024
_PARTS = 5


class Proof(NamedTuple):
    """Who calls, and the claim on the token that says so. `value` and `purpose`: the token, and what it is used for, hashed."""

    mailbox: Mailbox
    claim: Claim
    value: bytes
    purpose: bytes


class Tokens:
    """Checks tokens of the mailboxes of a directory, and the client certificates that mailboxes name.

    `certified`: every mailbox demands a certificate; one that names none is then nobody's.
    """

    def __init__(self, directory: Directory, shared_key: bytes, clock: Clock, *, certified: bool = False) -> None:
        self._directory = directory
        self._key = shared_key
        self._clock = clock
        self._certified = certified

    def check(self, interaction: Interaction, mailbox_id: str) -> Proof:
        """Who calls for `mailbox_id` (upper case). Raises MeshFault; whether the token is new the store says, by the claim."""
        sent = interaction.fields.get(b"authorization", b"").strip()
        token = _SCHEME.fullmatch(sent) if len(sent) <= _LONGEST else None
        if token is None:
            raise bad_header()
        parts = token[1].split(b":")
        if parts[0] != mailbox_id.encode():
            raise forbidden("Mailbox id does not match token")
        if len(parts) != _PARTS or _COUNT.fullmatch(parts[2]) is None:
            raise bad_header()
        name, nonce, count, timestamp, digest = parts
        mailbox = self._directory.mailbox(mailbox_id)
        if mailbox is None or mailbox.password is None:
            raise no_such_mailbox()
        text = b":".join((name, nonce, count, mailbox.password, timestamp))
        if not hmac.compare_digest(hmac.digest(self._key, text, "sha256").hex().encode(), digest.lower()):
            raise forbidden("Invalid Authentication Token")
        made = _moment(timestamp)
        if made is None or abs(micros(self._clock) - made) > _WINDOW:
            raise forbidden("Invalid Authentication Token")
        if (self._certified or mailbox.certificates) and not mailbox.names(presented(interaction)):
            raise forbidden("Client certificate is missing or not one of the mailbox's")
        # Tokens of a minute lie together in the store; what is hashed does not depend on how the scheme or the hash are spelt.
        value = timestamp + hashlib.sha256(text).digest()[:20]
        purpose = hashlib.sha256(b"%b %b?%b" % (interaction.method.encode(), interaction.path, interaction.query)).digest()[:16]
        return Proof(mailbox, (replay.claim, replay.use(NAMESPACE, value, made + _REMEMBERED, purpose)), value, purpose)


@lru_cache(1024)
def _moment(timestamp: bytes) -> int | None:
    """A token's time in microseconds since the Unix epoch. Tokens of a minute have the same: it is read once."""
    if _TIME.fullmatch(timestamp) is None:
        return None
    try:
        return int(datetime.strptime(timestamp.decode(), "%Y%m%d%H%M").replace(tzinfo=UTC).timestamp()) * 1_000_000
    except ValueError:  # there is no such day
        return None
