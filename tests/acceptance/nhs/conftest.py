"""The platform as the NHS API platform's consumers meet it: one process, over plain HTTP, and two APIs behind it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any
from uuid import uuid4

import httpx
import pytest
from joserfc.jwk import RSAKey
from joserfc.jwt import encode
from tests.acceptance.conftest import ASSERTION, STATUS_KEY, Backend, Seen, Serve, Served, hashed, response

GREETING = b'{"message": "Hello World!"}'


@dataclass
class Nhs:
    """The platform under test. `records` and `greeting` are the paths of its back ends."""

    served: Served
    behind: Backend
    records: str
    greeting: str
    http: httpx.Client

    def seen(self) -> Seen:
        """The request that reached the records last."""
        return self.behind.requests(self.records)[-1]

    @property
    def token_url(self) -> str:
        return f"{self.served.url}/oauth2/token"

    def claims(self, application: str = "ward", **changes: Any) -> dict[str, Any]:
        """Good claims, with changes; `...` leaves one out."""
        good = {"iss": application, "sub": application, "jti": str(uuid4()), "aud": self.token_url, "exp": int(time.time()) + 300}
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def assertion(self, claims: dict[str, Any] | None = None, *, signer: str = "ward", **header: Any) -> str:
        """A client assertion, signed with the key of `signer`."""
        head = {"alg": "RS512", "typ": "JWT", "kid": f"{signer}-1", **header}
        head = {name: value for name, value in head.items() if value is not ...}
        claims = self.claims() if claims is None else claims
        return encode(head, claims, self.served.keys[signer], algorithms=[head["alg"]], default_type=None)

    def form(self, assertion: str | None = None, **changes: Any) -> dict[str, str]:
        """A good request for a token, with changes."""
        good = {
            "grant_type": "client_credentials", "client_assertion_type": ASSERTION,
            "client_assertion": assertion or self.assertion(),
        }  # fmt: skip
        return {name: value for name, value in {**good, **changes}.items() if value is not ...}

    def ask(self, form: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """One request to the token endpoint."""
        return self.http.post("/oauth2/token", data=self.form() if form is None else form, headers=headers)

    def patient(self, application: str = "ward", **headers: str) -> httpx.Response:
        """One read of a patient, with a token and a request id, unless `headers` have others."""
        sent = {"X-Request-ID": str(uuid4()), **self.served.bearer(application), **headers}
        return self.http.get("/personal-demographics/FHIR/R4/Patient/9000000009", headers=sent)


@pytest.fixture(scope="session")
def nhs(serve: Serve, client_keys: dict[str, RSAKey]) -> Iterator[Nhs]:
    """The platform, once for all these tests."""
    behind = Backend()
    greeting = behind.at(response(200, GREETING, ("Content-Type", "application/json")))
    records = behind.at(response(200, b'{"resourceType":"Patient"}', ("Content-Type", "application/fhir+json")))
    mistaken = json.dumps({**client_keys["second"].as_dict(private=False), "kid": "ward-1"})
    text = Template((Path(__file__).parent / "deployment.yaml").read_text()).substitute(
        greeting=behind.url + greeting, records=behind.url + records, status_key=hashed(STATUS_KEY), mistaken=mistaken
    )
    with serve(text) as served, served.client() as client:
        yield Nhs(served, behind, records, greeting, client)
    behind.stop()
