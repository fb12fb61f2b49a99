"""How a client gets an access token: one handler for each grant type, in a table that later ones join.

A handler gets the form and the audiences that assertions may be made out to; it answers with the token and the members of the
answer that are its own, or raises Refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fiveways.security import refusals as r
from fiveways.security import scopes
from fiveways.security.assertion import AssertionVerifier
from fiveways.security.clients import RegisteredClient
from fiveways.security.refusals import Refused
from fiveways.security.tokens import IssuedToken, TokenIssuer

CLIENT_CREDENTIALS = "client_credentials"


@dataclass(frozen=True, slots=True)
class Granted:
    """A token for `client`; `members` join `access_token`, `expires_in` and `token_type` in the answer, and `details` what the
    audit keeps of it."""

    client: RegisteredClient
    issued: IssuedToken
    members: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


GrantHandler = Callable[[Mapping[str, str], Collection[str]], Awaitable[Granted]]


class ClientCredentials:
    """The client acts for itself (RFC 6749 §4.4), known by a signed JWT: NHS access level 3 for applications."""

    def __init__(self, assertions: AssertionVerifier, issuer: TokenIssuer) -> None:
        self._assertions = assertions
        self._issuer = issuer

    async def __call__(self, form: Mapping[str, str], audiences: Collection[str]) -> Granted:
        """A token with the application-restricted scopes of the client's products; refused where there are none."""
        client = await self._assertions.authenticate(form, audiences)
        granted = scopes.for_application(client.scopes)
        if not granted:
            raise Refused(r.NOT_CONFIGURED, client.application)
        issued = self._issuer.issue(client.application, client.client_id, granted, lifetime=asked(form, "_access_token_expiry_ms"))
        return Granted(client, issued, {"issued_at": str(int(issued.grant.issued * 1000))})


def asked(form: Mapping[str, str], name: str) -> timedelta | None:
    """How long the client asks for something to live, in whole milliseconds; what is not a positive number is passed over, as the
    platform does. Whoever grants it sees to it that the lifetime is only ever shortened."""
    said = form.get(name, "")
    if not (said.isascii() and said.isdigit() and len(said) <= 15) or int(said) == 0:
        return None
    return timedelta(milliseconds=int(said))
