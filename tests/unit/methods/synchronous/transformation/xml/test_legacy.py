"""Legacy XML behind FHIR and in front of it, with a strict SOAP service over real HTTP."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fhirkit
import httpx
import pytest
import yaml
from tests.acceptance.transformation.soap_service import PAS, Pas, served

from fiveways.clock import SystemClock
from fiveways.errors import (
    DeploymentError,
    Fault,
    Forbidden,
    InvalidValue,
    MethodNotAllowed,
    MissingValue,
    NotFound,
    PayloadTooLarge,
    ProviderFaulty,
    ProviderUnavailable,
)
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.xml import soap
from fiveways.methods.synchronous.transformation.xml.document import make, parse, serialize
from fiveways.methods.synchronous.transformation.xml.legacy import LegacyXml

NHS = "https://fhir.nhs.uk/Id/nhs-number"
OPTIONS: dict[str, Any] = yaml.safe_load("""
consumer: fhir
soap: "1.1"
namespaces: {p: "urn:northshire:pas"}
tables:
  patient:
    resource: Patient
    rows:
      - {xpath: "p:Number", path: "identifier[].value", fixed: {system: "https://fhir.nhs.uk/Id/nhs-number"}}
      - {xpath: "p:Surname", path: "name[0].family"}
      - {xpath: "p:Forename", path: "name[0].given[]"}
      - {xpath: "p:Sex", path: gender, kind: coded, map: {M: male, F: female}}
      - {xpath: "p:Born", path: birthDate, kind: date, format: "%d/%m/%Y"}
  added:
    rows: [{xpath: "p:Patient", path: "patient", table: patient}]
  wanted:
    rows:
      - {xpath: "p:Number", path: identifier_value, fixed: {identifier_system: "https://fhir.nhs.uk/Id/nhs-number"}}
      - {xpath: "p:Surname", path: family}
      - {xpath: "p:Born", path: birthdate, kind: date, format: "%d/%m/%Y"}
  number: {rows: [{xpath: "p:Number", path: id}]}
operations:
  - name: read
    fhir: {method: GET, path: "/Patient/{id}"}
    request: {root: "p:GetPatient", table: number, action: "urn:northshire:pas/GetPatient"}
    response: {root: "p:GetPatientResult", table: patient, each: "p:Patient"}
    errors: [{xpath: "p:Error/@code", text: "p:Error", not_found: [NF]}]
  - name: search
    fhir: {method: GET, path: /Patient}
    request: {root: "p:FindPatients", table: wanted, action: "urn:northshire:pas/FindPatients"}
    response: {root: "p:FindPatientsResult", table: patient, each: "p:Patient", count: "p:Count"}
  - name: create
    fhir: {method: POST, path: /Patient}
    request: {root: "p:AddPatient", table: patient, each: "p:Patient", action: "urn:northshire:pas/AddPatient"}
    response: {root: "p:AddPatientResult", table: patient, each: "p:Patient"}
    errors: [{xpath: "p:Error/@code", text: "p:Error", invalid: [EXISTS]}]
    status: 201
""")
OPTIONS["operations"][0]["response"] = {"root": "p:GetPatientResult", "table": "one"}
OPTIONS["operations"][2]["response"] = {"root": "p:AddPatientResult", "table": "one"}
OPTIONS["tables"]["one"] = {
    "resource": "Patient",
    "rows": [{**row, "xpath": f"p:Patient/{row['xpath']}"} for row in OPTIONS["tables"]["patient"]["rows"]],
}
KHAN = {
    "resourceType": "Patient",
    "identifier": [{"value": "9000000009", "system": NHS}],
    "name": [{"family": "Khan", "given": ["Aisha", "Bano"]}],
    "gender": "female",
    "birthDate": "1980-01-02",
}


def made(options: dict[str, Any]) -> LegacyXml:
    return LegacyXml(Place("pas", options, SystemClock()))


FRONT = made(OPTIONS)


def get(path: str, **query: str) -> Asked:
    return Asked("GET", path, query, "", b"", {}, "0f0e0d0c-0b0a-4908-8706-050403020100")


def exchange(transformer: Any, asked: Asked, url: str) -> Answered:
    """What the gateway does: one call, said in the other side's words and back."""
    said = transformer.ask(asked)
    assert isinstance(said, Asked)
    answer = httpx.request(
        said.method,
        url + said.path,
        params=said.query,
        content=said.content,
        headers={**said.headers, "content-type": said.content_type},
    )
    answered: Answered = transformer.answer(asked, Answered(answer.status_code, answer.headers["content-type"], answer.content))
    return answered


