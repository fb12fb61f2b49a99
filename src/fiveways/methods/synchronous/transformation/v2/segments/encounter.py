"""A visit: PV1 and PV2."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.codes.general import (
    ADMISSION_TYPE,
    ADMIT_SOURCE,
    AMBULATORY_STATUS,
    HOSPITAL_SERVICE,
    PATIENT_TYPE,
    READMISSION,
    SYSTEM,
    UNREGISTERED,
    VISIT_PRIORITY,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, PL, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.segments.contained import participant, place, referred
from fiveways.methods.synchronous.transformation.v2.segments.visit import (
    ARRIVAL_MODE,
    BED,
    CODING,
    DESTINATION,
    LENGTH,
    Class,
    Narrative,
    Protected,
    episode,
    expected,
)
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import (
    CODE,
    MOMENT,
)

_VISIT = {"type.coding[0].system": f"{SYSTEM}0203", "type.coding[0].code": "VN"}
"""What the identifier of a visit is, where it says nothing else."""
_VISIT_ROWS = (
    FieldRow(2, "class", Class()),
    FieldRow(3, "location", PL, seam=place()),
    FieldRow(4, "type", CWE, many=True, table=ADMISSION_TYPE),
    FieldRow(5, "hospitalization.preAdmissionIdentifier", CX),
    FieldRow(6, "location", PL, seam=place("completed")),
    FieldRow(7, "participant", XCN, many=True, seam=participant("ATND")),
    FieldRow(8, "participant", XCN, many=True, seam=participant("REF")),
    FieldRow(9, "participant", XCN, many=True, seam=participant("CON")),
    FieldRow(10, "serviceType", CWE, table=HOSPITAL_SERVICE),
    FieldRow(11, "location", PL, seam=place(temporary=True)),
    FieldRow(13, "hospitalization.reAdmission", CWE, table=READMISSION),
    FieldRow(14, "hospitalization.admitSource", CWE, table=ADMIT_SOURCE),
    FieldRow(15, "hospitalization.specialArrangement", CWE, many=True, table=AMBULATORY_STATUS),
    FieldRow(16, "hospitalization.specialCourtesy", CWE, many=True),
    FieldRow(17, "participant", XCN, many=True, seam=participant("ADM")),
    FieldRow(18, "type", CWE, many=True, fixed={"coding[0].system": f"{UNREGISTERED}HL70018"}, table=PATIENT_TYPE),
    FieldRow(19, "identifier", CX, many=True, fixed=_VISIT),
    FieldRow(36, "hospitalization.dischargeDisposition", CWE),
    FieldRow(37, "hospitalization.destination", DESTINATION, seam=referred("hospitalization.destination", "Location")),
    FieldRow(38, "hospitalization.dietPreference", CWE, many=True),
    FieldRow(40, "location.operationalStatus", CODE, seam=BED),
    FieldRow(42, "location", PL, seam=place("reserved")),
    FieldRow(43, "location", PL, seam=place("completed", temporary=True)),
    FieldRow(50, "identifier", CX, many=True),
    FieldRow(52, "participant", XCN, many=True, seam=participant("PART")),
    FieldRow(53, "episodeOfCare.display", seam=episode("display")),
    FieldRow(54, "episodeOfCare.identifier", CX, seam=episode("identifier")),
)
_PERIOD_ROWS = (FieldRow(44, "period.start", MOMENT), FieldRow(45, "period.end", MOMENT))
PV1 = SegmentTable("PV1", "Encounter", (*_VISIT_ROWS, *_PERIOD_ROWS), ignored={1: NUMBERS_ITSELF})


def _without(numbers: tuple[int, ...], why: str) -> SegmentTable:
    rows = tuple(row for row in (*_VISIT_ROWS, *_PERIOD_ROWS) if row.number not in numbers)
    return SegmentTable("PV1", "Encounter", rows, ignored={1: NUMBERS_ITSELF, **dict.fromkeys(numbers, why)})


PV1_NOT_MOVED = _without((6,), "the transfer there is cancelled: nobody is said to have been there")
"""A visit whose patient is where they were: the transfer is cancelled."""
PV1_NOT_ENDED = _without((36, 37, 45), "the discharge is cancelled: the visit goes on")
"""A visit that goes on: the discharge is cancelled."""
_MOVED = "the time of a visit that is planned is written as when it is expected, PV2"
PV1_PLANNED = SegmentTable(
    "PV1",
    "Encounter",
    (*_VISIT_ROWS, FieldRow(44, "period.start", MOMENT, moved=_MOVED), FieldRow(45, "period.end", MOMENT, moved=_MOVED)),
    ignored={1: NUMBERS_ITSELF},
)
"""A visit that is to come."""

_MORE_ROWS = (
    FieldRow(1, "location", PL, seam=place("planned")),
    FieldRow(3, "reasonCode", CWE, many=True),
    FieldRow(11, "length", POSITIVE, seam=LENGTH),
    FieldRow(12, "text", Narrative()),
    FieldRow(13, "participant", XCN, many=True, seam=participant("REF"), moved="who refers is written as PV1-8"),
    FieldRow(22, "meta.security", Protected()),
    FieldRow(25, "priority", CWE, table=VISIT_PRIORITY),
    FieldRow(38, "extension", CODING, seam=ARRIVAL_MODE),
)
PV2 = SegmentTable("PV2", "Encounter", _MORE_ROWS)
PV2_PLANNED = SegmentTable(
    "PV2",
    "Encounter",
    (
        *_MORE_ROWS,
        FieldRow(8, "period.start", MOMENT, seam=expected("start")),
        FieldRow(9, "period.end", MOMENT, seam=expected("end")),
    ),
)
"""What else is said of a visit that is to come: FHIR R4 has expected times of such visits only."""
