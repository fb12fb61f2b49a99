"""FHIR writes reach an old system as HL7 v2, and its acknowledgement is the answer."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.acceptance.transformation.conftest import API_KEY, Trust

from fiveways.hl7v2.acknowledgement import Code, Fault
from fiveways.hl7v2.message import Message

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "k100",
    "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}],
    "name": [{"family": "O'Hara & Søns", "given": ["Aisha"]}],
    "birthDate": "1980-01-01",
    "gender": "female",
}


def put(trust: Trust, api: str = "old-pas", **headers: str) -> httpx.Response:
    """An update of the patient."""
    said = {"apikey": API_KEY, "content-type": "application/fhir+json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    return trust.served.call("PUT", f"/{api}/FHIR/R4/Patient/k100", headers=said, content=json.dumps(PATIENT))


def test_an_update_is_an_adt_a31(trust: Trust) -> None:
    before = len(trust.old.got)
    answer = put(trust)
    assert (answer.status_code, answer.json()["name"]) == (200, PATIENT["name"])
    message = Message.parse(trust.old.got[before].decode())
    assert (message.get("MSH-9.1"), message.get("MSH-9.2"), message.get("MSH-5"), message.get("MSH-6")) == (
        "ADT",
        "A31",
        "PAS",
        "RXN",
    )
    assert (message.get("PID-3.1"), message.get("PID-5.1"), message.get("PID-7"), message.get("PID-8")) == (
        "9990000018", "O'Hara & Søns", "19800101", "F",
    )  # fmt: skip
    assert "\\T\\" in trust.old.got[before].decode()


@pytest.mark.parametrize(
    ("api", "answered", "status"),
    [
        ("keeps", Code.ACCEPT, 200), ("keeps", Code.COMMIT_REJECT, 422), ("says-both", Code.ACCEPT, 200),
        ("says-both", Code.ERROR, 422), ("says-both", Code.COMMIT_ERROR, 422),
    ],
)  # fmt: skip
def test_an_old_system_that_speaks_the_enhanced_mode(trust: Trust, api: str, answered: Code, status: int) -> None:
    before = len(trust.old.got)
    for _ in range(2):  # the connection is good for another
        trust.old.answers, trust.old.faults = [answered], (Fault("204", "Unknown key", "PID-3"),)
        assert put(trust, f"old-pas-{api}").status_code == status
    asked = [Message.parse(each.decode()) for each in trust.old.got[before:]]
    assert [(each.get("MSH-15"), each.get("MSH-16")) for each in asked] == [("AL", "NE" if api == "keeps" else "AL")] * 2


def test_what_the_old_system_refuses_is_an_operation_outcome(trust: Trust) -> None:
    trust.old.answers, trust.old.faults = [Code.ERROR], (Fault("204", "Unknown key", "PID-3"),)
    answer = put(trust)
    assert (answer.status_code, answer.json()["resourceType"]) == (422, "OperationOutcome")
    assert "PID-3: Unknown key" in answer.json()["issue"][0]["diagnostics"]


def test_an_error_that_will_pass_is_one_of_the_back_end(trust: Trust) -> None:
    trust.old.answers, trust.old.faults = [Code.ERROR], (Fault("207", "Busy"),)
    answer = put(trust)
    assert answer.status_code == 503
    assert answer.headers.get("retry-after")


def test_an_old_system_that_is_away(trust: Trust) -> None:
    trust.old.go()
    try:
        assert put(trust).status_code == 502
    finally:
        trust.old.come_back()
    assert put(trust).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", "/Patient/1", None, 405),
        ("POST", "/Patient", b"{", 400),
        ("POST", "/Patient", b'{"resourceType":"Observation"}', 400),
        ("PUT", "/Patient/1", b'{"resourceType":"Patient","id":"2"}', 400),
        ("POST", "/Basic", b'{"resourceType":"Basic"}', 422),
        ("POST", "/Patient", b'{"resourceType":"Patient","name":"x"}', 400),
        ("POST", "/Patient", b"[" * 100_000, 400),
        ("POST", "", b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":5}]}', 400),
    ],
)
def test_what_cannot_be_said_is_refused(trust: Trust, method: str, path: str, content: bytes | None, status: int) -> None:
    before = len(trust.old.got)
    headers = {"apikey": API_KEY, "content-type": "application/fhir+json"}
    answer = trust.served.call(method, f"/old-pas/FHIR/R4{path}", headers=headers, content=content)
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert len(trust.old.got) == before


def test_a_promise_is_kept_when_the_old_system_is_back(trust: Trust) -> None:
    trust.old.go()
    before = len(trust.old.got)
    request_id = str(uuid4())
    try:
        promised = put(trust, "old-pas-promised", x_request_id=request_id)
        assert promised.status_code == 202, promised.text
        time.sleep(0.3)
        again = put(trust, "old-pas-promised", x_request_id=request_id)
        assert again.status_code == 202
        assert again.headers["fiveways-promise"] == promised.headers["fiveways-promise"]
    finally:
        trust.old.come_back()
    trust.until(lambda: len(trust.old.got) > before)
    time.sleep(0.3)
    assert len(trust.old.got) == before + 1


def test_each_message_has_an_id_of_its_own_and_a_repeat_the_same(trust: Trust) -> None:
    before = len(trust.old.got)
    one, other = str(uuid4()), str(uuid4())
    for request_id in (one, other, one):
        assert put(trust, x_request_id=request_id).status_code == 200
    ids = [Message.parse(each.decode()).control_id for each in trust.old.got[before:]]
    assert ids[0] == ids[-1]
    assert ids[0] != ids[1]
