"""Segments of HL7 v2 as FHIR R4 has them (v2-to-FHIR segment maps), as far as both can say it."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.codes import SEX
from fiveways.methods.synchronous.transformation.v2.datatypes import CWE, CX, XAD, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.segment import FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.table import DAY, MOMENT, Coded

_NUMBERS_ITSELF = "it counts the segments of its kind"

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
    ignored={1: _NUMBERS_ITSELF},
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
    ignored={1: _NUMBERS_ITSELF},
)

SEGMENTS = {table.name: table for table in (PID, NK1)}
"""The tables by the names of their segments."""