@pytest.fixture(scope="module")
def pas() -> Pas:
    return Pas()


@pytest.fixture(scope="module")
def url(pas: Pas) -> Iterator[str]:
    with served(pas.answer) as url:
        yield url


def test_a_patient_is_read(url: str) -> None:
    asked = get("/Patient/9000000009")
    answered = exchange(FRONT, asked, url)
    assert (answered.status, answered.content_type) == (200, "application/fhir+json")
    assert json.loads(answered.content) == KHAN
    assert fhirkit.parse(answered.content.decode()).issues == []
    assert asked.coverage is not None
    assert (asked.kind, asked.coverage.unmapped) == ("read answer", ["GetPatientResult/Patient/Ward"])


def test_patients_are_searched_for(url: str) -> None:
    bundle = json.loads(exchange(FRONT, get("/Patient", family="Khan"), url).content)
    assert (bundle["type"], bundle["total"]) == ("searchset", 2)
    assert [entry["resource"]["birthDate"] for entry in bundle["entry"]] == ["1980-01-02", "1981-02-03"]
    one = json.loads(exchange(FRONT, get("/Patient", identifier=f"{NHS}|9000000009", birthdate="1980-01-02"), url).content)
    assert [entry["resource"] for entry in one["entry"]] == [KHAN]
    none = json.loads(exchange(FRONT, get("/Patient", family="Nobody"), url).content)
    assert none["total"] == 0


def test_a_patient_is_created_and_read_again(pas: Pas, url: str) -> None:
    patient = {**KHAN, "identifier": [{"system": NHS, "value": "9000000025"}], "active": True}
    asked = Asked("POST", "/Patient", {}, "application/fhir+json", json.dumps(patient).encode(), {})
    said = FRONT.ask(asked)
    assert isinstance(said, Asked)
    assert said.coverage is not None
    assert said.coverage.unmapped == ["active"]
    assert exchange(FRONT, asked, url).status == 201
    assert pas.patients["9000000025"]["Forename"] == ["Aisha", "Bano"]
    assert json.loads(exchange(FRONT, get("/Patient/9000000025"), url).content)["identifier"] == patient["identifier"]
    with pytest.raises(InvalidValue, match="EXISTS Known already"):
        exchange(FRONT, asked, url)


def test_what_has_gone_wrong_is_said(url: str) -> None:
    with pytest.raises(NotFound, match="NF No such patient"):
        exchange(FRONT, get("/Patient/1"), url)
    with pytest.raises(ProviderFaulty, match="The disk is full"):
        exchange(FRONT, get("/Patient/0"), url)
    incomplete = Asked("POST", "/Patient", {}, "application/fhir+json", b'{"resourceType": "Patient", "gender": "male"}', {})
    with pytest.raises(InvalidValue, match="The request is not valid"):
        exchange(FRONT, incomplete, url)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (get("/Encounter"), NotFound),
        (Asked("DELETE", "/Patient/1", {}, "", b""), NotFound),
        (get("/Patient", colour="red"), InvalidValue),
        (get("/Patient", family="Khan", gender="male"), InvalidValue),
        (get("/Patient", identifier="urn:other|1"), InvalidValue),
        (get("/Patient", birthdate="ge1980-01-01"), InvalidValue),
        (get("/Patient", family="a\x00b"), InvalidValue),
        (Asked("POST", "/Patient", {}, "application/fhir+json", b"{", {}), InvalidValue),
        (Asked("POST", "/Patient", {}, "application/fhir+json", b"[]", {}), InvalidValue),
        (Asked("POST", "/Patient", {}, "", b'{"resourceType":"Patient","birthDate":"1980"}', {}), InvalidValue),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: Asked, fault: type[Fault]) -> None:
    with pytest.raises(fault):
        FRONT.ask(asked)


SAID = "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Body>%s</s:Body></s:Envelope>"


