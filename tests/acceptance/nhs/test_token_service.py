"""The token service as the NHS API platform's own tests know it, answered by the platform as it runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc.jwk import RSAKey

if TYPE_CHECKING:
    from tests.acceptance.nhs.conftest import Nhs

REQUEST = "invalid_request"
ASSERTION_TYPE = "Missing or invalid client_assertion_type - must be 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'"
ALG = "Invalid 'alg' header in client_assertion JWT - unsupported JWT algorithm - must be 'RS512'"
TYP = "Invalid 'typ' header in client_assertion JWT - must be 'JWT'"
ISS_SUB = "Missing or non-matching 'iss'/'sub' claims in client_assertion JWT"
JTI = "Invalid 'jti' claim in client_assertion JWT - must be a unique string value such as a GUID"
AUD = "Missing or invalid 'aud' claim in client_assertion JWT"
FAR = "Invalid 'exp' claim in client_assertion JWT - more than 5 minutes in future"
REGISTER = "You need to register a public key to use this authentication method - please contact support to configure"
NOT_CONFIGURED = (
    "you have tried to request authorization but your application is not configured to use this authorization grant type"
)


def refused(answer: httpx.Response, status: int, error: str, description: str) -> None:
    """The answer is this refusal to the letter, and has a message id."""
    body = answer.json()
    assert UUID(body.pop("message_id"))
    assert (answer.status_code, body) == (status, {"error": error, "error_description": description})
    assert answer.headers["cache-control"] == "no-store"


def test_client_credentials(nhs: Nhs) -> None:
    before = int(time.time() * 1000)
    answer = nhs.ask()
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"access_token", "expires_in", "token_type", "issued_at"}
    assert (body["expires_in"], body["token_type"]) == ("599", "Bearer")
    assert isinstance(body["issued_at"], str)
    assert before - 1000 <= int(body["issued_at"]) <= time.time() * 1000 + 1000
    assert len(body["issued_at"]) == 13, "milliseconds"
    assert answer.headers["cache-control"] == "no-store"


def test_a_token_works_at_once(nhs: Nhs) -> None:
    for _ in range(5):
        token = nhs.ask().json()["access_token"]
        answer = nhs.http.get("/hello-world/hello/application", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200


def test_every_token_is_another(nhs: Nhs) -> None:
    assert len({nhs.ask().json()["access_token"] for _ in range(3)}) == 3


@pytest.mark.parametrize(("asked", "told"), [("100000", "99"), ("599000", "598"), ("700000", "599"), ("-1", "599"), ("x", "599")])
def test_a_lifetime_may_only_be_shortened(nhs: Nhs, asked: str, told: str) -> None:
    assert nhs.ask(nhs.form(_access_token_expiry_ms=asked)).json()["expires_in"] == told


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"grant_type": ...}, REQUEST, "grant_type is missing"),
        ({"grant_type": "invalid"}, "unsupported_grant_type", "grant_type is invalid"),
        ({"client_assertion_type": ...}, REQUEST, ASSERTION_TYPE),
        ({"client_assertion_type": "invalid"}, REQUEST, ASSERTION_TYPE),
        ({"client_assertion": ...}, REQUEST, "Missing client_assertion"),
        ({"client_assertion": "invalid"}, REQUEST, "Malformed JWT in client_assertion"),
        ({"client_assertion": "a.b.c"}, REQUEST, "Malformed JWT in client_assertion"),
    ],
)
def test_a_wrong_form(nhs: Nhs, changes: dict[str, Any], error: str, description: str) -> None:
    refused(nhs.ask(nhs.form(**changes)), 400, error, description)


@pytest.mark.parametrize(
    ("header", "status", "description"),
    [
        ({"alg": "RS256"}, 400, ALG),
        ({"alg": "RS384"}, 400, ALG),
        ({"alg": "PS512"}, 400, ALG),
        ({"kid": ...}, 400, "Missing 'kid' header in client_assertion JWT"),
        ({"kid": "invalid"}, 401, "Invalid 'kid' header in client_assertion JWT - no matching public key"),
        ({"typ": ...}, 400, TYP),
        ({"typ": "invalid"}, 400, TYP),
    ],
)
def test_a_wrong_header(nhs: Nhs, header: dict[str, Any], status: int, description: str) -> None:
    refused(nhs.ask(nhs.form(nhs.assertion(**header))), status, REQUEST, description)


@pytest.mark.parametrize("typ", ["JWT", "jwt", "Jwt"])
def test_the_type_is_one_in_any_case(nhs: Nhs, typ: str) -> None:
    assert nhs.ask(nhs.form(nhs.assertion(typ=typ))).status_code == 200


CLAIMS: list[tuple[dict[str, Any], int, str]] = [
    ({"exp": ...}, 400, "Missing 'exp' claim in client_assertion JWT"),
    ({"exp": "soon"}, 400, "Invalid 'exp' claim in client_assertion JWT - must be an integer"),
    ({"exp": 1}, 400, "Invalid 'exp' claim in client_assertion JWT - JWT has expired"),
    ({"exp": 2**40}, 400, FAR),
    ({"iss": ...}, 400, ISS_SUB),
    ({"sub": ...}, 400, ISS_SUB),
    ({"iss": "outsider"}, 400, ISS_SUB),
    ({"sub": "outsider"}, 400, ISS_SUB),
    ({"iss": "nobody", "sub": "nobody"}, 401, "Invalid 'iss'/'sub' claims in client_assertion JWT"),
    ({"jti": ...}, 400, "Missing 'jti' claim in client_assertion JWT"),
    ({"jti": 1234567890}, 400, JTI),
    ({"aud": ...}, 401, AUD),
    ({"aud": "invalid"}, 401, AUD),
    ({"aud": "https://elsewhere.example/oauth2/token"}, 401, AUD),
]


@pytest.mark.parametrize(("changes", "status", "description"), CLAIMS)
def test_a_wrong_claim(nhs: Nhs, changes: dict[str, Any], status: int, description: str) -> None:
    refused(nhs.ask(nhs.form(nhs.assertion(nhs.claims(**changes)))), status, REQUEST, description)


def test_five_minutes_and_ten_seconds_are_the_most(nhs: Nhs) -> None:
    now = int(time.time())
    assert nhs.ask(nhs.form(nhs.assertion(nhs.claims(exp=now + 308)))).status_code == 200
    refused(nhs.ask(nhs.form(nhs.assertion(nhs.claims(exp=now + 330)))), 400, REQUEST, FAR)


def test_ten_seconds_are_forgiven(nhs: Nhs) -> None:
    assert nhs.ask(nhs.form(nhs.assertion(nhs.claims(exp=int(time.time()) - 5)))).status_code == 200


def test_a_jti_is_used_once_by_a_client(nhs: Nhs) -> None:
    jti = str(uuid4())
    assert nhs.ask(nhs.form(nhs.assertion(nhs.claims(jti=jti)))).status_code == 200
    again = nhs.ask(nhs.form(nhs.assertion(nhs.claims(jti=jti))))
    refused(again, 400, REQUEST, "Non-unique 'jti' claim in client_assertion JWT")
    other = nhs.form(nhs.assertion(nhs.claims("outsider", jti=jti), signer="outsider"))
    assert nhs.ask(other).status_code == 200, "another client's own"


@pytest.mark.parametrize(
    ("application", "signer", "status", "error", "description"),
    [
        ("mistaken", "ward", 401, "public_key error", "JWT signature verification failed"),
        ("keyless", "ward", 403, "public_key error", REGISTER),
        ("unreachable", "ward", 403, "public_key error", "The JWKS endpoint, for your client_assertion can't be reached"),
        ("by-key", "ward", 401, "unauthorized_client", NOT_CONFIGURED),
    ],
)
def test_an_application_whose_key_or_access_is_wanting(
    nhs: Nhs, application: str, signer: str, status: int, error: str, description: str
) -> None:
    refused(nhs.ask(nhs.form(nhs.assertion(nhs.claims(application), signer=signer))), status, error, description)


@pytest.mark.parametrize(("application", "signer"), [("suspended", "suspended"), ("unsubscribed", "ward")])
def test_an_application_that_is_not_approved_or_has_no_product(nhs: Nhs, application: str, signer: str) -> None:
    answer = nhs.ask(nhs.form(nhs.assertion(nhs.claims(application), signer=signer)))
    assert (answer.status_code, answer.json()["error"]) == (401, "access_denied")


def test_a_key_of_another_client_under_one_s_own_id(nhs: Nhs, client_keys: dict[str, RSAKey]) -> None:
    answer = nhs.ask(nhs.form(nhs.assertion(signer="second", kid="ward-1", jwk=client_keys["second"].as_dict(private=False))))
    refused(answer, 401, "public_key error", "JWT signature verification failed")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_another_method(nhs: Nhs, method: str) -> None:
    answer = nhs.http.request(method, "/oauth2/token")
    assert (answer.status_code, answer.text, answer.headers["allow"]) == (405, "", "POST")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["/oauth2/", "/oauth2/tokens", "/oauth2/token/", "/oauth2/token/x", "/oauth2/authorise"])
def test_another_path(nhs: Nhs, path: str) -> None:
    refused(nhs.http.post(path), 404, REQUEST, "Not Found")


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data", "text/plain", ""])
def test_another_media_type(nhs: Nhs, media_type: str) -> None:
    answer = nhs.ask(headers={"Content-Type": media_type})
    assert (answer.status_code, answer.json()["error"]) == (415, REQUEST)


@pytest.mark.parametrize("status", [200, 400])
def test_ids_are_mirrored_and_the_message_id_finds_the_event(nhs: Nhs, status: int) -> None:
    ids = {"X-Request-ID": str(uuid4()), "X-Correlation-ID": str(uuid4())}
    answer = nhs.ask(nhs.form() if status == 200 else nhs.form(grant_type=...), ids)
    assert answer.status_code == status
    assert (answer.headers["x-request-id"], answer.headers["x-correlation-id"]) == tuple(ids.values())
    if status == 400:
        assert nhs.served.event(id=answer.json()["message_id"])["kind"] == "token.refused"
