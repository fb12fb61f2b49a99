"""Fiveways between two identity providers and a back end, and applications that know only what the NHS platform's know."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from tests.acceptance.conftest import ASSERTION, Backend, Seen, Serve, Served, hashed, response
from tests.acceptance.people.issuer import CIS2, LOGIN, Issuer

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
SECRETS = {"ward": "secret-of-the-ward", "second": "secret-of-the-second", "outsider": "secret-3", "suspended": "secret-3"}
BACK = "http://127.0.0.1:9/signed-in"
ROLE = "093895563513"
VERIFIER = "a-verifier-that-is-long-enough-to-be-taken-as-one"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def query(location: str) -> dict[str, str]:
    """The parameters of a redirect."""
    return dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))


@dataclass
class People:
    """The platform, its providers, its back end."""

    served: Served
    cis2: Issuer
    login: Issuer
    behind: Backend
    path: str
    http: httpx.Client

    def seen(self) -> Seen:
        """The request that reached the back end last."""
        return self.behind.requests(self.path)[-1]

    def form(self, subject: str | None = None, application: str = "ward", **changes: Any) -> dict[str, str]:
        """A good token exchange, with changes; `...` leaves a parameter out."""
        good = {
            "grant_type": EXCHANGE, "subject_token_type": ID_TOKEN, "subject_token": subject or self.cis2.id_token(),
            "client_assertion_type": ASSERTION, "client_assertion": self.served.assertion(application),
        }  # fmt: skip
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def ask(self, form: dict[str, str], **options: Any) -> httpx.Response:
        return self.http.post("/oauth2/token", data=form, **options)

    def exchange(self, subject: str | None = None, **changes: Any) -> dict[str, Any]:
        """Tokens for an ID token."""
        answer = self.ask(self.form(subject, **changes))
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def authorize(self, browser: httpx.Client, application: str = "ward", **changes: Any) -> httpx.Response:
        """An authorization request, with changes."""
        good = {"client_id": application, "redirect_uri": BACK, "response_type": "code", "state": "their state"}
        asked = {name: value for name, value in {**good, **changes}.items() if value is not ...}
        return browser.get("/oauth2/authorize", params=asked)

    def callback(self, browser: httpx.Client, sent: httpx.Response, issuer: Issuer | None = None, **claims: Any) -> httpx.Response:
        """The person signs in at the provider that they were sent to, and comes back."""
        at = issuer or self.cis2
        question = query(sent.headers["location"])
        said = {"code": at.code(question, **claims), "state": question["state"], "iss": at.url}
        return browser.get(urlsplit(question["redirect_uri"]).path, params=said)

    def code(self, application: str = "ward", issuer: Issuer | None = None, asked: Any = None, **claims: Any) -> str:
        """A code for somebody who has signed in."""
        with self.browser() as browser:
            back = self.callback(browser, self.authorize(browser, application, **(asked or {})), issuer, **claims)
        assert back.status_code == 302, back.text
        return query(back.headers["location"])["code"]

    def code_form(self, code: str, application: str = "ward", /, **changes: Any) -> dict[str, str]:
        """A good request to redeem a code, with changes."""
        good = {
            "grant_type": "authorization_code", "client_id": application, "client_secret": SECRETS[application],
            "redirect_uri": BACK, "code": code,
        }  # fmt: skip
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def refresh_form(self, token: str, application: str = "ward", /, **changes: Any) -> dict[str, str]:
        """A good request to renew, with changes."""
        good = {
            "grant_type": "refresh_token", "client_id": application, "client_secret": SECRETS[application], "refresh_token": token,
        }  # fmt: skip
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def browser(self) -> httpx.Client:
        """Somebody's browser: it keeps cookies, and shows each redirect."""
        return self.served.client()

    def call(self, token: str, path: str = "/records/Patient/1", **headers: str) -> httpx.Response:
        """A request to an API."""
        return self.http.get(path, headers={"Authorization": f"Bearer {token}", **headers})


@pytest.fixture(scope="session")
def running(serve: Serve) -> Iterator[People]:
    """The platform, once for all these tests."""
    cis2, login, behind = Issuer(CIS2), Issuer(LOGIN), Backend()
    path = behind.at(response(200, b'{"resourceType":"Patient"}', ("Content-Type", "application/fhir+json")))
    text = Template((Path(__file__).parent / "deployment.yaml").read_text()).substitute(
        cis2=cis2.url, login=login.url, behind=behind.url + path,
        secret=hashed(SECRETS["ward"]), secret2=hashed(SECRETS["second"]), secret3=hashed(SECRETS["outsider"]),
    )  # fmt: skip
    with ExitStack() as stack:
        for each in (cis2, login, behind):
            stack.callback(each.stop)
        served = stack.enter_context(serve(text, environment={"CIS2_SECRET": "the-provider's-secret"}))
        yield People(served, cis2, login, behind, path, stack.enter_context(served.client()))


@pytest.fixture
def people(running: People) -> People:
    """The platform, its providers well."""
    for issuer in (running.cis2, running.login):
        issuer.down, issuer.published, issuer.answer, issuer.metadata = False, None, None, {}
    return running
