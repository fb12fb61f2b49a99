"""Data types of HL7 V3 are said in FHIR and back again; what cannot be said, or is not known, is told of."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v3.datatypes import CE, CV, II, DataTypes, tag
from fiveways.methods.synchronous.transformation.xml.document import make, parse, serialize
from fiveways.methods.synchronous.transformation.xml.tables import Table

TYPES = DataTypes(ZoneInfo("Europe/London"))
NHS = "https://fhir.nhs.uk/Id/nhs-number"
USE = "http://terminology.hl7.org/CodeSystem/v3-AddressUse"


def read(table: Table, xml: str) -> tuple[dict[str, Any], Coverage]:
    coverage = Coverage()
    attributes, _, inner = xml.partition(">")
    return table.resource(parse(f"<x xmlns='urn:hl7-org:v3' {attributes}>{inner}</x>".encode()), coverage), coverage


def write(table: Table, value: dict[str, Any]) -> tuple[str, Coverage]:
    coverage = Coverage()
    node = make(tag("x"), {None: "urn:hl7-org:v3"})
    table.element(value, node, coverage)
    node.append(make(tag("end"), {None: "urn:hl7-org:v3"}))
    return serialize(node).decode().partition('<x xmlns="urn:hl7-org:v3"')[2].removesuffix("<end/></x>").strip(), coverage


@pytest.mark.parametrize(
    ("table", "xml", "value"),
    [
        (II, 'root="2.16.840.1.113883.2.1.4.1" extension="9000000009">', {"system": NHS, "value": "9000000009"}),
        (II, 'root="1.2.3" extension="K1" assigningAuthorityName="RXN">',
         {"system": "urn:oid:1.2.3", "value": "K1", "assigner": {"display": "RXN"}}),
        (II, 'root="1.2.3">', {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3"}),
        (II, 'root="0F0E0D0C-0B0A-4908-8706-050403020100">',
         {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:0f0e0d0c-0b0a-4908-8706-050403020100"}),
        (TYPES.pn, 'use="L"><prefix>Dr</prefix><given>A</given><given>B</given><family>Khan</family><suffix>PhD</suffix>',
         {"use": "usual", "prefix": ["Dr"], "given": ["A", "B"], "family": "Khan", "suffix": ["PhD"]}),
        (TYPES.pn, ">Aisha Khan", {"text": "Aisha Khan"}),
        (TYPES.pn, '><family>K</family><validTime><low value="2001"/><high value="20020301"/></validTime>',
         {"family": "K", "period": {"start": "2001", "end": "2002-03-01"}}),
        (TYPES.pn, 'use="PREVIOUS-BACHELOR"><family>K</family>', {"use": "maiden", "family": "K", "_use": {"extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/alternate-codes", "valueCodeableConcept": {"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/v3-EntityNameUse", "code": "PREVIOUS-BACHELOR"}]}}]}}),
        (TYPES.ad, 'use="H PST"><streetAddressLine>1</streetAddressLine><city>C</city><county>D</county><postalCode>P</postalCode>',
         {"use": "home", "type": "postal", "line": ["1"], "city": "C", "district": "D", "postalCode": "P"}),
        (TYPES.ad, 'use="PST"><country>GB</country>', {"type": "postal", "country": "GB"}),
        (TYPES.ad, 'use="V">', {"_use": {"extension": [{
            "url": "http://hl7.org/fhir/StructureDefinition/alternate-codes",
            "valueCodeableConcept": {"coding": [{"system": USE, "code": "V"}]}}]}}),
        (TYPES.tel, 'value="tel:01642 1" use="H">', {"system": "phone", "value": "01642 1", "use": "home"}),
        (TYPES.tel, 'value="mailto:a@b.test">', {"system": "email", "value": "a@b.test"}),
        (TYPES.tel, 'value="fax:1" use="WP">', {"system": "fax", "value": "1", "use": "work"}),
        (TYPES.tel, 'value="textphone:1">', {"system": "other", "value": "textphone:1"}),
        (TYPES.tel, 'value="http://b.test">', {"system": "url", "value": "http://b.test"}),
        (TYPES.ivl_ts, '><low value="20260704101500+0100"/><high value="20261201"/>',
         {"start": "2026-07-04T10:15:00+01:00", "end": "2026-12-01"}),
        (CE, """code="1" codeSystem="2.16.840.1.113883.6.96" displayName="One"><translation code="2" codeSystem="1.2.3"/>\
