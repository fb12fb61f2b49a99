"""The token endpoint as the NHS API platform's clients and tests know it: every answer, to the letter.

Statuses and texts are the platform's published ones; whatever checks them there passes here unchanged.
"""

from __future__ import annotations

import base64
import hmac
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx
import pytest
from joserfc.jwk import KeySet, RSAKey
from joserfc.jwt import decode

from fiveways.clock import SystemClock
from fiveways.security.clients import RegisteredClient
from fiveways.security.jwks import FetchedKeys

if TYPE_CHECKING:
    from tests.acceptance.security.conftest import Platform, Published

SCOPES = frozenset({"urn:nhsd:apim:app:level3:patients"})

ASSERTION_TYPE = "Missing or invalid client_assertion_type - must be 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'"
ALG = "Invalid 'alg' header in client_assertion JWT - unsupported JWT algorithm - must be 'RS512'"
TYP = "Invalid 'typ' header in client_assertion JWT - must be 'JWT'"
ISS_SUB = "Missing or non-matching 'iss'/'sub' claims in client_assertion JWT"
JTI = "Invalid 'jti' claim in client_assertion JWT - must be a unique string value such as a GUID"
AUD = "Missing or invalid 'aud' claim in client_assertion JWT"
NO_ACCESS = (
    "API Key supplied does not have access to this resource. Please check the API Key you are using belongs to an app "
    "which has sufficient access to access this resource."
)


NOT_CONFIGURED = (
    "you have tried to request authorization but your application is not configured to use this authorization grant type"
)


