"""FHIR consumers, through the gateway, of systems that speak XML: SOAP by tables, HL7 V3, and old consumers of a FHIR back end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from lxml import etree
from tests.acceptance.conftest import Backend, Serve, Served, response
from tests.acceptance.transformation import soap_service, v3_service
from tests.acceptance.transformation.soap_service import served

V3 = "hl7v3-demographics"
NHS = "https://fhir.nhs.uk/Id/nhs-number"
TABLES = """
patient:
  resource: Patient
  rows:
    - {xpath: "p:Number", path: "identifier[].value", fixed: {system: "https://fhir.nhs.uk/Id/nhs-number"}}
    - {xpath: "p:Surname", path: "name[0].family"}
    - {xpath: "p:Forename", path: "name[0].given[]"}
    - {xpath: "p:Sex/@code", path: gender, kind: coded, map: {M: male, F: female}, system: "urn:northshire:sex"}
    - {xpath: "p:Born", path: birthDate, kind: date, format: "%d/%m/%Y"}
wanted:
  rows:
    - {xpath: "p:Surname", path: family}
    - {xpath: "p:Born", path: birthdate, kind: date, format: "%d/%m/%Y"}
"""
DEBT = {"owner": "integration", "reason": "old XML", "target": "pass-through", "retire_by": "2027-12-31"}


@pytest.fixture(scope="module")
def platform(serve: Serve) -> Iterator[tuple[Served, Backend]]:
    """A PAS by tables, a V3 service, and a FHIR back end for old consumers, all behind one gateway."""
    pas, people, fhir = soap_service.Pas(), v3_service.Demographics(), Backend()
    common = {"pattern": "transformation", "security": ["open"], "debt": DEBT, "model": {"fhir": {"version": "R4"}}}
    found = {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": []}
    at = fhir.at(response(200, json.dumps(found).encode(), ("Content-Type", "application/fhir+json")))
    with served(pas.answer) as pas_url, served(people.answer) as people_url:
        legacy = {
            "consumer": "fhir", "soap": "1.1", "namespaces": {"p": soap_service.PAS}, "tables_file": "tables.yaml",
            "operations": [{
                "name": "search", "fhir": {"method": "GET", "path": "/Patient"},
                "request": {"root": "p:FindPatients", "table": "wanted", "action": f"{soap_service.PAS}/FindPatients"},
                "response": {"root": "p:FindPatientsResult", "table": "patient", "each": "p:Patient"},
            }],
        }  # fmt: skip
        asids = {"sender_asid": "200", "receiver_asid": "928"}
        server = {"sender_asid": "928", "receiver_asid": "200", "address": "https://api.northshire.test/v3"}
        apis = {
            "pas": {**common, "at": "/pas", "target": {"url": pas_url}, "transform": {"by": "xml", "options": legacy}},
            "pds": {**common, "at": "/pds", "target": {"url": people_url}, "transform": {"by": V3, "options": asids}},
            "v3": {
                **common, "at": "/v3", "target": {"url": fhir.url + at}, "model": {"other": "HL7 V3"},
                "transform": {"by": f"{V3}-server", "options": server},
            },
        }  # fmt: skip
        with serve(yaml.safe_dump({"apis": apis}), started=False) as laid_out:
            (laid_out.folder / "tables.yaml").write_text(TABLES)
            laid_out.start()
            yield laid_out, fhir
            laid_out.stop()
    fhir.stop()


def test_a_search_of_an_old_system_by_tables(platform: tuple[Served, Backend]) -> None:
    answer = platform[0].call("GET", "/pas/Patient?family=Khan&birthdate=1980-01-02")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+json")
    found = [entry["resource"] for entry in answer.json()["entry"]]
    assert [patient["name"][0]["given"] for patient in found] == [["Aisha", "Bano"]]
    assert found[0]["birthDate"] == "1980-01-02"


def test_a_retrieval_by_hl7_v3(platform: tuple[Served, Backend]) -> None:
    answer = platform[0].call("GET", "/pds/Patient/9000000009")
    assert answer.status_code == 200, answer.text
    assert answer.json()["identifier"][0] | {"system": NHS, "value": "9000000009"} == answer.json()["identifier"][0]
    assert platform[0].call("GET", "/pds/Patient/9000000033").status_code == 404
    assert platform[0].call("GET", f"/pds/Patient?identifier={NHS}|9000000009").json()["total"] == 1


def test_what_old_systems_have_no_place_for_is_an_operation_outcome(platform: tuple[Served, Backend]) -> None:
    for path in ("/pas/Observation", "/pas/Patient?shoe-size=9", "/pds/Patient?shoe-size=9"):
        refused = platform[0].call("GET", path)
        assert refused.status_code in (400, 404, 405), refused.text
        assert refused.json()["resourceType"] == "OperationOutcome"


def test_an_old_consumer_asks_a_fhir_back_end(platform: tuple[Served, Backend]) -> None:
    wsdl = platform[0].call("GET", "/v3?wsdl")
    assert wsdl.status_code == 200, wsdl.text
    assert etree.fromstring(wsdl.content).tag == "{http://schemas.xmlsoap.org/wsdl/}definitions"
    assert b"https://api.northshire.test/v3" in wsdl.content


@pytest.mark.parametrize(
    "content",
    [
        b"", b"<a", b"\x00", b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>", b"<a>" * 100_000,
        b"<!DOCTYPE a [<!ENTITY a '1234567890'><!ENTITY b '&a;&a;&a;&a;'>]><a>&b;</a>", b"{}", b"<a/>" + b" " * 100_000,
    ],
    ids=lambda content: repr(content[:24]),
)  # fmt: skip
def test_hostile_xml_is_a_soap_fault(platform: tuple[Served, Backend], content: bytes) -> None:
    served_, fhir = platform
    before = len(fhir.seen)
    answer = served_.call("POST", "/v3", content=content, headers={"content-type": "text/xml"})
    assert 400 <= answer.status_code <= 500
    assert b"Fault" in answer.content
    assert b"root:" not in answer.content
    assert len(fhir.seen) == before


def test_what_was_read_is_counted(platform: tuple[Served, Backend]) -> None:
    events = [event for event in platform[0].events(api="pas") if (event.get("details") or {}).get("mapped")]
    assert events, "what the answer said is in the audit, as numbers"
    assert Path(platform[0].folder / "tables.yaml").exists()
