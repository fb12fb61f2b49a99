"""Access tokens: signed JWTs in the profile of RFC 9068, verified without asking anyone.

The first time a token is seen its signature is checked; after that its very bytes are known until it expires, in a cache of
bounded size. Looking one up leaks nothing by its timing: bytes are compared only where a 64-bit keyed hash already agrees.
Whether a token has expired or been revoked is looked at every time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.errors import AccessDenied
from fiveways.security import jwt, scopes
from fiveways.security.keys import PlatformKeys
from fiveways.security.revocations import Revocations
from fiveways.security.seal import Seal
from fiveways.security.users.person import Person, decode, encode

TYPE = "at+jwt"
LIMIT = 8192
"""Bytes of an access token; ours have about 1,100 with a handful of scopes, and 500 more with a person."""
_SEALED = "person in an access token"


class InvalidToken(AccessDenied):
    """The access token is no good; `reason` says why, for the audit."""

    reason: ClassVar[str] = "invalid"
    error: ClassVar[str] = "invalid_token"

    def __init__(self, diagnostics: str = "") -> None:
        challenge = f'Bearer error="{self.error}"' if self.error else "Bearer"
        super().__init__(diagnostics or self.diagnosis, headers={"WWW-Authenticate": challenge})

    diagnosis: ClassVar[str] = "The access token is not valid"


class MissingToken(InvalidToken):
    """There is no bearer token; the challenge then carries no error (RFC 6750 §3.1)."""

    reason, error, diagnosis = "missing", "", "Send an access token: Authorization: Bearer …"


class MalformedToken(InvalidToken):
    """Not a token of ours: not a JWT, or not an access token."""

    reason, diagnosis = "malformed", "The access token is malformed"


class BadSignature(InvalidToken):
    """Not signed by a key of ours."""

    reason, diagnosis = "signature", "The access token is not signed by this platform"


class WrongAudience(InvalidToken):
    """A token of another issuer, or for another gateway."""

    reason, diagnosis = "audience", "The access token was not issued for this platform"


class ExpiredToken(InvalidToken):
    """Its time is over."""

    reason, diagnosis = "expired", "The access token has expired: get another one"


class RevokedToken(InvalidToken):
    """It was taken back."""

    reason, diagnosis = "revoked", "The access token has been revoked"


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token says. Times are in seconds since the epoch; `context` and `level` are as in types.Consumer.

    `person` is on whose behalf the application acts, and `session` the id of their sign-in; None and '' where it acts for itself.
    """

    application: str
    client_id: str
    scopes: frozenset[str]
    level: str
    context: str
    expires: float
    issued: float
    jti: str
    person: Person | None = None
    session: str = ""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new access token. `expires_in` is in seconds and never more than it really lives."""

    token: str
    grant: Grant
    expires_in: int

    def __repr__(self) -> str:
        return f"IssuedToken(jti={self.grant.jti!r}, expires_in={self.expires_in})"


class TokenIssuer:
    """Makes access tokens, signed with the platform's current key."""

    def __init__(self, keys: PlatformKeys, clock: Clock, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._seal = Seal(keys)
        self.lifetime = lifetime

    def issue(
        self,
        application: str,
        client_id: str,
        granted: frozenset[str],
        *,
        person: Person | None = None,
        session: str = "",
        lifetime: timedelta | None = None,
    ) -> IssuedToken:
        """A token for `application` that carries the scopes `granted`, by itself or on behalf of a `person` in their `session`.
        `lifetime` may shorten the usual one, never lengthen it.

        `exp` is a whole second, rounded down; so what the client is told is a second less than the lifetime (599 for ten
        minutes, as on the NHS platform).
        """
        seconds = min(lifetime or self.lifetime, self.lifetime).total_seconds()
        issued = self._clock.time()
        grant = Grant(
            application=application,
            client_id=client_id,
            scopes=granted,
            level="level3" if person is None else person.assurance,
            context="signed-jwt" if person is None else "user-restricted",
            expires=float(int(issued + seconds)),
            issued=issued,
            jti=new_id(),
            person=person,
            session=session,
        )
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": client_id if person is None else person.subject,
            "client_id": client_id,
            "app": application,
            "scope": scopes.join(granted),
            "level": grant.level,
            "context": grant.context,
            "iat": issued,
            "exp": int(grant.expires),
            "jti": grant.jti,
        }
        if person is not None:
            claims |= {"sid": session, "person": self._seal.seal(encode(person), _SEALED)}
        return IssuedToken(self._keys.current.sign(claims, typ=TYPE), grant, max(int(seconds) - 1, 0))


