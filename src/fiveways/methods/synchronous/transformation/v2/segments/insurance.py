"""Who pays for it: IN1, an insurance with the company, the policy, and whose it is."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation.v2.codes.general import RELATIONSHIP, SEX
from fiveways.methods.synchronous.transformation.v2.datatypes.demographics import DATE
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, XAD, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import NUMBER
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, TEXT, Coded, Context, Own, Resource, Table

CLASSES = "http://terminology.hl7.org/CodeSystem/coverage-class"
_PLAN = {"type.text": "Health plan"}
_POLICY = {"type.text": "Policy number"}


def _read_plan(part: Part, into: Resource, context: Context) -> None:
    if code := part.get(1):
        into["value"] = code
        if system := part.get(3):
            into["system"] = context.system(system)
        if text := part.get(2):
            into["assigner"] = {"display": text}


def _write_plan(resource: Resource, part: Part, context: Context) -> None:
    part.set(str(resource.get("value") or ""), 1)
    part.set(str((resource.get("assigner") or {}).get("display") or ""), 2)
    if resource.get("system"):
        part.set(context.coding_system(resource["system"]), 3)


_PLAN_ID = Table(
    "CWE", "Identifier", (Own((1, 2, 3), "A plan by its code, and what it is called.", _read_plan, _write_plan, "value"),), needs=1
)


def _group(name: str) -> Seam:
    """The group of insured people: its number, and what it is called."""

    def put(into: Resource, said: Resource) -> None:
        groups = into.setdefault("class", [{"type": {"coding": [{"system": CLASSES, "code": "group"}]}}])
        groups[0][name] = said["value"]

    def members(resource: Resource) -> Iterator[Resource]:
        for each in resource.get("class") or ():
            if each.get("type") == {"coding": [{"system": CLASSES, "code": "group"}]} and each.get(name):
                yield {"value": each[name]}
                return

    return Seam(put, members)


IN1 = SegmentTable(
    "IN1",
    "Coverage",
    (
        FieldRow(2, "identifier", _PLAN_ID, many=True, fixed=_PLAN),
        FieldRow(3, "payor.identifier", CX, many=True),
        FieldRow(4, "payor.name"),
        FieldRow(5, "payor.address", XAD, many=True),
        FieldRow(6, "payor.contact[0].name", XPN),
        FieldRow(7, "payor.telecom", XTN, many=True),
        FieldRow(8, "class.value", TEXT, seam=_group("value")),
        FieldRow(9, "class.name", TEXT, seam=_group("name")),
        FieldRow(10, "policyHolder.identifier", CX, many=True),
        FieldRow(11, "policyHolder.name"),
        FieldRow(12, "period.start", MOMENT),
        FieldRow(13, "period.end", MOMENT),
        FieldRow(15, "type", CWE),
        FieldRow(16, "subscriber.name", XPN, many=True),
        FieldRow(17, "relationship", CWE, table=RELATIONSHIP),
        FieldRow(18, "subscriber.birthDate", DATE),
        FieldRow(19, "subscriber.address", XAD, many=True),
        FieldRow(22, "order", POSITIVE),
        FieldRow(36, "identifier", NUMBER, many=True, fixed=_POLICY),
        FieldRow(43, "subscriber.gender", Coded(SEX)),
        FieldRow(49, "subscriberId", TEXT),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""`payor`, `policyHolder` and `subscriber` are contained once all is read. A company, a group and an employer are what they are
called, and IN1-49 is a text in FHIR R4: what else is said there is told of."""
