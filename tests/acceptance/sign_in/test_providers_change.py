"""Providers change while people sign in: they take new keys, they go away, they come back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from playwright.sync_api import Page
from requests_oauth2client import EndpointError
from tests.acceptance.sign_in.conftest import (
    REDIRECT,
    WORKERS,
    OpenidClient,
    Platform,
    arrive,
    exchanged,
    exchanged_by_requests,
    query,
    redeemed,
    registered,
    sign_in,
    signed_in,
)

from fiveways.demo.signing_in import IdentityProvider

ROLE = WORKERS["nurse"]["nhsid_nrbac_roles"][0]["person_roleid"]

Visit = Callable[[], AbstractContextManager[IdentityProvider]]


@pytest.fixture
def visit(platform: Platform, node_packages: Path) -> Visit:
    """Has the third provider there while a block lasts: in the same place each time, and remembering nothing."""
    return lambda: IdentityProvider.start(node_packages, **platform.visiting)


def test_a_new_key_while_somebody_signs_in(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    ward = platform.consumer("ward")
    signed_in(openid_client, page, ward, "nurse", scope="nhs-cis2")  # Fiveways has the keys, if it had not before
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="nhs-cis2", **ward)
    callback = sign_in(page, begun["url"], "nurse", until=f"{platform.issuer}/callback")
    platform.cis2.rotate()
    url, _ = arrive(page, callback)
    tokens = redeemed(openid_client, ward, begun, url)
    assert platform.call(tokens, "/records/Patient/1", ROLE).status_code == 200


def test_a_new_key_between_two_exchanges(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    clinic = registered(platform.cis2, "clinic-at-cis2")
    old = signed_in(openid_client, page, clinic, "nurse", scope="openid")["id_token"]
    assert "error" not in exchanged(platform, openid_client, old)
    platform.cis2.rotate()
    new = signed_in(openid_client, page, clinic, "nurse", scope="openid")["id_token"]
    assert platform.call(exchanged(platform, openid_client, new), "/letters", ROLE).status_code == 200
    refused = exchanged(platform, openid_client, old)  # nobody publishes that key any more
    assert refused["error_description"] == "Invalid 'kid' header in subject_token JWT - no matching public key"


def test_a_provider_that_is_away_before_anybody_is_sent_there(
    platform: Platform, openid_client: OpenidClient, page: Page, visit: Visit
) -> None:
    ward = platform.consumer("ward")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="visiting", **ward)
    back = sign_in(page, begun["url"], "nurse")  # nothing is known of it yet: no test before this one names it
    assert query(back)["error"] == "temporarily_unavailable"
    assert redeemed(openid_client, ward, begun, back)["error"] == "temporarily_unavailable"  # what openid-client makes of it
    with visit():
        tokens = signed_in(openid_client, page, ward, "nurse", scope="visiting")
        assert platform.call(tokens, "/visits").status_code == 200
    renewed = openid_client("refresh", refresh_token=tokens["refresh_token"], **ward)
    assert platform.call(renewed, "/visits").status_code == 200, "a session goes on without its provider"


def test_a_provider_that_goes_while_somebody_signs_in(
    platform: Platform, openid_client: OpenidClient, page: Page, visit: Visit
) -> None:
    ward = platform.consumer("ward")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="visiting", **ward)
    with visit():
        callback = sign_in(page, begun["url"], "nurse", until=f"{platform.issuer}/callback/visiting")
    back, _ = arrive(page, callback)
    with visit():  # all its keys are new
        tokens = signed_in(openid_client, page, ward, "nurse", scope="visiting")
        assert platform.call(tokens, "/visits").status_code == 200
    assert query(back)["state"] == begun["state"]
    assert query(back)["error"] == "temporarily_unavailable"


def test_a_provider_that_has_new_keys_and_goes(platform: Platform, openid_client: OpenidClient, page: Page, visit: Visit) -> None:
    """Whether its ID tokens are any good cannot be known before it is back."""
    with visit() as provider:
        clinic = registered(provider, "clinic-at-visiting")
        old = signed_in(openid_client, page, clinic, "nurse", scope="openid")["id_token"]
        assert "error" not in exchanged(platform, openid_client, old)
        provider.rotate()
        new = signed_in(openid_client, page, clinic, "nurse", scope="openid")["id_token"]
    assert "error" not in exchanged(platform, openid_client, old), "the keys that are held will do"
    with pytest.raises(EndpointError) as refused:  # openid-client reads no error out of a 503
        exchanged_by_requests(platform, new)
    assert refused.value.error == "temporarily_unavailable"