@pytest.mark.parametrize(
    ("status", "content", "fault"),
    [
        (200, b"", NotFound),
        (200, b"<html>", ProviderFaulty),
        (200, b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", ProviderFaulty),
        (200, b"<p:GetPatientResult xmlns:p='urn:northshire:pas'/>", ProviderFaulty),
        (200, (SAID % "<other/>").encode(), ProviderFaulty),
        (200, (SAID % f"<p:GetPatientResult xmlns:p='{PAS}'/>").encode(), NotFound),
        (500, b"", ProviderFaulty),
        (404, b"", NotFound),
        (403, b"", Forbidden),
        (401, b"", ProviderFaulty),
        (503, b"", ProviderUnavailable),
        (400, b"{}", ProviderFaulty),
    ],
)
def test_whatever_the_back_end_answers(status: int, content: bytes, fault: type[Fault]) -> None:
    if not content and status == 200:
        assert FRONT.answer(get("/Patient/1"), Answered(status, "", content)).content == b""
        return
    with pytest.raises(fault):
        FRONT.answer(get("/Patient/1"), Answered(status, "text/xml", content))


def test_addressing_is_said_where_it_is_wanted() -> None:
    said = made({**OPTIONS, "addressing": {"to": "urn:pas", "sender": "urn:us"}}).ask(get("/Patient/1"))
    assert isinstance(said, Asked)
    addressing = soap.unwrap(parse(said.content)).addressing
    assert addressing == soap.Addressing(
        "urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100", "urn:pas", f"{PAS}/GetPatient", "", "urn:us"
    )


def test_plain_xml_over_get() -> None:
    operation = {
        "name": "search",
        "fhir": {"method": "GET", "path": "/Patient"},
        "http": {"method": "GET", "path": "/find.xml", "query": {"NUM": "identifier_value"}},
        "response": {"table": "patient", "each": "p:Patient"},
    }
    plain = made({**OPTIONS, "soap": None, "operations": [operation]})
    said = plain.ask(get("/Patient", identifier=f"{NHS}|1"))
    assert isinstance(said, Asked)
    assert (said.method, said.path, said.query, said.content) == ("GET", "/find.xml", {"NUM": "1"}, b"")
    content = f"<x xmlns:p='{PAS}'><p:Patient><p:Sex>M</p:Sex></p:Patient></x>".encode("utf-16")
    answered = plain.answer(get("/Patient", identifier="1"), Answered(200, "application/xml", content))
    assert json.loads(answered.content)["entry"][0]["resource"]["gender"] == "male"
    with pytest.raises(InvalidValue):
        plain.ask(get("/Patient", identifier="1", family="Khan"))


# --- XML in front of FHIR ---------------------------------------------------------------------------------------------------------

BEFORE: dict[str, Any] = copy.deepcopy({**OPTIONS, "consumer": "xml", "address": "https://api.northshire.test/pas"})
BEFORE["tables"]["asked"] = {
    "rows": [{"xpath": "p:Number", "path": "number"}, {"xpath": "p:Surname", "path": "family"}],
}
BEFORE["operations"] = [
    {
        "name": "GetPatient",
        "fhir": {"method": "GET", "path": "/Patient/{number}"},
        "request": {"root": "p:GetPatient", "table": "asked", "action": f"{PAS}/GetPatient"},
        "response": {"root": "p:GetPatientResult", "table": "one", "action": f"{PAS}/GetPatientResult"},
    },
    {
        "name": "FindPatients",
        "fhir": {"method": "GET", "path": "/Patient", "query": {"family": "family", "identifier": "number"}},
        "request": {"root": "p:FindPatients", "table": "asked", "action": f"{PAS}/FindPatients"},
        "response": {"root": "p:FindPatientsResult", "table": "patient", "each": "p:Patient", "count": "p:Count"},
    },
    {
        "name": "AddPatient",
        "fhir": {"method": "POST", "path": "/Patient"},
        "request": {"root": "p:AddPatient", "table": "one", "action": f"{PAS}/AddPatient"},
        "response": {"root": "p:AddPatientResult", "table": "one"},
    },
]
BACK = made(BEFORE)


def sent(name: str, inner: str, version: soap.Version = "1.1", action: str = "", **fields: str) -> Asked:
    root = parse(f"<p:{name} xmlns:p='{PAS}'>{inner}</p:{name}>".encode())
    addressing = soap.Addressing("uuid:7", reply_to="urn:me", namespace=soap.ADDRESSING_2004)
    content = serialize(soap.wrap(root, version, addressing))
    headers = {"soapaction": f'"{action or f"{PAS}/{name}"}"', **fields}
    return Asked("POST", "/", {}, soap.CONTENT_TYPES[version], content, headers, "0f0e0d0c-0b0a-4908-8706-050403020100")


def test_an_xml_consumer_reads_a_patient() -> None:
    asked = sent("GetPatient", "<p:Number>9000000009</p:Number>")
    said = BACK.ask(asked)
    assert isinstance(said, Asked)
    assert (said.method, said.path, said.content) == ("GET", "/Patient/9000000009", b"")
    answered = BACK.answer(asked, Answered(200, "application/fhir+json", json.dumps({**KHAN, "active": True}).encode()))
    envelope = soap.unwrap(parse(answered.content))
    assert (envelope.addressing.relates_to, envelope.addressing.to) == ("uuid:7", "urn:me")
    assert envelope.body is not None
    assert [each.text for each in envelope.body[0]] == ["9000000009", "Khan", "Aisha", "Bano", "F", "02/01/1980"]
    assert asked.coverage is not None
    assert asked.coverage.unmapped == ["active"]


def test_an_xml_consumer_searches() -> None:
    asked = sent("FindPatients", "<p:Surname>Khan</p:Surname>")
    said = BACK.ask(asked)
    assert isinstance(said, Asked)
    assert said.query == {"family": "Khan"}
    outcome = {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": KHAN}, {"resource": KHAN, "search": {"mode": "match"}}, outcome]}
    body = soap.unwrap(parse(BACK.answer(asked, Answered(200, "", json.dumps(bundle).encode())).content)).body
    assert body is not None
    assert [child.tag.rpartition("}")[2] for child in body] == ["Patient", "Patient", "Count"]
    assert body[2].text == "2"
    none = soap.unwrap(parse(BACK.answer(asked, Answered(200, "", b'{"resourceType":"Bundle"}')).content)).body
    assert none is not None
    assert [child.text for child in none] == ["0"]


def test_what_one_side_writes_the_other_reads() -> None:
    """Both orientations in a row: FHIR is asked for in FHIR, and XML travels between."""
    patient = json.dumps(KHAN).encode()
    first = Asked("POST", "/Patient", {}, "application/fhir+json", patient, {})
    said = FRONT.ask(first)
    assert isinstance(said, Asked)
    second = Asked("POST", "/", {}, said.content_type, said.content, said.headers)
    there = BACK.ask(second)
    assert isinstance(there, Asked)
    assert json.loads(there.content) == KHAN
    back = BACK.answer(second, Answered(201, "application/fhir+json", patient))
    assert json.loads(FRONT.answer(first, back).content) == KHAN


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (get("/"), MethodNotAllowed),
        (sent("Other", ""), NotFound),
        (sent("GetPatient", "<p:Number>1</p:Number>", action="urn:other"), InvalidValue),
        (sent("GetPatient", "<p:Number>1</p:Number>", "1.2"), InvalidValue),
        (sent("GetPatient", ""), MissingValue),
        (sent("GetPatient", "<p:Number>..</p:Number>"), MissingValue),
        (sent("AddPatient", "<p:Patient><p:Born>soon</p:Born></p:Patient>"), InvalidValue),
        (Asked("POST", "/", {}, "text/xml", b"<a/>"), InvalidValue),
        (Asked("POST", "/", {}, "text/xml", (SAID % "").encode()), InvalidValue),
        (Asked("POST", "/", {}, "text/xml", b"<!DOCTYPE a><a/>"), InvalidValue),
        (Asked("POST", "/", {}, "text/xml", b"<a>" * 200), PayloadTooLarge),
        (Asked("POST", "/", {}, "text/xml", b"\xff\xfe\x00"), InvalidValue),
    ],
)
def test_what_an_xml_consumer_must_not_send(asked: Asked, fault: type[Fault]) -> None:
    with pytest.raises(fault) as raised:
        BACK.ask(asked)
    refused = BACK.refuse(asked, raised.value)
    assert refused is not None
    said = soap.unwrap(parse(refused.content)).fault
    assert said is not None
    assert said.kind == ("version" if "SOAP 1.1 is spoken" in str(raised.value) else "sender")
    assert raised.value.diagnostics in (said.text, said.text.strip())


