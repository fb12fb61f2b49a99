"""Back-channel logout (OpenID Connect Back-Channel Logout 1.0): a provider says that somebody has signed out there.

A logout token ends only sessions that had begun when it was made, so that one that is sent again ends nothing new.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fiveways.clock import Clock
from fiveways.security import jwt
from fiveways.security import refusals as r
from fiveways.security.forms import form_of
from fiveways.security.refusals import Refused
from fiveways.security.users.id_tokens import LIMIT, check_signature
from fiveways.security.users.provider import IdentityProvider
from fiveways.security.users.sessions import Sessions
from fiveways.security.users.states import Reason

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

CHECKS: tuple[Callable[[Mapping[str, Any], str], bool], ...] = (
    lambda claims, us: us not in (claims["aud"] if isinstance(claims.get("aud"), list) else [claims.get("aud")]),
    lambda claims, us: not isinstance(claims.get("iat"), int | float) or isinstance(claims["iat"], bool),
    lambda claims, us: not isinstance(claims.get("jti"), str) or not claims["jti"],
    lambda claims, us: not isinstance(claims.get("events"), dict) or not isinstance(claims["events"].get(EVENT), dict),
    lambda claims, us: "nonce" in claims,
    lambda claims, us: not any(isinstance(claims.get(name), str) and claims[name] for name in ("sid", "sub")),
)
"""What makes a signed token no logout token for `us` (§2.6)."""


class BackChannelLogout:
    """The endpoint that providers report to."""

    def __init__(self, providers: Iterable[IdentityProvider], sessions: Sessions, clock: Clock, leeway: timedelta) -> None:
        self._providers = {provider.issuer: provider for provider in providers}
        self._sessions = sessions
        self._clock = clock
        self._leeway = leeway.total_seconds()

    async def __call__(self, request: Request, bases: tuple[str, ...]) -> Response:
        """End the sessions of whoever has signed out; 501 where there are none, as on the NHS platform."""
        form = await form_of(request)
        provider, claims = await self._verified(form.get("logout_token", ""), request)
        wanted = {"sid": claims["sid"]} if claims.get("sid") else {"subject": claims["sub"]}
        if "sid" in wanted and claims.get("sub"):
            wanted["subject"] = claims["sub"]
        found = await self._sessions.records.find(provider=provider.name, **wanted)
        ended = [session for session in found if session.started_at <= (claims["iat"] + 1) * 1_000_000]
        if not ended:
            raise Refused(r.LOGOUT_UNKNOWN)
        for session in ended:
            await self._sessions.end(session, Reason.SIGNED_OUT)
        return JSONResponse({"success": True}, headers={"Cache-Control": "no-store"})

    async def _verified(self, token: str, request: Request) -> tuple[IdentityProvider, Mapping[str, Any]]:
        try:
            read = jwt.parse(token.encode(), limit=LIMIT)
        except (jwt.MalformedJwt, UnicodeEncodeError) as error:
            raise Refused(r.LOGOUT_INVALID) from error
        provider = self._providers.get(str(read.claims.get("iss")))
        if provider is None or not provider.client_id:
            raise Refused(r.LOGOUT_INVALID)
        if not _may_report(request, provider):
            raise Refused(r.LOGOUT_FROM)
        if str(read.header.get("typ", "jwt")).lower() not in ("jwt", "logout+jwt") or not read.kid:
            raise Refused(r.LOGOUT_INVALID)
        try:
            await check_signature(read, provider, "logout_token")
        except Refused as refused:
            raise Refused(refused.refusal if refused.refusal is r.PROVIDER_UNREACHABLE else r.LOGOUT_INVALID) from refused
        claims, now = read.claims, self._clock.time()
        if any(wrong(claims, provider.client_id) for wrong in CHECKS) or claims["iat"] > now + self._leeway:
            raise Refused(r.LOGOUT_INVALID)
        if "exp" in claims and not (isinstance(claims["exp"], int | float) and claims["exp"] > now - self._leeway):
            raise Refused(r.LOGOUT_INVALID)
        return provider, claims


def _may_report(request: Request, provider: IdentityProvider) -> bool:
    networks = provider.settings.logout_from
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(request.client.host if request.client is not None else "")
    except ValueError:
        return False
    return any(address in network for network in networks)
