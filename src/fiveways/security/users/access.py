"""User-restricted access as a whole: what it adds to the authorization server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fiveways.clock import Clock
from fiveways.errors import AccessDenied
from fiveways.security import refusals as r
from fiveways.security.assertion import AssertionVerifier, ReplayGuard
from fiveways.security.authentication import Authentication
from fiveways.security.authorization import Endpoint, Record, Revoke
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.grants import GrantHandler
from fiveways.security.refusals import Refused
from fiveways.security.seal import Seal
from fiveways.security.tokens import TokenIssuer, TokenVerifier, bearer_of
from fiveways.security.users.ending import Ending
from fiveways.security.users.grants import (
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
    AuthorizationCode,
    RefreshToken,
    TokenExchange,
)
from fiveways.security.users.id_tokens import IdTokens
from fiveways.security.users.logout import BackChannelLogout
from fiveways.security.users.provider import IdentityProvider
from fiveways.security.users.records import Records, Session
from fiveways.security.users.sessions import Sessions
from fiveways.security.users.sign_in import SignIn
from fiveways.security.users.states import Reason


class UserAccess:
    """Made anew when the deployment is loaded, over the same records."""

    def __init__(
        self,
        providers: Mapping[str, IdentityProvider],
        *,
        clients: Clients,
        assertions: AssertionVerifier,
        records: Records,
        issuer: TokenIssuer,
        verifier: TokenVerifier,
        seal: Seal,
        replay: ReplayGuard,
        revoke: Revoke,
        record: Record,
        clock: Clock,
        leeway: timedelta,
    ) -> None:
        async def told(session: Session, reason: str) -> None:
            details = {"subject": session.subject, "idp": session.provider, "session": session.id}
            await record("session.ended", application=session.application, outcome=reason, details=details)

        end = Ending(records, revoke, told, clock)
        self.sessions = Sessions(records, issuer, seal, clock, providers=providers, end=end)
        self._clock = clock
        self._verifier = verifier
        id_tokens = IdTokens(providers.values(), clock, leeway)
        authentication = Authentication(clients, assertions)
        self.grants: dict[str, GrantHandler] = {
            TOKEN_EXCHANGE: TokenExchange(assertions, id_tokens, self.sessions),
            REFRESH_TOKEN: RefreshToken(authentication, self.sessions),
        }
        self.endpoints: dict[str, tuple[str, Endpoint]] = {}
        known_at = {name: provider for name, provider in providers.items() if provider.client_id}
        if not known_at:
            return
        sign_in = SignIn(clients, known_at, id_tokens, self.sessions, seal=seal, replay=replay, record=record, clock=clock)
        self.grants[AUTHORIZATION_CODE] = AuthorizationCode(authentication, self.sessions)
        self.endpoints = {
            "/authorize": ("GET", sign_in.authorize),
            "/callback": ("GET", sign_in.callback),
            **{f"/callback/{name}": ("GET", sign_in.callback) for name in known_at},
            "/userinfo": ("GET, POST", self._userinfo),
            "/backchannel_logout": ("POST", BackChannelLogout(known_at.values(), self.sessions, clock, leeway)),
        }

    async def revoke(self, token: str, client: RegisteredClient) -> bool:
        """Take back a refresh token of `client`, and with it all that its session gave; False where it is none."""
        session = await self.sessions.of_refresh_token(token)
        if session is None:
            return False
        if session.application != client.application:
            raise Refused(r.TOKEN_FOREIGN, client.application)
        await self.sessions.end(session, Reason.REVOKED)
        return True

    async def introspect(self, token: str, client: RegisteredClient) -> Mapping[str, Any] | None:
        """What may be told `client` of a refresh token; None where it is none of its own."""
        session = await self.sessions.of_refresh_token(token)
        if session is None or session.application != client.application:
            return None
        return {
            "active": True,
            "client_id": client.client_id,
            "token_type": "refresh_token",
            "exp": session.refresh_until // 1_000_000,
            "iat": session.started_at // 1_000_000,
            "sub": session.subject,
            "sid": session.id,
        }

    async def _userinfo(self, request: Request, bases: tuple[str, ...]) -> Response:
        try:
            bearer = bearer_of(request.headers.get("authorization", "").encode())
            grant = self._verifier.verify(bearer, self._clock.time())
        except AccessDenied as error:
            body = {"error": "invalid_token", "error_description": error.diagnostics}
            return JSONResponse(body, status_code=401, headers={**dict(error.headers), "Cache-Control": "no-store"})
        said = await self.sessions.userinfo(grant)
        if said is None:
            raise Refused(r.USERINFO_COMBINED, grant.application)
        return JSONResponse(dict(said), headers={"Cache-Control": "no-store"})
