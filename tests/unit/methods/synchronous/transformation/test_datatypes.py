"""Data types are said in FHIR and back again: what a table names comes back as it was, and what it does not is told of."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import NAME_USE
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, DATA_TYPES, PL, XAD, XCN, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Own, Table

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
    (XPN, "Ali^^^^^^R", {"family": "Ali", "use": "official", "_use": {"extension": [{**KEPT, "valueCodeableConcept": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0200", "code": "R"}]}}]}}),
    (XPN, "Ali^^^^^^C", {"family": "Ali", "_use": {"extension": [{**KEPT, "valueCodeableConcept": {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0200", "code": "C"}]}}]}}),
    (XPN, "Ali^^^^^^ZZ", {"family": "Ali", "_use": {"extension": [{**KEPT, "valueCodeableConcept": {
        "coding": [{"code": "ZZ"}]}}]}}),
    (XPN, "Smith&van&Ali", {"family": "Smith", "_family": {"extension": [
        {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-prefix", "valueString": "van"},
        {"url": "http://hl7.org/fhir/StructureDefinition/humanname-own-name", "valueString": "Ali"}]}}),
    (CX, "K1^^^PAS&2.16.1&HCD", {"value": "K1", "assigner": {"display": "PAS", "identifier": {
        "value": "2.16.1", "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0301", "code": "HCD"}]}}}}),
    (CX, "K1^^^&not an oid&ISO", {"value": "K1", "assigner": {"identifier": {
        "value": "not an oid", "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0301", "code": "ISO"}]}}}}),
    (CX, "9000000009^^^NHSNO^NH", {
        "value": "9000000009", "system": "https://fhir.nhs.uk/Id/nhs-number", "assigner": {"display": "NHSNO"},
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NH"}]},
    }),
    (CX, "K1^^^^OURS", {"value": "K1", "type": {"coding": [{"code": "OURS"}]}}),
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
    (CWE, "X1^Something^LOCAL", {"coding": [{"system": "urn:id:LOCAL", "code": "X1", "display": "Something"}]}),
    (CWE, "M^^HL70002", {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M"}]}),
    (CWE, "^only words", {"text": "only words"}),
    (CWE, "M^Wed^HL70002", {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M"}], "text": "Wed"}),
    (CWE, "M^Wed^HL70002^^^^^^Married", {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M", "display": "Wed"}], "text": "Married",
    }),
    (CWE, "X^^a name with blanks", {"coding": [{"system": "urn:id:a%20name%20with%20blanks", "code": "X"}]}),
    (CWE, "X^^1.2.3", {"coding": [{"system": "urn:oid:1.2.3", "code": "X"}]}),
    (CWE, "X^^https://codes.test/x", {"coding": [{"system": "https://codes.test/x", "code": "X"}]}),
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


def test_a_number_in_pieces_is_put_together_and_the_pieces_come_back() -> None:
    said = XTN.read(Part("^WPN^PH^^44^1642^123456^7"), LONDON)
    assert said["value"] == "+44 1642 123456 x7"
    back = Part()
    XTN.write(said, back, LONDON)
    assert back.text == "^WPN^PH^^44^1642^123456^7"


def test_what_is_not_used_is_not_looked_at() -> None:
    for table, text, left in (
        (XTN, "123^WPN^Internet^a@b.test", [(1, 1)]), (XTN, "1^^^^^^^^^^^12", [(1, 1)]), (XTN, "^^^^44", [(5, 1)]),
        (CX, "^^^PAS^MR", [(4, 1), (5, 1)]), (CWE, "^^LN", [(3, 1)]), (XCN, "^Khan^^^^^^^GMC", [(9, 1)]),
        (PL, "W1&x&HCD", [(1, 2), (1, 3)]),
    ):  # fmt: skip
        part = Part(text)
        table.read(part, LONDON)
        assert list(part.unread()) == left, text


def test_a_part_that_is_tolerant_is_read_as_far_as_it_can_be() -> None:
    part = Part("K1^^^^^^yesterday^20200101", tolerant=True)
    assert CX.read(part, LONDON) == {"value": "K1", "period": {"end": "2020-01-01"}}
    assert part.wrong == [(7, 1, "expected YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ]")]


def test_a_code_that_fhir_cannot_have_is_wrong() -> None:
    with pytest.raises(ValueError, match="expected a code"):
        CWE.read(Part("A  B^^LN"), LONDON)


def test_a_zone_that_fhir_cannot_have_is_wrong() -> None:
    with pytest.raises(ValueError, match="expected a zone"):
        CX.read(Part("K1^^^^^^202001010000+1500"), LONDON)


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
            if isinstance(row, Own):
                assert row.says.endswith(".")
            else:
                assert element.steps(row.path)


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


def test_the_nhs_gives_nhs_numbers_to_patients_only() -> None:
    """An authority that is called NHS gives staff other numbers: a practitioner is no patient."""
    patient = CX.read(Part("9000000009^^^NHS"), LONDON)
    practitioner = DATA_TYPES["XCN"].read(Part("C1234567^House^Gregory^^^Dr^^^NHS"), LONDON)
    assert patient["system"] == "https://fhir.nhs.uk/Id/nhs-number"
    assert practitioner["identifier"] == [{"value": "C1234567", "assigner": {"display": "NHS"}}]
