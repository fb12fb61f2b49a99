"""A platform's authorization server on a real socket, and a client that knows only what the NHS platform's clients know."""

from __future__ import annotations

import http.server
import json
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import pytest
import uvicorn
from joserfc.jwk import RSAKey
from joserfc.jwt import encode
from starlette.applications import Starlette
from starlette.routing import Mount

from fiveways.clock import SystemClock
from fiveways.errors import StoreError
from fiveways.security.assertion import AssertionVerifier
from fiveways.security.authentication import Authentication
from fiveways.security.authorization import AuthorizationServer
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.grants import CLIENT_CREDENTIALS, ClientCredentials
from fiveways.security.jwks import FetchedKeys, FixedKeys, KeySource, read_jwks
from fiveways.security.keys import PlatformKeys
from fiveways.security.revocations import Revocation, Revocations
from fiveways.security.settings import Tokens
from fiveways.security.tokens import TokenIssuer, TokenVerifier

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SCOPES = frozenset({"urn:nhsd:apim:app:level3:patients", "urn:nhsd:apim:user-nhs-cis2:aal3:patients"})


class Book:
    """What the authorization server keeps: used assertions and the audit. `broken` makes it fail as a full disk would."""

    def __init__(self) -> None:
        self.used: set[tuple[str, str]] = set()
        self.records: list[tuple[str, str, str, dict[str, Any]]] = []
        self.broken: str = ""

    async def claim(self, namespace: str, value: str, until: datetime) -> bool:
        if self.broken == "replay":
            raise StoreError("disk full")
        new = (namespace, value) not in self.used
        self.used.add((namespace, value))
        return new

    async def record(self, kind: str, *, application: str, outcome: str, details: dict[str, Any]) -> None:
        if self.broken == "record":
            raise StoreError("disk full")
        if self.broken == "defect":
            raise ZeroDivisionError("a defect")
        self.records.append((kind, application, outcome, details))


@dataclass
class Platform:
    """A running authorization server. `token_url` is where clients go; the rest is for looking inside."""

    url: str
    key: RSAKey
    keys: PlatformKeys
    verifier: TokenVerifier
    clients: Clients
    book: Book
    http: httpx.Client
    app: AuthorizationServer
    revoked: list[Revocation] = field(default_factory=list)

    @property
    def token_url(self) -> str:
        return f"{self.url}/oauth2/token"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims, with changes; `...` leaves one out, and what depends on the time is worked out now."""
        changes = {name: change() if callable(change) else change for name, change in changes.items()}
        good = {"iss": "client-1", "sub": "client-1", "jti": str(uuid4()), "aud": self.token_url, "exp": int(time.time()) + 300}
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def assertion(self, claims: dict[str, Any] | None = None, key: Any = None, **header: Any) -> str:
        head = {"alg": "RS512", "typ": "JWT", "kid": "test-1", **header}
        head = {name: value for name, value in head.items() if value is not ...}
        return encode(
            head,
            self.claims() if claims is None else claims,
            key or self.key,
            algorithms=[head["alg"]],
            default_type=None,
        )

    def form(self, assertion: str | None = None, **changes: Any) -> dict[str, str]:
        good = {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": assertion or self.assertion(),
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def ask(self, form: dict[str, str] | None = None) -> httpx.Response:
        return self.http.post(self.token_url, data=self.form() if form is None else form)


@pytest.fixture(scope="session")
def client_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "test-1"})


@pytest.fixture(scope="session")
def strange_key() -> RSAKey:
    """A key with the same id as the client's that the client never registered."""
    return RSAKey.generate_key(2048, {"kid": "test-1"})


def _clients(registered: KeySource, strange: KeySource, unreachable: KeySource) -> list[RegisteredClient]:
    return [
        RegisteredClient("ward-tablet", "RXN", "client-1", SCOPES, registered),
        RegisteredClient("theatre", "RXN", "client-2", SCOPES, strange),
        RegisteredClient("keyless", "RXN", "keyless", SCOPES, None),
        RegisteredClient("unreachable", "RXN", "unreachable", SCOPES, unreachable),
        RegisteredClient("suspended", "RXN", "suspended", SCOPES, registered, approved=False),
        RegisteredClient("unsubscribed", "RXN", "unsubscribed", frozenset(), registered, subscribed=False),
        RegisteredClient("user-only", "RXN", "user-only", frozenset(s for s in SCOPES if ":user-" in s), registered),
        RegisteredClient("second", "RXN", "second", SCOPES, registered),
    ]


@pytest.fixture(scope="session")
def running(client_key: RSAKey, strange_key: RSAKey) -> Iterator[Platform]:
    """The server, once for the session, in a thread with its own event loop."""
    clock, book, settings = SystemClock(), Book(), Tokens()
    registered = FixedKeys(read_jwks({"keys": [client_key.as_dict(private=False)]}))
    strange = FixedKeys(read_jwks({"keys": [strange_key.as_dict(private=False)]}))
    clients = Clients(_clients(registered, strange, FetchedKeys("http://127.0.0.1:9/jwks", clock)))
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        keys = PlatformKeys.open(Path(folder) / "keys", clock, bits=2048)
        assertions = AssertionVerifier(clients, book, clock)
        issuer = TokenIssuer(keys, clock, issuer=settings.issuer, audience=settings.audience, lifetime=settings.lifetime)
        revocations = Revocations()
        verifier = TokenVerifier(keys, revocations, issuer=settings.issuer, audience=settings.audience)
        revoked: list[Revocation] = []

        async def revoke(revocation: Revocation) -> None:
            revoked.append(revocation)
            revocations.apply(revocation)

        app = AuthorizationServer(
            grants={CLIENT_CREDENTIALS: ClientCredentials(assertions, issuer)},
            authentication=Authentication(clients, assertions),
            keys=keys,
            verifier=verifier,
            revoke=revoke,
            record=book.record,
            clock=clock,
        )
        site = Starlette(routes=[Mount("/oauth2", app=app)])
        server = uvicorn.Server(uvicorn.Config(site, lifespan="off", ws="none", log_level="critical"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(timeout=10) as http_client:
            yield Platform(url, client_key, keys, verifier, clients, book, http_client, app, revoked)
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def platform(running: Platform) -> Platform:
    """The server, with nothing in its book."""
    running.book.records.clear()
    running.book.broken = ""
    running.revoked.clear()
    return running


class _Publisher(http.server.BaseHTTPRequestHandler):
    document: ClassVar[dict[str, Any]] = {}
    requests: ClassVar[int] = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        body = json.dumps(self.document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


@dataclass
class Published:
    """A client's JWKS on a web server of its own."""

    url: str
    handler: type[_Publisher]

    def publish(self, *keys: RSAKey) -> None:
        self.handler.document = {"keys": [key.as_dict(private=False) for key in keys]}


@pytest.fixture
def published() -> Iterator[Published]:
    handler = type("Publisher", (_Publisher,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Published(f"http://127.0.0.1:{server.server_port}/jwks", handler)
    server.shutdown()
    server.server_close()
    thread.join(timeout=5)
