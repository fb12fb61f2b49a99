"""Combined access: Fiveways signs people in at their identity provider, for the applications that send them here.

    application ──/authorize──▶ Fiveways ──302──▶ identity provider
    application ◀──302, code── Fiveways ◀──/callback, its code──┘

What must be known again when somebody comes back is in a sealed cookie of their browser: nothing is stored for who never does, and
an answer of the provider means nothing in another browser than the one that was sent there.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fiveways.clock import Clock
from fiveways.security import refusals as r
from fiveways.security.assertion import ReplayGuard
from fiveways.security.authorization import PATH, Record, ids_of
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.forms import query_of
from fiveways.security.refusals import Refusal, Refused
from fiveways.security.seal import Seal
from fiveways.security.users.asking import PATIENCE, Asked, ask, question, request_checks
from fiveways.security.users.id_tokens import IdTokens
from fiveways.security.users.person import Person, read
from fiveways.security.users.provider import IdentityProvider, ProviderAway, ProviderError
from fiveways.security.users.sessions import Sessions, told_of

_PURPOSE: Final = "somebody signs in"
_COOKIE: Final = "fiveways-sign-in-"
_PASSED_ON: Final = frozenset(("access_denied", "temporarily_unavailable", "login_required", "interaction_required"))
"""Errors of a provider that an application is told of as they are; others are the server's."""
_NOT_KEPT: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


class _Back(Exception):
    """The person goes back to the application with an error (RFC 6749 §4.1.2.1)."""

    def __init__(self, refusal: Refusal, redirect_uri: str, state: str, application: str, why: str = "") -> None:
        super().__init__(refusal.description)
        self.refusal = refusal
        self.redirect_uri = redirect_uri
        self.state = state
        self.application = application
        self.why = why


