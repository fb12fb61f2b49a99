"""Patient identifiers outside payloads: only as a keyed HMAC, so that the same person is recognised and nobody can be named.

NHS numbers are few (a thousand million): a plain hash of one is undone in minutes. The key is the platform's own and stays
out of the database; nodes that share a database are given the same one.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from fiveways.correlation import is_guid
from fiveways.ledger.keys import secret

_CACHED = 10_000
_NHS_NUMBER = re.compile(rb"(?<![0-9])([0-9]{3})[-.]?([0-9]{3})[-.]?([0-9]{4})(?![0-9])")
_CREDENTIAL = re.compile(rb"eyJ[A-Za-z0-9_.-]{8,}|fwk_[A-Za-z0-9_-]+")


class Pseudonyms:
    """HMAC-SHA256 under one key, the first 128 bits of it."""

    def __init__(self, key: bytes, prefix: str = "nhs:") -> None:
        if len(key) < 16:
            raise ValueError("the key of pseudonyms has at least 16 bytes")
        self._keyed = hmac.new(key, digestmod=hashlib.sha256)
        self._prefix = prefix
        self._cache: dict[bytes, str] = {}

    @classmethod
    def open(cls, folder: Path) -> Pseudonyms:
        """With the key of `{data}/keys/pseudonyms.key`, made when first needed."""
        return cls(secret(folder / "keys" / "pseudonyms.key"))

    def keyed_hash(self) -> hmac.HMAC:
        """HMAC-SHA256 under the key, to be fed with whatever is to be recognised but not kept."""
        return self._keyed.copy()

    def in_id(self, value: bytes) -> str:
        """An id as it may be kept: one that is no GUID could carry an NHS number, or a token sent in the wrong field."""
        if is_guid(value):
            return value.decode()
        value = _CREDENTIAL.sub(b"[credential]", value)
        return _NHS_NUMBER.sub(lambda match: self.of(b"".join(match.groups())).encode(), value).decode("latin-1")

    def of(self, identifier: bytes) -> str:
        """The pseudonym: `nhs:` and 32 hexadecimal digits."""
        known = self._cache.get(identifier)
        if known is None:
            keyed = self._keyed.copy()
            keyed.update(identifier)
            known = self._prefix + keyed.hexdigest()[:32]
            if len(self._cache) >= _CACHED:
                self._cache.clear()
            self._cache[identifier] = known
        return known
