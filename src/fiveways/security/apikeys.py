"""API keys: made here, shown once, and kept only as their SHA-256.

A key is 256 random bits, so its hash can be neither guessed nor looked up in a table of passwords, and needs no salt; and a
presented key is found by hashing it, whatever the number of keys, in a time that says nothing about how near a guess came.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from typing import NamedTuple

from fiveways.errors import DeploymentError

PREFIX = "fwk_"
"""What our keys start with, so that scanners for leaked secrets recognise one."""

_SCHEME = "sha256:"


class NewKey(NamedTuple):
    """A new API key: `key` is for the consumer, `stored` for the deployment file."""

    key: str
    stored: str

    def __repr__(self) -> str:
        return f"NewKey(stored={self.stored!r})"


def generate() -> NewKey:
    """A new API key (46 characters, URL-safe) and the form it is stored in."""
    key = PREFIX + secrets.token_urlsafe(32)
    return NewKey(key, stored_form(key.encode()))


def stored_form(key: bytes) -> str:
    """`key` as the deployment file has it: sha256:<hex>."""
    return _SCHEME + sha256(key).hexdigest()


class ApiKeys:
    """Applications by their API keys. Immutable: a reload makes another."""

    def __init__(self, keys: Iterable[tuple[str, str]] = ()) -> None:
        """`keys` pairs stored keys with applications; DeploymentError where two applications share one."""
        self._applications: dict[bytes, tuple[bytes, str]] = {}
        for stored, application in keys:
            digest = bytes.fromhex(stored.removeprefix(_SCHEME))
            other = self._applications.setdefault(digest, (digest, application))
            if other[1] != application:
                raise DeploymentError(f"applications {other[1]} and {application} have the same API key")

    def find(self, presented: bytes) -> str | None:
        """The application whose key was presented, or None."""
        if not presented:
            return None
        digest = sha256(presented).digest()
        known = self._applications.get(digest)
        return known[1] if known is not None and compare_digest(known[0], digest) else None
