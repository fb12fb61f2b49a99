"""Credentials and patient identifiers are nowhere but in payloads: not in rows, logs, metrics or heads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.conftest import API_KEY, STATUS_KEY, Backend, Serve, Served, dying, hashed, response

from fiveways.ledger.pseudonym import Pseudonyms

NHS_NUMBER = "9434765919"
PASSWORD = "correct-horse-battery-staple"
BODY = "the-patient-has-a-rare-condition"

DEPLOYMENT = """\
status: {{keys: ["{status}"]}}
organisations: {{RXN: {{name: Northshire Hospitals}}}}
applications: {{ward: {{organisation: RXN, jwks: file:keys/ward.json, api_keys: ["{key}"], products: [all]}}}}
products: {{all: {{apis: [fhir, orders], quota: 10000/min}}}}
apis:
  fhir:
    pattern: pass-through
    at: /fhir
    target: {{url: "{url}", timeout: {{first_byte: 400ms}}}}
    model: {{fhir: {{version: R4}}}}
    security: [signed-jwt, api-key]
    limits: {{body: 1000}}
  orders:
    pattern: pass-through
    at: /orders
    target: {{url: "{url}"}}
    security: [api-key]
    operations: [{{match: "POST /**", idempotent: false, deduplicate: {{by: Idempotency-Key, for: 1h}}}}]
  down: {{pattern: pass-through, at: /down, target: {{url: "http://127.0.0.1:9"}}, security: [open]}}
"""


@pytest.fixture(scope="module")
def used(serve: Serve, behind: Backend) -> Iterator[tuple[Served, list[str]]]:
    """A platform that was used in every way, with secrets in every place; and what must be found nowhere."""
    with serve(DEPLOYMENT.format(url=behind.url, key=hashed(API_KEY), status=hashed(STATUS_KEY)), "--log-level", "debug") as served:
        token, assertion = served.token("ward"), served.assertion("ward")
        paths = [
            behind.at(response()), behind.at(response(500)), behind.at(dying(b"")), behind.at(b"HTTP/9 no\r\n\r\n"),
            behind.at(response(200, b"x" * 200_000)), behind.at(dying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")),
        ]  # fmt: skip
        bearers = [token, token[:-6], assertion]
        where = [f"/{NHS_NUMBER}?name={PASSWORD}&identifier=x%7C{NHS_NUMBER}&apikey={API_KEY}&access_token={token[:60]}"]
        ids = [NHS_NUMBER, "943-476-5919", f"a.{NHS_NUMBER}", token[:200], API_KEY, str(uuid4())]
        with served.client() as client:
            for number, path in enumerate(paths * 3):
                headers = {
                    "Authorization": f"Bearer {bearers[number % 3]}", "X-Request-ID": ids[number % len(ids)],
                    "X-Correlation-ID": ids[(number + 1) % len(ids)], "X-Secret": PASSWORD, "Cookie": f"session={PASSWORD}",
                    "Referer": f"http://x/{NHS_NUMBER}", "User-Agent": PASSWORD,
                }  # fmt: skip
                for base in ("/fhir/Patient", "/down", "/nowhere", "/fhir/Patient/%2e%2e"):
                    for method in ("GET", "POST"):
                        _tolerant(client, method, f"{base}{path}{where[0]}", headers, BODY)
                _tolerant(client, "POST", f"/fhir{path}", headers, BODY * 100)
                keyed = {**headers, "apikey": API_KEY if number % 2 else PASSWORD, "Idempotency-Key": f'"{NHS_NUMBER}-{number}"'}
                _tolerant(client, "POST", f"/orders{path}", keyed, BODY)
            for form in ({"client_assertion": assertion}, {"grant_type": PASSWORD, "client_id": NHS_NUMBER}):
                client.post("/oauth2/token", data=form)
            client.post(
                "/oauth2/token", data={"grant_type": "client_credentials", "client_secret": PASSWORD, "client_assertion": token}
            )
            client.get("/_status", headers={"apikey": STATUS_KEY})
            client.get("/_status", headers={"apikey": PASSWORD})
            metrics = client.get("/metrics").text
        (served.folder / "metrics").write_text(metrics)
        served.stop()
        signatures = [part for text in (token, assertion) for part in text.split(".")[1:]]
        yield served, [NHS_NUMBER, "943-476-5919", API_KEY, STATUS_KEY, PASSWORD, BODY, token[:60], *signatures]


def _tolerant(client: httpx.Client, method: str, path: str, headers: dict[str, str], body: str) -> None:
    try:
        assert client.request(method, path, headers=headers, content=body).status_code in range(200, 505)
    except httpx.RemoteProtocolError:
        pass  # an answer that broke off


def test_what_is_secret_is_found_nowhere(used: tuple[Served, list[str]]) -> None:
    served, secrets = used
    looked = []
    for file in served.folder.rglob("*"):
        if file.is_file() and "payloads" not in file.parts and file.name != "deployment.yaml":
            content = file.read_bytes()
            looked.append(file.name)
            for secret in secrets:
                assert secret.encode() not in content, f"{secret} is in {file.relative_to(served.folder)}"
    assert {"fiveways.db", "log", "metrics"} <= set(looked)


def test_a_patient_is_found_by_pseudonym_only(used: tuple[Served, list[str]]) -> None:
    """Search is possible for who has the key: the same person has the same pseudonym."""
    served, _ = used
    patients = {(event.get("details") or {}).get("patient") for event in served.events(api="fhir")}
    pseudonym = Pseudonyms.open(served.data).of(NHS_NUMBER.encode())
    assert re.fullmatch(r"nhs:[0-9a-f]{32}", pseudonym)
    assert pseudonym in patients


def test_every_use_left_its_event(used: tuple[Served, list[str]]) -> None:
    """What is left out of the audit are contents, not events."""
    served, _ = used
    statuses = {event["status"] for event in served.events(kind="interaction")}
    assert {200, 400, 401, 404, 413, 500, 502} <= statuses
    assert served.events(kind="token.refused")


def test_metrics_name_nothing_that_a_client_chose(used: tuple[Served, list[str]]) -> None:
    served, _ = used
    labels = set(re.findall(r'interaction="([^"]*)"', (served.folder / "metrics").read_text()))
    assert labels <= {"-", "Patient.compartment", "Patient.read", "other", "GET", "POST", "POST /**", "_status", "metrics"}
