"""Separate access: the application signs people in at their provider itself, and exchanges the ID token that it gets there."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page
from requests_oauth2client import InvalidRequest, UnauthorizedClient
from tests.acceptance.sign_in.conftest import (
    PATIENTS,
    WORKERS,
    OpenidClient,
    Platform,
    exchanged,
    exchanged_by_requests,
    registered,
    signed_in,
)

from fiveways.demo.signing_in import IdentityProvider

NURSE, MONA = WORKERS["nurse"], PATIENTS["mona"]
ROLE = NURSE["nhsid_nrbac_roles"][0]["person_roleid"]


def id_token(openid_client: OpenidClient, page: Page, provider: IdentityProvider, client: str, login: str) -> str:
    """What the provider gives a relying party that is none of Fiveways."""
    scope = {"nhs-cis2": "openid nationalrbacaccess", "nhs-login": "openid profile"}[provider.kind]
    tokens = signed_in(openid_client, page, registered(provider, client), login, scope=scope)
    made: str = tokens["id_token"]
    return made


def test_a_nurse_with_either(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    token = id_token(openid_client, page, platform.cis2, "clinic-at-cis2", "nurse")
    first, second = exchanged_by_requests(platform, token), exchanged(platform, openid_client, token)
    assert (first.token_type, first.issued_token_type) == ("Bearer", "urn:ietf:params:oauth:token-type:access_token")
    assert (second["token_type"], second["expires_in"], second["refresh_count"]) == ("bearer", 599, "0")
    renewed = openid_client("refresh", refresh_token=second["refresh_token"], **platform.consumer("clinic", key=True))
    assert renewed["refresh_count"] == "1"
    for access_token in (first.access_token, second["access_token"], renewed["access_token"]):
        tokens = {"access_token": access_token}
        assert platform.call(tokens, "/letters", ROLE).status_code == 200
        wanted = {"nhsd-identity-uuid": NURSE["sub"], "nhsd-identity-idp": platform.cis2.issuer, "nhsd-session-urid": ROLE}
        assert platform.told() == wanted
        assert platform.call(tokens, "/records/Patient/1", ROLE).status_code == 400, "an ID token of CIS2 tells no roles"
        assert platform.call(tokens, "/visits").status_code == 403, "another provider vouches for whom this API takes"


def test_a_citizen_with_either(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    token = id_token(openid_client, page, platform.nhs_login, "clinic-at-login", "mona")
    first, second = exchanged_by_requests(platform, token), exchanged(platform, openid_client, token)
    for access_token in (first.access_token, second["access_token"]):
        assert platform.call({"access_token": access_token}, "/patient").status_code == 200
        told = platform.told()
        assert told["nhsd-nhslogin-user"] == f"P9:{MONA['nhs_number']}"
        assert told["nhsd-identity-idp"] == platform.nhs_login.issuer


def test_a_citizen_who_is_not_proven(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    token = id_token(openid_client, page, platform.nhs_login, "clinic-at-login", "unproven")
    with pytest.raises(UnauthorizedClient):
        exchanged_by_requests(platform, token)


def test_an_id_token_for_somebody_else(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    """That of another application, who would so have the person at every application that the platform knows."""
    token = id_token(openid_client, page, platform.cis2, "elsewhere-at-cis2", "nurse")
    with pytest.raises(InvalidRequest, match="Invalid 'aud' claim in subject_token JWT"):
        exchanged_by_requests(platform, token)
    refused = exchanged(platform, openid_client, token)
    assert (refused["error"], refused["status"]) == ("invalid_request", 401)
