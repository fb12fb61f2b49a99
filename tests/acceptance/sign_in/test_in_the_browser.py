"""What people do with a browser while they sign in: two tabs, an address that is passed on, the way back."""

from __future__ import annotations

import json

from playwright.sync_api import Browser, Page
from tests.acceptance.sign_in.conftest import (
    REDIRECT,
    WORKERS,
    OpenidClient,
    Platform,
    application_at,
    arrive,
    fill_in,
    query,
    redeemed,
    sign_in,
)

ROLE = WORKERS["nurse"]["nhsid_nrbac_roles"][0]["person_roleid"]


def told(page: Page) -> str:
    """What Fiveways says to the person in front of the page."""
    said: str = json.loads(page.inner_text("body"))["error_description"]
    return said


def test_two_tabs(platform: Platform, openid_client: OpenidClient, browser: Browser) -> None:
    """Both ask who it is before either is told."""
    ward, desk = platform.consumer("ward"), platform.consumer("desk")
    first, second = (openid_client("authorize-url", redirect_uri=REDIRECT, scope="nhs-cis2", **who) for who in (ward, desk))
    with browser.new_context() as context:
        one, other = context.new_page(), context.new_page()
        with application_at(one, REDIRECT), application_at(other, REDIRECT):
            one.goto(first["url"])
            other.goto(second["url"])
            notes = context.cookies(f"{platform.issuer}/callback")
            fill_in(other, "nurse")
            fill_in(one, "nurse")
        left = context.cookies(f"{platform.issuer}/callback")
        tokens = redeemed(openid_client, ward, first, one.url)
        others = redeemed(openid_client, desk, second, other.url)
    assert platform.call(tokens, "/records", ROLE).status_code == 200
    assert platform.call(others, "/appointments", ROLE).status_code == 200
    assert [(each["httpOnly"], each["sameSite"], each["path"]) for each in notes] == [(True, "Lax", "/oauth2/callback")] * 2
    assert left == [], "the browser keeps nothing of it"


def test_an_address_that_is_passed_on(platform: Platform, openid_client: OpenidClient, browser: Browser) -> None:
    """Somebody who has another's callback URL, with their code and state in it, is not signed in as them."""
    ward = platform.consumer("ward")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="nhs-cis2", **ward)
    with browser.new_context() as theirs, browser.new_context() as another:
        mine = theirs.new_page()
        callback = sign_in(mine, begun["url"], "nurse", until=f"{platform.issuer}/callback")
        stolen = another.new_page()
        assert arrive(stolen, callback) == (callback, 400)
        assert told(stolen) == "Invalid state parameter."
        url, _ = arrive(mine, callback)  # whose it is goes on all the same
        assert redeemed(openid_client, ward, begun, url)["refresh_count"] == "0"


def test_the_way_back(platform: Platform, openid_client: OpenidClient, page: Page) -> None:
    ward = platform.consumer("ward")
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, scope="nhs-cis2", **ward)
    passed: list[str] = []
    page.on("request", lambda sent: passed.append(sent.url))
    url = sign_in(page, begun["url"], "nurse")
    (callback,) = (each for each in passed if each.startswith(f"{platform.issuer}/callback"))
    offered = len(platform.served.events(kind="session.offered"))
    with application_at(page, REDIRECT):
        page.go_back()
    assert page.url.startswith(platform.cis2.issuer), "where they signed in"
    assert page.locator("input[name=login]").count() == 0, "that is over"
    assert arrive(page, callback) == (callback, 400)
    assert told(page) == "Invalid state parameter."
    assert len(platform.served.events(kind="session.offered")) == offered, "no second code"
    assert "code" in query(url)
    assert redeemed(openid_client, ward, begun, url)["refresh_count"] == "0", "and the first is none the worse"