<originalText>one</originalText>""",
         {"coding": [{"system": "http://snomed.info/sct", "code": "1", "display": "One"}, {"system": "urn:oid:1.2.3", "code": "2"}],
          "text": "one"}),
        (CV, 'code="N" codeSystem="2.16.840.1.113883.5.25">',
         {"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "N"}),
    ],
)  # fmt: skip
def test_a_value_is_said_in_fhir_and_back(table: Table, xml: str, value: dict[str, Any]) -> None:
    made, coverage = read(table, xml)
    assert made == value
    assert (coverage.unmapped, coverage.wrong) == ([], [])
    again, written = write(table, made)
    assert again == xml
    assert (written.unmapped, written.wrong) == ([], [])


@pytest.mark.parametrize(
    ("table", "xml", "value", "unmapped", "wrong"),
    [
        (II, 'nullFlavor="UNK">', {}, ["x/@nullFlavor"], []),
        (II, 'root="MINE" extension="1">', {}, ["x/@root", "x/@extension"], ["x"]),
        (TYPES.pn, '><family qualifier="BR">K</family><delimiter>,</delimiter>', {"family": "K"},
         ["x/family/@qualifier", "x/delimiter"], []),
        (TYPES.ad, '><houseNumber>1</houseNumber><streetAddressLine/>', {}, ["x/houseNumber"], []),
        (TYPES.ivl_ts, '><low value="soon"/><width value="3" unit="d"/>', {}, ["x/width/@value", "x/width/@unit"],
         ["x/low/@value"]),
        (TYPES.tel, 'use="H">', {"use": "home"}, [], []),
        (CV, 'code="N" codeSystemName="x">', {"code": "N"}, ["x/@codeSystemName"], []),
    ],
)  # fmt: skip
def test_what_is_not_said_is_told_of(table: Table, xml: str, value: dict[str, Any], unmapped: list[str], wrong: list[str]) -> None:
    made, coverage = read(table, xml)
    assert made == value
    assert coverage.unmapped == unmapped
    assert [where for where, _ in coverage.wrong] == wrong


@pytest.mark.parametrize(
    ("table", "value", "unmapped", "wrong"),
    [
        (II, {"system": "https://mine.test/id", "value": "1"}, ["system", "value"], [""]),
        (II, {"system": NHS, "value": "1", "period": {"start": "2001"}}, ["period.start"], []),
        (TYPES.pn, {"text": "A K", "family": "K"}, ["text"], []),
        (TYPES.pn, {"family": "K", "use": "maiden", "period": {"start": "then"}}, [], ["period.start"]),
        (TYPES.ad, {"use": "billing"}, ["use"], [""]),
        (TYPES.ad, {"type": "both", "use": "home"}, ["type"], []),
        (TYPES.tel, {"system": "pager", "value": "1"}, ["system", "value"], [""]),
        (TYPES.tel, {"value": "1", "rank": 1}, ["rank"], []),
        (CE, {"coding": [{"system": "https://mine.test", "code": "1"}]}, ["coding[0].system", "coding[0].code"], [""]),
    ],
)
def test_of_fhir_too_what_is_not_said_is_told_of(
    table: Table, value: dict[str, Any], unmapped: list[str], wrong: list[str]
) -> None:
    _, coverage = write(table, value)
    assert coverage.unmapped == unmapped
    assert [where for where, _ in coverage.wrong] == wrong
