"""Separate access (RFC 8693): answers, statuses and texts are those that consumers of the NHS API platform know."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import OctKey
from tests.acceptance.people.conftest import People
from tests.acceptance.people.issuer import Issuer

Change = Callable[[Issuer], str]


def test_an_id_token_is_exchanged(people: People) -> None:
    said = people.exchange()
    assert set(said) == {
        "access_token", "expires_in", "token_type", "issued_token_type",
        "refresh_token", "refresh_token_expires_in", "refresh_count",
    }  # fmt: skip
    assert (said["expires_in"], said["token_type"]) == ("599", "Bearer")
    assert said["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (said["refresh_token_expires_in"], said["refresh_count"]) == ("43199", "0")


def test_citizens_stay_signed_in_for_an_hour(people: People) -> None:
    assert people.exchange(people.login.id_token())["refresh_token_expires_in"] == "3599"


@pytest.mark.parametrize("alg", ["RS256", "RS512"])
def test_both_algorithms_of_the_platform_are_taken(people: People, alg: str) -> None:
    assert people.exchange(people.cis2.id_token(alg=alg))["access_token"]


def confused(issuer: Issuer) -> str:
    """Signed with the provider's public key, as if that were a shared secret."""
    head, payload, _ = issuer.id_token(key=OctKey.import_key("x" * 32), alg="HS256", kid=issuer.keys[0].kid).split(".")
    made = hmac.digest(issuer.keys[0].as_pem(private=False), f"{head}.{payload}".encode(), "sha256")
    return f"{head}.{payload}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"


