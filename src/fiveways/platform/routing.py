"""What finds patients' practices for messaging, as a deployment names it: a file, a search through the gateway, or a callable.

A search is a request like any other: it goes through the gateway as the application that the deployment names, with a token of its
own, and so through identity, entitlement, quota and audit. Only the sockets are left out: gateway and messaging are one process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from fiveways.clock import Clock
from fiveways.correlation import Correlation, new_id
from fiveways.deployment.callables import load_callable
from fiveways.errors import DeploymentError, FivewaysError
from fiveways.methods.messaging.routing.patients import Found, PatientDirectory
from fiveways.methods.messaging.routing.practices import PracticeFile
from fiveways.methods.messaging.routing.resolver import Resolver
from fiveways.methods.messaging.routing.settings import PatientSearch, RoutingSettings
from fiveways.methods.synchronous.request import Receive, Scope, Send
from fiveways.platform.model import Deployment
from fiveways.security import scopes
from fiveways.security.tokens import TokenIssuer

LARGEST = 1024 * 1024
"""Bytes of an answer that are read: a patient or two."""

Gateway = Callable[[Scope, Receive, Send], Awaitable[None]]


class Record(Protocol):
    """Keeps in the audit that a token was issued: returns once that is durable."""

    async def __call__(self, kind: str, *, application: str, outcome: str, details: dict[str, Any]) -> None:
        """`details` hold no credentials."""
        ...


class AnswerTooLarge(FivewaysError):
    """What a search was answered with is more than the patients of one NHS number."""


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
        token = _Token(settings.fhir, deployment, issuer, record, clock)
        return PatientDirectory(GatewaySearch(f"{at}/Patient", gateway, token).search, clock)
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


class _Token:
    """The application's access token, made anew when its time is nearly over; recorded, as every token is, before it is used."""

    def __init__(self, settings: PatientSearch, deployment: Deployment, issuer: TokenIssuer, record: Record, clock: Clock) -> None:
        self._application = settings.application
        self._client_id = deployment.applications[settings.application].client_id or settings.application
        self._scopes = frozenset((scopes.application(settings.api),))
        self._issuer = issuer
        self._record = record
        self._clock = clock
        self._token = ""
        self._good_until = 0.0
        self._making = asyncio.Lock()

    async def get(self) -> str:
        """A token that is good for a while."""
        async with self._making:
            if self._clock.time() >= self._good_until:
                issued = self._issuer.issue(self._application, self._client_id, self._scopes)
                details = {
                    "grant_type": "messaging.routing", "jti": issued.grant.jti, "level": issued.grant.level,
                    "scopes": sorted(issued.grant.scopes), "expires": int(issued.grant.expires),
                }  # fmt: skip
                await self._record("token.issued", application=self._application, outcome="issued", details=details)
                self._token, self._good_until = issued.token, issued.grant.expires - issued.expires_in / 10
            return self._token

    def refused(self, token: str) -> None:
        """It was not taken: it has been revoked, or its key withdrawn."""
        if token == self._token:
            self._good_until = 0.0


class GatewaySearch:
    """Searches an API of this deployment through the gateway, within this process."""

    def __init__(self, path: str, gateway: Callable[[], Gateway], token: _Token) -> None:
        self._path = path
        self._gateway = gateway
        self._token = token

    async def search(self, query: str, correlation: Correlation) -> Found:
        """The answer to a search. A token that is not taken is replaced once."""
        token = await self._token.get()
        found = await self._ask(query, correlation, token)
        if found.status == 401:
            self._token.refused(token)
            found = await self._ask(query, correlation, await self._token.get())
        return found

    async def _ask(self, query: str, correlation: Correlation, token: str) -> Found:
        headers = [
            (b"host", b"localhost"),
            (b"accept", b"application/fhir+json"),
            (b"authorization", b"Bearer " + token.encode()),
            (b"x-request-id", new_id().encode()),
            (b"x-correlation-id", correlation.correlation_id),
        ]
        if correlation.traceparent is not None:
            headers.append((b"traceparent", correlation.traceparent))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "GET",
            "path": self._path, "raw_path": self._path.encode(), "root_path": "", "query_string": query.encode(),
            "headers": headers, "client": ("127.0.0.1", 0), "server": ("localhost", None), "extensions": {},
        }  # fmt: skip
        answer = _Answer()
        # A task of its own: to the gateway a task is an exchange, and the one that runs this is the message's.
        await asyncio.create_task(_called(self._gateway()(scope, _stays, answer.send)))
        return Found(answer.status, bytes(answer.content), answer.retry_after)


class _Answer:
    """What an ASGI application sends."""

    def __init__(self) -> None:
        self.status = 0
        self.content = bytearray()
        self.retry_after = ""

    async def send(self, message: Scope) -> None:
        """Take a message of the application's in."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.retry_after = dict(message["headers"]).get(b"retry-after", b"").decode("latin-1")
        elif message["type"] == "http.response.body":
            self.content += message.get("body", b"")
            if len(self.content) > LARGEST:
                raise AnswerTooLarge(f"an answer of more than {LARGEST} bytes")


async def _called(call: Awaitable[None]) -> None:
    await call


async def _stays() -> Scope:
    """A client that sends nothing more, and does not go away: whoever gives up cancels."""
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
