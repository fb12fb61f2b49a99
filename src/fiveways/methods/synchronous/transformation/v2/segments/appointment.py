"""When somebody is expected, where, by whom and for what: SCH, TQ1, AIS, AIG, AIL and AIP."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.codes.orders import APPOINTMENT_STATUS, PARTICIPATION_STATUS
from fiveways.methods.synchronous.transformation.v2.datatypes.concepts import APPOINTMENT_REASON, APPOINTMENT_TYPE
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, PL, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI, FILLER, PLACER, PRODUCER
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import Number
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Coded, Row, Table

_NUMBER = Number()
_TQ = Table("TQ", "Appointment", (Row(4, "start", INSTANT), Row(5, "end", INSTANT)))


def _sch(*more: FieldRow) -> SegmentTable:
    return SegmentTable(
        "SCH",
        "Appointment",
        (
            FieldRow(1, "identifier", EI, many=True, fixed=PLACER),
            FieldRow(2, "identifier", EI, many=True, fixed=FILLER),
            FieldRow(7, "reasonCode", APPOINTMENT_REASON, many=True),
            FieldRow(8, "appointmentType", APPOINTMENT_TYPE),
            FieldRow(9, "duration", _NUMBER),
            FieldRow(10, "unit", CWE),
            FieldRow(11, "timing", _TQ),
            FieldRow(12, "placerContact", XCN),
            FieldRow(16, "fillerContact", XCN),
            FieldRow(20, "enteredBy", XCN),
            FieldRow(25, "status", Coded(APPOINTMENT_STATUS)),
            FieldRow(26, "basedOn", EI, many=True, fixed=PLACER),
            FieldRow(27, "basedOn", EI, many=True, fixed=FILLER),
            *more,
        ),
    )


SCH = _sch()
"""`duration` and `unit` are the minutes of the appointment; the persons take part in it for information only."""
SCH_CANCELLED = _sch(FieldRow(6, "cancelationReason", APPOINTMENT_REASON))
"""Of an appointment that is cancelled: the reason of the event is why."""
TQ1 = SegmentTable(
    "TQ1",
    "Appointment",
    (FieldRow(7, "start", INSTANT), FieldRow(8, "end", INSTANT)),
    ignored={1: NUMBERS_ITSELF},
)
AIS = SegmentTable(
    "AIS",
    "Appointment",
    (
        FieldRow(3, "serviceType", CWE),
        FieldRow(4, "start", INSTANT),
        FieldRow(7, "duration", _NUMBER),
        FieldRow(8, "unit", CWE),
        FieldRow(10, "status", Coded(APPOINTMENT_STATUS)),
    ),
    ignored={1: NUMBERS_ITSELF},
)


def _resource(name: str, who: Table, at: int) -> SegmentTable:
    """What takes part: `at` is the number of the field that says from when on."""
    return SegmentTable(
        name,
        "Appointment.participant",
        (
            FieldRow(3, "actor", who),
            FieldRow(4, "type[0]", CWE),
            FieldRow(at, "period.start", MOMENT),
            FieldRow(at + 3, "duration", _NUMBER),
            FieldRow(at + 4, "unit", CWE),
            FieldRow(at + 6, "status", Coded(PARTICIPATION_STATUS)),
        ),
        ignored={1: NUMBERS_ITSELF},
    )


AIG = _resource("AIG", PRODUCER, 8)
AIL = _resource("AIL", PL, 6)
AIP = _resource("AIP", XCN, 6)
RESOURCES = {"AIG": (AIG, "Device"), "AIL": (AIL, "Location"), "AIP": (AIP, "Practitioner")}
"""The segments of what takes part, and the resource that each is."""
RGS = SegmentTable("RGS", "Appointment", (), ignored={1: NUMBERS_ITSELF})