def test_a_path_is_not_escaped_from() -> None:
    said = BACK.ask(sent("GetPatient", "<p:Number>../Observation?x=1#</p:Number>"))
    assert isinstance(said, Asked)
    assert said.path == "/Patient/..%2FObservation%3Fx%3D1%23"


@pytest.mark.parametrize(
    ("status", "content", "fault", "words"),
    [
        (404, b'{"resourceType":"OperationOutcome","issue":[{"code":"not-found","diagnostics":"Nobody"}]}', NotFound, "Nobody"),
        (400, b'{"resourceType":"OperationOutcome","issue":[{"details":{"coding":[{"code":"BAD"}]}}]}', InvalidValue, "BAD"),
        (500, b"<html>", ProviderFaulty, "500"),
        (200, b"<html>", ProviderFaulty, "not well-formed JSON"),
        (200, b"[1]", ProviderFaulty, "no resource"),
        (200, b'{"resourceType":"Bundle","entry":[]}', NotFound, "none"),
        (
            200,
            json.dumps({"resourceType": "Bundle", "entry": [{"resource": KHAN}, {"resource": KHAN}]}).encode(),
            ProviderFaulty,
            "several",
        ),
    ],
)
def test_whatever_the_fhir_back_end_answers(status: int, content: bytes, fault: type[Fault], words: str) -> None:
    asked = sent("GetPatient", "<p:Number>1</p:Number>")
    with pytest.raises(fault, match=words):
        BACK.answer(asked, Answered(status, "application/fhir+json", content))


