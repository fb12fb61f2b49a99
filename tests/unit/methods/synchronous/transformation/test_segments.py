"""Segments are said in FHIR and back again, and what no row names is told of to the sub-component."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fiveways.hl7v2 import charsets
from fiveways.hl7v2.message import Message, Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v2.segments import SEGMENTS
from fiveways.methods.synchronous.transformation.v2.segments.contact import NK1
from fiveways.methods.synchronous.transformation.v2.segments.patient import PID
from fiveways.methods.synchronous.transformation.v2.tables.table import Context

GIVEN = Path(__file__).parents[6] / "shared" / "data" / "hl7v2"
LONDON = Context(ZoneInfo("Europe/London"))
MSH = "MSH|^~\\&|PAS|RXN|||20261123||ADT^A01|1|P|2.4\r"


def patient(fields: str) -> tuple[dict[str, Any], Coverage]:
    message = Message.parse(MSH + fields + "\r")
    made: dict[str, Any] = {}
    coverage = Coverage()
    PID.read(message.segments[1], made, LONDON, coverage)
    return made, coverage


def in_any_order(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource whose lists are sorted: telephone numbers come back in the field that their use says."""
    return {
        name: sorted(value, key=lambda each: json.dumps(each, sort_keys=True)) if isinstance(value, list) else value
        for name, value in resource.items()
    }


def test_a_patient() -> None:
    said = (
        "PID|1||9000000009^^^NHS^NH~K1^^^RXN^MR||Khan^Aisha^^^Dr^^L~Begum^^^^^^M||19800102|F|||1 High St^^Thornaby^^TS17 6AA^GBR^H"
        "||01642 1^^PH~a@b.test|01642 2^WPN^PH||M^Married^HL70002"
    )
    made, coverage = patient(said)
    assert made == {
        "identifier": [
            {"value": "9000000009", "system": "https://fhir.nhs.uk/Id/nhs-number", "type": {"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NH"}]}},
            {"value": "K1", "assigner": {"display": "RXN"}, "type": {"coding": [
                {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}},
        ],
        "name": [
            {"family": "Khan", "given": ["Aisha"], "prefix": ["Dr"], "use": "official"}, {"family": "Begum", "use": "maiden"},
        ],
        "birthDate": "1980-01-02",
        "gender": "female",
        "address": [{
            "line": ["1 High St"], "city": "Thornaby", "postalCode": "TS17 6AA", "country": "GBR", "use": "home",
        }],
        "telecom": [
            {"system": "phone", "value": "01642 1", "use": "home"}, {"system": "phone", "value": "a@b.test", "use": "home"},
            {"use": "work", "system": "phone", "value": "01642 2"},
        ],
        "maritalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0002", "code": "M"}], "text": "Married",
        },
    }  # fmt: skip
    assert (coverage.unmapped, coverage.wrong, coverage.mapped, coverage.ignored) == ([], [], 28, ["PID-1"])
    back = Segment("PID", Message.parse(MSH).delimiters)
    PID.write(made, back, LONDON)
    assert patient(back.text)[0] == made


def test_what_no_row_names_is_told_of() -> None:
    _, coverage = patient("PID|1|old|K1^4^M11||Khan||19800102|F~M||race|||||||||||||||||veteran")
    assert coverage.unmapped == ["PID-3.2", "PID-3.3", "PID-8[2]", "PID-10", "PID-27"]


def test_what_cannot_be_said_is_told_of_and_the_rest_is_said() -> None:
    made, coverage = patient("PID|1||K1||Khan||yesterday|F")
    assert (made["gender"], made["name"]) == ("female", [{"family": "Khan"}])
    assert coverage.wrong == [("PID-7.1", "expected YYYY[MM[DD[HH[MM[SS[.S]]]]]][+/-ZZZZ]")]


def test_an_unknown_code_passes() -> None:
    made, _ = patient("PID|1||K1||Khan|||X9")
    assert "gender" not in made
    assert element.get(made, "_gender.extension[0].valueCodeableConcept.coding[0]") == {"code": "X9"}, "it is not one of HL7's"
    back = Segment("PID", Message.parse(MSH).delimiters)
    PID.write(made, back, LONDON)
    assert back.field(8) == "X9"


def test_several_contacts() -> None:
    message = Message.parse(MSH + "NK1|1|Khan^Omar|SPO^Spouse^HL70063|||02^WPN^PH\rNK1|2|Ali^Zed||||||20200101|20210101||||||M\r")
    contacts = []
    coverage = Coverage()
    for number, segment in enumerate(message.all("NK1"), start=1):
        made: dict[str, Any] = {}
        NK1.read(segment, made, LONDON, coverage, f"NK1({number})")
        contacts.append(made)
        back = Segment("NK1", message.delimiters)
        NK1.write(made, back, LONDON)
        again: dict[str, Any] = {}
        NK1.read(back, again, LONDON, Coverage())
        assert in_any_order(again) == in_any_order(made)
    assert contacts[1] == {
        "name": {"family": "Ali", "given": ["Zed"]}, "period": {"start": "2020-01-01", "end": "2021-01-01"}, "gender": "male",
    }  # fmt: skip
    assert coverage.unmapped == []


@pytest.mark.parametrize("file", sorted(GIVEN.glob("*/*.hl7")) or [None], ids=lambda file: file.name if file else "none here")
def test_messages_of_others_lose_nothing_silently(file: Path | None) -> None:
    """Every value is read, told of as not mapped, or told of as wrong; and what was read comes back, and back again."""
    if file is None:
        pytest.skip("the messages of others are not on this machine")
    message = Message.parse(charsets.decode(file.read_bytes())[0])
    for segment in message.segments:
        table = SEGMENTS.get(segment.name)
        if table is None:
            continue
        made: dict[str, Any] = {}
        coverage = Coverage()
        table.read(segment, made, LONDON, coverage)
        told = {path.partition(".")[0].partition("[")[0] for path in [*coverage.unmapped, *(path for path, _ in coverage.wrong)]}
        known = {f"{segment.name}-{row.number}" for row in table.rows}
        said = {f"{segment.name}-{n}" for n in range(1, len(segment.fields)) if segment.fields[n] and n not in table.ignored}
        assert said <= told | known
        written = []
        for _ in range(3):
            back = Segment(segment.name, message.delimiters)
            table.write(made, back, LONDON)
            written.append(back.text)
            made = {}
            table.read(back, made, LONDON, Coverage())
        assert written[1] == written[2], "what came back once stays as it is"
