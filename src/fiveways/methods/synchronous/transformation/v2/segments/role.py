"""Who takes part, in which role: ROL after PID, and after PV1."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, PL, XAD, XCN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import ORGANIZATION
from fiveways.methods.synchronous.transformation.v2.tables.segment import FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT

ROL = SegmentTable(
    "ROL",
    "PractitionerRole",
    (
        FieldRow(1, "identifier", EI, many=True),
        FieldRow(3, "code", CWE, many=True),
        FieldRow(4, "practitioner", XCN),
        FieldRow(5, "period.start", MOMENT),
        FieldRow(6, "period.end", MOMENT),
        FieldRow(11, "practitioner.address", XAD, many=True),
        FieldRow(12, "telecom", XTN, many=True),
        FieldRow(13, "location", PL),
        FieldRow(14, "organization", ORGANIZATION),
    ),
    ignored={2: "the message says what becomes of it; a role that is taken away (DE) is not read"},
    unsaid={
        7: "FHIR R4 has the period alone",
        8: "FHIR R4 does not say why somebody has a role",
        9: "FHIR R4 has one code of what somebody does, ROL-3",
        10: "FHIR R4 does not say what kind of unit it is",
    },
)
"""The code of a role that is one in a visit is what type of participant it is. `practitioner`, `location` and `organization` are
contained once all is read."""
