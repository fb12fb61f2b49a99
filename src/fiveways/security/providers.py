"""Identity providers: who vouches for the people on whose behalf an application acts (S35)."""

from __future__ import annotations

from typing import Literal

from fiveways.deployment.settings import HttpUrl, Reference, Settings


class ProviderClient(Settings):
    """How Fiveways is known to the provider."""

    id: str
    """Its client id there."""
    secret: Reference
    """Where its client secret is kept."""


class Provider(Settings):
    """An OpenID Connect provider of people's identities. Declared here; user-restricted access itself is not served yet."""

    issuer: HttpUrl
    """Its issuer, from which everything else is discovered."""
    kind: Literal["nhs-cis2", "nhs-login"]
    """Whose conventions it follows: health workers (CIS2) or citizens (NHS login)."""
    client: ProviderClient
    """How Fiveways is known there."""
