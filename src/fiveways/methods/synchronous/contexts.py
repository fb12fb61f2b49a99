"""The security contexts of the gateway, built from what `security/` knows: each looks at a request and says who calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from fiveways.clock import Clock
from fiveways.errors import AccessDenied
from fiveways.methods.synchronous.policies.identity import Context
from fiveways.methods.synchronous.settings import SecurityContext
from fiveways.security.apikeys import ApiKeys
from fiveways.security.certificates import ClientCertificates
from fiveways.security.tokens import Grant, TokenVerifier, bearer_of
from fiveways.types import Consumer, Interaction

CHALLENGE: Final = {
    "signed-jwt": "Bearer",
    "user-restricted": "Bearer",
    "api-key": 'ApiKey header="apikey"',
    "client-certificate": "Certificate",
}
_WORDS: Final = {
    "signed-jwt": "an access token (Authorization: Bearer …)",
    "user-restricted": "an access token for a person who has signed in (Authorization: Bearer …)",
    "api-key": "an API key (header apikey)",
    "client-certificate": "a client certificate",
}
CREDENTIALS: Final = {"signed-jwt": b"authorization", "user-restricted": b"authorization", "api-key": b"apikey"}
"""The header field that carries the credentials of a context; it ends at the gateway."""


def bearer(verifier: TokenVerifier, organisations: Mapping[str, str], clock: Clock) -> Context:
    """A bearer token issued by our authorization server (RFC 6750)."""
    known: dict[str, Consumer] = {}

    def context(interaction: Interaction) -> Consumer | None:
        sent = interaction.fields.get(b"authorization")
        if sent is None:
            return None
        grant = verifier.verify(bearer_of(sent), clock.time())
        consumer = known.get(grant.jti)
        if consumer is None:
            organisation = organisations.get(grant.application)
            if organisation is None:
                raise AccessDenied("The application this token was issued to is not part of the deployment any more")
            if len(known) >= 10_000:
                known.clear()
            consumer = known[grant.jti] = consumer_of(grant, organisation)
        return consumer

    return context


def api_key(keys: ApiKeys, organisations: Mapping[str, str]) -> Context:
    """An API key in the header `apikey`."""

    def context(interaction: Interaction) -> Consumer | None:
        sent = interaction.fields.get(b"apikey")
        if sent is None:
            return None
        application = keys.find(sent)
        if application is None:
            raise AccessDenied("The API key is not known")
        return Consumer(application, organisations[application], "api-key", "level0")

    return context


def client_certificate(certificates: ClientCertificates, organisations: Mapping[str, str]) -> Context:
    """A TLS client certificate mapped to an application; its listener puts the identity into the ASGI `tls` extension."""

    def context(interaction: Interaction) -> Consumer | None:
        identity = interaction.scope.get("extensions", {}).get("tls", {}).get("fiveways.identity")
        if identity is None:
            return None
        application = certificates.find(identity)
        if application is None:
            raise AccessDenied("The client certificate belongs to no application")
        return Consumer(application, organisations[application], "client-certificate", "level0")

    return context


def challenge(contexts: tuple[SecurityContext, ...]) -> str:
    """What WWW-Authenticate says to a request without credentials."""
    return ", ".join(dict.fromkeys(CHALLENGE[context] for context in contexts if context in CHALLENGE))


def wanted(contexts: tuple[SecurityContext, ...]) -> str:
    """What a request without credentials lacks, in words."""
    return " or ".join(_WORDS[context] for context in contexts if context in _WORDS)


def consumer_of(grant: Grant, organisation: str) -> Consumer:
    """Who comes with a token: the application, of its organisation, and the person on whose behalf it acts."""
    person = grant.person
    consumer = Consumer(grant.application, organisation, grant.context, grant.level, grant.scopes, grant.jti)
    if person is None:
        return consumer
    told = [(b"nhsd-identity-uuid", person.subject.encode()), (b"nhsd-identity-idp", person.issuer.encode())]
    facts = {"idp": person.provider, "assurance": person.assurance, "session": grant.session}
    if person.nhs_number:
        told.append((b"nhsd-nhslogin-user", f"{person.assurance}:{person.nhs_number}".encode()))
    if person.actor:
        told.append((b"nhsd-nhslogin-actor", f"{person.assurance}:{person.actor_nhs_number}".encode()))
        facts["actor"] = person.actor
    return replace(
        consumer,
        subject=person.subject,
        issuer=person.issuer,
        roles=person.roles,
        organisations=person.organisations,
        told=told,
        facts=facts,
    )