def test_what_is_promised_is_said_to_either_side() -> None:
    promised = Answered(202, "application/fhir+json", b'{"resourceType":"OperationOutcome"}', {"location": "/promise/1"})
    create = Asked("POST", "/Patient", {}, "application/fhir+json", json.dumps(KHAN).encode())
    assert FRONT.answer(create, promised) == promised
    assert BACK.answer(sent("AddPatient", ""), promised) == Answered(202, "", b"", {"location": "/promise/1"})


def test_plain_xml_consumers_are_refused_in_plain_xml() -> None:
    plain = made({**BEFORE, "soap": None})
    asked = Asked("POST", "/", {}, "application/xml", serialize(make(f"{{{PAS}}}Other")), {}, "1-2")
    with pytest.raises(NotFound) as raised:
        plain.ask(asked)
    refused = plain.refuse(asked, raised.value)
    assert refused is not None
    assert (refused.status, refused.content_type) == (404, "application/problem+xml")
    assert parse(refused.content).findtext("{urn:ietf:rfc:7807}status") == "404"


def test_fhir_consumers_are_refused_as_the_api_does() -> None:
    assert FRONT.refuse(get("/"), NotFound()) is None


def test_tables_in_a_file_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "tables.yaml"
    file.write_text(yaml.safe_dump(OPTIONS["tables"]))
    options = {**OPTIONS, "tables": {}, "tables_file": str(file)}
    assert isinstance(made(options).ask(get("/Patient/1")), Asked)
    file.write_text("- a")
    with pytest.raises(ValueError, match="tables by their names"):
        made(options)
    with pytest.raises(OSError, match="missing"):
        made({**options, "tables_file": str(tmp_path / "missing.yaml")})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"consumer": "v2"}, "consumer"),
        ({"operations": []}, "operations"),
        ({"zone": "Europe/Nowhere"}, "time zone"),
        ({"soap": None, "addressing": {}}, "addressing is of SOAP"),
        ({"namespaces": {}}, "prefix p"),
        ({"operations": [OPTIONS["operations"][0]] * 2}, "same name"),
        ({"operations": [{**OPTIONS["operations"][0], "fhir": {"path": "/Patient/{a b}"}}]}, "fhir.path"),
        ({"operations": [{**OPTIONS["operations"][0], "fhir": {"path": "/Patient/{a}{"}}]}, "expected a path"),
        ({"operations": [{**OPTIONS["operations"][0], "request": {"root": "q:Get"}}]}, "prefix q"),
        ({"operations": [{**OPTIONS["operations"][0], "request": {}}]}, "has a root"),
        ({"operations": [{**OPTIONS["operations"][0], "response": {"each": "p:Patient"}}]}, "no table says"),
        ({"consumer": "xml", "operations": [{**OPTIONS["operations"][0], "response": {}}]}, "has a root"),
    ],
)
def test_options_that_cannot_be_used_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises((ValueError, DeploymentError), match=why):
        made({**OPTIONS, **change})
