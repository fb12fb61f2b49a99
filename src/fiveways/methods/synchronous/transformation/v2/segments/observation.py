"""What was observed: OBX, one table for each type of value, and the notes on it: NTE."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import SYSTEM
from fiveways.methods.synchronous.transformation.v2.codes.orders import OBSERVATION_STATUS
from fiveways.methods.synchronous.transformation.v2.datatypes.concepts import INTERPRETATION
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, XAD, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI, EIP, FILLER, PRODUCER, XON, placed
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import UNIT
from fiveways.methods.synchronous.transformation.v2.datatypes.values import ANY, VALUES
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import CODE, MOMENT, Coded, Resource, Row, Table

SUB_ID = "http://hl7.org/fhir/StructureDefinition/observation-v2-subid"
"""HL7's extension for what tells observations of one kind apart (OBX-4)."""
ANALYSED = "http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time"
"""HL7's extension for when a value was found (OBX-19)."""
_QUANTITIES = ("valueQuantity", "valueRange.low", "valueRange.high", "valueRatio.numerator", "valueRatio.denominator")

_SUB_ID = Table(
    "OG",
    "Extension",
    (Row(1, "extension[0].valueString", fixed={"extension[0].url": "original-sub-identifier"}),),
)
NATURE = "http://hl7.org/fhir/StructureDefinition/observation-nature-of-abnormal-test"
"""HL7's extension for what a test is abnormal for: age, sex, race (OBX-10)."""
_NATURE = Table(
    "ID",
    "Extension",
    (Row(1, "valueCodeableConcept.coding[0].code", CODE, fixed={"valueCodeableConcept.coding[0].system": f"{SYSTEM}0080"}),),
)
_ANALYSED = Table("DTM", "Extension", (Row(1, "valueDateTime", MOMENT),))
_LINE = Table("FT", "string", (Row(1, "text"),))


def _put_value(into: Resource, said: Resource) -> None:
    into.setdefault("values", []).append(said)


def _values(resource: Resource) -> Iterator[Resource]:
    yield from resource.get("values") or ()


def _put_unit(into: Resource, said: Resource) -> None:
    into["unit"] = said


def _units(resource: Resource) -> Iterator[Resource]:
    for value in resource.get("values") or ():
        for path in _QUANTITIES:
            if unit := element.get(value, path):
                yield unit
                return


def _put_line(into: Resource, said: Resource) -> None:
    text = said["text"]
    into["text"] = f"{into['text']}\n{text}" if "text" in into else text


def _lines(resource: Resource) -> Iterator[Resource]:
    if resource.get("text"):
        yield {"text": resource["text"]}


def _put_specimen(into: Resource, said: Resource) -> None:
    into["specimen"] = {"identifier": list(said.values())}


def _specimens(resource: Resource) -> Iterator[Resource]:
    if said := placed(element.get(resource, "specimen.identifier") or ()):
        yield said


VALUE = Seam(_put_value, _values)
"""Repetitions of a value: one is the value of the observation, several are of its components."""
UNITS = Seam(_put_unit, _units)
_ROWS = (
    FieldRow(3, "code", CWE),
    FieldRow(4, "extension", _SUB_ID, many=True, fixed={"url": SUB_ID}),
    FieldRow(6, "value.unit", UNIT, seam=UNITS),
    FieldRow(7, "referenceRange[0].text"),
    FieldRow(8, "interpretation", INTERPRETATION, many=True),
    FieldRow(10, "extension", _NATURE, many=True, fixed={"url": NATURE}),
    FieldRow(11, "status", Coded(OBSERVATION_STATUS)),
    FieldRow(14, "effectiveDateTime", MOMENT),
    FieldRow(15, "producer", PRODUCER),
    FieldRow(16, "performer", XCN, many=True),
    FieldRow(17, "method", CWE),
    FieldRow(18, "device.identifier", EI),
    FieldRow(19, "extension", _ANALYSED, many=True, fixed={"url": ANALYSED}),
    FieldRow(20, "bodySite", CWE),
    FieldRow(21, "identifier", EI, many=True, fixed=FILLER),
    FieldRow(23, "organization", XON),
    FieldRow(24, "organization.address[0]", XAD),
    FieldRow(25, "director", XCN),
    FieldRow(33, "specimen", EIP, seam=Seam(_put_specimen, _specimens)),
)
"""`performer`, `producer`, `organization`, `director` and `specimen` are contained once all is read."""
_UNSAID = {
    9: "FHIR R4 has no probability of a result",
    12: "FHIR R4 does not say since when a reference range holds",
    13: "what a sender's own access checks mean, nobody else knows",
    22: "FHIR R4 has observations of what was observed alone, and not of what is meant to be",
}
_IGNORED = {1: NUMBERS_ITSELF, 2: "it says how OBX-5 is read"}


def _table(value: Table, ignored: dict[int, str]) -> SegmentTable:
    return SegmentTable("OBX", "Observation", (*_ROWS, FieldRow(5, "value", value, many=True, seam=VALUE)), ignored, _UNSAID)


OBX = {kind: _table(value, _IGNORED) for kind, value in VALUES.items()}
"""The tables by OBX-2."""
_OTHERS = ("SN", "NR", "ST", "CWE", "TS", "TM", "DR", "ED", "RP")
OBX_EACH = (
    OBX["NM"],
    *(SegmentTable("OBX", "Observation", (FieldRow(5, "value", VALUES[kind], many=True, seam=VALUE),)) for kind in _OTHERS),
)
"""What is read of OBX: the fields that all have, and what OBX-5 is in each type."""
OBX_ANY = _table(ANY, {1: NUMBERS_ITSELF})
"""For a value of a type that no table reads: the type is told of as not mapped, and the value kept as a text."""


def _put_author(into: Resource, said: Resource) -> None:
    into["author"] = said


def _authors(resource: Resource) -> Iterator[Resource]:
    if resource.get("author"):
        yield resource["author"]


NTE = SegmentTable(
    "NTE",
    "Annotation",
    (
        FieldRow(3, "text", _LINE, many=True, seam=Seam(_put_line, _lines)),
        FieldRow(5, "author", XCN, seam=Seam(_put_author, _authors)),
        FieldRow(6, "time", MOMENT),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""A note. Its repetitions are lines of it."""
COMMENT = SegmentTable(
    "NTE",
    "Appointment",
    (FieldRow(3, "comment", _LINE, many=True, seam=Seam(_put_line, _lines)),),
    ignored={1: NUMBERS_ITSELF},
)
"""A note on an appointment, which has one comment: nobody's, and of no time."""
