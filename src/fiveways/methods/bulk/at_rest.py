"""Encryption of files where they are kept: AES-256-GCM under a key of each file's own, which is itself kept wrapped (B19).

    key of yours ──AES key wrap (RFC 3394)──▶ data key of a file ──HMAC with a block's salt──▶ key of a block

A block is encrypted in pieces of 256 KiB, numbered by their nonces, so that any of them can be read by itself; pieces that are
exchanged, left out or altered do not open. Changing your key means wrapping data keys anew, and touches no file.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from fiveways.errors import DeploymentError, StoreError

PIECE: Final = 256 * 1024
"""Bytes of a piece before it is encrypted."""
TAG: Final = 16
"""Bytes that encryption adds to each piece."""


class Wrapping:
    """The keys that data keys are wrapped with: the first one wraps, the others open what they once wrapped."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys`: 32 bytes each, raw, in hexadecimal or in base64. DeploymentError for anything else."""
        raw = [_raw(key) for key in keys]
        self._keys = {hashlib.sha256(b"fiveways bulk key " + key).hexdigest()[:16]: key for key in raw}
        self.current = next(iter(self._keys))
        """The name of the key that wraps: it says nothing of the key."""

    def wrap(self, data_key: bytes) -> bytes:
        """A data key as it is kept."""
        return aes_key_wrap(self._keys[self.current], data_key)

    def unwrap(self, wrapped: bytes, by: str) -> bytes:
        """A data key that was wrapped by the key of that name. Raises StoreError where the deployment does not have it."""
        key = self._keys.get(by)
        if key is None:
            raise StoreError(f"a file is encrypted under the key {by}, which bulk.at_rest does not name")
        try:
            return aes_key_unwrap(key, wrapped)
        except InvalidUnwrap:
            raise StoreError("the key of a file does not open: it was damaged in the store") from None


class BlockCipher:
    """Encrypts and decrypts the pieces of one block."""

    def __init__(self, data_key: bytes, salt: bytes) -> None:
        self._aead = AESGCM(hmac.digest(data_key, salt, "sha256"))

    def seal(self, number: int, piece: bytes) -> bytes:
        """Piece `number` (from 0), of at most `PIECE` bytes, encrypted: `TAG` bytes longer."""
        return self._aead.encrypt(number.to_bytes(12, "big"), piece, None)

    def open(self, number: int, sealed: bytes) -> bytes:
        """What was sealed. Raises StoreError where it was changed since."""
        try:
            return self._aead.decrypt(number.to_bytes(12, "big"), sealed, None)
        except InvalidTag:
            raise StoreError("a payload is not what was put into the store") from None


def new_data_key() -> bytes:
    """A key for one file."""
    return os.urandom(32)


def _raw(key: bytes) -> bytes:
    if len(key) == 32:
        return key
    try:
        raw = bytes.fromhex(key.decode("ascii")) if len(key) == 64 else base64.b64decode(key, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != 32:
        raise DeploymentError("bulk.at_rest: expected a key of 32 bytes, in base64 or hexadecimal")
    return raw
