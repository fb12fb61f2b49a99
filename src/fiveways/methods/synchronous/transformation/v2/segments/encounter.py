"""A visit: PV1 and PV2."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import (
    ADMISSION_TYPE,
    ADMIT_SOURCE,
    AMBULATORY_STATUS,
    ARRIVAL,
    CLASS,
    HOSPITAL_SERVICE,
    NEAREST_CLASS,
    READMISSION,
    SYSTEM,
    VISIT_PRIORITY,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, PL, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.segments.contained import participant, place, referred
from fiveways.methods.synchronous.transformation.v2.segments.extensions import R4
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import (
    CODE,
    MOMENT,
    SYSTEM_OF,
    Context,
    Own,
    Resource,
    Row,
    Table,
    code,
)

_VISIT = {"type.coding[0].system": f"{SYSTEM}0203", "type.coding[0].code": "VN"}
"""What the identifier of a visit is, where it says nothing else."""
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
UNKNOWN = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
"""The class of a visit that says none."""


class _Class:
    """The class of an encounter: one of FHIR's where HL7's code is one, HL7's own else."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put a Coding."""
        meaning = CLASS.meanings.get(text)
        into[path] = {"system": ACT_CODE, "code": meaning} if meaning else {"system": CLASS.system, "code": code(text)}

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """HL7's code, which a visit must have: the nearest where it has none of its own."""
        coding = resource.get(path) or UNKNOWN
        said = coding.get("code", "")
        if coding.get("system") == CLASS.system:
            return str(said)
        return CLASS.written.get(said) or NEAREST_CLASS.get(said) or "U"


def _planned(encounter: Resource) -> int:
    """Whether somebody is expected, and not there."""
    return int(element.get(encounter, "class.code") == "PRENC")


def _put_episode(into: Resource, said: Resource) -> None:
    element.put(into, "episodeOfCare[0].display", said["value"])


def _put_episode_number(into: Resource, said: Resource) -> None:
    element.put(into, "episodeOfCare[0].identifier", said)


def _episode(name: str) -> Seam:
    def members(resource: Resource) -> Iterator[Resource]:
        found = element.get(resource, f"episodeOfCare[0].{name}")
        if found is not None:
            yield found if isinstance(found, dict) else {"value": found}

    return Seam(_put_episode if name == "display" else _put_episode_number, members)


def _expected(name: str) -> Seam:
    """When a visit that is planned is to begin, and to end."""

    def put(into: Resource, said: Resource) -> None:
        if element.get(into, f"period.{name}") not in (None, said["value"]):
            raise ValueError("PV1 says another time, and FHIR R4 has one of both")
        element.put(into, f"period.{name}", said["value"])

    def members(resource: Resource) -> Iterator[Resource]:
        if moment := element.get(resource, f"period.{name}"):
            yield {"value": moment}

    return Seam(put, members)


