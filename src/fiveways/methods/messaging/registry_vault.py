"""Passwords of mailboxes that are registered while running, as they are kept.

A token is a hash over the password itself, so that whoever checks one needs it in clear text: it cannot be kept as a hash. It is
kept sealed by AES-256-GCM (NIST SP 800-38D), with a key that HKDF-SHA256 (RFC 5869) derives from messaging's shared key, and with
the mailbox's id as associated data: a row that is put in another mailbox's place opens for nobody. A copy of the database alone
gives no password away; with another shared key none can be opened any more, and they have to be set anew.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_FORM = b"\x01"
"""What a sealed password begins with: how it was made."""
_NONCE = 12


class Unopenable(ValueError):
    """What is sealed was not sealed with this key, or not for this mailbox."""


class Vault:
    """Seals and opens passwords of mailboxes."""

    def __init__(self, shared_key: bytes) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"fiveways: passwords of mailboxes").derive(shared_key)
        self._cipher = AESGCM(key)

    def seal(self, mailbox: str, password: bytes) -> bytes:
        """The password of a mailbox, as the store keeps it."""
        nonce = os.urandom(_NONCE)
        return _FORM + nonce + self._cipher.encrypt(nonce, password, mailbox.encode())

    def open(self, mailbox: str, sealed: bytes) -> bytes:
        """The password that was sealed for a mailbox; Unopenable where it was not, or with another key."""
        nonce, text = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        if sealed[:1] != _FORM or len(nonce) < _NONCE:
            raise Unopenable
        try:
            return self._cipher.decrypt(nonce, text, mailbox.encode())
        except InvalidTag:
            raise Unopenable from None
