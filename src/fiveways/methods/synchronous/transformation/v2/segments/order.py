"""What is ordered and reported: ORC and OBR.

One segment speaks of several resources at once: a row's path begins with the resource that it is of.
"""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import merge
from fiveways.methods.synchronous.transformation.v2.codes.orders import (
    ORDER_CONTROL,
    ORDER_STATUS,
    PRIORITY,
    REPORT_STATUS,
    SPECIMEN_ACTION,
    Kept,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.concepts import ORDER_TYPE, SECTION
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, XAD, XCN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI, EIP, FILLER, PLACER, XON, placed
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import NDL
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import CQ
from fiveways.methods.synchronous.transformation.v2.segments.specimen import SPS
from fiveways.methods.synchronous.transformation.v2.segments.timing import TQ
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Coded, Context, Own, Resource, Table

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


def _put_parent(into: Resource, said: Resource) -> None:
    element.put(into, "ServiceRequest.basedOn", [{"type": _REQUEST, "identifier": each} for each in said.values()])


def _parents(resource: Resource) -> Iterator[Resource]:
    references = element.get(resource, "ServiceRequest.basedOn") or ()
    if said := placed(each["identifier"] for each in references if "identifier" in each):
        yield said


_STATUS = Seam(_put_status, _statuses)
_PARENT = Seam(_put_parent, _parents)
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
        FieldRow(8, "ServiceRequest.basedOn", EIP, seam=_PARENT),
        FieldRow(9, "ServiceRequest.authoredOn", MOMENT),
        FieldRow(10, "Provenance.enterer", XCN, many=True),
        FieldRow(11, "Provenance.verifier", XCN, many=True),
        FieldRow(12, "ServiceRequest.requester", XCN),
        FieldRow(16, "ServiceRequest.extension", _REASON, many=True, fixed={"url": STATUS_REASON}),
        FieldRow(21, "ServiceRequest.facility", XON),
        FieldRow(22, "ServiceRequest.facility.address", XAD, many=True),
        FieldRow(23, "ServiceRequest.facility.telecom", XTN, many=True),
        FieldRow(24, "ServiceRequest.addresses", XAD, many=True),
        FieldRow(29, "ServiceRequest.locationCode", ORDER_TYPE, many=True),
    ),
    unsaid={15: "FHIR R4 does not say from when on what is said of an order holds"},
)
"""`facility` is the organisation for which the requester orders, and `addresses` are the requester's own; `enterer` and `verifier`
are agents of the order's provenance."""

_OBR = (
    FieldRow(2, "ServiceRequest.identifier", EI, many=True, fixed=PLACER),
    FieldRow(3, "ServiceRequest.identifier", EI, many=True, fixed=FILLER),
    FieldRow(4, "ServiceRequest.code", CWE),
    FieldRow(5, "ServiceRequest.priority", Coded(PRIORITY)),
    FieldRow(6, "ServiceRequest.occurrencePeriod.start", MOMENT),
    FieldRow(9, "Specimen.collection.quantity", CQ),
    FieldRow(10, "Specimen.collection.collector", XCN),
    FieldRow(11, "ServiceRequest.intent", Coded(SPECIMEN_ACTION)),
    FieldRow(13, "ServiceRequest.supportingInfo", _CLINICAL, many=True),
    FieldRow(14, "Specimen.receivedTime", MOMENT),
    FieldRow(15, "Specimen.type", SPS, seam=_merged("Specimen", 15)),
    FieldRow(16, "ServiceRequest.requester", XCN),
    FieldRow(27, "ServiceRequest.occurrencePeriod", TQ, seam=_merged(_REQUEST, 27)),
    FieldRow(29, "ServiceRequest.basedOn", EIP, seam=_PARENT),
    FieldRow(31, "ServiceRequest.reasonCode", CWE, many=True),
    FieldRow(46, "ServiceRequest.orderDetail", CWE, many=True),
    FieldRow(47, "ServiceRequest.orderDetail", CWE, many=True, moved="FHIR has details of one kind, written as OBR-46"),
)
_COPIES = {28: "FHIR R4 has no place for those who are to be sent a copy"}
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
        FieldRow(
            33,
            "DiagnosticReport.resultsInterpreter",
            NDL,
            many=True,
            moved="FHIR R4 does not tell who assists from who interprets: it is written as OBR-32",
        ),
        FieldRow(34, "DiagnosticReport.technician", NDL, many=True),
        FieldRow(35, "DiagnosticReport.transcriptionist", NDL, many=True),
    ),
    ignored={1: NUMBERS_ITSELF},
    unsaid=_COPIES,
)
"""In a message with results. The report has the identifiers and the code of the order; `technician` and `transcriptionist` are
performers, with what they do."""
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
    unsaid={**_COPIES, **dict.fromkeys((32, 33, 34, 35), "an order has no results that somebody would have worked on")},
)
"""In a message that orders: what is observed is a specimen that is there already."""
