"""The grants by which an application gets tokens for a person: token exchange (RFC 8693), a code, a refresh token."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from fiveways.security import refusals as r
from fiveways.security.assertion import AssertionVerifier
from fiveways.security.authentication import Authentication
from fiveways.security.clients import RegisteredClient
from fiveways.security.grants import Granted
from fiveways.security.refusals import ACCESS_TOKEN, ID_TOKEN, Refused
from fiveways.security.users.id_tokens import IdTokens, Verified
from fiveways.security.users.person import Person, read
from fiveways.security.users.provider import IdentityProvider
from fiveways.security.users.sessions import Sessions

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105
AUTHORIZATION_CODE = "authorization_code"
REFRESH_TOKEN = "refresh_token"  # noqa: S105


class TokenExchange:
    """Separate access: the application has signed the person in itself, and shows their ID token."""

    def __init__(self, assertions: AssertionVerifier, id_tokens: IdTokens, sessions: Sessions) -> None:
        self._assertions = assertions
        self._id_tokens = id_tokens
        self._sessions = sessions

    async def __call__(self, form: Mapping[str, str], audiences: Collection[str]) -> Granted:
        """Tokens for the person of the ID token, and for whoever acts for them."""
        if form.get("subject_token_type") != ID_TOKEN:
            raise Refused(r.SUBJECT_TYPE)
        token = form.get("subject_token")
        if token is None:
            raise Refused(r.SUBJECT_MISSING)
        if form.get("requested_token_type", ACCESS_TOKEN) != ACCESS_TOKEN:
            raise Refused(r.REQUESTED_TYPE)
        client = await self._assertions.authenticate(form, audiences)
        try:
            person = await self._person(token, client)
        except Refused as refused:
            raise Refused(refused.refusal, client.application) from refused
        return await self._sessions.open(client, person, form)

    async def _person(self, token: str, client: RegisteredClient) -> Person:
        def audiences(provider: IdentityProvider) -> Collection[str]:
            """For whom the provider makes ID tokens that this application may exchange: whom the deployment says, or itself by the
            name it has here too, or Fiveways, as which nobody else can get any."""
            return client.known_as.get(provider.name) or tuple(filter(None, (client.client_id, provider.client_id)))

        verified = await self._id_tokens.verify(token, audiences)
        person = read(verified.provider.name, verified.provider.convention, verified.claims)
        act = verified.claims.get("act")
        if act is None:
            return person
        return await self._delegated(person, act, verified, audiences)

    async def _delegated(self, person: Person, act: Any, verified: Verified, audiences: Any) -> Person:
        """Somebody acts for the person: `act.sub` is their own ID token, of the same provider."""
        proof = act.get("sub") if isinstance(act, dict) else None
        provider = verified.provider
        if provider.settings.kind != "nhs-login" or not isinstance(proof, str):
            raise Refused(r.ACTOR_INVALID.of("subject_token"))
        other = await self._id_tokens.verify(proof, audiences, name="act", of=provider)
        actor = read(provider.name, provider.convention, other.claims)
        if not person.nhs_number or not actor.nhs_number:
            raise Refused(r.ACTOR_NHS_NUMBER.of("subject_token"))
        levels = provider.convention.levels
        assurance = min(person.assurance, actor.assurance, key=lambda each: levels.index(each) if each in levels else -1)
        return msgspec.structs.replace(person, assurance=assurance, actor=actor.subject, actor_nhs_number=actor.nhs_number)


class AuthorizationCode:
    """Combined access: the application has a code of ours (RFC 6749 §4.1.3)."""

    def __init__(self, authentication: Authentication, sessions: Sessions) -> None:
        self._authentication = authentication
        self._sessions = sessions

    async def __call__(self, form: Mapping[str, str], audiences: Collection[str]) -> Granted:
        """Tokens for the person who signed in."""
        client = await self._authentication.secret_or_assertion(form, audiences)
        if "redirect_uri" not in form:
            raise Refused(r.REDIRECT_URI_MISSING, client.application)
        if form["redirect_uri"] not in client.redirect_uris:
            raise Refused(r.REDIRECT_URI_INVALID, client.application)
        if "code" not in form:
            raise Refused(r.CODE_MISSING, client.application)
        return await self._sessions.redeem(client, form)


class RefreshToken:
    """A session goes on (RFC 6749 §6)."""

    def __init__(self, authentication: Authentication, sessions: Sessions) -> None:
        self._authentication = authentication
        self._sessions = sessions

    async def __call__(self, form: Mapping[str, str], audiences: Collection[str]) -> Granted:
        """New tokens for the person whose session it is."""
        client = await self._authentication.secret_or_assertion(form, audiences)
        if "refresh_token" not in form:
            raise Refused(r.REFRESH_MISSING, client.application)
        return await self._sessions.renew(client, form)
