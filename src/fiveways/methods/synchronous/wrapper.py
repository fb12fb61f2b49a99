"""The wrapper façade (S64-S71): standard security in front, and behind it whatever an older back end wants to see.

Bodies pass untouched, as in pass-through. What the consumer proved itself with ends at the gateway; to the back end the gateway
proves itself: by a client certificate (`target.tls`), and by what `present:` says. Where a back end needs logic or state to be
hidden beyond that, it is no wrap of the gateway's, but a middleware façade (S67).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from pydantic import model_validator

from fiveways.clock import Clock
from fiveways.deployment.settings import Settings
from fiveways.methods.synchronous.credentials.credential import Credential, CredentialRefused
from fiveways.methods.synchronous.credentials.fixed import ApiKey, Basic, Fixed
from fiveways.methods.synchronous.credentials.nhsmesh import NhsMesh, Token
from fiveways.methods.synchronous.credentials.oauth2 import AccessToken, OAuth2, token_endpoint
from fiveways.methods.synchronous.credentials.sessions import OWNS, Sessions, SessionSettings
from fiveways.methods.synchronous.passthrough import PassThrough
from fiveways.methods.synchronous.upstream.message import UpstreamRequest
from fiveways.methods.synchronous.upstream.settings import Target
from fiveways.methods.synchronous.upstream.upstream import Upstream
from fiveways.types import Interaction, Outcome


class Present(Settings):
    """What the gateway presents to the back end, beside a client certificate (`target.tls`)."""

    basic: Basic | None = None
    """A user and a password."""
    api_key: ApiKey | None = None
    """A key in a header field."""
    nhsmesh: NhsMesh | None = None
    """MESH's HMAC tokens."""
    oauth2: OAuth2 | None = None
    """An access token of the back end's own authorization server."""
    session: SessionSettings | None = None
    """Cookies of the back end, kept for each consumer."""

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        own_key = self.api_key is not None and self.api_key.header.lower() == "authorization"
        if sum(map(bool, (self.basic, self.nhsmesh, self.oauth2, own_key))) > 1:
            raise ValueError("a request has one Authorization: one of basic, nhsmesh, oauth2, or an api_key in that field")
        return self


def credentials(present: Present, base: Path, clock: Clock, connect: Callable[[Target], Upstream]) -> list[Credential]:
    """What is presented for every request. KeyError, OSError or ValueError where a secret cannot be read, or is of no use."""
    made: list[Credential] = []
    if present.basic is not None:
        made.append(Fixed.basic(present.basic, base))
    if present.api_key is not None:
        made.append(Fixed.api_key(present.api_key, base))
    if present.nhsmesh is not None:
        made.append(Token(present.nhsmesh, base, clock))
    if present.oauth2 is not None:
        made.append(AccessToken(present.oauth2, connect(token_endpoint(present.oauth2)), base, clock))
    return made


class Wrapper:
    """The handler at the bottom of a wrapper API."""

    def __init__(self, through: PassThrough, presented: Sequence[Credential], sessions: Sessions | None = None) -> None:
        """`through` makes the request that is wrapped, and sends it; `presented` proves who sends it."""
        self._through = through
        self._presented = tuple(presented)
        self._sessions = sessions
        owned = frozenset(name for each in presented for name in each.owns)
        self._owned = owned | OWNS if sessions is not None else owned

    async def __call__(self, interaction: Interaction) -> Outcome:
        """Make the one upstream call in the gateway's name; again, where the back end wants a newer credential and can have it.

        Raises CredentialRefused where it wants none of them: a 401 would tell the consumer that its own token is at fault.
        """
        request, outcome = await self._sent(interaction)
        if outcome.status != 401 or not self._presented:
            return outcome
        await outcome.aclose()
        newer = [each for each in self._presented if each.refused(request.headers)]
        if newer and interaction.body is None:
            _, outcome = await self._sent(interaction)
            if outcome.status != 401:
                return outcome
            await outcome.aclose()
        raise CredentialRefused("The back end does not accept what the gateway presents to it.")

    async def _sent(self, interaction: Interaction) -> tuple[UpstreamRequest, Outcome]:
        request = self._through.request(interaction)
        headers = [field for field in request.headers if field[0] not in self._owned]
        for each in self._presented:
            headers += await each.fields()
        if self._sessions is not None:
            headers += self._sessions.fields(interaction.consumer, request.target)
        request.headers = headers
        outcome = await self._through.send(interaction, request)
        if self._sessions is not None:
            outcome.headers = self._sessions.keep(interaction.consumer, request.target, outcome.headers)
        return request, outcome
