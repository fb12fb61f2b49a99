"""Combined access: Fiveways signs people in at their identity provider, for the applications that send them here.

    application ──/authorize──▶ Fiveways ──302──▶ identity provider
    application ◀──302, code── Fiveways ◀──/callback, its code──┘

What must be known again when somebody comes back is in a sealed cookie of their browser: nothing is stored for who never does, and
an answer of the provider means nothing in another browser than the one that was sent there.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fiveways.clock import Clock
from fiveways.security import refusals as r
from fiveways.security.assertion import ReplayGuard
from fiveways.security.authorization import MESSAGE_ID, PATH
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.forms import query_of
from fiveways.security.refusals import Refusal, Refused
from fiveways.security.seal import Seal
from fiveways.security.users.id_tokens import IdTokens
from fiveways.security.users.person import Person, read
from fiveways.security.users.provider import IdentityProvider, Metadata, ProviderError
from fiveways.security.users.sessions import Sessions, told_of

PATIENCE: Final = timedelta(minutes=10)
"""How long somebody may take to sign in."""
_STATE_LIMIT: Final = 1024
_PURPOSE: Final = "somebody signs in"
_COOKIE: Final = "fiveways-sign-in-"
_PASSED_ON: Final = frozenset(("access_denied", "temporarily_unavailable", "login_required", "interaction_required"))
"""Errors of a provider that an application is told of as they are; others are the server's."""
_NOT_KEPT: Final = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}

UNAVAILABLE: Final = Refusal(503, "temporarily_unavailable", "The identity provider cannot be reached: try again shortly")
NOT_VOUCHED: Final = Refusal(500, "server_error", "The identity provider's answer is of no use")
TURNED_AWAY: Final = Refusal(403, "access_denied", "The identity provider did not sign the person in")


class Record(Protocol):
    """Keeps what happened for the audit: returns once it is durable, raises StoreError where it cannot be."""

    async def __call__(self, kind: str, *, application: str, outcome: str, details: dict[str, Any]) -> None:
        """`details` hold no credentials."""
        ...


