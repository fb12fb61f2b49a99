"""What is ordered and reported: ORC, OBR, TQ1 and SPM.

One segment speaks of several resources at once: a row's path begins with the resource that it is of.
"""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import merge
from fiveways.methods.synchronous.transformation.v2.codes.orders import (
    AVAILABLE,
    ORDER_CONTROL,
    ORDER_STATUS,
    PRIORITY,
    REPORT_STATUS,
    Kept,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.concepts import CONDITION, ORDER_TYPE, SECTION
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI, EIP, FILLER, PLACER
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import CQ
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Coded, Context, Own, Resource, Row, Table, Text

STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
_REASON = Table(
    "CWE",
    "Extension",
    (
        Own(
            tuple(range(1, 14)),
            "Why the order is in this state.",
            lambda part, into, context: _set(into, "valueCodeableConcept", CWE.read(part, context)),
            lambda resource, part, context: CWE.write(resource.get("valueCodeableConcept") or {}, part, context),
        ),
    ),
)


def _set(into: Resource, name: str, value: Resource) -> None:
    if value:
        into[name] = value


TQ = Table(
    "TQ",
    "ServiceRequest",
    (
        Row(4, "occurrencePeriod.start", MOMENT),
        Row(5, "occurrencePeriod.end", MOMENT),
        Row(6, "priority", Coded(PRIORITY)),
    ),
)
"""When, and how urgently."""


def _read_clinical(part: Part, into: Resource, context: Context) -> None:
    if text := part.get(2) or part.get(1):
        into["display"] = text


def _write_clinical(resource: Resource, part: Part, context: Context) -> None:
    part.set(str(resource.get("display") or ""), 1)


_CLINICAL = Table(
    "ST",
    "Reference",
    (Own((1, 2), "What else is known, in words.", _read_clinical, _write_clinical, "display", moved={2: "OBR-13.1"}),),
)


_NDL = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)


def _read_interpreter(part: Part, into: Resource, context: Context) -> None:
    person = Part()
    for number in (1, 2, 3, 4, 5, 6, 7):
        if text := part.get(1, number):
            person.set(text, number)
    for number, subcomponent in ((9, 1), (10, 2), (11, 3)):
        if text := part.get(1, number):
            person.set(text, 9, subcomponent)
    into.update(XCN.read(person, context))


def _write_interpreter(resource: Resource, part: Part, context: Context) -> None:
    person = Part()
    XCN.write(resource, person, context)
    written = Part(person.text)
    for number in (1, 2, 3, 4, 5, 6, 7):
        if text := written.get(number):
            part.set(text, 1, number)
    for number, subcomponent in ((9, 1), (10, 2), (11, 3)):
        if text := written.get(9, subcomponent):
            part.set(text, 1, number)


NDL = Table(
    "NDL", "Practitioner", (Own((1,), "Who: a name and a number.", _read_interpreter, _write_interpreter, subcomponents={1: _NDL}),)
)


_CODED = {1: (1, 2, 3), 4: (1, 2, 3)}


def _read_source(part: Part, into: Resource, context: Context) -> None:
    for component, path in ((1, "type"), (4, "collection.bodySite")):
        concept = Part()
        for subcomponent in (1, 2, 3):
            if text := part.get(component, subcomponent):
                concept.set(text, subcomponent)
        if said := CWE.read(concept, context):
            element.put(into, path, said)


def _write_source(resource: Resource, part: Part, context: Context) -> None:
    for component, path in ((1, "type"), (4, "collection.bodySite")):
        if said := element.get(resource, path):
            concept = Part()
            CWE.write(said, concept, context)
            written = Part(concept.text)
            for subcomponent in (1, 2, 3):
                if text := written.get(subcomponent):
                    part.set(text, component, subcomponent)


SPS = Table(
    "SPS", "Specimen", (Own((1, 4), "What it is, and where it is from.", _read_source, _write_source, subcomponents=_CODED),)
)


def _merged(name: str, number: int) -> Seam:
    """What a value says is put into a resource, where that says nothing else; `differing` are the fields that do."""

    def put(into: Resource, said: Resource) -> None:
        if merge(into.setdefault(name, {}), said):
            into.setdefault("differing", []).append(number)

    def members(resource: Resource) -> Iterator[Resource]:
        if resource.get(name):
            yield resource[name]

    return Seam(put, members)


def _put_status(into: Resource, said: Resource) -> None:
    """The later meaning holds, and every code is kept."""
    request = into.setdefault("ServiceRequest", {})
    if "value" in said:
        request["status"] = said["value"]
    request.setdefault("_status", {"extension": []})["extension"] += said["_value"]["extension"]


def _statuses(resource: Resource) -> Iterator[Resource]:
    request = resource.get("ServiceRequest") or {}
    if "_status" in request:
        yield {"_value": request["_status"]}