def _put_length(into: Resource, said: Resource) -> None:
    into["length"] = {"value": said["value"], "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}


def _length(resource: Resource) -> Iterator[Resource]:
    if element.get(resource, "length.code") == "d":
        yield {"value": element.get(resource, "length.value")}


def _put_arrival(into: Resource, said: Resource) -> None:
    if said["code"] in ARRIVAL.codes:
        said.setdefault("system", ARRIVAL.system)
    into.setdefault("extension", []).append({"url": f"{R4}encounter-modeOfArrival", "valueCoding": said})


def _arrival(resource: Resource) -> Iterator[Resource]:
    for each in resource.get("extension") or ():
        if each.get("url") == f"{R4}encounter-modeOfArrival" and isinstance(each.get("valueCoding"), dict):
            yield each["valueCoding"]


_CODING = Table("CWE", "Coding", (Row(1, "code", CODE), Row(2, "display"), Row(3, "system", SYSTEM_OF), Row(7, "version")), needs=1)


def _read_destination(part: Part, into: Resource, context: Context) -> None:
    try:
        coding = {"code": code(part.get(1))}
    except ValueError as error:
        part.refuse(1, 1, str(error))
        return
    if display := part.get(1, 2):
        coding["display"] = display
    if system := part.get(1, 3):
        coding["system"] = context.system(system)
    into["type"] = [{"coding": [coding]}]


def _write_destination(resource: Resource, part: Part, context: Context) -> None:
    coding = element.get(resource, "type[0].coding[0]") or {}
    part.set(coding.get("code", ""), 1)
    if coding.get("display"):
        part.set(coding["display"], 1, 2)
    if coding.get("system"):
        part.set(context.coding_system(coding["system"]), 1, 3)


_DESTINATION = Table(
    "DLD",
    "Location",
    (
        Own(
            (1,),
            "What kind of place it is: a code, its text and its system.",
            _read_destination,
            _write_destination,
            "type",
            {1: (1, 2, 3)},
        ),
    ),
    needs=1,
)
_VISIT_ROWS = (
    FieldRow(2, "class", _Class()),
    FieldRow(3, "location", PL, seam=place("active", "planned", when=_planned)),
    FieldRow(4, "type", CWE, many=True, table=ADMISSION_TYPE),
    FieldRow(5, "hospitalization.preAdmissionIdentifier", CX),
    FieldRow(6, "location", PL, seam=place("completed")),
    FieldRow(7, "participant", XCN, many=True, seam=participant("ATND")),
    FieldRow(8, "participant", XCN, many=True, seam=participant("REF")),
    FieldRow(9, "participant", XCN, many=True, seam=participant("CON")),
    FieldRow(10, "serviceType", CWE, table=HOSPITAL_SERVICE),
    FieldRow(13, "hospitalization.reAdmission", CWE, table=READMISSION),
    FieldRow(14, "hospitalization.admitSource", CWE, table=ADMIT_SOURCE),
    FieldRow(15, "hospitalization.specialArrangement", CWE, many=True, table=AMBULATORY_STATUS),
    FieldRow(16, "hospitalization.specialCourtesy", CWE, many=True),
    FieldRow(17, "participant", XCN, many=True, seam=participant("ADM")),
    FieldRow(19, "identifier", CX, many=True, fixed=_VISIT),
    FieldRow(36, "hospitalization.dischargeDisposition", CWE),
    FieldRow(37, "hospitalization.destination", _DESTINATION, seam=referred("hospitalization.destination", "Location")),
    FieldRow(38, "hospitalization.dietPreference", CWE, many=True),
    FieldRow(42, "location", PL, seam=place("reserved")),
    FieldRow(50, "identifier", CX, many=True),
    FieldRow(52, "participant", XCN, many=True, seam=participant("PART")),
    FieldRow(53, "episodeOfCare.display", seam=_episode("display")),
    FieldRow(54, "episodeOfCare.identifier", CX, seam=_episode("identifier")),
)
PV1 = SegmentTable(
    "PV1",
    "Encounter",
    (*_VISIT_ROWS, FieldRow(44, "period.start", MOMENT), FieldRow(45, "period.end", MOMENT)),
    ignored={1: NUMBERS_ITSELF},
)
_MOVED = "the time of a visit that is planned is written as when it is expected, PV2"
PV1_PLANNED = SegmentTable(
    "PV1",
    "Encounter",
    (*_VISIT_ROWS, FieldRow(44, "period.start", MOMENT, moved=_MOVED), FieldRow(45, "period.end", MOMENT, moved=_MOVED)),
    ignored={1: NUMBERS_ITSELF},
)
"""A visit that is to come."""

_MORE_ROWS = (
    FieldRow(3, "reasonCode", CWE, many=True),
    FieldRow(11, "length", POSITIVE, seam=Seam(_put_length, _length)),
    FieldRow(13, "participant", XCN, many=True, seam=participant("REF"), moved="who refers is written as PV1-8"),
    FieldRow(25, "priority", CWE, table=VISIT_PRIORITY),
    FieldRow(38, "extension", _CODING, seam=Seam(_put_arrival, _arrival)),
)
PV2 = SegmentTable("PV2", "Encounter", _MORE_ROWS)
PV2_PLANNED = SegmentTable(
    "PV2",
    "Encounter",
    (
        *_MORE_ROWS,
        FieldRow(8, "period.start", MOMENT, seam=_expected("start")),
        FieldRow(9, "period.end", MOMENT, seam=_expected("end")),
    ),
)
"""What else is said of a visit that is to come: FHIR R4 has expected times of such visits only."""