class SignIn:
    """The endpoints that a person's browser is sent to."""

    def __init__(
        self,
        clients: Clients,
        providers: Mapping[str, IdentityProvider],
        id_tokens: IdTokens,
        sessions: Sessions,
        *,
        seal: Seal,
        replay: ReplayGuard,
        record: Record,
        clock: Clock,
    ) -> None:
        """`providers`: those at which Fiveways is known, by their names."""
        self._clients = clients
        self._providers = providers
        self._id_tokens = id_tokens
        self._sessions = sessions
        self._seal = seal
        self._replay = replay
        self._record = record
        self._clock = clock

    async def authorize(self, request: Request, bases: tuple[str, ...]) -> Response:
        """Send somebody to their provider (RFC 6749 §4.1.1)."""
        if not bases:
            raise Refused(r.NOT_FOUND)
        said = query_of(request)
        client, redirect_uri = self._client(said)
        try:
            return await self._sent(said, client, redirect_uri, bases[0])
        except _Back as back:
            return await self._back(back, request, bases[0])

    async def callback(self, request: Request, bases: tuple[str, ...]) -> Response:
        """Somebody comes back from their provider (OpenID Connect Core §3.1.2.5)."""
        if not bases:
            raise Refused(r.NOT_FOUND)
        said = query_of(request)
        asked = await self._remembered(request, said.get("state", ""))
        client = self._clients.find(asked.client_id)
        if client is None or asked.redirect_uri not in client.redirect_uris:
            raise Refused(r.CLIENT_ID_INVALID)
        try:
            response = await self._returned(said, asked, client, request, bases[0])
        except _Back as back:
            response = await self._back(back, request, bases[0])
        response.delete_cookie(_cookie(asked.state), path=urlsplit(asked.callback).path)
        return response

    def _client(self, said: Mapping[str, str]) -> tuple[RegisteredClient, str]:
        """Who asks, and where people go back to. Until both are known nobody is redirected anywhere."""
        if "client_id" not in said:
            raise Refused(r.CLIENT_ID_MISSING)
        client = self._clients.find(said["client_id"])
        if client is None:
            raise Refused(r.CLIENT_ID_INVALID)
        client.refuse_unentitled()
        if "redirect_uri" not in said:
            raise Refused(r.REDIRECT_URI_MISSING, client.application)
        if said["redirect_uri"] not in client.redirect_uris:  # letter by letter (RFC 9700 §4.1.3)
            raise Refused(r.REDIRECT_URI_INVALID, client.application)
        return client, said["redirect_uri"]

    async def _sent(self, said: Mapping[str, str], client: RegisteredClient, redirect_uri: str, base: str) -> Response:
        def back(refusal: Refusal, why: str = "") -> _Back:
            return _Back(refusal, redirect_uri, said.get("state", ""), client.application, why)

        for wrong, refusal in request_checks(said, client):
            if wrong:
                raise back(refusal)
        provider = self._provider(said)
        if provider is None or not _has_scopes(client, provider):
            raise Refused(r.NOT_CONFIGURED, client.application)
        try:
            metadata = await provider.metadata()
        except ProviderError as error:
            raise back(r.PROVIDER_UNREACHABLE, str(error)) from error
        if not metadata.authorization_endpoint:
            raise back(r.NOT_VOUCHED, "no authorization_endpoint")
        asked = ask(said, client, provider, base, self._clock.time())
        response = RedirectResponse(_joined(metadata.authorization_endpoint, question(asked, provider, metadata)), 302, _NOT_KEPT)
        callback = urlsplit(asked.callback)
        response.set_cookie(
            _cookie(asked.state),
            self._seal.seal(msgspec.json.encode(asked), _PURPOSE),
            max_age=int(PATIENCE.total_seconds()),
            path=callback.path,
            secure=callback.scheme == "https",
            httponly=True,
            samesite="lax",
        )
        return response

    def _provider(self, said: Mapping[str, str]) -> IdentityProvider | None:
        """The one that `scope` names, by its kind or its own name; CIS2, where it names none."""
        named = said.get("scope", "").split()
        for provider in self._providers.values():
            if provider.name in named or provider.settings.kind in named:
                return provider
        return next((each for each in self._providers.values() if each.settings.kind == "nhs-cis2"), None)

    async def _remembered(self, request: Request, state: str) -> Asked:
        """What this browser was sent out with, once; Refused where it was not, or not with this state."""
        note = request.cookies.get(_cookie(state), "") if state else ""
        opened = self._seal.open(note, _PURPOSE) if note else None
        asked = msgspec.json.decode(opened, type=Asked) if opened is not None else None
        now = self._clock.time()
        if asked is None or not secrets.compare_digest(asked.state.encode(), state.encode()) or asked.until <= now:
            raise Refused(r.STATE_INVALID)
        if not await self._replay.claim("sign_in", state, datetime.fromtimestamp(asked.until, UTC)):
            raise Refused(r.STATE_INVALID)
        if not request.scope["path"].endswith(asked.callback.rpartition(PATH)[2]):  # the way back of another provider
            raise Refused(r.PROVIDER_FOREIGN)
        return asked

    async def _returned(
        self, said: Mapping[str, str], asked: Asked, client: RegisteredClient, request: Request, base: str
    ) -> Response:
        def back(refusal: Refusal, why: str = "") -> _Back:
            return _Back(refusal, asked.redirect_uri, asked.client_state, client.application, why)

        provider = self._providers.get(asked.provider)
        if provider is None:
            raise back(r.PROVIDER_UNREACHABLE, "the provider is not in the deployment any more")
        try:
            await _check_issuer(said, provider)
            if "code" not in said:
                error = said.get("error", "")
                raise back(r.TURNED_AWAY._replace(error=error) if error in _PASSED_ON else r.NOT_VOUCHED, error)
            person, userinfo = await self._person(said["code"], asked, provider)
        except ProviderError as error:
            away = isinstance(error, ProviderAway)
            raise back(r.PROVIDER_UNREACHABLE if away else r.NOT_VOUCHED, str(error)) from error
        except Refused as refused:
            if refused.refusal is r.PROVIDER_FOREIGN:
                raise Refused(refused.refusal, client.application) from refused
            away = refused.refusal is r.PROVIDER_UNREACHABLE
            raise back(refused.refusal if away else r.NOT_VOUCHED, refused.refusal.description) from refused
        kept = userinfo if provider.settings.kind == "nhs-cis2" else {}  # /userinfo tells of health workers only
        code = await self._sessions.offer(client, person, kept, asked.redirect_uri, asked.challenge)
        await self._record(
            "session.offered",
            application=client.application,
            outcome="offered",
            details={**ids_of(request), **told_of(person)},
        )
        answer = {"code": code, "state": asked.client_state, "iss": base}
        return RedirectResponse(_joined(asked.redirect_uri, answer), 302, _NOT_KEPT)

    async def _person(self, code: str, asked: Asked, provider: IdentityProvider) -> tuple[Person, Mapping[str, Any]]:
        """Who has signed in, and what their provider tells of them."""
        tokens = await provider.redeem(code, asked.callback, asked.verifier)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise ProviderError("there is no ID token in its answer")
        verified = await self._id_tokens.verify(
            id_token, lambda _: (provider.client_id,), name="id_token", of=provider, nonce=asked.nonce
        )
        userinfo = await provider.userinfo(access_token if isinstance(access_token, str) else "", verified.claims["sub"])
        return read(provider.name, provider.convention, verified.claims, userinfo), userinfo

    async def _back(self, back: _Back, request: Request, base: str) -> Response:
        details = {
            **ids_of(request),
            "status": 302,
            "reason": back.refusal.description,
            **({"why": back.why[:200]} if back.why else {}),
        }
        await self._record("sign_in.refused", application=back.application, outcome=back.refusal.error, details=details)
        answer = {"error": back.refusal.error, "error_description": back.refusal.description, "state": back.state, "iss": base}
        return RedirectResponse(_joined(back.redirect_uri, {k: v for k, v in answer.items() if v}), 302, _NOT_KEPT)


def _has_scopes(client: RegisteredClient, provider: IdentityProvider) -> bool:
    """Whether it is subscribed to anything for people whom such a provider vouches for."""
    return any(provider.convention.granted(client.scopes, level) for level in provider.convention.levels)


async def _check_issuer(said: Mapping[str, str], provider: IdentityProvider) -> None:
    """Whose answer it is (RFC 9207 §2.4): another provider's is refused, before anything in it is used."""
    issuer = said.get("iss")
    if issuer is None:
        if (await provider.metadata()).authorization_response_iss_parameter_supported:
            raise Refused(r.PROVIDER_FOREIGN)
    elif issuer != provider.issuer:
        raise Refused(r.PROVIDER_FOREIGN)


def _cookie(state: str) -> str:
    """The cookie of one sign-in: several may be under way in a browser."""
    return _COOKIE + hashlib.sha256(state.encode()).hexdigest()[:16]


def _joined(url: str, parameters: Mapping[str, str]) -> str:
    return url + ("&" if "?" in url else "?") + urlencode(parameters)
