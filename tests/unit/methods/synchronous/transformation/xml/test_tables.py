"""Tables of XPaths are read in both directions, and what no row has named is told of, by its path."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.xml.document import make, parse, serialize
from fiveways.methods.synchronous.transformation.xml.paths import Path
from fiveways.methods.synchronous.transformation.xml.table_settings import Tables, TableSettings

NHS = "https://fhir.nhs.uk/Id/nhs-number"
SAID: dict[str, Any] = {
    "patient": {
        "resource": "Patient",
        "rows": [
            {"xpath": "@version", "value": "2"},
            {"xpath": "p:NhsNumber", "path": "identifier[].value", "fixed": {"system": NHS}},
            {"xpath": "p:Other", "path": "identifier[]", "table": "identifier"},
            {"xpath": "p:Name/p:Family", "path": "name[0].family"},
            {"xpath": "p:Name/p:Given", "path": "name[0].given[]"},
            {
                "xpath": "p:Sex/@code",
                "path": "gender",
                "kind": "coded",
                "map": {"M": "male", "F": "female"},
                "system": "urn:old:sex",
            },
            {"xpath": "p:Born", "path": "birthDate", "kind": "date", "format": "%d/%m/%Y"},
            {"xpath": "p:Died", "path": "deceasedDateTime", "kind": "moment", "format": "hl7"},
            {"xpath": "p:Twin", "path": "multipleBirthBoolean", "kind": "flag", "map": {"J": "true", "N": "false"}},
            {"xpath": "p:Order", "path": "multipleBirthInteger", "kind": "number"},
            {"xpath": "p:Phone[@kind='home']", "path": "telecom[].value", "fixed": {"use": "home", "system": "phone"}},
            {"xpath": "p:Phone[@kind='work']/@number", "path": "telecom[].value", "fixed": {"use": "work", "system": "phone"}},
            {"xpath": "p:Address", "path": "address[]", "table": "address"},
            {"xpath": "concat(p:Title, '')", "path": "name[0].prefix[0]"},
        ],
        "ignored": {"p:Printed": "when it was printed is nobody's business"},
    },
    "identifier": {"rows": [{"xpath": "@by", "path": "system"}, {"xpath": ".", "path": "value"}]},
    "address": {"rows": [{"xpath": "p:Line[1]", "path": "line[0]"}, {"xpath": "p:Line[2]", "path": "line[1]"}]},
}
SPACES = {"p": "urn:old"}


def tables(said: dict[str, Any] = SAID) -> Tables:
    return Tables({name: TableSettings.model_validate(table) for name, table in said.items()}, SPACES, "Europe/London")


TABLE = tables().get("patient")


def read(xml: str) -> tuple[dict[str, Any], Coverage]:
    coverage = Coverage()
    return TABLE.resource(parse(f"<p:Patient xmlns:p='urn:old' {xml}</p:Patient>".encode()), coverage), coverage


def write(resource: dict[str, Any]) -> tuple[str, Coverage]:
    coverage = Coverage()
    root = make("{urn:old}Patient", {"p": "urn:old"})
    TABLE.element(resource, root, coverage)
    root.append(make("end"))
    return serialize(root).decode().partition('<p:Patient xmlns:p="urn:old"')[2].removesuffix("<end/></p:Patient>"), coverage


WHOLE = (
    ' version="2"><p:NhsNumber>9000000009</p:NhsNumber><p:Other by="urn:x">K1</p:Other>'
    "<p:Name><p:Family>Khan</p:Family><p:Given>Aisha</p:Given><p:Given>B</p:Given></p:Name>"
    '<p:Sex code="F"/><p:Born>02/01/1980</p:Born><p:Died>20260704101500+0100</p:Died><p:Twin>N</p:Twin><p:Order>2</p:Order>'
    '<p:Phone kind="home">01642 1</p:Phone><p:Phone kind="work" number="01642 2"/>'
    "<p:Address><p:Line>1 High St</p:Line><p:Line>Thornaby</p:Line></p:Address><p:Address><p:Line>2 Low St</p:Line></p:Address>"
)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "identifier": [{"value": "9000000009", "system": NHS}, {"system": "urn:x", "value": "K1"}],
    "name": [{"family": "Khan", "given": ["Aisha", "B"]}],
    "gender": "female",
    "birthDate": "1980-01-02",
    "deceasedDateTime": "2026-07-04T10:15:00+01:00",
    "multipleBirthBoolean": False,
    "multipleBirthInteger": 2,
    "telecom": [
        {"value": "01642 1", "use": "home", "system": "phone"},
        {"value": "01642 2", "use": "work", "system": "phone"},
    ],
    "address": [{"line": ["1 High St", "Thornaby"]}, {"line": ["2 Low St"]}],
}


def test_a_document_is_read_and_written_back() -> None:
    made, coverage = read(WHOLE)
    assert made == PATIENT
    assert (coverage.unmapped, coverage.wrong) == ([], [])
    assert coverage.mapped == 16
    again, written = write(made)
    assert again == WHOLE
    assert (written.unmapped, written.wrong) == ([], [])


def test_what_no_row_names_is_told_of() -> None:
    made, coverage = read(
        ' version="3" colour="red"><p:NhsNumber checked="yes">1</p:NhsNumber>'
        "<p:Name>x<p:Family>Khan</p:Family> y<p:Family>K</p:Family></p:Name><p:Phone kind='fax'>7</p:Phone>"
        "<p:Ward><p:Bed>3</p:Bed></p:Ward><q xmlns='urn:q'>z</q>"
        "<p:Printed><p:At>1</p:At></p:Printed>"
        "<p:Title>Dr</p:Title>"
    )
    assert made["name"] == [{"family": "Khan", "prefix": ["Dr"]}]
    assert sorted(coverage.unmapped) == [
        "Patient/@colour", "Patient/@version", "Patient/Name", "Patient/Name/Family[1]/following-text()", "Patient/Name/Family[2]",
        "Patient/NhsNumber/@checked", "Patient/Phone", "Patient/Phone/@kind", "Patient/Title", "Patient/Ward/Bed", "Patient/q",
    ]  # fmt: skip
    assert coverage.ignored == ["Patient/Printed"]


def test_what_cannot_be_said_is_told_of_and_the_rest_is_said() -> None:
    made, coverage = read(
        "><p:Born>1980-01-02</p:Born><p:Twin>?</p:Twin><p:Order>two</p:Order><p:Died>soon</p:Died><p:Sex code='F'/>"
    )
    assert made == {"resourceType": "Patient", "gender": "female"}
    assert [where for where, _ in coverage.wrong] == ["Patient/Born", "Patient/Died", "Patient/Twin", "Patient/Order"]
    assert not any("1980" in why or "soon" in why for where, why in coverage.wrong if where != "Patient/Born")
    assert coverage.unmapped == []


def test_a_code_that_is_not_known_is_kept() -> None:
    made, coverage = read("><p:Sex code='X'/>")
    assert made["_gender"]["extension"][0]["valueCodeableConcept"]["coding"] == [{"system": "urn:old:sex", "code": "X"}]
    assert coverage.wrong == []
    assert '<p:Sex code="X"/>' in write(made)[0]


def test_of_a_resource_too_what_no_row_names_is_told_of() -> None:
    _, coverage = write(
        {
            "resourceType": "Patient",
            "active": True,
            "name": [{"family": "Khan", "prefix": ["Dr"]}, {"family": "K"}],
            "identifier": [{"value": "1"}, {"value": "2", "system": NHS, "period": {"start": "2001"}}],
            "telecom": [{"value": "a@b.test", "system": "email"}],
            "gender": "other",
            "birthDate": "1980",
        }
    )
    assert sorted(coverage.unmapped) == [
        "active", "identifier[1].period.start", "name[1].family", "telecom[0].system", "telecom[0].value",
    ]  # fmt: skip
    assert sorted(coverage.wrong) == [
        ("birthDate", "it is not a whole day"),
        ("gender", "there is no code for it"),
        ("name[0].prefix[0]", "concat(p:Title, '') is no step that can be made"),
    ]
    assert tables().one_way() == [("patient", "concat(p:Title, '')", "concat(p:Title, '') is no step that can be made")]


def test_what_xml_cannot_say_is_told_of() -> None:
    xml, coverage = write({"name": [{"family": "a\x00b", "given": ["c"]}]})
    assert [where for where, _ in coverage.wrong] == ["name[0].family"]
    assert "<p:Given>c</p:Given>" in xml


text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
patients = st.fixed_dictionaries(
    {"resourceType": st.just("Patient")},
    optional={
        "identifier": st.lists(st.fixed_dictionaries({"value": text, "system": text | st.just(NHS)}), min_size=1, max_size=4),
        "name": st.fixed_dictionaries({"family": text, "given": st.lists(text, min_size=1, max_size=3)}).map(lambda name: [name]),
        "gender": st.sampled_from(["male", "female"]),
        "birthDate": st.dates().map(str),
        "multipleBirthInteger": st.integers(0, 10**9),
        "multipleBirthBoolean": st.booleans(),
        "telecom": st.lists(
            st.fixed_dictionaries({"value": text, "use": st.sampled_from(["home", "work"]), "system": st.just("phone")}), min_size=1
        ),
        "address": st.lists(st.fixed_dictionaries({"line": st.lists(text, min_size=1, max_size=2)}), min_size=1, max_size=3),
    },
)


def sorted_lists(resource: dict[str, Any]) -> dict[str, Any]:
    """Members come back in the order of the rows that they belong to."""
    return {
        name: sorted(value, key=lambda each: json.dumps(each, sort_keys=True)) if isinstance(value, list) else value
        for name, value in resource.items()
    }


@given(patients)
def test_any_patient_comes_back(patient: dict[str, Any]) -> None:
    xml, written = write(patient)
    assert (written.unmapped, written.wrong) == ([], [])
    root = parse(f'<p:Patient xmlns:p="urn:old"{xml}</p:Patient>'.encode())
    coverage = Coverage()
    made = TABLE.resource(root, coverage) or {"resourceType": "Patient"}
    assert sorted_lists(made) == sorted_lists(patient)
    assert (coverage.unmapped, coverage.wrong) == ([], [])


def test_numbers_keep_their_digits() -> None:
    table = tables({"t": {"rows": [{"xpath": ".", "path": "value", "kind": "number"}]}}).get("t")
    for digits in ("72.50", "7", "-0.10"):
        made = table.resource(parse(f"<a>{digits}</a>".encode()), Coverage())
        assert str(made["value"]) == digits
        assert isinstance(made["value"], Decimal if "." in digits else int)
        assert table.element(made, make("a"), Coverage()).text == digits


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"t": {"rows": [{"xpath": "a[", "path": "b"}]}}, "expected an XPath"),
        ({"t": {"rows": [{"xpath": "q:a", "path": "b"}]}}, "prefix q"),
        ({"t": {"rows": [{"xpath": "a", "path": "b", "table": "u"}]}}, "table 'u'"),
        ({"t": {"rows": [{"xpath": "a", "path": "b[]", "table": "t"}]}}, "within itself"),
        ({"t": {"rows": [{"xpath": "a"}]}}, "a path, or the value"),
        ({"t": {"rows": [{"xpath": "a", "path": "b", "value": "c"}]}}, "a path, or the value"),
        ({"t": {"rows": [{"xpath": "a", "path": "b c"}]}}, "expected a path"),
        ({"t": {"rows": [{"xpath": "a", "path": "b", "kind": "coded"}]}}, "has a map"),
        ({"t": {"rows": [{"xpath": "a", "path": "b", "colour": "c"}]}}, "colour"),
    ],
)
def test_a_table_that_cannot_be_made_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tables(said)


@pytest.mark.parametrize(
    ("xpath", "made"),
    [
        ("a", "<r><a>x</a></r>"),
        ("a/b[2]/@c", '<r><a><b/><b c="x"/></a></r>'),
        ("a[@b='/[1]']/c", '<r><a b="/[1]"><c>x</c></a></r>'),
        ("a[b/@c='1'][d='2']/e/text()", '<r><a><b c="1"/><d>2</d><e>x</e></a></r>'),
        ("@a", '<r a="x"/>'),
        (".", "<r>x</r>"),
    ],
)
def test_simple_paths_are_made_once_and_found_again(xpath: str, made: str) -> None:
    path, root = Path(xpath, {}), make("r")
    for _ in range(2):
        path.put(path.reach(root), "x")
    assert serialize(root).decode().endswith(made)
    assert [found.text for found in path.find(root)] == ["x"]


@pytest.mark.parametrize(
    "xpath", ["//a", "/a", "a|b", "count(a)", "a[last()]", "../a", "a/*", "a[b>1]", "a//b", "a[contains(b,'c')]"]
)
def test_other_paths_are_only_found(xpath: str) -> None:
    path, root = Path(xpath, {}), parse(b"<r><a>x<b>2</b></a></r>")
    path.find(root)
    assert path.why_not
    with pytest.raises(ValueError, match=r"."):
        path.reach(root)
