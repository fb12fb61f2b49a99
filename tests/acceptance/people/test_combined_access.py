"""Combined access: Fiveways signs people in. Statuses, fields and texts are those that consumers of the NHS API platform know."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import KeySet
from joserfc.jwt import decode
from tests.acceptance.people.conftest import BACK, CHALLENGE, ROLE, SECRETS, VERIFIER, People, query

# --- authorize ----------------------------------------------------------------------------------------------------------------


def test_somebody_is_sent_to_health_workers_sign_in(people: People) -> None:
    with people.browser() as browser:
        sent = people.authorize(browser)
    assert sent.status_code == 302
    assert sent.headers["location"].startswith(f"{people.cis2.url}/authorize?")
    question = query(sent.headers["location"])
    assert question["redirect_uri"] == f"{people.served.url}/oauth2/callback"
    assert (question["scope"], question["acr_values"]) == ("openid nationalrbacaccess", "AAL3_ANY")
    assert (question["client_id"], question["response_type"], question["code_challenge_method"]) == ("fiveways", "code", "S256")
    assert question["state"] != "their state"
    cookie = sent.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/oauth2/callback" in cookie


def test_scope_nhs_login_selects_the_citizens(people: People) -> None:
    with people.browser() as browser:
        sent = people.authorize(browser, scope="nhs-login")
    assert sent.headers["location"].startswith(f"{people.login.url}/authorize?")
    assert query(sent.headers["location"])["redirect_uri"] == f"{people.served.url}/oauth2/callback/login"


@pytest.mark.parametrize(
    ("change", "status", "error", "description"),
    [
        ({"client_id": ...}, 401, "invalid_request", "client_id is missing"),
        ({"client_id": "nobody"}, 401, "invalid_request", "client_id is invalid"),
        ({"redirect_uri": ...}, 400, "invalid_request", "redirect_uri is missing"),
        ({"redirect_uri": "https://evil.test/"}, 400, "invalid_request", "redirect_uri is invalid"),
        ({"redirect_uri": BACK + "/"}, 400, "invalid_request", "redirect_uri is invalid"),
        ({"redirect_uri": BACK + "?more=1"}, 400, "invalid_request", "redirect_uri is invalid"),
        ({"redirect_uri": BACK.replace("9/", "9/x/../")}, 400, "invalid_request", "redirect_uri is invalid"),
        ({"redirect_uri": BACK.upper()}, 400, "invalid_request", "redirect_uri is invalid"),
        ({"redirect_uri": BACK.replace("127.0.0.1:9", "127.0.0.1:9@evil.test")}, 400, "invalid_request", "redirect_uri is invalid"),
        (
            {"client_id": "suspended"}, 401, "access_denied",
            "The developer app associated with the API key is not approved or revoked",
        ),
        (
            {"client_id": "outsider"}, 401, "unauthorized_client",
            "you have tried to request authorization but your application is not configured to use this authorization grant type",
        ),
    ],
)  # fmt: skip
def test_who_cannot_be_sent_back_is_told_here(people: People, change: Any, status: int, error: str, description: str) -> None:
    with people.browser() as browser:
        answer = people.authorize(browser, **change)
    assert "location" not in answer.headers
    assert (answer.status_code, answer.json()["error"], answer.json()["error_description"]) == (status, error, description)


@pytest.mark.parametrize(
    ("change", "error", "description"),
    [
        ({"response_type": ...}, "invalid_request", "response_type is missing"),
        ({"response_type": "token"}, "unsupported_response_type", "response_type is invalid"),
        ({"state": ...}, "invalid_request", "state is missing"),
        ({"code_challenge": "short", "code_challenge_method": "S256"}, "invalid_request", None),
        ({"code_challenge": CHALLENGE, "code_challenge_method": "plain"}, "invalid_request", None),
        ({"code_challenge": CHALLENGE}, "invalid_request", None),
        ({"client_id": "second"}, "invalid_request", "code_challenge is missing"),
        ({"state": "x" * 2000}, "invalid_request", None),
    ],
)
def test_what_is_wrong_is_told_where_people_go_back_to(people: People, change: Any, error: str, description: str | None) -> None:
    with people.browser() as browser:
        answer = people.authorize(browser, **change)
    assert answer.status_code == 302
    assert answer.headers["location"].startswith(f"{BACK}?")
    said = query(answer.headers["location"])
    assert said["error"] == error
    assert said["iss"] == f"{people.served.url}/oauth2"
    assert description is None or said["error_description"] == description
    assert said.get("state") == (None if change.get("state") is ... else change.get("state", "their state"))


def test_what_was_refused_is_found_by_the_request(people: People) -> None:
    """The application is shown no message id where it is told by a redirect: its own, or the one that it was sent back, will do."""
    request_id = "80e0b220-8136-4ca5-ae46-1d97ef59d068"
    with people.served.client(headers={"X-Request-ID": request_id, "X-Correlation-ID": "conversation-9"}) as browser:
        answer = people.authorize(browser, state=...)
    assert answer.headers["x-request-id"] == request_id
    event = people.served.event(request_id=request_id)
    assert (event["kind"], event["correlation_id"]) == ("sign_in.refused", "conversation-9")
    assert "sign_in.refused" in people.served.run("trace", request_id, "deployment.yaml").stdout


def test_a_parameter_given_twice_is_refused(people: People) -> None:
    answer = people.http.get(f"/oauth2/authorize?client_id=ward&client_id=ward&redirect_uri={BACK}&response_type=code&state=s")
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_only_get(people: People) -> None:
    answer = people.http.post("/oauth2/authorize")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "GET", b"")


def test_a_provider_that_is_away_is_told_to_the_application(people: People, serve: Any) -> None:
    text = people.served.file.read_text().replace(people.cis2.url, "http://127.0.0.1:9")
    with serve(text, environment={"CIS2_SECRET": "x"}) as served, served.client() as browser:
        answer = people.authorize(browser)
        assert query(answer.headers["location"])["error"] == "temporarily_unavailable"


# --- the whole way --------------------------------------------------------------------------------------------------------------


def test_a_person_signs_in_and_the_application_has_tokens(people: People) -> None:
    with people.browser() as browser:
        back = people.callback(browser, people.authorize(browser))
        assert not browser.cookies
    said = query(back.headers["location"])
    assert said["state"] == "their state"
    assert said["iss"] == f"{people.served.url}/oauth2"
    answer = people.ask(people.code_form(said["code"]))
    assert answer.status_code == 200
    assert set(answer.json()) == {
        "access_token", "expires_in", "refresh_token", "refresh_token_expires_in", "refresh_count", "token_type",
    }  # fmt: skip
    assert (answer.json()["expires_in"], answer.json()["refresh_token_expires_in"]) == ("599", "43199")
    assert people.call(answer.json()["access_token"], **{"NHSD-Session-URID": ROLE}).status_code == 200
    basic = people.cis2.redeemed[-1]["authorization"]
    assert base64.b64decode(basic.removeprefix("Basic ")) == b"fiveways:the-provider%27s-secret"


def test_a_citizen_signs_in(people: People) -> None:
    code = people.code(issuer=people.login, asked={"scope": "nhs-login"})
    said = people.ask(people.code_form(code)).json()
    assert said["refresh_token_expires_in"] == "3599"
    assert people.call(said["access_token"], "/patient/Patient/1").status_code == 200
    assert people.seen().all(b"nhsd-nhslogin-user") == [b"P9:9000000009"]


def test_a_redirect_uri_keeps_its_query(people: People) -> None:
    uri = "http://127.0.0.1:9/other?kept=1"
    with people.browser() as browser:
        back = people.callback(browser, people.authorize(browser, redirect_uri=uri))
    assert back.headers["location"].startswith(uri + "&")
    code = query(back.headers["location"])["code"]
    assert people.ask(people.code_form(code)).json()["error_description"] == "redirect_uri is invalid"
    assert people.ask(people.code_form(code, redirect_uri=uri)).status_code == 200


def test_the_secret_may_be_in_the_authorization_field(people: People) -> None:
    form = people.code_form(people.code(), client_id=..., client_secret=...)
    assert people.ask(form, headers={}).json()["error_description"] == "client_id is missing"
    answer = people.http.post("/oauth2/token", data=form, auth=("ward", SECRETS["ward"]))
    assert answer.status_code == 200


def test_an_assertion_will_do_as_well(people: People) -> None:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    form = people.code_form(people.code(), client_id=..., client_secret=...)
    form |= {"client_assertion_type": kind, "client_assertion": people.served.assertion("ward")}
    assert people.ask(form).status_code == 200


@pytest.mark.parametrize(
    ("change", "status", "error", "description"),
    [
        ({"client_id": ...}, 401, "invalid_request", "client_id is missing"),
        ({"client_secret": ...}, 401, "invalid_request", "client_secret is missing"),
        ({"client_id": "nobody"}, 401, "invalid_client", "client_id or client_secret is invalid"),
        ({"client_secret": "guess"}, 401, "invalid_client", "client_id or client_secret is invalid"),
        ({"redirect_uri": ...}, 400, "invalid_request", "redirect_uri is missing"),
        ({"redirect_uri": "https://evil.test"}, 400, "invalid_request", "redirect_uri is invalid"),
        ({"code": ...}, 400, "invalid_request", "authorization_code is missing"),
        ({"code": "guess"}, 400, "invalid_grant", "authorization_code is invalid"),
        ({"grant_type": ...}, 400, "invalid_request", "grant_type is missing"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", "grant_type is invalid"),
    ],
)
def test_what_is_wrong_with_a_code_request(people: People, change: Any, status: int, error: str, description: str) -> None:
    answer = people.ask(people.code_form("a-code", **change))
    assert (answer.status_code, answer.json()["error"], answer.json()["error_description"]) == (status, error, description)
    assert answer.json()["message_id"]


def test_pkce(people: People) -> None:
    asked = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    assert people.ask(people.code_form(people.code(asked=asked), code_verifier=VERIFIER)).status_code == 200
    for wrong in ({}, {"code_verifier": "another-verifier-of-the-same-length-as-the-right-one"}):
        code = people.code(asked=asked)
        assert people.ask(people.code_form(code, **wrong)).json()["error_description"] == "authorization_code is invalid"
        assert people.ask(people.code_form(code, code_verifier=VERIFIER)).status_code == 400
    assert people.ask(people.code_form(people.code(), code_verifier=VERIFIER)).status_code == 400, "a downgrade"


def test_where_it_is_required_nothing_goes_without(people: People) -> None:
    asked = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    code = people.code("second", asked=asked)
    assert people.ask(people.code_form(code, "second", code_verifier=VERIFIER)).status_code == 200


def test_the_platform_proves_who_it_is_by_a_key_that_it_publishes(people: People, serve: Any) -> None:
    text = people.served.file.read_text().replace(", secret: env:CIS2_SECRET}}", "}}")
    with serve(text, environment={"CIS2_SECRET": "x"}) as served, served.client() as browser:
        back = people.callback(browser, people.authorize(browser))
        keys = KeySet.import_key_set(browser.get("/oauth2/jwks").json())
    assert "code" in query(back.headers["location"])
    sent = people.cis2.redeemed[-1]
    assert sent["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assertion = decode(sent["client_assertion"], keys, algorithms=["RS512"])
    assert (assertion.claims["iss"], assertion.claims["sub"]) == ("fiveways", "fiveways")
    assert assertion.claims["aud"] == f"{people.cis2.url}/token"


def test_userinfo_is_what_the_provider_told(people: People) -> None:
    token = people.ask(people.code_form(people.code())).json()["access_token"]
    said = people.http.get("/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})
    assert said.status_code == 200
    assert said.json()["nhsid_nrbac_roles"][0]["person_roleid"] == ROLE


def test_userinfo_is_for_health_workers_who_were_signed_in_here(people: People) -> None:
    citizen = people.ask(people.code_form(people.code(issuer=people.login, asked={"scope": "nhs-login"}))).json()["access_token"]
    for token in (people.exchange()["access_token"], people.served.token("ward"), citizen):
        answer = people.http.get("/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    answer = people.http.get("/oauth2/userinfo", headers={"Authorization": "Bearer nothing"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_the_metadata_names_what_there_is(people: People) -> None:
    base = f"{people.served.url}/oauth2"
    for path in (
        "/.well-known/oauth-authorization-server/oauth2",
        "/oauth2/.well-known/oauth-authorization-server",
        "/oauth2/.well-known/openid-configuration",
        "/.well-known/openid-configuration",
    ):
        said = people.http.get(path).json()
        assert said["issuer"] == base
        assert said["authorization_endpoint"] == f"{base}/authorize"
        assert said["userinfo_endpoint"] == f"{base}/userinfo"
        assert said["introspection_endpoint"] == f"{base}/introspect"
        assert said["code_challenge_methods_supported"] == ["S256"]
        assert "authorization_code" in said["grant_types_supported"]
        assert said["authorization_response_iss_parameter_supported"] is True


@pytest.mark.parametrize("error", ["access_denied", "login_required"])
def test_who_does_not_sign_in_goes_back_with_that(people: People, error: str) -> None:
    with people.browser() as browser:
        question = query(people.authorize(browser).headers["location"])
        said = {"error": error, "state": question["state"], "iss": people.cis2.url}
        back = browser.get(urlsplit(question["redirect_uri"]).path, params=said)
    assert (query(back.headers["location"])["error"], query(back.headers["location"])["state"]) == (error, "their state")


def test_whoever_signed_in_is_in_the_audit(people: People) -> None:
    people.ask(people.code_form(people.code()))
    offered, issued = (people.served.events(kind=kind)[-1] for kind in ("session.offered", "token.issued"))
    assert (offered["subject"], issued["subject"]) == ("555021935107", "555021935107")
    assert (issued["details"]["assurance"], issued["details"]["idp"], issued["details"]["access"]) == ("aal3", "cis2", "combined")
    assert (issued["details"]["grant_type"], issued["application"]) == ("authorization_code", "ward")
