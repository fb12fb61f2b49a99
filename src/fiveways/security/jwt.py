"""JSON Web Tokens read strictly: one spelling, one meaning, RS512 only.

JOSE libraries are lenient where attackers look for two readings of one token: padding, stray characters, a claim given twice
(the last wins), NaN. Here a token is taken only in its canonical form, and the signature is checked over the very bytes that
were read. Header members that name or carry keys (`jwk`, `jku`, `x5u`, `x5c`) mean nothing: keys come from whoever checks.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry
from joserfc.jwt import encode

ALGORITHM = "RS512"

_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_ALGORITHMS = {name: JWSRegistry(algorithms=[name]).get_alg(name) for name in ("RS256", ALGORITHM)}


class MalformedJwt(ValueError):
    """Not a JWS in compact form with JSON objects for header and claims."""


@dataclass(slots=True, frozen=True)
class Jwt:
    """A token taken apart, its signature not yet checked. `kid` is '' where the header has none that is a string."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signing_input: bytes
    signature: bytes

    @property
    def kid(self) -> str:
        """The header's key id (RFC 7515 §4.1.4)."""
        kid = self.header.get("kid")
        return kid if isinstance(kid, str) else ""

    def is_signed_by(self, key: RSAKey, algorithms: Collection[str] = (ALGORITHM,)) -> bool:
        """Whether `key` made the signature, as one of `algorithms` (of RS256 and RS512, RFC 7518 §3.3) and nothing else."""
        algorithm = self.header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in algorithms:
            return False
        try:
            return _ALGORITHMS[algorithm].verify(self.signing_input, self.signature, key)
        except JoseError:  # the key's own use, alg or key_ops forbid it
            return False


def parse(encoded: bytes, *, limit: int) -> Jwt:
    """Take a compact JWS of at most `limit` bytes apart; MalformedJwt where it is anything else.

    An extension marked critical is refused, as none is understood (RFC 7515 §4.1.11).
    """
    if len(encoded) > limit or _COMPACT.fullmatch(encoded) is None:
        raise MalformedJwt("not a compact JWS")
    head, payload, signature = encoded.split(b".")
    header = _object(_decode(head))
    if "crit" in header:
        raise MalformedJwt("critical extension")
    return Jwt(header, _object(_decode(payload)), head + b"." + payload, _decode(signature))


def sign(claims: dict[str, Any], key: RSAKey, *, kid: str, typ: str) -> str:
    """`claims` as a compact JWS signed RS512. The signature costs about 1 ms of CPU with a key of 3072 bits."""
    return encode({"alg": ALGORITHM, "kid": kid, "typ": typ}, claims, key, algorithms=[ALGORITHM])


def _decode(segment: bytes) -> bytes:
    """base64url without padding (RFC 7515 §2), in the one spelling that encodes these bytes."""
    try:
        decoded = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except ValueError as error:
        raise MalformedJwt("not base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != segment:
        raise MalformedJwt("not canonical base64url")
    return decoded


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_not_json)
        json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is not text
    except (ValueError, RecursionError) as error:
        raise MalformedJwt("not JSON") from error
    if not isinstance(value, dict):
        raise MalformedJwt("not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJwt("a member is given twice")
    return members


def _not_json(constant: str) -> NoReturn:
    raise MalformedJwt(f"{constant} is not JSON")