def segment(content: bytes | dict[str, Any]) -> str:
    """One part of a JWT made by hand."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def refused(response: httpx.Response, status: int, error: str, description: str) -> None:
    """The answer is exactly this refusal, with an id of its own, and may not be stored."""
    body = response.json()
    message_id = body.pop("message_id")
    assert (response.status_code, body) == (status, {"error": error, "error_description": description})
    UUID(message_id)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"


def test_a_signed_assertion_gets_a_token(platform: Platform) -> None:
    before = time.time() * 1000
    response = platform.ask()
    body = response.json()
    assert response.status_code == 200
    assert set(body) == {"access_token", "expires_in", "token_type", "issued_at"}
    assert (body["expires_in"], body["token_type"]) == ("599", "Bearer")
    assert before - 1 <= int(body["issued_at"]) <= time.time() * 1000
    assert all(isinstance(value, str) for value in body.values())
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"
    grant = platform.verifier.verify(body["access_token"].encode(), time.time())
    assert (grant.application, grant.level) == ("ward-tablet", "level3")
    assert grant.scopes == {"urn:nhsd:apim:app:level3:patients"}, "user scopes are not for an application alone"


@pytest.mark.parametrize(
    ("changes", "error", "description"),
    [
        ({"client_assertion_type": "invalid"}, "invalid_request", ASSERTION_TYPE),
        ({"client_assertion_type": ...}, "invalid_request", ASSERTION_TYPE),
        ({"client_assertion": "invalid"}, "invalid_request", "Malformed JWT in client_assertion"),
        ({"client_assertion": ...}, "invalid_request", "Missing client_assertion"),
        ({"grant_type": "invalid"}, "unsupported_grant_type", "grant_type is invalid"),
        ({"grant_type": "Client_Credentials"}, "unsupported_grant_type", "grant_type is invalid"),
        ({"grant_type": ...}, "invalid_request", "grant_type is missing"),
        ({"grant_type": ""}, "invalid_request", "grant_type is missing"),
    ],
)
def test_a_wrong_form_is_refused(platform: Platform, changes: dict[str, Any], error: str, description: str) -> None:
    refused(platform.ask(platform.form(**changes)), 400, error, description)


@pytest.mark.parametrize("alg", ["RS256", "RS384", "PS256", "PS384", "PS512"])
def test_another_algorithm_is_refused(platform: Platform, alg: str) -> None:
    refused(platform.ask(platform.form(platform.assertion(alg=alg))), 400, "invalid_request", ALG)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_the_public_key_is_no_shared_secret(platform: Platform, alg: str) -> None:
    claims = platform.assertion().split(".")[1]
    signing_input = segment({"alg": alg, "typ": "JWT", "kid": "test-1"}) + "." + claims
    signature = hmac.digest(platform.key.as_pem(private=False), signing_input.encode(), f"sha{alg[2:]}")
    refused(platform.ask(platform.form(f"{signing_input}.{segment(signature)}")), 400, "invalid_request", ALG)


def test_an_unsigned_assertion_is_refused(platform: Platform) -> None:
    head = segment({"alg": "none", "typ": "JWT", "kid": "test-1"})
    claims = platform.assertion().split(".")[1]
    refused(platform.ask(platform.form(f"{head}.{claims}.")), 400, "invalid_request", ALG)


@pytest.mark.parametrize(
    ("header", "status", "description"),
    [
        ({"kid": ...}, 400, "Missing 'kid' header in client_assertion JWT"),
        ({"kid": "invalid"}, 401, "Invalid 'kid' header in client_assertion JWT - no matching public key"),
        ({"typ": "invalid"}, 400, TYP),
        ({"typ": ...}, 400, TYP),
    ],
)
def test_a_wrong_header_is_refused(platform: Platform, header: dict[str, Any], status: int, description: str) -> None:
    refused(platform.ask(platform.form(platform.assertion(**header))), status, "invalid_request", description)


def in_seconds(offset: int) -> Callable[[], int]:
    return lambda: int(time.time()) + offset


@pytest.mark.parametrize(
    ("changes", "status", "description"),
    [
        ({"sub": "invalid", "iss": "invalid"}, 401, "Invalid 'iss'/'sub' claims in client_assertion JWT"),
        ({"sub": "invalid"}, 400, ISS_SUB),
        ({"sub": ...}, 400, ISS_SUB),
        ({"iss": "invalid"}, 400, ISS_SUB),
        ({"iss": ...}, 400, ISS_SUB),
        ({"iss": ..., "sub": ...}, 400, ISS_SUB),
        ({"jti": 1234567890}, 400, JTI),
        ({"jti": ...}, 400, "Missing 'jti' claim in client_assertion JWT"),
        ({"aud": "invalid"}, 401, AUD),
        ({"aud": "http://evil.test/oauth2/token"}, 401, AUD),
        ({"aud": ...}, 401, AUD),
        ({"exp": "in five minutes"}, 400, "Invalid 'exp' claim in client_assertion JWT - must be an integer"),
        ({"exp": in_seconds(-20)}, 400, "Invalid 'exp' claim in client_assertion JWT - JWT has expired"),
        ({"exp": in_seconds(460)}, 400, "Invalid 'exp' claim in client_assertion JWT - more than 5 minutes in future"),
        ({"exp": in_seconds(50_000)}, 400, "Invalid 'exp' claim in client_assertion JWT - more than 5 minutes in future"),
        ({"exp": ...}, 400, "Missing 'exp' claim in client_assertion JWT"),
    ],
)
def test_a_wrong_claim_is_refused(platform: Platform, changes: dict[str, Any], status: int, description: str) -> None:
    assertion = platform.assertion(platform.claims(**changes))
    refused(platform.ask(platform.form(assertion)), status, "invalid_request", description)


def test_an_assertion_is_used_once(platform: Platform) -> None:
    form = platform.form()
    assert platform.ask(form).status_code == 200
    refused(platform.ask(form), 400, "invalid_request", "Non-unique 'jti' claim in client_assertion JWT")


def test_an_assertion_is_used_once_when_sent_many_times_together(platform: Platform) -> None:
    form = platform.form()
    with ThreadPoolExecutor(10) as pool:
        statuses = sorted(response.status_code for response in pool.map(lambda _: platform.ask(form), range(20)))
    assert statuses == [200] + [400] * 19


@pytest.mark.parametrize(
    ("client", "status", "error", "description"),
    [
        ("client-2", 401, "public_key error", "JWT signature verification failed"),
        (
            "keyless",
            403,
            "public_key error",
            "You need to register a public key to use this authentication method - please contact support to configure",
        ),
        ("unreachable", 403, "public_key error", "The JWKS endpoint, for your client_assertion can't be reached"),
        ("suspended", 401, "access_denied", "The developer app associated with the API key is not approved or revoked"),
        ("unsubscribed", 401, "access_denied", NO_ACCESS),
        ("user-only", 401, "unauthorized_client", NOT_CONFIGURED),
    ],
)
def test_an_application_that_may_not_is_refused(platform: Platform, client: str, status: int, error: str, description: str) -> None:
    assertion = platform.assertion(platform.claims(iss=client, sub=client))
    refused(platform.ask(platform.form(assertion)), status, error, description)


def test_a_key_with_the_right_id_but_another_owner_is_refused(platform: Platform, strange_key: RSAKey) -> None:
    assertion = platform.assertion(key=strange_key, jwk=strange_key.as_dict(private=False))
    refused(platform.ask(platform.form(assertion)), 401, "public_key error", "JWT signature verification failed")


def test_an_assertion_in_an_assertion_is_refused(platform: Platform) -> None:
    head, _, signature = platform.assertion().split(".")
    nested = segment(platform.assertion().encode())
    refused(
        platform.ask(platform.form(f"{head}.{nested}.{signature}")), 400, "invalid_request", "Malformed JWT in client_assertion"
    )


def test_an_oversized_assertion_is_refused(platform: Platform) -> None:
    assertion = platform.assertion(platform.claims(padding="x" * 20_000))
    refused(platform.ask(platform.form(assertion)), 400, "invalid_request", "Malformed JWT in client_assertion")


@pytest.mark.parametrize(
    ("asked", "at_most"),
    [("100000", 100), ("500000", 500), ("700000", 600), ("1000000", 600), ("-5", 600), ("soon", 600), ("0", 600), ("²", 600)],
)
def test_the_lifetime_asked_for_may_only_shorten(platform: Platform, asked: str, at_most: int) -> None:
    response = platform.ask(platform.form(_access_token_expiry_ms=asked))
    assert response.status_code == 200
    assert at_most - 2 < int(response.json()["expires_in"]) <= at_most


def test_keys_by_url_are_fetched_and_a_new_one_is_found(platform: Platform, published: Published, strange_key: RSAKey) -> None:
    """The client rotates its keys: the set is fetched again for the new key id, once the flood guard allows."""
    published.publish(platform.key)
    source = FetchedKeys(published.url, SystemClock(), refetch_after=timedelta(milliseconds=300))
    known = dict(platform.clients._clients)
    platform.clients.replace([*known.values(), RegisteredClient("by-url", "RXN", "by-url", SCOPES, source)])
    try:

        def ask(**more: Any) -> httpx.Response:
            return platform.ask(platform.form(platform.assertion(platform.claims(iss="by-url", sub="by-url"), **more)))

        assert ask().status_code == 200
        new = RSAKey.import_key({**strange_key.as_dict(private=True), "kid": "test-2"})
        published.publish(platform.key, new)
        refused(
            ask(key=new, kid="test-2"),
            401,
            "invalid_request",
            "Invalid 'kid' header in client_assertion JWT - no matching public key",
        )
        time.sleep(0.35)
        assert ask(key=new, kid="test-2").status_code == 200
        assert published.handler.requests == 2
    finally:
        platform.clients.replace(known.values())


# --- the request itself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_another_method_is_not_allowed(platform: Platform, method: str) -> None:
    response = platform.http.request(method, platform.token_url)
    assert response.status_code == 405
    assert response.text == ""
    assert response.headers["allow"] == "POST"
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("path", ["", "/", "/tokens", "/token/", "/authorize", "/.well-known", "//token", "/oauth2/token"])
def test_an_unknown_path_is_not_found(platform: Platform, path: str) -> None:
    response = platform.http.post(f"{platform.url}/oauth2{path}", follow_redirects=True)
    refused(response, 404, "invalid_request", "Not Found")


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded; a=b", None]
)
def test_anything_but_a_form_is_unsupported(platform: Platform, media_type: str | None) -> None:
    headers = {"content-type": media_type} if media_type else {}
    response = platform.http.post(platform.token_url, content=b"grant_type=client_credentials", headers=headers)
    refused(response, 415, "invalid_request", "Content-Type must be 'application/x-www-form-urlencoded'")


def post(platform: Platform, body: bytes) -> httpx.Response:
    return platform.http.post(platform.token_url, content=body, headers={"content-type": "application/x-www-form-urlencoded"})


@pytest.mark.parametrize("body", [b"grant_type=a&grant_type=a", b"x=&x=", b"grant_type=client_credentials&grant_type="])
def test_a_parameter_given_twice_is_refused(platform: Platform, body: bytes) -> None:
    refused(post(platform, body), 400, "invalid_request", "A parameter is given more than once")


@pytest.mark.parametrize("body", [b"\xff=1", b"grant_type=%ff", b"&".join(b"%d=1" % n for n in range(60))])
def test_a_body_that_is_no_form_is_refused(platform: Platform, body: bytes) -> None:
    refused(post(platform, body), 400, "invalid_request", "The request is not application/x-www-form-urlencoded")


def test_a_body_over_the_limit_is_refused(platform: Platform) -> None:
    refused(post(platform, b"a=" + b"x" * 65_536), 413, "invalid_request", "The request is too large")


def test_a_body_that_does_not_come_is_not_waited_for(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fiveways.security.forms.BODY_TIMEOUT", 0.1)
    host, port = platform.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(
            b"POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-www-form-urlencoded\r\n"
            b"content-length: 100\r\n\r\ngrant_type="
        )
        assert client.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_an_empty_body_has_no_grant_type(platform: Platform) -> None:
    refused(post(platform, b""), 400, "invalid_request", "grant_type is missing")


def test_elsewhere_than_on_this_machine_the_host_names_no_audience(platform: Platform) -> None:
    """A server to which a client made out an assertion cannot pass it on to us under its own name."""
    assertion = platform.assertion(platform.claims(aud="http://evil.test/oauth2/token"))
    response = platform.http.post(platform.token_url, data=platform.form(assertion), headers={"host": "evil.test"})
    refused(response, 401, "invalid_request", AUD)


# --- what is kept ---------------------------------------------------------------------------------------------------------


def test_what_was_issued_is_on_record_without_the_credentials(platform: Platform) -> None:
    form = platform.form()
    token = platform.ask(form).json()["access_token"]
    ((kind, application, outcome, details),) = platform.book.records
    assert (kind, application, outcome) == ("token.issued", "ward-tablet", "issued")
    assert details["scopes"] == ["urn:nhsd:apim:app:level3:patients"]
    assert platform.verifier.verify(token.encode(), time.time()).jti == details["jti"]
    assert form["client_assertion"] not in repr(details)
    assert token not in repr(details)


def test_what_was_refused_is_on_record_under_the_id_the_client_was_told(platform: Platform) -> None:
    response = platform.ask(platform.form(platform.assertion(platform.claims(aud="invalid"))))
    ((kind, application, outcome, details),) = platform.book.records
    assert (kind, application, outcome) == ("token.refused", "ward-tablet", "invalid_request")
    assert details == {"message_id": response.json()["message_id"], "status": 401, "reason": AUD}


@pytest.mark.parametrize("fault", ["record", "replay"])
def test_a_token_that_cannot_be_recorded_is_not_handed_out(platform: Platform, fault: str) -> None:
    platform.book.broken = fault
    response = platform.ask()
    refused(response, 503, "temporarily_unavailable", "The authorization server cannot do this now: try again shortly")
    assert response.headers["retry-after"] == "5"


def test_a_defect_is_told_as_the_platform_tells_it(platform: Platform) -> None:
    platform.book.broken = "defect"
    refused(
        platform.ask(),
        500,
        "unknown_error",
        "An unknown error occurred processing this request. Contact us for assistance diagnosing this issue: "
        "https://digital.nhs.uk/developer/help-and-support quoting Message ID",
    )


# --- revocation, keys, metadata -------------------------------------------------------------------------------------------


def revoke(platform: Platform, **form: str) -> httpx.Response:
    sent = {name: value for name, value in platform.form(**form).items() if name != "grant_type"}
    return platform.http.post(f"{platform.url}/oauth2/revoke", data=sent)


def test_a_client_revokes_its_own_token(platform: Platform) -> None:
    token = platform.ask().json()["access_token"]
    grant = platform.verifier.verify(token.encode(), time.time())
    response = revoke(platform, token=token, token_type_hint="access_token")
    assert (response.status_code, response.text) == (200, "")
    assert [revocation.jti for revocation in platform.revoked] == [grant.jti]
    assert platform.book.records[-1][:3] == ("token.revoked", "ward-tablet", "revoked")
    assert revoke(platform, token=token).status_code == 200, "once more is as good (RFC 7009 §2.2)"


def test_another_clients_token_cannot_be_revoked(platform: Platform) -> None:
    token = platform.ask().json()["access_token"]
    assertion = platform.assertion(platform.claims(iss="second", sub="second"))
    refused(
        revoke(platform, token=token, client_assertion=assertion),
        400,
        "invalid_grant",
        "The token was not issued to this client",
    )
    platform.verifier.verify(token.encode(), time.time())


def test_what_is_no_token_is_as_good_as_revoked(platform: Platform) -> None:
    assert revoke(platform, token="rubbish").status_code == 200
    assert not platform.revoked


def test_revoking_needs_a_token_and_an_assertion(platform: Platform) -> None:
    refused(revoke(platform), 400, "invalid_request", "token is missing")
    refused(revoke(platform, token="x", client_assertion="invalid"), 400, "invalid_request", "Malformed JWT in client_assertion")


@pytest.mark.parametrize("path", ["/jwks", "/.well-known/jwks.json"])
def test_anyone_can_verify_a_token_with_the_published_keys(platform: Platform, path: str) -> None:
    response = platform.http.get(f"{platform.url}/oauth2{path}")
    assert response.headers["content-type"] == "application/jwk-set+json"
    token = platform.ask().json()["access_token"]
    assert decode(token, KeySet.import_key_set(response.json()), algorithms=["RS512"]).claims["client_id"] == "client-1"
    assert platform.http.head(f"{platform.url}/oauth2{path}").status_code == 200
    refusal = platform.http.post(f"{platform.url}/oauth2{path}")
    assert (refusal.status_code, refusal.headers["allow"]) == (405, "GET")


def test_the_metadata_names_every_endpoint(platform: Platform) -> None:
    metadata = platform.http.get(f"{platform.url}/oauth2/.well-known/oauth-authorization-server").json()
    assert metadata["token_endpoint"] == platform.token_url
    assert metadata["grant_types_supported"] == ["client_credentials"]
    assert platform.http.get(metadata["jwks_uri"]).status_code == 200
    assert platform.http.get(metadata["revocation_endpoint"]).status_code == 405
    elsewhere = platform.http.get(f"{platform.url}/oauth2/.well-known/oauth-authorization-server", headers={"host": "evil.test"})
    refused(elsewhere, 404, "invalid_request", "Not Found")


def test_every_answer_has_an_id_of_its_own(platform: Platform) -> None:
    ids = {platform.ask({"grant_type": str(uuid4())}).json()["message_id"] for _ in range(3)}
    assert len(ids) == 3
