"""Clients that prove who they are by a signed JWT (RFC 7523 §3, private_key_jwt), as the NHS API platform has them do it.

The checks are in the platform's order, since a request with two mistakes gets the answer for the first. One is moved: the
`jti` is used up last, once the signature has shown who is asking. The platform does it before, which lets anyone who knows a
client id fill its memory; a client notices no difference, as a refused assertion may be sent again but is refused again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from fiveways.clock import Clock
from fiveways.security import jwt
from fiveways.security import refusals as r
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.jwks import JwksError
from fiveways.security.refusals import JWT_BEARER, Refusal, Refused

LIMIT = 16 * 1024
"""Bytes of a client assertion."""


class ReplayGuard(Protocol):
    """Remembers what may be used once."""

    async def claim(self, namespace: str, value: str, until: datetime) -> bool:
        """True for the first to claim `value`, on whichever node, durably before it answers; remembered until `until`.

        `value` is a client's, and may have any length. StoreError where it cannot be remembered.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Assertion:
    """What a client sent, and when: seconds since the epoch, and how far its times may lie from that."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    now: float
    leeway: float
    ahead: float

    @property
    def exp(self) -> Any:
        return self.claims.get("exp")

    @property
    def nbf(self) -> Any:
        return self.claims.get("nbf", 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


CHECKS: tuple[tuple[Callable[[_Assertion], bool], Refusal], ...] = (
    (lambda a: not a.header.get("alg"), r.ALG_MISSING),
    (lambda a: a.header["alg"] != jwt.ALGORITHM, r.ALG_INVALID),
    (lambda a: _is_number(a.exp) and a.exp < a.now - a.leeway, r.EXP_PASSED),
    (lambda a: not a.header.get("kid") or not isinstance(a.header["kid"], str), r.KID_MISSING),
    (lambda a: str(a.header.get("typ")).lower() != "jwt", r.TYP_INVALID),
    (lambda a: not a.exp, r.EXP_MISSING),
    (lambda a: not _is_integer(a.exp), r.EXP_TYPE),
    (lambda a: not a.claims.get("iss") or a.claims["iss"] != a.claims.get("sub"), r.ISS_SUB_MISMATCH),
    (lambda a: not a.claims.get("jti"), r.JTI_MISSING),
    (lambda a: not isinstance(a.claims["jti"], str), r.JTI_TYPE),
    (lambda a: a.exp > a.now + a.ahead + a.leeway, r.EXP_TOO_FAR),
    (lambda a: not _is_number(a.nbf) or a.nbf > a.now + a.leeway, r.NBF_INVALID),
)
"""What is wrong with a header and claims, before anything is known of who sent them: the first that holds is the answer."""


class AssertionVerifier:
    """Tells which registered client sent a request that carries a client assertion."""

    def __init__(
        self,
        clients: Clients,
        replay: ReplayGuard,
        clock: Clock,
        *,
        leeway: timedelta = timedelta(seconds=10),
        ahead: timedelta = timedelta(minutes=5),
        memory: timedelta = timedelta(days=30),
    ) -> None:
        self._clients = clients
        self._replay = replay
        self._clock = clock
        self._leeway = leeway.total_seconds()
        self._ahead = ahead.total_seconds()
        self._memory = memory

    async def authenticate(self, form: Mapping[str, str], audiences: Collection[str]) -> RegisteredClient:
        """The client whose assertion `form` carries, made out to one of `audiences`; Refused otherwise.

        The assertion is used up: the same one is refused from then on.
        """
        if form.get("client_assertion_type") != JWT_BEARER:
            raise Refused(r.ASSERTION_TYPE)
        assertion = form.get("client_assertion")
        if not assertion:
            raise Refused(r.ASSERTION_MISSING)
        try:
            token = jwt.parse(assertion.encode(), limit=LIMIT)
        except (jwt.MalformedJwt, UnicodeEncodeError) as error:
            raise Refused(r.ASSERTION_MALFORMED) from error
        seen = _Assertion(token.header, token.claims, self._clock.time(), self._leeway, self._ahead)
        for wrong, refusal in CHECKS:
            if wrong(seen):
                raise Refused(refusal)
        client = self._client(token.claims["sub"])
        await self._check_signature(token, client)
        if not _meant_for(token.claims.get("aud"), audiences):
            raise Refused(r.AUD_INVALID, client.application)
        client.refuse_unentitled()
        await self._use_up(token, client)
        return client

    def _client(self, client_id: Any) -> RegisteredClient:
        client = self._clients.find(client_id) if isinstance(client_id, str) else None
        if client is None:
            raise Refused(r.ISS_SUB_UNKNOWN)
        return client

    async def _check_signature(self, token: jwt.Jwt, client: RegisteredClient) -> None:
        if client.keys is None:
            raise Refused(r.KEY_UNREGISTERED, client.application)
        try:
            key = await client.keys.find(token.kid)
        except JwksError as error:
            raise Refused(r.KEY_UNREACHABLE, client.application) from error
        if key is None:
            raise Refused(r.KID_UNKNOWN, client.application)
        if not token.is_signed_by(key):
            raise Refused(r.SIGNATURE_INVALID, client.application)

    async def _use_up(self, token: jwt.Jwt, client: RegisteredClient) -> None:
        expires = datetime.fromtimestamp(token.claims["exp"], UTC) + timedelta(seconds=self._leeway)
        until = max(self._clock.now() + self._memory, expires)
        if not await self._replay.claim(f"client_assertion:{client.client_id}", token.claims["jti"], until):
            raise Refused(r.JTI_USED, client.application)


def _meant_for(aud: Any, audiences: Collection[str]) -> bool:
    """Whether `aud`, a string or a list of strings (RFC 7519 §4.1.3), names one of `audiences` exactly."""
    named = aud if isinstance(aud, list) else [aud]
    return any(isinstance(name, str) and name in audiences for name in named)
