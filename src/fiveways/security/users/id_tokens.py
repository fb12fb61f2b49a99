"""ID tokens of the identity providers (OpenID Connect Core §3.1.3.7), with the NHS API platform's answers to bad ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from fiveways.clock import Clock
from fiveways.security import jwt
from fiveways.security import refusals as r
from fiveways.security.refusals import Refusal, Refused
from fiveways.security.users.person import PRINTABLE
from fiveways.security.users.provider import ALGORITHMS, IdentityProvider, ProviderError

LIMIT = 32 * 1024
"""Bytes of an ID token: one with the roles of a health worker has some thousand."""


class _Read(NamedTuple):
    """A token taken apart, and the present: seconds since the epoch, and by how much clocks may differ."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    now: float
    leeway: float


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ahead(token: _Read, claim: str) -> bool:
    """Whether a time, where there is one, is not a number or has not come yet."""
    value = token.claims.get(claim, 0)
    return not _is_number(value) or value > token.now + token.leeway


CHECKS: tuple[tuple[Callable[[_Read], bool], Refusal], ...] = (
    (lambda t: not t.header.get("alg"), r.ALG_MISSING),
    (lambda t: t.header["alg"] not in ALGORITHMS, r.ID_ALG_INVALID),
    (lambda t: _is_number(t.claims.get("exp")) and t.claims["exp"] <= t.now - t.leeway, r.EXP_PASSED),
    (lambda t: not t.header.get("kid") or not isinstance(t.header["kid"], str), r.KID_MISSING),
    (lambda t: str(t.header.get("typ", "jwt")).lower() != "jwt", r.TYP_INVALID),
    (lambda t: not t.claims.get("exp"), r.EXP_MISSING),
    (lambda t: not _is_number(t.claims["exp"]), r.EXP_TYPE),
    (lambda t: not t.claims.get("iss") or not t.claims.get("sub"), r.ISS_SUB_MISMATCH),
    (lambda t: not t.claims.get("aud"), r.SUBJECT_AUD_MISSING),
    (lambda t: _ahead(t, "iat") or _ahead(t, "nbf"), r.NBF_INVALID),
    (lambda t: not isinstance(t.claims["sub"], str) or PRINTABLE.fullmatch(t.claims["sub"]) is None, r.ISS_SUB_UNKNOWN),
)
"""What is wrong with a token, before anything is known of who signed it: the first that holds is the answer."""


class Verified(NamedTuple):
    """Whose token it is, and what it claims."""

    provider: IdentityProvider
    claims: Mapping[str, Any]


class IdTokens:
    """Verifies the ID tokens of a deployment's providers."""

    def __init__(self, providers: Iterable[IdentityProvider], clock: Clock, leeway: timedelta) -> None:
        self._providers = {provider.issuer: provider for provider in providers}
        self._clock = clock
        self._leeway = leeway.total_seconds()

    async def verify(
        self,
        token: str,
        audiences: Callable[[IdentityProvider], Collection[str]],
        *,
        name: str = "subject_token",
        of: IdentityProvider | None = None,
        nonce: str | None = None,
    ) -> Verified:
        """Whom `token` is about. `audiences`: for whom a provider may have made it; `of`: the one provider it may be from; `nonce`:
        what it must answer to; `name`: what it is called in a refusal. Refused where it is no good, with application ''."""
        try:
            read = jwt.parse(token.encode(), limit=LIMIT)
        except (jwt.MalformedJwt, UnicodeEncodeError) as error:
            raise Refused(r.ASSERTION_MALFORMED.of(name)) from error
        seen = _Read(read.header, read.claims, self._clock.time(), self._leeway)
        for wrong, refusal in CHECKS:
            if wrong(seen):
                raise Refused(refusal.of(name))
        provider = self._providers.get(str(read.claims["iss"]))
        if provider is None or (of is not None and provider is not of):
            raise Refused(r.ISS_SUB_UNKNOWN.of(name))
        await check_signature(read, provider, name)
        if not _meant_for(read.claims, audiences(provider)):
            raise Refused(r.ID_AUD_INVALID.of(name))
        if nonce is not None and read.claims.get("nonce") != nonce:
            raise Refused(r.NONCE_INVALID.of(name))
        return Verified(provider, read.claims)


async def check_signature(token: jwt.Jwt, provider: IdentityProvider, name: str) -> None:
    """Refused where `token` is not signed by a key that its provider publishes."""
    try:
        key = await provider.key(token.kid)
    except ProviderError as error:
        raise Refused(r.PROVIDER_UNREACHABLE) from error
    if key is None:
        raise Refused(r.KID_UNKNOWN.of(name))
    if not token.is_signed_by(key, ALGORITHMS):
        raise Refused(r.SIGNATURE_INVALID)


def _meant_for(claims: Mapping[str, Any], audiences: Collection[str]) -> bool:
    """Whether one of `audiences` is in `aud`; and `azp`, where it is said, is one too (§3.1.3.7, points 3 to 5)."""
    aud = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    authorized = claims.get("azp")
    if authorized is not None and (not isinstance(authorized, str) or authorized not in audiences):
        return False
    return any(isinstance(each, str) and each in audiences for each in aud)
