"""The authorization server: tokens issued and revoked, and the keys that verify them, under `/oauth2`.

    POST /token        RFC 6749 §3.2, with the NHS API platform's answers to the letter (refusals.py)
    POST /revoke       RFC 7009
    POST /introspect   RFC 7662
    GET  /jwks         RFC 7517, also as /.well-known/jwks.json
    GET  /.well-known/oauth-authorization-server      RFC 8414, also as /.well-known/openid-configuration

Where people sign in, `users/` adds /authorize, /callback, /userinfo and /backchannel_logout.

What is issued or refused is recorded before it is answered; a token that cannot be recorded is not handed out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from fiveways.clock import Clock
from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.security import refusals as r
from fiveways.security import scopes
from fiveways.security.authentication import Authentication, with_basic
from fiveways.security.clients import RegisteredClient
from fiveways.security.fetch import is_loopback
from fiveways.security.forms import form_of
from fiveways.security.grants import GrantHandler
from fiveways.security.jwt import ALGORITHM
from fiveways.security.keys import PlatformKeys
from fiveways.security.refusals import Refusal, Refused
from fiveways.security.revocations import Revocation
from fiveways.security.tokens import ExpiredToken, InvalidToken, RevokedToken, TokenVerifier

PATH = "/oauth2"
MESSAGE_ID = "fiveways.message_id"
"""Where an ASGI scope carries the interaction's id; it is the `message_id` of a refusal. One is made where there is none."""
IDS = "fiveways.ids"
"""Where it carries the ids of the request as the audit keeps them: `request_id` and `correlation_id`."""

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_log = logging.getLogger(__name__)


class Record(Protocol):
    """Keeps what happened for the audit: returns once it is durable, raises StoreError where it cannot be."""

    async def __call__(self, kind: str, *, application: str, outcome: str, details: dict[str, Any]) -> None:
        """`kind` is token.issued, token.refused or token.revoked; `details` hold no credentials."""
        ...


Revoke = Callable[[Revocation], Awaitable[None]]
"""Takes a token back, durably, before it returns; StoreError where it cannot."""

Endpoint = Callable[[Request, tuple[str, ...]], Awaitable[Response]]
"""Answers a request; it is given the URLs by which clients know this server, none where they may not know it."""


class RefreshTokens(Protocol):
    """What else than access tokens can be revoked and asked about."""

    async def revoke(self, token: str, client: RegisteredClient) -> bool:
        """Take back a refresh token of `client`; False where it is none."""
        ...

    async def introspect(self, token: str, client: RegisteredClient) -> Mapping[str, Any] | None:
        """What may be told `client` of a refresh token; None where it is none."""
        ...


