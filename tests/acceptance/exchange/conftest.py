"""A provider that takes its time, consumers that come back for the outcome, and receivers of callbacks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from string import Template
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import API_KEY, Answer, Backend, Serve, Served, free_port, hashed

OTHER_KEY = "fwk_api-key-of-another-in-the-tests-000000"
PROVIDER_KEY = "fwk_api-key-of-the-provider-in-the-tests-0"
SECRET = "a-secret-for-callbacks-in-the-tests"
DEPLOYMENT = """
$store
listeners:
  main: {http: "127.0.0.1:$main"}
  waiting: {http: "127.0.0.1:$waiting", long_poll: true}
organisations: {RXN: {name: Northshire}}
applications:
  ward: {organisation: RXN, products: [all], api_keys: ["$ward"]}
  other: {organisation: RXN, products: [all], api_keys: ["$other"]}
  engine: {organisation: RXN, products: [all], api_keys: ["$provider"]}
products: {all: {apis: [risk, plain, elsewhere, reports, brief, called, held]}}
outbound: {allow: ["127.0.0.1"], networks: ["127.0.0.1/32"], plain_http: true}
apis:
  risk: {at: /risk/FHIR/R4, model: {fhir: {version: R4}}, $common}
  plain: {at: /plain, $common}
  elsewhere: {at: /elsewhere, $common}
  reports: {at: /reports, $common}
  brief: {at: /brief, $common}
  called: {at: /called, $common}
  held: {at: /held, $common}
exchanges:
  risk: {interaction: RiskAssessment.create, $quick}
  plain: {interaction: "GET /**", requests: preferred, open_jobs: 3, $quick}
  elsewhere: {interaction: "POST /**", answer: see-other, $quick}
  reports: {interaction: "POST /**", outcome: reported, provider: engine, $quick}
  held: {interaction: "POST /**", long_poll: {listener: waiting, hold: 3s}, $quick}
  brief: {interaction: "POST /**", within: 1s, $quick}
  called:
    interaction: "POST /**"
    callback:
      reason: outcomes are needed within a second
      first_wait: 50ms
      longest_wait: 200ms
      consumers:
        ward: {url: "$receiver/called", secrets: ["env:CALLBACK_SECRET"]}
    $block
"""
COMMON = 'pattern: pass-through, target: {url: "$backend"}, security: [api-key], resilience: {breaker: {failures: 1000}}'
TRANSITIONAL = "{constraint: a batch engine, target: synchronous, retire_by: $date, link: 'https://northshire.test/risk'}"
QUICK = f"ask: {{first: 1s, longest: 1s}}, transitional: {TRANSITIONAL}"
BLOCK = f"ask: {{first: 1s, longest: 1s}}\n    transitional: {TRANSITIONAL}"


def deployment(backend: str, receiver: str, ports: tuple[int, int], store: str = "", date: str = "2027-03-31") -> str:
    """The deployment file of the tests."""
    said = {"backend": backend, "receiver": receiver, "date": date, "store": store, "main": str(ports[0]), "waiting": str(ports[1])}
    said |= {"ward": hashed(API_KEY), "other": hashed(OTHER_KEY), "provider": hashed(PROVIDER_KEY)}
    parts = {name: Template(text).substitute(said) for name, text in (("common", COMMON), ("quick", QUICK), ("block", BLOCK))}
    return Template(DEPLOYMENT).substitute(said, **parts)


@dataclass
class Exchanged:
    """The platform, and the back ends behind it."""

    served: Served
    backend: Backend
    receiver: Backend
    ids: dict[str, str] = field(default_factory=dict)

    def submit(self, api: str, answer: Answer, *, key: str = API_KEY, path: str = "", **headers: str) -> httpx.Response:
        """Make a request whose back end answers so."""
        where = self.backend.at(answer)
        base = "/risk/FHIR/R4/RiskAssessment?of=" if api == "risk" else f"/{api}"
        said = {"apikey": key, "x-request-id": str(uuid4()), **{name.replace("_", "-"): value for name, value in headers.items()}}
        response = self.served.call("POST", f"{base}{path or where}", headers=said, json={"of": where})
        self.ids[path_of(response)] = where
        return response

    def status(self, job: httpx.Response | str, *, key: str = API_KEY, method: str = "GET", below: str = "", **more: Any) -> Any:
        """The status URL's answer."""
        url = job if isinstance(job, str) else path_of(job)
        headers = {"apikey": key, **more.pop("headers", {})}
        return self.served.call(method, url + below, headers=headers, **more)

    def outcome(self, job: httpx.Response | str, seconds: float = 10, **more: Any) -> httpx.Response:
        """The outcome, asked for as often as it takes."""
        until = time.monotonic() + seconds
        while True:
            answer: httpx.Response = self.status(job, **more)
            if answer.status_code not in (202, 429):
                return answer
            assert time.monotonic() < until, "there was no outcome"
            time.sleep(0.3)


def path_of(response: httpx.Response) -> str:
    """Where a job is, as a path."""
    return re.sub(r"^https?://[^/]+", "", response.headers.get("content-location", ""))


@pytest.fixture(scope="session")
def exchanged(serve: Serve) -> Iterator[Exchanged]:
    """The deployment, once for all these tests."""
    backend, receiver = Backend(), Backend()
    text = deployment(backend.url, receiver.url, (free_port(), free_port()))
    with serve(text, http="", environment={"CALLBACK_SECRET": SECRET}) as served:
        yield Exchanged(served, backend, receiver)
    backend.stop()
    receiver.stop()
