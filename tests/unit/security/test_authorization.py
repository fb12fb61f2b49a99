"""How the authorization server knows its own name, and the ids it is given."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from joserfc.jwk import RSAKey
from joserfc.jwt import encode
from starlette.types import ASGIApp, Receive, Scope, Send

from fiveways.clock import ManualClock
from fiveways.security.assertion import AssertionVerifier
from fiveways.security.authentication import Authentication
from fiveways.security.authorization import MESSAGE_ID, AuthorizationServer
from fiveways.security.clients import Clients, RegisteredClient
from fiveways.security.grants import CLIENT_CREDENTIALS, ClientCredentials, asked
from fiveways.security.jwks import FixedKeys, read_jwks
from fiveways.security.keys import PlatformKeys
from fiveways.security.refusals import JWT_BEARER
from fiveways.security.revocations import Revocation, Revocations
from fiveways.security.tokens import TokenIssuer, TokenVerifier

SCOPES = frozenset({"urn:nhsd:apim:app:level3:patients"})


class Everything:
    """A replay guard, audit and revocations that agree to everything."""

    async def claim(self, namespace: str, value: str, until: object) -> bool:
        return True

    async def record(self, kind: str, *, application: str, outcome: str, details: dict[str, Any]) -> None:
        return None

    async def revoke(self, revocation: Revocation) -> None:
        return None


@pytest.fixture
def make(keys: PlatformKeys, clock: ManualClock, rsa_key: RSAKey) -> Any:
    def server(*urls: str) -> AuthorizationServer:
        agree = Everything()
        source = FixedKeys(read_jwks({"keys": [rsa_key.as_dict(private=False)]}))
        clients = Clients([RegisteredClient("ward-tablet", "RXN", "client-1", SCOPES, source)])
        assertions = AssertionVerifier(clients, agree, clock)
        issuer = TokenIssuer(keys, clock, issuer="i", audience="a", lifetime=timedelta(minutes=10))
        return AuthorizationServer(
            grants={CLIENT_CREDENTIALS: ClientCredentials(assertions, issuer)},
            authentication=Authentication(clients, assertions),
            keys=keys,
            verifier=TokenVerifier(keys, Revocations(), issuer="i", audience="a"),
            revoke=agree.revoke,
            record=agree.record,
            clock=clock,
            urls=urls,
        )

    return server


async def ask(app: ASGIApp, key: RSAKey, clock: ManualClock, aud: str, url: str) -> httpx.Response:
    claims = {"iss": "client-1", "sub": "client-1", "jti": "1", "aud": aud, "exp": int(clock.time()) + 300}
    assertion = encode({"alg": "RS512", "kid": "test-1"}, claims, key, algorithms=["RS512"])
    form = {"grant_type": CLIENT_CREDENTIALS, "client_assertion_type": JWT_BEARER, "client_assertion": assertion}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return await client.post(url, data=form)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("urls", "aud", "asked", "status"),
    [
        (["https://api.test"], "https://api.test/oauth2/token", "http://inside:8080/oauth2/token", 200),
        (["https://api.test/"], "https://api.test/oauth2/token", "http://inside:8080/oauth2/token", 200),
        (["https://api.test/north"], "https://api.test/north/oauth2/token", "http://inside/oauth2/token", 200),
        (["https://a.test", "https://b.test"], "https://b.test/oauth2/token", "http://inside/oauth2/token", 200),
        (["https://api.test"], "http://localhost/oauth2/token", "http://localhost/oauth2/token", 401),
        ([], "http://localhost:8080/oauth2/token", "http://localhost:8080/oauth2/token", 200),
        ([], "http://[::1]:8080/oauth2/token", "http://[::1]:8080/oauth2/token", 200),
        ([], "http://127.0.0.1:8080/oauth2/token", "http://localhost:8080/oauth2/token", 401),
        ([], "https://localhost/oauth2/token", "http://localhost/oauth2/token", 401),
        ([], "http://api.test/oauth2/token", "http://api.test/oauth2/token", 401),
        ([], "http://localhost.evil.test/oauth2/token", "http://localhost.evil.test/oauth2/token", 401),
    ],
)
async def test_an_assertion_is_made_out_to_the_public_url(
    make: Any, rsa_key: RSAKey, clock: ManualClock, urls: list[str], aud: str, asked: str, status: int
) -> None:
    response = await ask(make(*urls), rsa_key, clock, aud, asked)
    assert response.status_code == status


@pytest.mark.anyio
async def test_a_refusal_has_the_id_of_the_interaction_it_is_part_of(make: Any) -> None:
    server = make()
    given = "01a20401-d75e-7135-a165-68702173e61c"

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await server({**scope, MESSAGE_ID: given}, receive, send)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(outer)) as client:
        assert (await client.post("http://localhost/oauth2/nothing")).json()["message_id"] == given
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server)) as client:
        UUID((await client.post("http://localhost/oauth2/nothing")).json()["message_id"])


@pytest.mark.anyio
@pytest.mark.parametrize("host", ["[::1", "localhost@evil.test", "", "evil.test#localhost", "localhost\\@evil.test"])
async def test_a_host_that_is_not_plainly_this_machine_names_nothing(make: Any, host: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(make())) as client:
        url = "http://localhost/oauth2/.well-known/oauth-authorization-server"
        assert (await client.get(url, headers={"host": host})).status_code == 404


@pytest.mark.parametrize(
    ("said", "expected"),
    [("", None), ("0", None), ("-1", None), ("1.5", None), ("²", None), ("9" * 16, None), ("250", timedelta(milliseconds=250))],
)
def test_a_lifetime_that_is_no_number_is_passed_over(said: str, expected: timedelta | None) -> None:
    assert asked({"_access_token_expiry_ms": said}, "_access_token_expiry_ms") == expected
