"""Sealed notes: what the platform hands out, or keeps, and only the platform itself can read or could have written.

AES-256-GCM under a key that is derived from the platform's own signing key, so that every node of one key folder opens what another
has sealed, and a withdrawn key takes what was sealed under it along, as it does what it signed. `purpose` is authenticated: a note
made for one thing is none for another.
"""

from __future__ import annotations

import base64
import os
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fiveways.security.keys import PlatformKeys

_NOTE = re.compile(r"([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{38,})")
_NONCE = 12


class Seal:
    """Seals and opens notes."""

    def __init__(self, keys: PlatformKeys) -> None:
        self._keys = keys

    def seal(self, content: bytes, purpose: str) -> str:
        """`content` as URL-safe text, a third longer and some 80 characters."""
        key, nonce = self._keys.current, os.urandom(_NONCE)
        sealed = nonce + AESGCM(key.sealing).encrypt(nonce, content, purpose.encode())
        return f"{key.kid}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"

    def open(self, note: str, purpose: str) -> bytes | None:
        """What was sealed for `purpose`; None where it was not, or its key is gone."""
        match = _NOTE.fullmatch(note)
        key = self._keys.sealing(match[1]) if match is not None else None
        if match is None or key is None:
            return None
        try:
            sealed = base64.urlsafe_b64decode(match[2] + "=" * (-len(match[2]) % 4))
            return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode())
        except (ValueError, InvalidTag):
            return None