class _Asked(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered while somebody signs in. `until`: seconds since the epoch; `state` is ours, `client_state` theirs."""

    state: str
    provider: str
    client_id: str
    redirect_uri: str
    client_state: str
    challenge: str
    nonce: str
    verifier: str
    callback: str
    until: float


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

        for wrong, refusal in _request_checks(said, client):
            if wrong:
                raise back(refusal)
        provider = self._provider(said)
        if provider is None or not _has_scopes(client, provider):
            raise Refused(r.NOT_CONFIGURED, client.application)
        try:
            metadata = await provider.metadata()
        except ProviderError as error:
            raise back(UNAVAILABLE, str(error)) from error
        if not metadata.authorization_endpoint:
            raise back(NOT_VOUCHED, "no authorization_endpoint")
        asked = _Asked(
            state=_random(),
            provider=provider.name,
            client_id=client.client_id,
            redirect_uri=redirect_uri,
            client_state=said["state"],
            challenge=said.get("code_challenge", ""),
            nonce=_random(),
            verifier=_random(),
            callback=_callback(base, provider),
            until=self._clock.time() + PATIENCE.total_seconds(),
        )
        response = RedirectResponse(_joined(metadata.authorization_endpoint, _question(asked, provider, metadata)), 302, _NOT_KEPT)
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

    async def _remembered(self, request: Request, state: str) -> _Asked:
        """What this browser was sent out with, once; Refused where it was not, or not with this state."""
        note = request.cookies.get(_cookie(state), "") if state else ""
        opened = self._seal.open(note, _PURPOSE) if note else None
        asked = msgspec.json.decode(opened, type=_Asked) if opened is not None else None
        now = self._clock.time()
        if asked is None or not secrets.compare_digest(asked.state.encode(), state.encode()) or asked.until <= now:
            raise Refused(r.STATE_INVALID)
        if not await self._replay.claim("sign_in", state, datetime.fromtimestamp(asked.until, UTC)):
            raise Refused(r.STATE_INVALID)
        if not request.scope["path"].endswith(asked.callback.rpartition(PATH)[2]):  # the way back of another provider
            raise Refused(r.PROVIDER_FOREIGN)
        return asked

    async def _returned(
        self, said: Mapping[str, str], asked: _Asked, client: RegisteredClient, request: Request, base: str
    ) -> Response:
        def back(refusal: Refusal, why: str = "") -> _Back:
            return _Back(refusal, asked.redirect_uri, asked.client_state, client.application, why)

        provider = self._providers.get(asked.provider)
        if provider is None:
            raise back(UNAVAILABLE, "the provider is not in the deployment any more")
        try:
            await _check_issuer(said, provider)
            if "code" not in said:
                error = said.get("error", "")
                raise back(TURNED_AWAY._replace(error=error) if error in _PASSED_ON else NOT_VOUCHED, error)
            person, userinfo = await self._person(said["code"], asked, provider)
        except ProviderError as error:
            raise back(NOT_VOUCHED, str(error)) from error
        except Refused as refused:
            if refused.refusal is r.PROVIDER_FOREIGN:
                raise Refused(refused.refusal, client.application) from refused
            raise back(NOT_VOUCHED, refused.refusal.description) from refused
        kept = userinfo if provider.settings.kind == "nhs-cis2" else {}  # /userinfo tells of health workers only
        code = await self._sessions.offer(client, person, kept, asked.redirect_uri, asked.challenge)
        await self._record(
            "session.offered",
            application=client.application,
            outcome="offered",
            details={"message_id": request.scope[MESSAGE_ID], **told_of(person)},
        )
        answer = {"code": code, "state": asked.client_state, "iss": base}
        return RedirectResponse(_joined(asked.redirect_uri, answer), 302, _NOT_KEPT)

    async def _person(self, code: str, asked: _Asked, provider: IdentityProvider) -> tuple[Person, Mapping[str, Any]]:
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
            "message_id": request.scope[MESSAGE_ID],
            "status": 302,
            "reason": back.refusal.description,
            **({"why": back.why[:200]} if back.why else {}),
        }
        await self._record("sign_in.refused", application=back.application, outcome=back.refusal.error, details=details)
        answer = {"error": back.refusal.error, "error_description": back.refusal.description, "state": back.state, "iss": base}
        return RedirectResponse(_joined(back.redirect_uri, {k: v for k, v in answer.items() if v}), 302, _NOT_KEPT)


def _request_checks(said: Mapping[str, str], client: RegisteredClient) -> tuple[tuple[bool, Refusal], ...]:
    """What an application may have asked wrongly, in the order in which it is told."""
    challenge, state = said.get("code_challenge"), said.get("state", "")
    return (
        ("response_type" not in said, r.RESPONSE_TYPE_MISSING),
        (said.get("response_type") != "code", r.RESPONSE_TYPE_INVALID),
        (not state, r.STATE_MISSING),
        (len(state) > _STATE_LIMIT or not state.isascii() or not state.isprintable(), r.STATE_TOO_LONG),
        (challenge is None and client.pkce, r.CHALLENGE_MISSING),
        (challenge is not None and not _is_challenge(challenge, said.get("code_challenge_method")), r.CHALLENGE_INVALID),
        (challenge is None and "code_challenge_method" in said, r.CHALLENGE_MISSING),
    )


def _is_challenge(challenge: str, method: str | None) -> bool:
    """Whether it can be a SHA-256 (RFC 7636 §4.2); `plain` protects nobody."""
    try:
        made = base64.b64decode(challenge + "=", altchars=b"-_", validate=True)
    except ValueError:
        return False
    return method == "S256" and len(challenge) == 43 and len(made) == 32


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


def _question(asked: _Asked, provider: IdentityProvider, metadata: Metadata) -> dict[str, str]:
    """What the provider is asked (OpenID Connect Core §3.1.2.1)."""
    convention, settings = provider.convention, provider.settings
    question = {
        **(settings.parameters if settings.parameters is not None else convention.parameters),
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": asked.callback,
        "scope": settings.scope or convention.scope,
        "state": asked.state,
        "nonce": asked.nonce,
    }
    if "S256" in metadata.code_challenge_methods_supported:
        made = base64.urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).rstrip(b"=").decode()
        question |= {"code_challenge": made, "code_challenge_method": "S256"}
    return question


def _callback(base: str, provider: IdentityProvider) -> str:
    return f"{base}/callback/{provider.name}" if provider.settings.own_callback else f"{base}/callback"


def _cookie(state: str) -> str:
    """The cookie of one sign-in: several may be under way in a browser."""
    return _COOKIE + hashlib.sha256(state.encode()).hexdigest()[:16]


def _joined(url: str, parameters: Mapping[str, str]) -> str:
    return url + ("&" if "?" in url else "?") + urlencode(parameters)


def _random() -> str:
    return secrets.token_urlsafe(32)
