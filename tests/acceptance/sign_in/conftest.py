"""People who sign in: identity providers as processes of their own, a real Chromium, and openid-client, somebody else's consumer.
`platform` is Fiveways between them and a back end.

npm fetches what the identity providers run on, once. Where that is out of reach, or no Chromium is here, tests are skipped.
"""

from __future__ import annotations

import json
import select
import subprocess
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
import requests
from joserfc.jwk import RSAKey
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from requests_oauth2client import OAuth2Client, PrivateKeyJwt
from tests.acceptance.conftest import Backend, Seen, Serve, Served, free_port, hashed, response

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

REDIRECT = "https://application.invalid/callback"
"""Where applications have people sent back to. Nothing listens there, and nothing ever will."""
SECRET = "a secret of the application in these tests"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
OURS = "100% Fiveways' own: a+b/c=&d"
"""The secret by which NHS CIS2 knows Fiveways."""

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


def sign_in(where: Page | BrowserContext, url: str, login: str, *, until: str = "") -> str:
    """Open an application's authorize URL, sign in, and return where that ended: at its redirect URI, or wherever it got stuck.

    Nothing needs to listen at the redirect URI, or at `until` in its place: a small page stands in for it, whoever's it is. A
    session that the browser has already is taken up, and nobody asks for a name.
    """
    page = where.new_page() if isinstance(where, BrowserContext) else where
    (redirect_uri,) = parse_qs(urlsplit(url).query).get("redirect_uri", [""])
    with application_at(page, until or redirect_uri):
        page.goto(url)
        if page.locator("input[name=login]").count():
            fill_in(page, login)
        if page.url.partition("?")[0] != (until or redirect_uri):  # a page may go on by itself: one that ends a session does
            page.wait_for_load_state("networkidle")
        return page.url


def fill_in(page: Page, login: str) -> None:
    """Say on the provider's page who it is."""
    page.locator("input[name=login]").fill(login)
    with page.expect_navigation():
        page.get_by_role("button", name="Sign in").click()


def arrive(page: Page, url: str) -> tuple[str, int]:
    """Open an address, Fiveways' callback most likely, and go where it leads; where that is, and with which status it answered."""
    with application_at(page, REDIRECT):
        answer = page.goto(url)
        assert answer is not None
        return page.url, answer.status


def query(url: str) -> dict[str, str]:
    """The parameters that somebody was sent back with."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


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
def openid_client(node_packages: Path) -> Iterator[OpenidClient]:
    """Has openid-client do something: `openid_client("exchange", issuer=…, …)`, as consumer.mjs says."""
    node = find_node()
    assert node is not None
    line: list[str | Path] = [node, place(Path(__file__).parent / "consumer.mjs", node_packages)]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        asked, answers = process.stdin, process.stdout
        assert asked is not None
        assert answers is not None

        def run(command: str, **arguments: Any) -> dict[str, Any]:
            asked.write(json.dumps([command, arguments]) + "\n")
            asked.flush()
            readable, _, _ = select.select([answers], [], [], 30)
            assert readable, "it does not answer"
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield run


# --- applications -----------------------------------------------------------------------------------------------------------


def registered(provider: IdentityProvider, name: str, **metadata: Any) -> dict[str, Any]:
    """A client that the provider knows from now on; what openid-client needs to be it."""
    secret = {"client_secret": SECRET} if "jwks" not in metadata else {}
    provider.add_client({"client_id": name, "redirect_uris": [REDIRECT], **secret, **metadata})
    alg = {"id_token_signed_response_alg": "RS256" if provider.kind == "nhs-cis2" else "RS512"}
    return {"issuer": provider.issuer, "discovery": "oidc", "client_id": name, "client": alg, **secret}


def signed_in(openid_client: OpenidClient, page: Page, who: dict[str, Any], login: str, **asked: Any) -> dict[str, Any]:
    """The tokens of a person who signed in; `nonce` with them, where the server is one that makes ID tokens."""
    begun = openid_client("authorize-url", redirect_uri=REDIRECT, **who, **asked)
    url = sign_in(page, begun["url"], login)
    assert url.startswith(REDIRECT), url
    tokens = redeemed(openid_client, who, begun, url)
    assert "error" not in tokens, tokens
    return tokens | {"nonce": begun["nonce"], "url": url}


def redeemed(openid_client: OpenidClient, who: dict[str, Any], begun: dict[str, Any], url: str) -> dict[str, Any]:
    """What the application gets for the code in `url`, or what it is told. `begun`: what openid-client said of authorize-url."""
    kept = ("code_verifier", "state", *(("nonce",) if who.get("id_tokens", True) else ()))
    return openid_client("exchange", url=url, **{name: begun[name] for name in kept}, **who)


# --- the platform -----------------------------------------------------------------------------------------------------------


@dataclass
class Platform:
    """Fiveways, to which people come as `localhost`: to a browser that is another site than their provider's is, as in life."""

    served: Served
    url: str
    cis2: IdentityProvider
    nhs_login: IdentityProvider
    visiting: dict[str, Any]
    """How to start the provider that is not always there."""
    behind: Backend
    path: str
    keys: dict[str, RSAKey]
    http: httpx.Client

    @property
    def issuer(self) -> str:
        """What the authorization server is called."""
        return f"{self.url}/oauth2"

    def consumer(self, application: str, discovery: str = "oauth2", *, key: bool = False) -> dict[str, Any]:
        """What openid-client needs to be an application of the deployment: by its secret, or by its key."""
        who = {"issuer": self.issuer, "discovery": discovery, "client_id": application, "id_tokens": False}
        if not key:
            return who | {"client_secret": f"secret-of-{application}"}
        # What the NHS platform wants of an assertion, and openid-client does not do by itself.
        wanted = {"header": {"typ": "JWT"}, "payload": {"aud": f"{self.issuer}/token"}}
        return who | {"key": self.keys[application].as_dict(private=True), "assertion": wanted}

    def call(self, tokens: dict[str, Any], path: str, role: str = "") -> httpx.Response:
        """A request to an API."""
        headers = {"Authorization": f"Bearer {tokens['access_token']}", **({"NHSD-Session-URID": role} if role else {})}
        return self.http.get(path, headers=headers)

    def seen(self) -> Seen:
        """The request that reached the back end last."""
        return self.behind.requests(self.path)[-1]

    def told(self) -> dict[str, str]:
        """What the back end was told of the person then."""
        prefix = (b"nhsd-session", b"nhsd-identity", b"nhsd-end-user", b"nhsd-nhslogin")
        return {name.decode(): value.decode() for name, value in self.seen().fields if name.startswith(prefix)}

    def client(self, provider: str, **metadata: Any) -> dict[str, Any]:
        """What a provider has to know of Fiveways; `provider` is its name in the deployment."""
        callback = f"{self.issuer}/callback" + ("" if provider == "cis2" else f"/{provider}")
        told = {"backchannel_logout_uri": f"{self.issuer}/backchannel_logout"}
        return {"client_id": "fiveways", "redirect_uris": [callback], **told, **metadata}


