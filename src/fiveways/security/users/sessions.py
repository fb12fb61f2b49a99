"""Sessions of people: begun by an ID token or a code, renewed by refresh tokens, ended before their time where something is wrong.

A refresh token is two random halves. The first names the session for as long as it lasts, the second is replaced at each use: a
token with the right first half and an old second one shows that two parties have it, and the session ends.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from hmac import compare_digest
from typing import Any

import msgspec

from fiveways.clock import Clock, micros, micros_in
from fiveways.correlation import new_id
from fiveways.security import refusals as r
from fiveways.security.clients import RegisteredClient
from fiveways.security.grants import Granted, asked
from fiveways.security.refusals import Refused
from fiveways.security.seal import Seal
from fiveways.security.tokens import Grant, TokenIssuer
from fiveways.security.users.ending import Ending
from fiveways.security.users.person import Person, decode, encode
from fiveways.security.users.provider import IdentityProvider
from fiveways.security.users.records import Records, Session, digest
from fiveways.security.users.states import Reason, State

CODE_LIFETIME = timedelta(seconds=300)
"""How long an application may take to redeem a code."""
_PERSON = "person of a session"
_USERINFO = "userinfo of a session"


class Sessions:
    """What may be done with sessions. Refused where it may not be; StoreError where the store cannot be read or written."""

    def __init__(
        self,
        records: Records,
        issuer: TokenIssuer,
        seal: Seal,
        clock: Clock,
        *,
        providers: Mapping[str, IdentityProvider],
        end: Ending,
    ) -> None:
        self.records = records
        self.end = end
        self._issuer = issuer
        self._seal = seal
        self._clock = clock
        self._providers = providers

    async def open(self, client: RegisteredClient, person: Person, form: Mapping[str, str]) -> Granted:
        """Begin a session with the ID token of a person: separate access."""
        scopes = self._scopes(client, person)
        now, provider = micros(self._clock), self._providers[person.provider]
        family, secret = _random(), _random()
        ends = self._ends(now, now + micros_in(provider.session), form)
        session = self._session(client, person, "separate", State.ACTIVE, now, ends)
        until = self._until(now, ends, form)
        session = replace(session, family=digest(family), refresh=digest(secret), refresh_until=until)
        await self.records.add(session)
        granted = self._granted(client, person, session, scopes, form, f"{family}.{secret}", now)
        return replace(granted, members={"issued_token_type": r.ACCESS_TOKEN, **granted.members})

    async def offer(
        self, client: RegisteredClient, person: Person, userinfo: Mapping[str, Any], redirect_uri: str, challenge: str
    ) -> str:
        """A code for somebody who has just signed in: combined access."""
        now, code = micros(self._clock), _random()
        until = now + micros_in(CODE_LIFETIME)
        session = self._session(client, person, "combined", State.OFFERED, now, until)
        sealed = self._seal.seal(msgspec.json.encode(userinfo), _USERINFO) if userinfo else ""
        session = replace(
            session, code=digest(code), code_until=until, redirect_uri=redirect_uri, challenge=challenge, userinfo=sealed
        )
        await self.records.add(session)
        return code

    async def redeem(self, client: RegisteredClient, form: Mapping[str, str]) -> Granted:
        """Turn a code into tokens, once: a second time takes them back (RFC 6749 §4.1.2)."""
        session = await self.records.by_code(form["code"])
        if session is None:
            raise Refused(r.CODE_INVALID, client.application)
        now = micros(self._clock)
        if session.state != State.OFFERED or session.application != client.application:
            await self.end(session, Reason.CODE_REUSED)
            raise Refused(r.CODE_INVALID, client.application)
        if session.code_until <= now:
            raise Refused(r.CODE_INVALID, client.application)
        if session.redirect_uri != form["redirect_uri"]:
            raise Refused(r.REDIRECT_URI_INVALID, client.application)
        if not _proves(form.get("code_verifier", ""), session.challenge):
            await self.end(session, Reason.CODE_REUSED)
            raise Refused(r.CODE_INVALID, client.application)
        person = self._person(session, r.CODE_INVALID)
        scopes = self._scopes(client, person)
        family, secret = _random(), _random()
        ends = self._ends(now, now + micros_in(self._providers[person.provider].session), form)
        until = self._until(now, ends, form)
        if not await self.records.redeem(session, family=digest(family), refresh=digest(secret), refresh_until=until, ends_at=ends):
            await self.end(session, Reason.CODE_REUSED)
            raise Refused(r.CODE_INVALID, client.application)
        session = replace(session, refresh_until=until)
        return self._granted(client, person, session, scopes, form, f"{family}.{secret}", now)

    async def renew(self, client: RegisteredClient, form: Mapping[str, str]) -> Granted:
        """New tokens for a refresh token, which is used up by it."""
        family, _, secret = form["refresh_token"].partition(".")
        session = await self.records.by_family(family)
        if session is None or session.state != State.ACTIVE:
            raise Refused(r.REFRESH_INVALID, client.application)
        if session.application != client.application or not _is(secret, session):
            await self.end(session, Reason.REFRESH_REUSED)
            raise Refused(r.REFRESH_INVALID, client.application)
        now = micros(self._clock)
        if session.ends_at <= now:
            raise Refused(r.REFRESH_OVER, client.application)
        if session.refresh_until <= now:
            raise Refused(r.REFRESH_INVALID, client.application)
        person = self._person(session, r.REFRESH_INVALID)
        scopes = self._scopes(client, person)
        ends = self._ends(session.started_at, session.ends_at, form)
        if ends <= now:
            raise Refused(r.REFRESH_OVER, client.application)
        until, secret = self._until(now, ends, form), _random()
        if not await self.records.renew(session, refresh=digest(secret), refresh_until=until, ends_at=ends):
            await self.end(session, Reason.REFRESH_REUSED)
            raise Refused(r.REFRESH_INVALID, client.application)
        session = replace(session, refresh_until=until, refreshes=session.refreshes + 1)
        return self._granted(client, person, session, scopes, form, f"{family}.{secret}", now)

    async def of_refresh_token(self, token: str) -> Session | None:
        """The session that a refresh token renews now; None where it is none, or not one that would be taken."""
        family, _, secret = token.partition(".")
        session = await self.records.by_family(family)
        good = session is not None and session.state == State.ACTIVE and _is(secret, session)
        return session if good and session is not None and session.refresh_until > micros(self._clock) else None

    async def userinfo(self, grant: Grant) -> Mapping[str, Any] | None:
        """What the provider told of the person of an access token when they signed in; None where it is not kept."""
        session = await self.records.by_id(grant.session) if grant.session else None
        opened = self._seal.open(session.userinfo, _USERINFO) if session is not None and session.userinfo else None
        said: Mapping[str, Any] | None = msgspec.json.decode(opened) if opened is not None else None
        return said

    def _session(self, client: RegisteredClient, person: Person, access: str, state: State, started: int, ends: int) -> Session:
        return Session(
            id=new_id(),
            state=state.value,
            access=access,
            application=client.application,
            provider=person.provider,
            subject=person.subject,
            sid=person.sid,
            assurance=person.assurance,
            person=self._seal.seal(encode(person), _PERSON),
            started_at=started,
            ends_at=ends,
        )

    def _person(self, session: Session, refusal: r.Refusal) -> Person:
        """Whose session it is; refused where the key it is sealed under, or the provider, is gone."""
        opened = self._seal.open(session.person, _PERSON)
        if opened is None or session.provider not in self._providers:
            raise Refused(refusal, session.application)
        return decode(opened)

    def _scopes(self, client: RegisteredClient, person: Person) -> frozenset[str]:
        scopes = self._providers[person.provider].convention.granted(client.scopes, person.assurance)
        if not scopes:
            raise Refused(r.NOT_CONFIGURED, client.application, told_of(person))
        return scopes

    @staticmethod
    def _ends(started: int, ends: int, form: Mapping[str, str]) -> int:
        """When a session is over: as the application asks, and no later than `ends`."""
        shorter = asked(form, "_refresh_tokens_validity_ms")
        return min(ends, started + micros_in(shorter)) if shorter is not None else ends

    @staticmethod
    def _until(now: int, ends: int, form: Mapping[str, str]) -> int:
        """How long the next refresh token is good."""
        shorter = asked(form, "_refresh_token_expiry_ms")
        return min(ends, now + micros_in(shorter)) if shorter is not None else ends

    def _granted(
        self,
        client: RegisteredClient,
        person: Person,
        session: Session,
        scopes: frozenset[str],
        form: Mapping[str, str],
        refresh_token: str,
        now: int,
    ) -> Granted:
        lifetime = asked(form, "_access_token_expiry_ms")
        issued = self._issuer.issue(
            client.application, client.client_id, scopes, person=person, session=session.id, lifetime=lifetime
        )
        left = max((session.refresh_until - now) // 1_000_000 - 1, 0)  # as access tokens: a second less than it is
        members = {
            "refresh_token": refresh_token,
            "refresh_token_expires_in": str(left),
            "refresh_count": str(session.refreshes),
        }
        return Granted(client, issued, members, told_of(person) | {"session": session.id, "access": session.access})


def told_of(person: Person) -> dict[str, Any]:
    """What the audit keeps of a person: who vouched for whom, how sure they were, and who acts for them."""
    told = {"subject": person.subject, "idp": person.provider, "assurance": person.assurance}
    if len(person.roles) == 1:
        told["role"] = next(iter(person.roles))
    return told | {"actor": person.actor} if person.actor else told


def _random() -> str:
    return secrets.token_urlsafe(32)


def _is(secret: str, session: Session) -> bool:
    return session.refresh is not None and compare_digest(digest(secret), session.refresh)


def _proves(verifier: str, challenge: str) -> bool:
    """Whether `challenge` was made from `verifier`, as S256 (RFC 7636 §4.6); neither without the other (RFC 9700 §2.1.1)."""
    if not verifier or not challenge:
        return verifier == challenge
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return compare_digest(made, challenge)
