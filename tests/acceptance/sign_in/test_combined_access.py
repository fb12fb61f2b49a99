"""Combined access, the whole way with nothing of ours but Fiveways: a browser, identity providers, consumers that others wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from playwright.sync_api import Page
from requests_oauth2client import ClientSecretBasic, ClientSecretPost, InvalidGrant, OAuth2Client, PrivateKeyJwt
from tests.acceptance.sign_in.conftest import (
    PATIENTS,
    REDIRECT,
    WORKERS,
    OpenidClient,
    Platform,
    query,
    redeemed,
    sign_in,
    signed_in,
)

NURSE, CLERK = WORKERS["nurse"], WORKERS["clerk"]


@pytest.mark.parametrize("discovery", ["oauth2", "oidc"])
def test_a_nurse_reads_a_record(platform: Platform, openid_client: OpenidClient, page: Page, discovery: str) -> None:
    ward = platform.consumer("ward", discovery)
    tokens = signed_in(openid_client, page, ward, "nurse", scope="nhs-cis2")
    assert query(tokens["url"])["iss"] == platform.issuer
    assert (tokens["token_type"], tokens["expires_in"], tokens["refresh_token_expires_in"]) == ("bearer", 599, "43199")
    person = openid_client("userinfo", access_token=tokens["access_token"], sub=NURSE["sub"], **ward)
    assert person == {"nhsid_useruid": NURSE["sub"], **NURSE}
    for count in ("0", "1", "2"):
        assert tokens["refresh_count"] == count
        for role in person["nhsid_nrbac_roles"]:
            assert platform.call(tokens, "/records/Patient/1", role["person_roleid"]).status_code == 200
            assert platform.told() == {
                "nhsd-session-urid": role["person_roleid"],
                "nhsd-identity-uuid": NURSE["sub"],
                "nhsd-identity-idp": platform.cis2.issuer,
                "nhsd-end-user-organisation-ods": role["org_code"],
            }
        refused = platform.call(tokens, "/records/Patient/1", CLERK["nhsid_nrbac_roles"][0]["person_roleid"])
        assert (refused.status_code, refused.json()["issue"][0]["details"]["coding"][0]["code"]) == (400, "INVALID_VALUE")
        tokens = openid_client("refresh", refresh_token=tokens["refresh_token"], **ward)
    stranger = openid_client("userinfo", access_token=tokens["access_token"], sub=CLERK["sub"], **ward)
    assert "unexpected" in stranger["error_description"], "openid-client looks at who it is about"


def test_an_assertion_in_place_of_a_secret(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    ward = platform.consumer("ward", key=True)
    tokens = signed_in(openid_client, page, ward, "nurse", scope="nhs-cis2")
    assert openid_client("refresh", refresh_token=tokens["refresh_token"], **ward)["refresh_count"] == "1"


def test_a_clerk_is_not_known_well_enough_for_records(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    ward, desk = platform.consumer("ward"), platform.consumer("desk")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="nhs-cis2", **ward)
    refused = redeemed(openid_client, ward, begun, sign_in(page, begun["url"], "clerk"))
    assert (refused["error"], refused["status"]) == ("unauthorized_client", 401)
    tokens = signed_in(openid_client, page, desk, "nobody: the browser is signed in", scope="nhs-cis2")
    (role,) = CLERK["nhsid_nrbac_roles"]
    assert platform.call(tokens, "/appointments", role["person_roleid"]).status_code == 200
    assert (platform.told()["nhsd-identity-uuid"], platform.told()["nhsd-session-urid"]) == (CLERK["sub"], role["person_roleid"])
    assert platform.call(tokens, "/records/Patient/1", role["person_roleid"]).status_code == 403


def test_a_citizen_by_nhs_login(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    portal = platform.consumer("portal")
    tokens = signed_in(openid_client, page, portal, "mona", scope="nhs-login")
    assert tokens["refresh_token_expires_in"] == "3599"
    assert platform.call(tokens, "/patient").status_code == 200
    assert platform.told()["nhsd-nhslogin-user"] == f"P9:{PATIENTS['mona']['nhs_number']}"


def test_a_citizen_who_is_not_proven(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    portal = platform.consumer("portal")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="nhs-login", **portal)
    refused = redeemed(openid_client, portal, begun, sign_in(page, begun["url"], "unproven"))
    assert (refused["error"], refused["status"]) == ("unauthorized_client", 401)


# --- requests-oauth2client ----------------------------------------------------------------------------------------------------


@contextmanager
def as_ward(platform: Platform, means: str) -> Iterator[OAuth2Client]:
    """The ward, by requests-oauth2client."""
    auth: Any = {
        "client_secret_basic": ClientSecretBasic("ward", "secret-of-ward"),
        "client_secret_post": ClientSecretPost("ward", "secret-of-ward"),
        "private_key_jwt": PrivateKeyJwt("ward", platform.keys["ward"].as_dict(private=True), alg="RS512"),
    }[means]
    with requests.Session() as session:
        session.trust_env = False
        yield OAuth2Client.from_discovery_endpoint(
            issuer=platform.issuer, auth=auth, redirect_uri=REDIRECT, session=session, testing=True
        )


@pytest.mark.parametrize("means", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_requests_oauth2client(platform: Platform, page: Page, means: str) -> None:
    with as_ward(platform, means) as client:
        asked = client.authorization_request(scope="nhs-cis2")
        assert (asked.code_challenge_method, asked.issuer) == ("S256", platform.issuer)
        tokens = client.authorization_code(asked.validate_callback(sign_in(page, str(asked), "nurse")))
        assert tokens.expires_in is not None
        assert 590 <= tokens.expires_in <= 599
        renewed = client.refresh_token(tokens)
        said = client.introspect_token(renewed)
        assert (said["active"], said["sub"], said["client_id"], said["level"]) == (True, NURSE["sub"], "ward", "aal3")
        assert client.introspect_token(renewed, "refresh_token")["sid"] == said["sid"]
        role = NURSE["nhsid_nrbac_roles"][0]["person_roleid"]
        assert platform.call({"access_token": renewed.access_token}, "/records/Patient/1", role).status_code == 200
        assert client.revoke_access_token(renewed)
        assert platform.call({"access_token": renewed.access_token}, "/records/Patient/1", role).status_code == 401
        assert client.introspect_token(renewed) == {"active": False}
        again = client.refresh_token(renewed)
        assert platform.call({"access_token": again.access_token}, "/records/Patient/1", role).status_code == 200
        assert client.revoke_refresh_token(again)
        assert platform.call({"access_token": again.access_token}, "/records/Patient/1", role).status_code == 401
        with pytest.raises(InvalidGrant):
            client.refresh_token(again)


def test_requests_oauth2client_asks_who_it_is(platform: Platform, page: Page) -> None:
    """It does so by POST, as OpenID Connect Core §5.3.1 lets it."""
    with as_ward(platform, "client_secret_post") as client:
        asked = client.authorization_request(scope="nhs-cis2")
        tokens = client.authorization_code(asked.validate_callback(sign_in(page, str(asked), "nurse")))
        assert client.userinfo(tokens) == {"nhsid_useruid": NURSE["sub"], **NURSE}


# --- what consumers take for granted ----------------------------------------------------------------------------------------


def test_a_form_may_say_its_charset(platform: Platform) -> None:
    """As openid-client has it in every request, and axios."""
    form = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8"}
    answer = platform.http.post("/oauth2/token", content=b"grant_type=password", headers=form)
    assert answer.json()["error"] == "unsupported_grant_type"


def test_an_assertion_that_openid_client_makes_by_itself(platform: Platform, openid_client: OpenidClient) -> None:
    """It names no type, and is made out to the issuer: the NHS platform takes neither, so it is told what to change."""
    by_itself = platform.consumer("ward", key=True) | {"assertion": {}}
    first = openid_client("refresh", refresh_token="any", **by_itself)
    assert first["error_description"] == "Invalid 'typ' header in client_assertion JWT - must be 'JWT'"
    second = openid_client("refresh", refresh_token="any", **(by_itself | {"assertion": {"header": {"typ": "JWT"}}}))
    assert second["error_description"] == "Missing or invalid 'aud' claim in client_assertion JWT"
