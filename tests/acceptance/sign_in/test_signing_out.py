"""Somebody signs out at their identity provider, in the browser, and the provider tells Fiveways (back-channel logout)."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page
from tests.acceptance.sign_in.conftest import PATIENTS, WORKERS, OpenidClient, Platform, signed_in

from fiveways.demo.signing_in import IdentityProvider

ROLE = WORKERS["nurse"]["nhsid_nrbac_roles"][0]["person_roleid"]


def sign_out(where: Page | BrowserContext, provider: IdentityProvider) -> None:
    """Sign out at the provider, as one does."""
    page = where.new_page() if isinstance(where, BrowserContext) else where
    before = provider.log
    page.goto(f"{provider.issuer}/session/end")
    with page.expect_navigation():
        page.get_by_role("button", name="Sign out").click()
    assert page.inner_text("p") == "You are signed out."
    assert provider.log == before, "it reached whoever it had to tell"


def ended(platform: Platform, tokens: dict[str, Any], path: str, role: str = "") -> bool:
    """Whether an access token is refused within a moment."""
    until = time.monotonic() + 2
    while (status := platform.call(tokens, path, role).status_code) != 401 and time.monotonic() < until:
        time.sleep(0.05)
    return status == 401


def test_a_nurse_signs_out(platform: Platform, openid_client: OpenidClient, browser: Browser) -> None:
    ward, desk = platform.consumer("ward"), platform.consumer("desk")
    with browser.new_context() as here, browser.new_context() as elsewhere:
        tokens = signed_in(openid_client, here.new_page(), ward, "nurse", scope="nhs-cis2")
        others = signed_in(openid_client, here.new_page(), desk, "nobody is asked", scope="nhs-cis2")
        still = signed_in(openid_client, elsewhere.new_page(), ward, "nurse", scope="nhs-cis2")
        assert platform.call(tokens, "/records", ROLE).status_code == 200
        assert platform.call(others, "/appointments", ROLE).status_code == 200
        sign_out(here, platform.cis2)
        assert ended(platform, tokens, "/records", ROLE)
        assert ended(platform, others, "/appointments", ROLE)
    for who, what in ((ward, tokens), (desk, others)):
        refused = openid_client("refresh", refresh_token=what["refresh_token"], **who)
        assert (refused["error"], refused["status"]) == ("invalid_grant", 401)
    assert platform.call(still, "/records", ROLE).status_code == 200, "another browser is another session"
    assert openid_client("refresh", refresh_token=still["refresh_token"], **ward)["refresh_count"] == "1"
    told = platform.served.events(kind="session.ended", subject=WORKERS["nurse"]["sub"], outcome="signed out")
    assert sorted(event["application"] for event in told) == ["desk", "ward"]


def test_a_citizen_signs_out(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    tokens = signed_in(openid_client, page, platform.consumer("portal"), "mona", scope="nhs-login")
    assert platform.call(tokens, "/patient").status_code == 200
    sign_out(page, platform.nhs_login)
    assert ended(platform, tokens, "/patient")
    (told,) = platform.served.events(kind="session.ended", subject=PATIENTS["mona"]["sub"])
    assert (told["application"], told["outcome"]) == ("portal", "signed out")
