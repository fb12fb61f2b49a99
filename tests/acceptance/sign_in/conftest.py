"""People who sign in: identity providers as processes of their own, a real Chromium, and openid-client, somebody else's consumer.

npm fetches what the identity providers run on, once. Where that is out of reach, or no Chromium is here, tests are skipped.
"""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from fiveways.demo.signing_in import IdentityProvider, IdentityProviderError, fetch, find_browser, find_node, place

WORKERS: dict[str, dict[str, Any]] = {
    "nurse": {
        "sub": "555036632103",
        "name": "Priya Patel",
        "nhsid_nrbac_roles": [
            {
                "person_roleid": "555036633104",
                "org_code": "RXN",
                "role_name": '"Clinical":"Clinical Provision":"Nurse Access Role"',
            },
            {
                "person_roleid": "555036634105",
                "org_code": "A81001",
                "role_name": '"Clinical":"Clinical Provision":"Nurse Access Role"',
            },
        ],
        "nhsid_user_orgs": [
            {"org_code": "RXN", "org_name": "NORTHSHIRE TEACHING HOSPITALS"},
            {"org_code": "A81001", "org_name": "NORTHSHIRE SURGERY"},
        ],
    },
    "clerk": {
        "sub": "555036632209",
        "name": "Chris Clerk",
        "authentication_assurance_level": "2",
        "acr": "AAL2_ANY",
        "nhsid_nrbac_roles": [{"person_roleid": "555036633210", "org_code": "RXN", "role_name": '"Admin":"Clerical":"Clerk"'}],
        "nhsid_user_orgs": [{"org_code": "RXN", "org_name": "NORTHSHIRE TEACHING HOSPITALS"}],
    },
}
"""Who works in the health service, by the name that they sign in with."""
PATIENTS: dict[str, dict[str, Any]] = {
    "mona": {
        "sub": "49f470a1-cc52-49b7-beba-0f9cec937c46",
        "nhs_number": "9912003071",
        "family_name": "MILLAR",
        "birthdate": "1968-02-12",
    },
    "unproven": {
        "sub": "a3bd9b6c-0a14-4a0e-8f0b-5a6a5a1e8c11",
        "identity_proofing_level": "P5",
        "nhs_number": "9912003888",
        "family_name": "KHAN",
        "birthdate": "1971-05-03",
    },
}
"""Patients, likewise; one has not been proven to be who they are."""

ALONE = ("--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost")
"""How Chromium is started: for root too, and in a world where there is no other machine than this."""

Providers = Callable[..., IdentityProvider]
OpenidClient = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def node_packages(request: pytest.FixtureRequest) -> Path:
    """The folder with oidc-provider and openid-client."""
    assert request.config.cache is not None
    try:
        return fetch(request.config.cache.mkdir("node"))
    except IdentityProviderError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def providers(node_packages: Path) -> Iterator[Providers]:
    """Starts identity providers, which last until the end: `providers(kind=…, accounts=…, …)`, as `IdentityProvider.start`."""
    with ExitStack() as stack:

        def start(**settings: Any) -> IdentityProvider:
            return stack.enter_context(IdentityProvider.start(node_packages, **settings))

        yield start


@pytest.fixture(scope="session")
def cis2(providers: Providers) -> IdentityProvider:
    """NHS CIS2 with WORKERS. It signs with RS256, and has no client until one is added."""
    return providers(kind="nhs-cis2", accounts=WORKERS)


@pytest.fixture(scope="session")
def nhs_login(providers: Providers) -> IdentityProvider:
    """NHS login with PATIENTS. It signs with RS512, and has no client until one is added."""
    return providers(kind="nhs-login", accounts=PATIENTS, alg="RS512")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Not for longer than a module: while Playwright is up, nothing else in this thread can run an event loop."""
    path = find_browser()
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ALONE)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a browser that has been nowhere yet."""
    with browser.new_context() as context:
        yield context.new_page()


def sign_in(where: Page | BrowserContext, url: str, login: str) -> str:
    """Open an application's authorize URL, sign in, and return where that ended: at its redirect URI, or wherever it got stuck.

    Nothing needs to listen at the redirect URI: a small page stands in for it, whoever's it is. A session that the browser has
    already is taken up, and nobody asks for a name.
    """
    page = where.new_page() if isinstance(where, BrowserContext) else where
    (redirect_uri,) = parse_qs(urlsplit(url).query).get("redirect_uri", [""])
    with application_at(page, redirect_uri):
        page.goto(url)
        name = page.locator("input[name=login]")
        if name.count():
            name.fill(login)
            with page.expect_navigation():
                page.get_by_role("button", name="Sign in").click()
        if page.url.partition("?")[0] != redirect_uri:  # a page may go on by itself: one that ends somebody else's session does
            page.wait_for_load_state("networkidle")
        return page.url


@contextmanager
def application_at(page: Page, redirect_uri: str) -> Iterator[None]:
    """A small page at the redirect URI. Playwright's own routes are not asked about what a redirect leads to; Chromium's are."""
    chromium = page.context.new_cdp_session(page)

    def answer(paused: dict[str, Any]) -> None:
        back = paused["request"]["url"].partition("?")[0] == redirect_uri
        page_of_its_own = {"responseCode": 200, "body": b64encode(b"<title>The application</title>").decode()}
        request = {"requestId": paused["requestId"]}
        chromium.send(*(("Fetch.fulfillRequest", request | page_of_its_own) if back else ("Fetch.continueRequest", request)))

    chromium.on("Fetch.requestPaused", answer)
    chromium.send("Fetch.enable", {"patterns": [{"urlPattern": "*", "resourceType": "Document"}]})
    try:
        yield
    finally:
        chromium.detach()


@pytest.fixture(scope="session")
def openid_client(node_packages: Path) -> OpenidClient:
    """Has openid-client do something: `openid_client("exchange", issuer=…, …)`, as consumer.mjs says."""
    node = find_node()
    assert node is not None
    script = place(Path(__file__).parent / "consumer.mjs", node_packages)

    def run(command: str, **arguments: Any) -> dict[str, Any]:
        line: list[str | Path] = [node, script, command, json.dumps(arguments)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return run