REFUSED: list[tuple[str, Change, int, str, str]] = [
    ("malformed", lambda i: "no.jwt", 400, "invalid_request", "Malformed JWT in subject_token"),
    ("no kid", lambda i: i.id_token(kid=...), 400, "invalid_request", "Missing 'kid' header in subject_token JWT"),
    (
        "unknown kid", lambda i: i.id_token(kid="other"), 401, "invalid_request",
        "Invalid 'kid' header in subject_token JWT - no matching public key",
    ),
    (
        "another algorithm", lambda i: i.id_token(alg="PS256"), 400, "invalid_request",
        "Invalid 'alg' header in subject_token JWT - unsupported JWT algorithm - must be 'RS256' or 'RS512'",
    ),
    (
        "another type", lambda i: i.id_token(typ="at+jwt"), 400, "invalid_request",
        "Invalid 'typ' header in subject_token JWT - must be 'JWT'",
    ),
    (
        "expired", lambda i: i.id_token(i.claims(exp=int(time.time()) - 60)), 400, "invalid_request",
        "Invalid 'exp' claim in subject_token JWT - JWT has expired",
    ),
    ("no exp", lambda i: i.id_token(i.claims(exp=...)), 400, "invalid_request", "Missing 'exp' claim in subject_token JWT"),
    (
        "exp as text", lambda i: i.id_token(i.claims(exp="soon")), 400, "invalid_request",
        "Invalid 'exp' claim in subject_token JWT - must be an integer",
    ),
    (
        "no iss", lambda i: i.id_token(i.claims(iss=...)), 400, "invalid_request",
        "Missing or non-matching 'iss'/'sub' claims in subject_token JWT",
    ),
    (
        "another issuer", lambda i: i.id_token(i.claims(iss="https://evil.test")), 401, "invalid_request",
        "Invalid 'iss'/'sub' claims in subject_token JWT",
    ),
    ("no aud", lambda i: i.id_token(i.claims(aud=...)), 401, "invalid_request", "Missing 'aud' claim in subject_token JWT"),
    (
        "another audience", lambda i: i.id_token(i.claims(aud="another-application")), 401, "invalid_request",
        "Invalid 'aud' claim in subject_token JWT",
    ),
    (
        "made for another party of several", lambda i: i.id_token(i.claims(aud=["ward", "b"], azp="b")), 401, "invalid_request",
        "Invalid 'aud' claim in subject_token JWT",
    ),
    (
        "from the future", lambda i: i.id_token(i.claims(iat=int(time.time()) + 600)), 400, "invalid_request",
        "Invalid 'nbf' claim in subject_token JWT - JWT is not valid yet",
    ),
    (
        "signed by somebody else", lambda i: i.id_token(key=Issuer.new_key(), kid=i.keys[0].kid), 401, "public_key error",
        "JWT signature verification failed",
    ),
    (
        "signed with the public key as a secret",
        lambda i: confused(i),
        400, "invalid_request",
        "Invalid 'alg' header in subject_token JWT - unsupported JWT algorithm - must be 'RS256' or 'RS512'",
    ),
    (
        "a person nobody is sure of", lambda i: i.id_token(i.claims(authentication_assurance_level=...)),
        401, "unauthorized_client",
        "you have tried to request authorization but your application is not configured to use this authorization grant type",
    ),
    (
        "too little assurance", lambda i: i.id_token(i.claims(authentication_assurance_level="1")), 401, "unauthorized_client",
        "you have tried to request authorization but your application is not configured to use this authorization grant type",
    ),
    (
        "a subject that breaks a header", lambda i: i.id_token(i.claims(sub="a\r\nX: y")), 401, "invalid_request",
        "Invalid 'iss'/'sub' claims in subject_token JWT",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("make", "status", "error", "description"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED])
def test_a_bad_id_token_is_refused(people: People, make: Change, status: int, error: str, description: str) -> None:
    answer = people.ask(people.form(make(people.cis2)))
    assert (answer.status_code, answer.json()["error"], answer.json()["error_description"]) == (status, error, description)
    assert answer.json()["message_id"]


def test_no_signature_at_all_is_refused(people: People) -> None:
    head, payload, _ = people.cis2.id_token().split(".")
    unsigned = people.cis2.id_token(key=OctKey.import_key("x" * 32), alg="HS256", kid="none")
    answer = people.ask(people.form(f"{head}.{payload}."))
    assert (answer.status_code, answer.json()["error"]) == (401, "public_key error")
    assert people.ask(people.form(unsigned)).status_code == 400


@pytest.mark.parametrize(
    ("change", "status", "error", "description"),
    [
        (
            {"subject_token_type": ...}, 400, "invalid_request",
            "missing or invalid subject_token_type - must be 'urn:ietf:params:oauth:token-type:id_token'",
        ),
        (
            {"subject_token_type": "jwt"}, 400, "invalid_request",
            "missing or invalid subject_token_type - must be 'urn:ietf:params:oauth:token-type:id_token'",
        ),
        ({"subject_token": ...}, 400, "invalid_request", "Missing subject_token"),
        ({"client_assertion": ...}, 400, "invalid_request", "Missing client_assertion"),
        ({"grant_type": ...}, 400, "invalid_request", "grant_type is missing"),
        ({"grant_type": "invalid"}, 400, "invalid_request", "grant_type is invalid"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said(people: People, change: Any, status: int, error: str, description: str) -> None:
    answer = people.ask(people.form(**change))
    assert (answer.status_code, answer.json()["error"], answer.json()["error_description"]) == (status, error, description)


def test_an_application_without_scopes_for_people_is_refused(people: People) -> None:
    answer = people.ask(people.form(people.cis2.id_token(people.cis2.claims(aud="outsider")), "outsider"))
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized_client")


def test_an_application_is_known_to_a_provider_as_the_deployment_says(people: People) -> None:
    theirs = people.cis2.id_token(people.cis2.claims(aud="second-at-cis2"))
    assert people.exchange(theirs, application="second")["access_token"]
    assert people.ask(people.form(people.cis2.id_token(people.cis2.claims(aud="second")), "second")).status_code == 401


def test_where_it_says_nothing_tokens_made_for_fiveways_will_do(people: People) -> None:
    assert people.exchange(people.cis2.id_token(people.cis2.claims(aud="fiveways")))["access_token"]
    made_for_us = people.cis2.id_token(people.cis2.claims(aud="fiveways"))
    assert people.ask(people.form(made_for_us, "second")).status_code == 401


def test_a_key_that_has_just_changed_is_fetched_at_once(people: People) -> None:
    assert people.exchange()["access_token"]
    people.cis2.rotate()
    assert people.exchange()["access_token"]


def test_unknown_keys_do_not_turn_the_platform_against_a_provider(people: People) -> None:
    before = len(people.login.fetches)
    for _ in range(40):
        people.ask(people.form(people.login.id_token(kid="made-up")))
    assert len(people.login.fetches) - before <= 12


def test_a_provider_that_is_away_is_not_the_applications_fault(people: People, serve: Any) -> None:
    away = Issuer({})
    token = away.id_token()
    text = people.served.file.read_text().replace(people.cis2.url, away.url)
    away.down = True
    with serve(text, environment={"CIS2_SECRET": "x"}) as served, served.client() as client:
        form = people.form(token, client_assertion=served.assertion("ward"))
        answer = client.post("/oauth2/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        assert client.get("/_ping").status_code == 200
    away.stop()


# --- delegated access ------------------------------------------------------------------------------------------------------


def delegated(people: People, actor: dict[str, Any] | None = None, **subject: Any) -> str:
    login = people.login
    proof = login.id_token(login.claims(**{"sub": "parent", "nhs_number": "9000000017", **(actor or {})}))
    return login.id_token(login.claims(**{"act": {"sub": proof}, **subject}))


def test_somebody_acts_for_a_person(people: People) -> None:
    token = people.exchange(delegated(people))["access_token"]
    assert people.call(token, "/patient/Patient/1").status_code == 200
    assert people.seen().all(b"nhsd-nhslogin-user") == [b"P9:9000000009"]
    assert people.seen().all(b"nhsd-nhslogin-actor") == [b"P9:9000000017"]
    issued = people.served.events(kind="token.issued")[-1]
    assert issued["details"]["actor"] == "parent"


@pytest.mark.parametrize(
    ("actor", "subject", "status"),
    [
        ({"exp": 1}, {}, 400),
        ({"nhs_number": ...}, {}, 400),
        ({}, {"nhs_number": ...}, 400),
        ({"iss": "https://evil.test"}, {}, 401),
        ({"aud": "another"}, {}, 401),
        ({"identity_proofing_level": "P5"}, {}, 401),
        ({}, {"act": {"sub": "parent"}}, 400),
        ({}, {"act": "parent"}, 400),
    ],
)
def test_a_bad_proof_of_who_acts_is_refused(people: People, actor: Any, subject: Any, status: int) -> None:
    assert people.ask(people.form(delegated(people, actor, **subject))).status_code == status


def test_nobody_acts_for_a_health_worker(people: People) -> None:
    acting = people.cis2.id_token(people.cis2.claims(act={"sub": people.cis2.id_token()}))
    assert people.ask(people.form(acting)).status_code == 400


def test_nothing_personal_is_in_the_audit_or_the_log(people: People) -> None:
    people.call(people.exchange(delegated(people))["access_token"], "/patient/Patient/9000000009")
    time.sleep(0.2)
    kept = json.dumps(people.served.events()) + people.served.log
    assert "9000000009" not in kept
    assert "9000000017" not in kept
