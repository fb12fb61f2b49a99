"""The people's side of a deployment, as lookups: which application a credential belongs to, and what it is entitled to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from fiveways.clock import Clock
from fiveways.deployment.settings import Rate
from fiveways.methods.synchronous.policies.rate import Allowance
from fiveways.methods.synchronous.services import Directory
from fiveways.methods.synchronous.settings import user_restricted
from fiveways.platform.model import Application, Deployment
from fiveways.security import scopes
from fiveways.security.apikeys import ApiKeys
from fiveways.security.certificates import ClientCertificates
from fiveways.security.clients import RegisteredClient
from fiveways.security.jwks import KeySources
from fiveways.security.keys import PlatformKeys
from fiveways.security.users.provider import IdentityProvider, PublishedMetadata

_REALTIME = "realtime/channels"
"""What real time is called in scopes, as no API can be."""


def directory(deployment: Deployment) -> Directory:
    """Applications by name, and for each API who may take how much of it."""
    approved = {name: application for name, application in deployment.applications.items() if application.approved}
    return Directory(
        organisations={name: application.organisation for name, application in approved.items()},
        attributes={name: application.attributes for name, application in approved.items()},
        allowances={api: _allowances(api, approved, deployment) for api in deployment.apis},
        providers=deployment.identity.providers,
    )


def _allowances(api: str, applications: Mapping[str, Application], deployment: Deployment) -> dict[str, Allowance]:
    """The applications subscribed to an API. Where several of one's products contain it, the most generous figures hold."""
    allowances = {}
    for name, application in applications.items():
        products = [deployment.products[product] for product in application.products]
        products = [product for product in products if api in product.apis]
        if products:
            quotas, bursts = [product.quota for product in products], [product.burst for product in products]
            allowances[name] = Allowance(_most(quotas), _most(bursts))
    return allowances


def _most(rates: list[Rate | None]) -> Rate | None:
    """The most generous of several rates; None, no limit, is the most generous of all."""
    known = [rate for rate in rates if rate is not None]
    return max(known, key=lambda rate: rate.limit / rate.period) if len(known) == len(rates) else None


def api_keys(deployment: Deployment) -> ApiKeys:
    """Applications by their API keys."""
    return ApiKeys((key, name) for name, application in _approved(deployment) for key in application.api_keys)


def client_certificates(deployment: Deployment) -> ClientCertificates:
    """Applications by their client certificates."""
    pairs = [(certificate, name) for name, application in _approved(deployment) for certificate in application.certificates]
    return ClientCertificates(pairs)


def clients(deployment: Deployment, base: Path, clock: Clock, sources: KeySources) -> list[RegisteredClient]:
    """Applications as OAuth clients, with the scopes of the products they are subscribed to."""
    registered = []
    for name, application in deployment.applications.items():
        channels = bool(deployment.channels)  # whom they are open to is theirs to say: any application may ask
        apis = {api for product in application.products for api in deployment.products[product].apis}
        registered.append(
            RegisteredClient(
                application=name,
                organisation=application.organisation,
                client_id=application.client_id or name,
                scopes=frozenset(scope for api in apis for scope in _scopes(deployment, api))
                | (_realtime_scopes(deployment) if channels else frozenset()),
                keys=application.key_source(deployment.identity.tokens, base, clock, sources),
                secrets=application.client_secrets,
                redirect_uris=application.redirect_uris,
                pkce=application.pkce == "required",
                known_as=application.known_as,
                introspects=application.introspection == "all",
                approved=application.approved,
                subscribed=bool(apis) or channels,
            )
        )
    return registered


def _scopes(deployment: Deployment, api: str) -> Iterator[str]:
    """What an application that is subscribed to an API may have in its tokens."""
    for security in deployment.apis[api].securities:
        if "signed-jwt" in security:
            yield scopes.application(api)
        for wanted in user_restricted(security):
            yield from deployment.identity.providers[wanted.provider].convention.scopes(api, wanted.assurance)


def _realtime_scopes(deployment: Deployment) -> frozenset[str]:
    """What lets an application connect to channels, by itself and for people."""
    conventions = (provider.convention for provider in deployment.identity.providers.values())
    people = (scope for convention in conventions for scope in convention.scopes(_REALTIME, convention.levels[0]))
    return frozenset((scopes.application(_REALTIME), *people))


def identity_providers(
    deployment: Deployment, known: PublishedMetadata, keys: PlatformKeys, base: Path, clock: Clock
) -> dict[str, IdentityProvider]:
    """Who vouches for people, by name. KeyError, OSError or ValueError where a secret, key or certificate is of no use."""
    providers = deployment.identity.providers
    return {name: IdentityProvider(name, provider, known, keys, base, clock) for name, provider in providers.items()}


def _approved(deployment: Deployment) -> list[tuple[str, Application]]:
    return [(name, application) for name, application in deployment.applications.items() if application.approved]
