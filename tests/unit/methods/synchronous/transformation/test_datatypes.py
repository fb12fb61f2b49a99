"""Data types are said in FHIR and back again: what a table names comes back as it was, and what it does not is told of."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes import NAME_USE
from fiveways.methods.synchronous.transformation.v2.datatypes import CWE, CX, DATA_TYPES, XAD, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.part import Part
from fiveways.methods.synchronous.transformation.v2.table import Context, Row, Table

LONDON = Context(
    ZoneInfo("Europe/London"),
    authorities={"RXN": "https://northshire.test/Id/hospital-number"},
    systems={"READ": "http://read.info/readv2"},
)
KEPT = {"url": "http://hl7.org/fhir/StructureDefinition/alternate-codes"}

CASES: list[tuple[Table, str, dict[str, Any]]] = [
    (CX, "9000000009^^^NHS^NH", {
        "value": "9000000009", "system": "https://fhir.nhs.uk/Id/nhs-number",
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NH"}]},
    }),
    (CX, "K1^^^RXN", {"value": "K1", "system": "https://northshire.test/Id/hospital-number", "assigner": {"display": "RXN"}}),
    (CX, "K1^^^PAS&1.2.3&ISO", {"value": "K1", "system": "urn:oid:1.2.3", "assigner": {"display": "PAS"}}),
    (CX, "K1^^^PAS", {"value": "K1", "assigner": {"display": "PAS"}}),
    (CX, "K1^^^^^^20200101^20211231", {"value": "K1", "period": {"start": "2020-01-01", "end": "2021-12-31"}}),
    (XPN, "Khan^Aisha^Maria Jo^III^Dr^MBE^L", {
        "family": "Khan", "given": ["Aisha", "Maria", "Jo"], "suffix": ["III", "MBE"], "prefix": ["Dr"], "use": "official",
    }),
    (XPN, "Ali^^^^^^BAD", {"family": "Ali", "use": "old"}),
    (XPN, "Ali^^^^^^C", {"family": "Ali", "use": "usual", "_use": {"extension": [{**KEPT, "valueCodeableConcept": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0200", "code": "C"}]}}]}}),
    (XPN, "Ali^^^^^^ZZ", {"family": "Ali", "_use": {"extension": [{**KEPT, "valueCodeableConcept": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0200", "code": "ZZ"}]}}]}}),
    (XAD, "1 High St^Flat 2^Thornaby^Cleveland^TS17 6AA^GBR^H^^E06", {
        "line": ["1 High St", "Flat 2"], "city": "Thornaby", "state": "Cleveland", "postalCode": "TS17 6AA", "country": "GBR",
        "use": "home", "district": "E06",
    }),
    (XAD, "PO Box 1^^^^^^M", {"line": ["PO Box 1"], "type": "postal"}),
    (XTN, "01642 123456^PRN^PH", {"value": "01642 123456", "use": "home", "system": "phone"}),
    (XTN, "^^Internet^a@b.test", {"value": "a@b.test", "system": "email"}),
    (CWE, "38341003^Hypertension^SCT^I10^HT^ICD10^2026^10^High blood pressure", {
        "coding": [
            {"system": "http://snomed.info/sct", "version": "2026", "code": "38341003", "display": "Hypertension"},
            {"system": "http://hl7.org/fhir/sid/icd-10", "version": "10", "code": "I10", "display": "HT"},
        ],
        "text": "High blood pressure",
    }),
    (CWE, "G20^^READ", {"coding": [{"system": "http://read.info/readv2", "code": "G20"}]}),
    (CWE, "X1^Something^LOCAL", {"coding": [{"system": "LOCAL", "code": "X1", "display": "Something"}]}),
    (CWE, "M^^HL70002", {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M"}]}),
    (CWE, "^only words", {"text": "only words"}),
]  # fmt: skip


@pytest.mark.parametrize(("table", "text", "fhir"), CASES, ids=[f"{table.name} {text}" for table, text, _ in CASES])
def test_what_is_said_is_said_in_fhir_and_back(table: Table, text: str, fhir: dict[str, Any]) -> None:
    part = Part(text)
    assert table.read(part, LONDON) == fhir
    assert list(part.unread()) == []
    back = Part()
    table.write(fhir, back, LONDON)
    assert table.read(Part(back.text), LONDON) == fhir
    if "ISO" not in text and not text.endswith("ICD10^2026^10^High blood pressure"):
        assert back.text in (text, text.replace("ICD10", "I10"))


def test_a_number_in_pieces_is_put_together() -> None:
    assert XTN.read(Part("^WPN^PH^^44^1642^123456^7"), LONDON)["value"] == "+44 1642 123456 x7"


def test_a_suffix_is_a_suffix_wherever_it_stood() -> None:
    """FHIR knows one kind: a professional suffix comes back as a degree."""
    back = Part()
    XPN.write(XPN.read(Part("Khan^^^III^^^^^^^^^^MBE"), LONDON), back, LONDON)
    assert back.text == "Khan^^^III^^MBE"


def test_what_no_table_names_is_told_of() -> None:
    part = Part("K1^4^M11^NHS^NH^Facility^^^&Jurisdiction")
    CX.read(part, LONDON)
    assert list(part.unread()) == [(2, 1), (3, 1), (6, 1), (9, 2)]


def test_a_moment_that_is_none_is_told_of() -> None:
    with pytest.raises(ValueError, match="expected YYYY"):
        CX.read(Part("K1^^^^^^yesterday"), LONDON)


def test_an_explicit_nothing_is_nothing() -> None:
    part = Part('Ali^""^^^""^^""^^^^^""')
    assert XPN.read(part, LONDON) == {"family": "Ali"}
    assert list(part.unread()) == []


WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zs", "Zl", "Zp"], exclude_characters='"'), max_size=12)


@settings(max_examples=150)
@given(table=st.sampled_from(sorted(DATA_TYPES)), components=st.lists(WORD, max_size=24))
def test_any_components_are_read_and_what_was_read_comes_back(table: str, components: list[str]) -> None:
    part = Part()
    for number, text in enumerate(components, start=1):
        if text:
            part.set(text, number)
    try:
        fhir = DATA_TYPES[table].read(Part(part.text), LONDON)
    except ValueError:
        return
    back = Part()
    DATA_TYPES[table].write(fhir, back, LONDON)
    assert DATA_TYPES[table].read(Part(back.text), LONDON) == fhir


@given(st.text(max_size=60), st.integers(1, 8), st.integers(1, 4))
def test_what_is_put_into_a_part_is_there(text: str, component: int, subcomponent: int) -> None:
    part = Part("a^b&c^d")
    part.set(text, component, subcomponent)
    assert Part(part.text).get(component, subcomponent) == text


def test_every_row_leads_somewhere() -> None:
    for table in DATA_TYPES.values():
        for row in table.rows:
            if isinstance(row, Row):
                assert element.steps(row.path)
            else:
                assert row.says.endswith(".")


def test_the_first_code_that_means_it_is_written() -> None:
    assert (NAME_USE.written["usual"], NAME_USE.written["old"]) == ("D", "BAD")


@pytest.mark.parametrize("path", ["", "a..b", "a[", "a[x]", "1a", "a.b[1"])
def test_what_is_no_path_in_a_resource(path: str) -> None:
    with pytest.raises(ValueError, match="expected a path"):
        element.steps(path)


def test_elements_by_their_paths() -> None:
    made: dict[str, Any] = {}
    element.put(made, "name[0].given[0]", "Aisha")
    element.put(made, "name[0].given[5]", "Maria")
    element.put(made, "name[0].family", "Khan")
    assert made == {"name": [{"given": ["Aisha", "Maria"], "family": "Khan"}]}
    assert element.get(made, "name[0].given[1]") == "Maria"
    assert element.get(made, "name[1].given[0]") is None
    assert element.get({"name": "text"}, "name.given") is None
