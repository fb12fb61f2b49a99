"""Identity providers in the deployment file: who vouches for the people on whose behalf an application acts (S35)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from fiveways.deployment.settings import HttpUrl, Name, Reference, Settings
from fiveways.security.fetch import may_fetch
from fiveways.security.settings import Lifetime
from fiveways.security.users.conventions import CONVENTIONS, Assurance, Convention, Kind


def _fetchable(value: str) -> str:
    if not may_fetch(value):
        raise ValueError("expected https://… (http:// only to this machine)")
    return value


class ProviderClient(Settings):
    """How Fiveways is known to the provider: it signs people in itself (combined access), and proves who it is by a secret or a
    key (private_key_jwt). Where neither is given it is the platform's own key, which `/oauth2/jwks` publishes and which changes by
    itself: for providers that take the URL of a key set."""

    id: str = Field(min_length=1, max_length=255)
    """Its client id there."""
    secret: Reference | None = None
    """Where its client secret is kept."""
    key: Reference | None = None
    """Where its private key (PEM, RSA) is kept."""
    kid: str | None = Field(default=None, min_length=1)
    """The id by which the provider finds the public half of `key`."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.secret is not None and self.key is not None) or (self.key is None) != (self.kid is None):
            raise ValueError("expected either secret, or key and kid, or neither")
        return self


class Provider(Settings):
    """An OpenID Connect provider of people's identities. Its endpoints and keys are discovered from its issuer."""

    issuer: Annotated[HttpUrl, AfterValidator(_fetchable)]
    """Its issuer, letter by letter as its tokens have it."""
    kind: Kind
    """Whose conventions it follows: health workers (CIS2) or citizens (NHS login)."""
    client: ProviderClient | None = None
    """How Fiveways is known there. Needed for combined access only, in which Fiveways signs people in."""
    scope: str | None = Field(default=None, min_length=1)
    """The scope that is asked of it. Default: `openid nationalrbacaccess` (CIS2), `openid profile` (NHS login)."""
    parameters: dict[str, str] | None = None
    """What else an authorization request to it says. Default: `acr_values: AAL3_ANY` (CIS2); NHS login may want a `vtr`."""
    session: Lifetime | None = None
    """How long a person stays signed in: the refresh tokens of one sign-in end then. Default: 12h (CIS2), 1h (NHS login)."""
    own_callback: bool = False
    """Whether people come back from it to `/oauth2/callback/NAME` instead of `/oauth2/callback`. Worth having where there are
    several providers and one does not say who it is when it sends people back (RFC 9207)."""
    logout_from: tuple[IPv4Network | IPv6Network, ...] = ()
    """Addresses from which it may report that somebody has signed out (back-channel logout). Default: any, as it signs."""
    ca: Reference | None = None
    """PEM certificates of a private authority that its own certificate comes from."""

    @property
    def convention(self) -> Convention:
        """The conventions of its kind."""
        return CONVENTIONS[self.kind]


class UserRestricted(Settings):
    """A security context: an application acts on behalf of a person whom a provider knows well enough."""

    provider: Name
    """Who vouches for the person: one of identity.providers."""
    assurance: Assurance
    """How sure it must be, at least: aal1 to aal3 (CIS2), P0 to P9 (NHS login)."""
    role: Annotated[str, Field(pattern="^(required|optional|unchecked|none)$")] = "required"
    """What NHSD-Session-URID, the role that a health worker acts in, must be. `required`: there, and a role of this person's;
    `optional`: where it is there, a role of this person's; `unchecked`: there, and taken from the application as it is, for
    providers whose tokens tell no roles; `none`: it ends at the gateway. Citizens have none."""