class AuthorizationServer:
    """An ASGI application. `urls` are the public base URLs of the platform; where it has none, only loopback names serve."""

    def __init__(
        self,
        *,
        grants: Mapping[str, GrantHandler],
        authentication: Authentication,
        keys: PlatformKeys,
        verifier: TokenVerifier,
        revoke: Revoke,
        record: Record,
        clock: Clock,
        urls: tuple[str, ...] = (),
        endpoints: Mapping[str, tuple[str, Endpoint]] | None = None,
        refresh_tokens: RefreshTokens | None = None,
    ) -> None:
        """`endpoints`: further ones, by their paths, with their methods as Allow lists them; `refresh_tokens`: where there are
        any."""
        self._grants = grants
        self._authentication = authentication
        self._refresh_tokens = refresh_tokens
        self._keys = keys
        self._verifier = verifier
        self._revoke = revoke
        self._record = record
        self._clock = clock
        self._urls = tuple(url.rstrip("/") + PATH for url in urls)
        self._endpoints: dict[str, tuple[str, Endpoint]] = {
            "/token": ("POST", self._token),
            "/revoke": ("POST", self._revocation),
            "/introspect": ("POST", self._introspection),
            "/jwks": ("GET", self._jwks),
            "/.well-known/jwks.json": ("GET", self._jwks),
            "/.well-known/oauth-authorization-server": ("GET", self._metadata),
            "/.well-known/openid-configuration": ("GET", self._metadata),
            **(endpoints or {}),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. The path may be given with `/oauth2` in front, as a root path, or without."""
        request = Request(scope, receive)
        message_id = scope.get(MESSAGE_ID) or new_id()
        try:
            response = await self._answer(request, message_id)
        except ClientDisconnect:
            return
        if request.method == "HEAD":
            response.body = b""
        await response(scope, receive, send)

    async def _answer(self, request: Request, message_id: str) -> Response:
        root = request.scope.get("root_path", "")
        path = request.scope["path"].removeprefix(root)
        if not root.endswith(PATH):
            path = path.removeprefix(PATH)
        if path.startswith("/.well-known/"):
            path = path.removesuffix(PATH)  # RFC 8414 §3.1: where the issuer has a path, it comes last
        method, endpoint = self._endpoints.get(path, ("", None))
        if endpoint is None:
            return _refuse(r.NOT_FOUND, message_id)
        allowed = method.split(", ")
        if request.method not in allowed and not ("GET" in allowed and request.method == "HEAD"):
            return Response(status_code=405, headers={"Allow": method}, media_type="text/plain")
        request.scope[MESSAGE_ID] = message_id
        try:
            return await endpoint(request, self._bases(request))
        except Refused as refused:
            return await self._refused(refused, request)
        except StoreError:
            return _refuse(r.UNAVAILABLE, message_id, {"Retry-After": "5"})
        except ClientDisconnect:
            raise
        except Exception:
            _log.exception("authorization server failed", extra={"message_id": message_id})
            return _refuse(r.UNKNOWN, message_id)

    async def _refused(self, refused: Refused, request: Request) -> Response:
        refusal, message_id = refused.refusal, request.scope[MESSAGE_ID]
        try:
            await self._record(
                "token.refused",
                application=refused.application,
                outcome=refusal.error,
                details={**refused.details, **ids_of(request), "status": refusal.status, "reason": refusal.description},
            )
        except StoreError:
            return _refuse(r.UNAVAILABLE, message_id, {"Retry-After": "5"})
        return _refuse(refusal, message_id)

    async def _token(self, request: Request, bases: tuple[str, ...]) -> Response:
        form = await _form(request)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise Refused(r.GRANT_TYPE_MISSING)
        handler = self._grants.get(grant_type)
        if handler is None:
            raise Refused(r.EXCHANGE_GRANT_TYPE if "subject_token" in form else r.GRANT_TYPE_INVALID)
        granted = await handler(form, _audiences(bases, "/token"))
        issued = granted.issued
        await self._record(
            "token.issued",
            application=granted.client.application,
            outcome="issued",
            details={
                **ids_of(request),
                "grant_type": grant_type,
                "jti": issued.grant.jti,
                "level": issued.grant.level,
                "scopes": sorted(issued.grant.scopes),
                "expires": int(issued.grant.expires),
                **granted.details,
            },
        )
        body = {"access_token": issued.token, "expires_in": str(issued.expires_in), "token_type": "Bearer", **granted.members}
        return JSONResponse(body, headers=_NO_STORE)

    async def _revocation(self, request: Request, bases: tuple[str, ...]) -> Response:
        form = await _form(request)
        client = await self._authentication.either(form, _audiences(bases, "/revoke", "/token"))
        token = form.get("token")
        if token is None:
            raise Refused(r.TOKEN_MISSING, client.application)
        if self._refresh_tokens is not None and await self._refresh_tokens.revoke(token, client):
            await self._revoked(request, client.application, "revoked", "")
            return Response(headers=_NO_STORE)
        try:
            grant = self._verifier.verify(token.encode(), self._clock.time())
        except (InvalidToken, UnicodeEncodeError) as error:
            outcome = "none" if isinstance(error, ExpiredToken | RevokedToken) else "unknown"
            await self._revoked(request, client.application, outcome, "")
            return Response(headers=_NO_STORE)  # RFC 7009 §2.2: an invalid token is as good as revoked
        if grant.client_id != client.client_id:
            raise Refused(r.TOKEN_FOREIGN, client.application)
        await self._revoke(Revocation(grant.application, grant.expires, jti=grant.jti))
        await self._revoked(request, client.application, "revoked", grant.jti)
        return Response(headers=_NO_STORE)

    async def _introspection(self, request: Request, bases: tuple[str, ...]) -> Response:
        form = await _form(request)
        client = await self._authentication.either(form, _audiences(bases, "/introspect", "/token"))
        token = form.get("token")
        if token is None:
            raise Refused(r.TOKEN_MISSING, client.application)
        said = await self._refresh_tokens.introspect(token, client) if self._refresh_tokens is not None else None
        return JSONResponse(said or self._introspected(token, client), headers=_NO_STORE)

    def _introspected(self, token: str, client: RegisteredClient) -> dict[str, Any]:
        """What `client` is told of an access token; of one that is not its own nothing, unless it may ask (RFC 7662 §2.2)."""
        try:
            grant = self._verifier.verify(token.encode(), self._clock.time())
        except (InvalidToken, UnicodeEncodeError):
            return {"active": False}
        if grant.client_id != client.client_id and not client.introspects:
            return {"active": False}
        said = {
            "active": True,
            "scope": scopes.join(grant.scopes),
            "client_id": grant.client_id,
            "token_type": "Bearer",
            "exp": int(grant.expires),
            "iat": int(grant.issued),
            "jti": grant.jti,
            "level": grant.level,
            "sub": grant.client_id,
        }
        if grant.person is not None:
            said |= {"sub": grant.person.subject, "idp": grant.person.issuer, "sid": grant.session}
        return said

    async def _revoked(self, request: Request, application: str, outcome: str, jti: str) -> None:
        details = {**ids_of(request), "jti": jti}
        await self._record("token.revoked", application=application, outcome=outcome, details=details)

    async def _jwks(self, request: Request, bases: tuple[str, ...]) -> Response:
        body = msgspec.json.encode(self._keys.jwks())
        return Response(body, media_type="application/jwk-set+json", headers={"Cache-Control": "public, max-age=600"})

    async def _metadata(self, request: Request, bases: tuple[str, ...]) -> Response:
        base = next(iter(bases), "")
        if not base:
            raise Refused(r.NOT_FOUND)
        methods = ["private_key_jwt", "client_secret_basic", "client_secret_post"]
        people: dict[str, Any] = {"response_types_supported": []}
        if "/authorize" in self._endpoints:
            people = {
                "authorization_endpoint": f"{base}/authorize",
                "userinfo_endpoint": f"{base}/userinfo",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        return JSONResponse(
            {
                **people,
                "issuer": base,
                "token_endpoint": f"{base}/token",
                "token_endpoint_auth_methods_supported": methods,
                "token_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
                "revocation_endpoint": f"{base}/revoke",
                "revocation_endpoint_auth_methods_supported": methods,
                "revocation_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
                "introspection_endpoint": f"{base}/introspect",
                "introspection_endpoint_auth_methods_supported": methods,
                "introspection_endpoint_auth_signing_alg_values_supported": [ALGORITHM],
                "jwks_uri": f"{base}/jwks",
                "grant_types_supported": sorted(self._grants),
            },
            headers={"Cache-Control": "public, max-age=600"},
        )

    def _bases(self, request: Request) -> tuple[str, ...]:
        """Where clients know this server. Taken from Host only on this machine: another server, to whom a client made out an
        assertion, could otherwise pass it on to us with its own name in Host."""
        host = request.headers.get("host", "")
        if self._urls:
            return tuple(sorted(self._urls, key=lambda url: urlsplit(url).netloc != host))  # the one that was asked comes first
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return ()
        return (f"{request.scope['scheme']}://{host}{PATH}",) if is_loopback(name) else ()


def ids_of(request: Request) -> dict[str, str]:
    """The ids of a request, for a record of what came of it."""
    return {"message_id": request.scope[MESSAGE_ID], **request.scope.get(IDS, {})}


async def _form(request: Request) -> Mapping[str, str]:
    return with_basic(await form_of(request), request.headers.get("authorization"))


def _audiences(bases: tuple[str, ...], *paths: str) -> frozenset[str]:
    return frozenset(base + path for base in bases for path in paths)


def _refuse(refusal: Refusal, message_id: str, headers: Mapping[str, str] | None = None) -> Response:
    body = {"error": refusal.error, "error_description": refusal.description, "message_id": message_id}
    return JSONResponse(body, status_code=refusal.status, headers={**_NO_STORE, **(headers or {})})