class TokenVerifier:
    """Reads bearer tokens, without waiting and without the database. Give every request to the same one."""

    def __init__(
        self, keys: PlatformKeys, revocations: Revocations, *, issuer: str, audience: str, remembered: int = 10_000
    ) -> None:
        self._keys = keys
        self._revocations = revocations
        self._issuer = issuer
        self._audience = audience
        self._remembered = remembered
        self._seal = Seal(keys)
        self._grants: dict[bytes, Grant] = {}
        self._generation = keys.generation
        self._looked = 0.0

    def verify(self, bearer: bytes, now: float) -> Grant:
        """What `bearer` grants at `now` (seconds since the epoch); a kind of InvalidToken where it grants nothing."""
        if not 0.0 <= now - self._looked < 1.0:
            self._look(now)
        grant = self._grants.get(bearer)
        if grant is None:
            grant = self._read(bearer)
            if now < grant.expires:
                self._remember(bearer, grant)
        if now >= grant.expires:
            self._grants.pop(bearer, None)
            raise ExpiredToken
        if self._revocations.cover(grant):
            raise RevokedToken
        return grant

    def _look(self, now: float) -> None:
        """Once a second: a withdrawn key takes with it what it signed."""
        self._looked = now
        self._keys.look()
        if self._keys.generation != self._generation:
            self._generation = self._keys.generation
            self._grants.clear()

    def _remember(self, bearer: bytes, grant: Grant) -> None:
        """The oldest goes where there is no room: as all live equally long, it expires soonest."""
        if len(self._grants) >= self._remembered:
            del self._grants[next(iter(self._grants))]
        self._grants[bearer] = grant

    def _read(self, bearer: bytes) -> Grant:
        if not bearer:
            raise MissingToken
        try:
            token = jwt.parse(bearer, limit=LIMIT)
        except jwt.MalformedJwt as error:
            raise MalformedToken from error
        key = self._keys.public(token.kid)
        if key is None or not token.is_signed_by(key):
            raise BadSignature
        if token.header.get("typ") != TYPE:  # a receipt, say, is signed with the same keys
            raise MalformedToken
        claims = token.claims
        if claims.get("iss") != self._issuer or claims.get("aud") != self._audience:
            raise WrongAudience
        try:
            return Grant(
                application=str(claims["app"]),
                client_id=str(claims["client_id"]),
                scopes=scopes.split(claims["scope"]),
                level=str(claims["level"]),
                context=str(claims["context"]),
                expires=float(claims["exp"]),
                issued=float(claims["iat"]),
                jti=str(claims["jti"]),
                person=self._person(claims["person"]) if "person" in claims else None,
                session=str(claims.get("sid", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MalformedToken from error

    def _person(self, sealed: str) -> Person:
        opened = self._seal.open(sealed, _SEALED)
        if opened is None:
            raise MalformedToken
        return decode(opened)


def bearer_of(authorization: bytes | None) -> bytes:
    """The token in an Authorization field (RFC 6750 §2.1); MissingToken where there is none, or another scheme."""
    if authorization is None or authorization[:7].lower() != b"bearer ":
        raise MissingToken
    return authorization[7:].strip(b" ")
