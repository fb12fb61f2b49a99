"""Who it is about: PID, and NK1 for those who are to be told."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.codes import SEX
from fiveways.methods.synchronous.transformation.v2.datatypes import CWE, CX, XAD, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.segment import NUMBERS_ITSELF, FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.table import DAY, MOMENT, Coded

PID = SegmentTable(
    "PID",
    "Patient",
    (
        FieldRow(3, "identifier", CX, many=True),
        FieldRow(5, "name", XPN, many=True),
        FieldRow(7, "birthDate", DAY),
        FieldRow(8, "gender", Coded(SEX)),
        FieldRow(11, "address", XAD, many=True),
        FieldRow(13, "telecom", XTN, many=True, fixed={"use": "home"}),
        FieldRow(14, "telecom", XTN, many=True, fixed={"use": "work"}),
        FieldRow(40, "telecom", XTN, many=True),
        FieldRow(16, "maritalStatus", CWE),
        FieldRow(29, "deceasedDateTime", MOMENT),
    ),
    ignored={1: NUMBERS_ITSELF},
)

NK1 = SegmentTable(
    "NK1",
    "Patient.contact",
    (
        FieldRow(2, "name", XPN),
        FieldRow(3, "relationship", CWE, many=True),
        FieldRow(4, "address", XAD),
        FieldRow(5, "telecom", XTN, many=True, fixed={"use": "home"}),
        FieldRow(6, "telecom", XTN, many=True, fixed={"use": "work"}),
        FieldRow(40, "telecom", XTN, many=True),
        FieldRow(8, "period.start", MOMENT),
        FieldRow(9, "period.end", MOMENT),
        FieldRow(15, "gender", Coded(SEX)),
    ),
    ignored={1: NUMBERS_ITSELF},
)
