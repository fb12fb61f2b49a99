"""A visit: PV1."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.codes import CLASS, SYSTEM
from fiveways.methods.synchronous.transformation.v2.datatypes import CWE, CX, PL, XCN
from fiveways.methods.synchronous.transformation.v2.segment import NUMBERS_ITSELF, FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.segments.contained import participant, place
from fiveways.methods.synchronous.transformation.v2.table import MOMENT, Context, Resource

_VISIT = {"type.coding[0].system": f"{SYSTEM}0203", "type.coding[0].code": "VN"}
"""What the identifier of a visit is, where it says nothing else."""
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"


class _Class:
    """The class of an encounter: one of FHIR's where HL7's code is one, HL7's own else."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put a Coding."""
        meaning = CLASS.meanings.get(text)
        into[path] = {"system": ACT_CODE, "code": meaning} if meaning else {"system": CLASS.system, "code": text}

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """HL7's code."""
        coding = resource.get(path) or {}
        code = coding.get("code", "")
        return CLASS.written.get(code, "") if coding.get("system") == ACT_CODE else code


PV1 = SegmentTable(
    "PV1",
    "Encounter",
    (
        FieldRow(2, "class", _Class()),
        FieldRow(3, "location", PL, seam=place("active")),
        FieldRow(4, "type", CWE, many=True),
        FieldRow(5, "hospitalization.preAdmissionIdentifier", CX),
        FieldRow(6, "location", PL, seam=place("completed")),
        FieldRow(7, "participant", XCN, many=True, seam=participant("ATND")),
        FieldRow(8, "participant", XCN, many=True, seam=participant("REF")),
        FieldRow(9, "participant", XCN, many=True, seam=participant("CON")),
        FieldRow(10, "serviceType", CWE),
        FieldRow(13, "hospitalization.reAdmission", CWE),
        FieldRow(14, "hospitalization.admitSource", CWE),
        FieldRow(15, "hospitalization.specialArrangement", CWE, many=True),
        FieldRow(16, "hospitalization.specialCourtesy", CWE, many=True),
        FieldRow(17, "participant", XCN, many=True, seam=participant("ADM")),
        FieldRow(19, "identifier", CX, many=True, fixed=_VISIT),
        FieldRow(36, "hospitalization.dischargeDisposition", CWE),
        FieldRow(38, "hospitalization.dietPreference", CWE, many=True),
        FieldRow(42, "location", PL, seam=place("planned")),
        FieldRow(44, "period.start", MOMENT),
        FieldRow(45, "period.end", MOMENT),
        FieldRow(50, "identifier", CX, many=True),
        FieldRow(52, "participant", XCN, many=True, seam=participant("PART")),
    ),
    ignored={1: NUMBERS_ITSELF},
)
