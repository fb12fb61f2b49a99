"""The people's side of a deployment, as lookups: which application a credential belongs to, and what it is entitled to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fiveways.clock import Clock
from fiveways.deployment.settings import Rate
from fiveways.methods.synchronous.policies.rate import Allowance
from fiveways.methods.synchronous.services import Directory
from fiveways.platform.model import Application, Deployment
from fiveways.security import scopes
from fiveways.security.apikeys import ApiKeys
from fiveways.security.certificates import ClientCertificates
from fiveways.security.clients import RegisteredClient
from fiveways.security.jwks import KeySources


def directory(deployment: Deployment) -> Directory:
    """Applications by name, and for each API who may take how much of it."""
    approved = {name: application for name, application in deployment.applications.items() if application.approved}
    return Directory(
        organisations={name: application.organisation for name, application in approved.items()},
        attributes={name: application.attributes for name, application in approved.items()},
        allowances={api: _allowances(api, approved, deployment) for api in deployment.apis},
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
        apis = {api for product in application.products for api in deployment.products[product].apis}
        registered.append(
            RegisteredClient(
                application=name,
                organisation=application.organisation,
                client_id=application.client_id or name,
                scopes=frozenset(scopes.application(api) for api in apis if "signed-jwt" in _contexts(deployment, api)),
                keys=application.key_source(deployment.identity.tokens, base, clock, sources),
                approved=application.approved,
                subscribed=bool(apis),
            )
        )
    return registered


def _contexts(deployment: Deployment, api: str) -> set[str]:
    settings = deployment.apis[api]
    return {context for contexts in (settings.security, *(o.security or () for o in settings.operations)) for context in contexts}


def _approved(deployment: Deployment) -> list[tuple[str, Application]]:
    return [(name, application) for name, application in deployment.applications.items() if application.approved]
