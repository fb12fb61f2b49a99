"""What finds patients' practices for messaging, as a deployment names it: a file, a search through the gateway, or a callable.

A search is a request like any other: it goes through the gateway as the application that the deployment names (`within.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fiveways.clock import Clock
from fiveways.correlation import Correlation
from fiveways.deployment.callables import load_callable
from fiveways.errors import DeploymentError
from fiveways.methods.messaging.routing.patients import Found, PatientDirectory
from fiveways.methods.messaging.routing.practices import PracticeFile
from fiveways.methods.messaging.routing.resolver import Resolver
from fiveways.methods.messaging.routing.settings import RoutingSettings
from fiveways.platform.model import Deployment
from fiveways.platform.within import Gateway, Record, Token, Within
from fiveways.security.tokens import TokenIssuer

LARGEST = 1024 * 1024
"""Bytes of an answer that are read: a patient or two."""


def resolver(
    deployment: Deployment, base: Path, clock: Clock, *, gateway: Callable[[], Gateway], issuer: TokenIssuer, record: Record
) -> Resolver | None:
    """What the deployment names under `messaging.routing`; None where it names nothing. `gateway` is asked for at each search.

    Raises DeploymentError where a file is wrong, or there is no such callable.
    """
    settings = deployment.messaging.routing
    if settings is None:
        return None
    if settings.file is not None:
        return PracticeFile(base / settings.file)
    if settings.fhir is not None:
        at = deployment.apis[settings.fhir.api].at
        search = settings.fhir
        token = Token(search.application, search.api, "messaging.routing", deployment, issuer, record, clock)
        within = Within(gateway, LARGEST)

        async def searched(query: str, correlation: Correlation) -> Found:
            accept = [(b"accept", b"application/fhir+json")]
            answer = await within.ask("GET", f"{at}/Patient", query=query, token=token, headers=accept, correlation=correlation)
            return Found(answer.status, answer.content, answer.field(b"retry-after"))

        return PatientDirectory(searched, clock)
    assert settings.callable is not None
    return _loaded(settings.callable, base)


def unusable(settings: RoutingSettings, base: Path) -> str:
    """What is wrong with the file or the callable that a deployment names; '' where nothing is."""
    try:
        if settings.file is not None:
            PracticeFile(base / settings.file)
        elif settings.callable is not None:
            _loaded(settings.callable, base)
    except DeploymentError as error:
        return str(error)
    return ""


def _loaded(python_name: str, base: Path) -> Resolver:
    try:
        found = load_callable(python_name, base)
    except (ImportError, AttributeError) as error:
        raise DeploymentError(f"messaging.routing.callable: {python_name} cannot be loaded: {error}") from error
    if not callable(found):
        raise DeploymentError(f"messaging.routing.callable: {python_name} cannot be called")
    return found  # type: ignore[no-any-return]
