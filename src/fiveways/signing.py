"""Signatures on what is delivered, so that a receiver knows who sent it, that nobody changed it, and that it is not an old copy.

    Fiveways-Signature: t=1795365421,v1=5257a8…,v1=6ffbb5…

`t` is when the attempt was made, in seconds since the Unix epoch; each `v1` is HMAC-SHA256 (RFC 2104) of `t`, a full stop and the
body, in hexadecimal, under one secret. While a secret is being changed there are two of them, and a receiver that knows either is
content: it changes over when it likes.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256

from fiveways.errors import FivewaysError

HEADER = "Fiveways-Signature"
TOLERANCE = timedelta(minutes=5)
"""How far the clocks of sender and receiver may be apart, and how old a copy may be."""
SHORTEST = 16
"""Bytes that a secret has at least."""
_VALUE = re.compile(r"t=(0|[1-9][0-9]{0,11})((?:,v1=[0-9a-f]{64}){1,10})")


class BadSignature(FivewaysError):
    """What was received is not what somebody with one of the secrets has sent, or not just now."""


class Signature:
    """A signature in the making: `add` the body piece by piece, then take its `value`. ValueError for a short secret."""

    def __init__(self, secrets: Sequence[bytes], at: int) -> None:
        """`at`: seconds since the Unix epoch."""
        if not secrets or any(len(secret) < SHORTEST for secret in secrets):
            raise ValueError(f"signing takes secrets of {SHORTEST} bytes or more")
        self._at = at
        self._codes = [hmac.new(secret, b"%d." % at, sha256) for secret in secrets]

    def add(self, piece: bytes) -> None:
        """Take a piece of the body."""
        for code in self._codes:
            code.update(piece)

    def value(self) -> str:
        """The header field's value."""
        return f"t={self._at}" + "".join(f",v1={code.hexdigest()}" for code in self._codes)

    def has(self, digest: str) -> bool:
        """Whether `digest` is of one of the secrets, found out in constant time."""
        return any([hmac.compare_digest(code.hexdigest(), digest) for code in self._codes])  # noqa: C419 - all of them are compared


def sign(secrets: Sequence[bytes], at: float, body: bytes) -> str:
    """The value of `Fiveways-Signature` for a body that is sent at `at` (seconds since the Unix epoch), under every secret."""
    signature = Signature(secrets, int(at))
    signature.add(body)
    return signature.value()


def verify(secrets: Sequence[bytes], value: str, body: bytes, now: float, *, tolerance: timedelta = TOLERANCE) -> None:
    """For receivers: raises BadSignature unless `value` was made for `body` with one of `secrets`, within `tolerance` of `now`."""
    match = _VALUE.fullmatch(value)
    if match is None:
        raise BadSignature("not a signature: expected t=SECONDS,v1=HEX")
    signature = Signature(secrets, int(match[1]))
    signature.add(body)
    good = [signature.has(part.removeprefix("v1=")) for part in match[2][1:].split(",")]
    if not any(good):
        raise BadSignature("the signature is of another body or another secret")
    if abs(now - int(match[1])) > tolerance.total_seconds():  # only now: whose time it is must be known
        raise BadSignature("the signature is too old, or from the future")