_STATUS = Seam(_put_status, _statuses)
_REQUEST = "ServiceRequest"
ORC = SegmentTable(
    "ORC",
    "Bundle",
    (
        FieldRow(1, "ServiceRequest.status", Kept(ORDER_CONTROL), seam=_STATUS),
        FieldRow(2, "ServiceRequest.identifier", EI, many=True, fixed=PLACER),
        FieldRow(3, "ServiceRequest.identifier", EI, many=True, fixed=FILLER),
        FieldRow(4, "ServiceRequest.requisition", EI),
        FieldRow(5, "ServiceRequest.status", Kept(ORDER_STATUS), seam=_STATUS),
        FieldRow(7, "ServiceRequest.occurrencePeriod", TQ, seam=_merged(_REQUEST, 7)),
        FieldRow(9, "ServiceRequest.authoredOn", MOMENT),
        FieldRow(12, "ServiceRequest.requester", XCN),
        FieldRow(16, "ServiceRequest.extension", _REASON, many=True, fixed={"url": STATUS_REASON}),
        FieldRow(29, "ServiceRequest.locationCode", ORDER_TYPE, many=True),
    ),
)

_OBR = (
    FieldRow(2, "ServiceRequest.identifier", EI, many=True, fixed=PLACER),
    FieldRow(3, "ServiceRequest.identifier", EI, many=True, fixed=FILLER),
    FieldRow(4, "ServiceRequest.code", CWE),
    FieldRow(5, "ServiceRequest.priority", Coded(PRIORITY)),
    FieldRow(6, "ServiceRequest.occurrencePeriod.start", MOMENT),
    FieldRow(9, "Specimen.collection.quantity", CQ),
    FieldRow(10, "Specimen.collection.collector", XCN),
    FieldRow(13, "ServiceRequest.supportingInfo", _CLINICAL, many=True),
    FieldRow(14, "Specimen.receivedTime", MOMENT),
    FieldRow(15, "Specimen.type", SPS, seam=_merged("Specimen", 15)),
    FieldRow(16, "ServiceRequest.requester", XCN),
    FieldRow(27, "ServiceRequest.occurrencePeriod", TQ, seam=_merged(_REQUEST, 27)),
    FieldRow(31, "ServiceRequest.reasonCode", CWE, many=True),
    FieldRow(46, "ServiceRequest.orderDetail", CWE, many=True),
)
OBR_RESULT = SegmentTable(
    "OBR",
    "Bundle",
    (
        *_OBR,
        FieldRow(7, "DiagnosticReport.effectivePeriod.start", MOMENT),
        FieldRow(8, "DiagnosticReport.effectivePeriod.end", MOMENT),
        FieldRow(22, "DiagnosticReport.issued", INSTANT),
        FieldRow(24, "DiagnosticReport.category", SECTION, many=True),
        FieldRow(25, "DiagnosticReport.status", Coded(REPORT_STATUS)),
        FieldRow(32, "DiagnosticReport.resultsInterpreter", NDL, many=True),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""In a message with results. The report has the identifiers and the code of the order."""
OBR_ORDER = SegmentTable(
    "OBR",
    "Bundle",
    (
        *_OBR,
        FieldRow(7, "Specimen.collection.collectedPeriod.start", MOMENT),
        FieldRow(8, "Specimen.collection.collectedPeriod.end", MOMENT),
        FieldRow(24, "ServiceRequest.category", SECTION, many=True),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""In a message that orders: what is observed is a specimen that is there already."""
TQ1 = SegmentTable(
    "TQ1",
    "Bundle",
    (
        FieldRow(2, "ServiceRequest.quantityQuantity", CQ),
        FieldRow(7, "ServiceRequest.occurrencePeriod.start", MOMENT),
        FieldRow(8, "ServiceRequest.occurrencePeriod.end", MOMENT),
        FieldRow(9, "ServiceRequest.priority", Coded(PRIORITY)),
    ),
    ignored={1: NUMBERS_ITSELF},
)


def _put_ids(into: Resource, said: Resource) -> None:
    into.setdefault("identifier", []).extend(said.values())


def _ids(resource: Resource) -> Iterator[Resource]:
    codes = {"PLAC": "placer", "FILL": "filler"}
    found: Resource = {}
    for each in resource.get("identifier") or ():
        name = codes.get(element.get(each, "type.coding[0].code") or "")
        if name is not None:
            found.setdefault(name, each)
    if found:
        yield found


def _others(resource: Resource) -> Iterator[Resource]:
    for each in resource.get("identifier") or ():
        if element.get(each, "type.coding[0].code") not in ("PLAC", "FILL"):
            yield each


def _put_other(into: Resource, said: Resource) -> None:
    into.setdefault("identifier", []).append(said)


DR = Table("DR", "Period", (Row(1, "start", MOMENT), Row(2, "end", MOMENT)))
SPM = SegmentTable(
    "SPM",
    "Specimen",
    (
        FieldRow(2, "identifier", EIP, seam=Seam(_put_ids, _ids)),
        FieldRow(4, "type", CWE),
        FieldRow(6, "container[0].additiveCodeableConcept", CWE),
        FieldRow(7, "collection.method", CWE),
        FieldRow(8, "collection.bodySite", CWE),
        FieldRow(12, "collection.quantity", CQ),
        FieldRow(14, "note[0].text", Text()),
        FieldRow(17, "collection.collectedPeriod", DR),
        FieldRow(18, "receivedTime", MOMENT),
        FieldRow(20, "status", Coded(AVAILABLE)),
        FieldRow(24, "condition", CONDITION, many=True),
        FieldRow(27, "container[0].type", CWE),
        FieldRow(30, "accessionIdentifier", CX),
        FieldRow(31, "identifier", CX, many=True, seam=Seam(_put_other, _others)),
    ),
    ignored={1: NUMBERS_ITSELF},
)