@pytest.fixture(scope="session")
def platform(serve: Serve, cis2: IdentityProvider, nhs_login: IdentityProvider) -> Iterator[Platform]:
    """The platform, once for all these tests. Its back end runs an event loop: in a module with a browser, the first test asks for
    both, so that this is there first."""
    behind = Backend()
    path = behind.at(response(200, b'{"resourceType":"Patient"}', ("Content-Type", "application/fhir+json")))
    names = ("ward", "clinic", "fiveways")
    keys = {name: RSAKey.generate_key(2048, {"kid": f"{name}-1", "alg": "RS512", "use": "sig"}) for name in names}
    public = {name: {"keys": [key.as_dict(private=False)]} for name, key in keys.items()}
    port = free_port()
    text = Template((Path(__file__).parent / "deployment.yaml").read_text()).substitute(
        cis2=cis2.issuer, nhs_login=nhs_login.issuer, visiting=f"http://127.0.0.1:{port}/openid", behind=behind.url + path,
        back=REDIRECT, ward_keys=json.dumps(public["ward"]), clinic_keys=json.dumps(public["clinic"]),
        **{f"{name}_secret": hashed(f"secret-of-{name}") for name in ("ward", "desk", "portal")},
    )  # fmt: skip
    environment = {"CIS2_SECRET": OURS, "LOGIN_KEY": keys["fiveways"].as_pem(private=True).decode()}
    with ExitStack() as stack:
        stack.callback(behind.stop)
        served = stack.enter_context(serve(text, environment=environment))
        url = served.url.replace("127.0.0.1", "localhost")
        http = stack.enter_context(served.client(url=url))
        made = Platform(served, url, cis2, nhs_login, {"kind": "nhs-cis2", "port": port}, behind, path, keys, http)
        cis2.add_client(made.client("cis2", client_secret=OURS))
        by_key = {"token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "RS512"}
        nhs_login.add_client(made.client("login", jwks=public["fiveways"], **by_key))
        made.visiting |= {"accounts": WORKERS, "clients": [made.client("visiting", client_secret=OURS)]}
        yield made


def exchanged(platform: Platform, openid_client: OpenidClient, token: str) -> dict[str, Any]:
    """What the clinic gets for an ID token by openid-client, or what it is told."""
    parameters = {"subject_token": token, "subject_token_type": ID_TOKEN}
    return openid_client("token-exchange", parameters=parameters, **platform.consumer("clinic", key=True))


def exchanged_by_requests(platform: Platform, token: str) -> Any:
    """The tokens that it gets by requests-oauth2client, which raises what it is told."""
    auth = PrivateKeyJwt("clinic", platform.keys["clinic"].as_dict(private=True), alg="RS512")
    with requests.Session() as session:
        session.trust_env = False
        client = OAuth2Client.from_discovery_endpoint(issuer=platform.issuer, auth=auth, session=session, testing=True)
        return client.token_exchange(subject_token=token, subject_token_type=ID_TOKEN)
