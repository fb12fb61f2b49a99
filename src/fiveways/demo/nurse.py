"""A nurse of the demo's: where she signs in, what her browser is, and the pages that it comes back to.

Her provider and her browser are real ones, and neither comes with Fiveways: where they cannot be had, her story is left out.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from fiveways.demo.signing_in import IdentityProvider, IdentityProviderError, fetch, find_browser
from fiveways.demo.stage import LeftOut, Stage

if TYPE_CHECKING:
    from playwright.async_api import Page

WARD, SURGERY, ANOTHERS = "555036633104", "555036634105", "555036633210"
"""The ids of her two roles, and of one that somebody else has."""
NURSE: dict[str, Any] = {
    "sub": "555036632103",
    "name": "Priya Patel",
    "nhsid_nrbac_roles": [
        {"person_roleid": WARD, "org_code": "RXN", "role_name": '"Clinical":"Clinical Provision":"Nurse Access Role"'},
        {"person_roleid": SURGERY, "org_code": "A81001", "role_name": '"Clinical":"Clinical Provision":"Nurse Access Role"'},
    ],
    "nhsid_user_orgs": [
        {"org_code": "RXN", "org_name": "NORTHSHIRE HOSPITALS"},
        {"org_code": "A81001", "org_name": "THE SURGERY"},
    ],
}
"""What her provider tells of her."""
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
"""How Chromium is started: in a world where there is no other machine than this."""


def cache() -> Path:
    """Where what npm has fetched is kept: ~/.cache/fiveways, or where XDG_CACHE_HOME says."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fiveways"


async def open_browser(stack: AsyncExitStack) -> Page:
    """A page of a Chromium that has been nowhere yet; LeftOut where there is none."""
    try:
        from playwright.async_api import Error, async_playwright
    except ModuleNotFoundError as missing:
        raise LeftOut("it needs Playwright, to drive a browser: pip install playwright", outside=True) from missing
    playwright = await stack.enter_async_context(async_playwright())
    own = find_browser()
    try:
        chromium = await playwright.chromium.launch(executable_path=own, args=[ALONE])
    except Error as missing:
        if own is not None:
            raise
        raise LeftOut("it needs Chromium: install it, or call `playwright install chromium`", outside=True) from missing
    stack.push_async_callback(chromium.close)
    return await chromium.new_page()


async def identity_provider(stage: Stage, stack: AsyncExitStack, name: str) -> IdentityProvider:
    """The provider `name` of the deployment, where that expects it; it knows the nurse, and Fiveways. LeftOut without Node.js."""
    try:
        with stage.console.status("npm fetches oidc-provider, this once …"):
            packages = await asyncio.to_thread(fetch, cache())
    except IdentityProviderError as missing:
        raise LeftOut(str(missing), outside=True) from missing
    settings = stage.platform.deployment.identity.providers[name]
    assert settings.client is not None
    fiveways = {
        "client_id": settings.client.id,
        "client_secret": stage.secret(name),
        "redirect_uris": [f"{stage.url}/oauth2/callback"],
    }
    port = urlsplit(settings.issuer).port or 0
    provider = await asyncio.to_thread(
        IdentityProvider.start, packages, kind=settings.kind, accounts={"nurse": NURSE}, clients=[fiveways], port=port
    )
    stack.callback(provider.stop)
    return provider


def applications() -> Starlette:
    """The pages that her browser comes back to, each at any path."""

    async def signed_in(_: Request) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>The application</title><p>You have signed in.")

    return Starlette(routes=[Route("/{page}", signed_in)])
