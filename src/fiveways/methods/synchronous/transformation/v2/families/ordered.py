"""Orders as ORC, OBR, TQ1 and SPM, with whom they are of: what orders and results have in common."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import inline
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.codes.orders import ORDER_CONTROL, ORDER_STATUS, is_kept
from fiveways.methods.synchronous.transformation.v2.families import beside, people
from fiveways.methods.synchronous.transformation.v2.families.observed import write_notes
from fiveways.methods.synchronous.transformation.v2.families.ordering import AGENTS
from fiveways.methods.synchronous.transformation.v2.families.provenance import attested
from fiveways.methods.synchronous.transformation.v2.families.requesters import requester_as_said
from fiveways.methods.synchronous.transformation.v2.families.timing import (
    spread_occurrence,
    spread_period,
)
from fiveways.methods.synchronous.transformation.v2.segments.clinical import DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV1_PLANNED, PV2, PV2_PLANNED
from fiveways.methods.synchronous.transformation.v2.segments.order import ORC
from fiveways.methods.synchronous.transformation.v2.segments.patient import PD1, PID
from fiveways.methods.synchronous.transformation.v2.segments.specimen import SPM
from fiveways.methods.synchronous.transformation.v2.segments.timing import TQ1
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_COMMON = frozenset(("_status", "requisition", "authoredOn", "extension", "locationCode", "facility", "addresses"))
"""Elements that ORC alone says."""
_TIMED = frozenset(("occurrencePeriod", "timing", "quantityQuantity", "priority", "_priority", "asNeededCodeableConcept"))


def agents_of(writing: Writing, request: Resource) -> Resource:
    """Those who have entered an order, and who have verified it, as ORC has them."""
    return {name: those for name in AGENTS if (those := [who for who, _ in attested(writing, request, name) if who])}


def write_who(writing: Writing, person: Resource | None, visit: Resource | None, *, contacts: bool = True) -> None:
    """Add the segments of a patient and of a visit."""
    if person is not None:
        writing.write(PID, beside.as_said(writing, person), 1)
        writing.write_what_is_said(PD1, person)
        if contacts:
            people.write_contacts(writing, person)
    if visit is not None:
        planned = visit.get("status") == "planned"
        writing.write(PV1_PLANNED if planned else PV1, visit, 1)
        writing.write_what_is_said(PV2_PLANNED if planned else PV2, visit)


def write_request(writing: Writing, request: Resource, more: Resource, table: SegmentTable, number: int) -> None:
    """Add ORC, TQ1 and OBR of an order. `more` are the other resources that its segments speak of."""
    made: Resource = {**more, "ServiceRequest": _as_said(writing, request)}
    _write_common(writing, request, made, ORDER_CONTROL.written.get(request.get("status", ""), "SC"))
    write_timing(writing, request)
    writing.write(table, made, number)


def write_result(writing: Writing, request: Resource, more: Resource, table: SegmentTable, number: int) -> None:
    """Add ORC, where more is known of the order than its results say, and OBR; its timing stands after the notes."""
    made: Resource = {**more, "ServiceRequest": _as_said(writing, request)}
    if _is_said(made["ServiceRequest"]) or made.get("Provenance"):
        _write_common(writing, request, made, "RE")
    writing.write(table, made, number)


def write_timing(writing: Writing, request: Resource) -> None:
    """Add TQ1 of an order that says when, how much, or how urgently."""
    said = spread_occurrence(request)
    if said.keys() & _TIMED:
        writing.write(TQ1, {"ServiceRequest": said}, 1)


def _is_said(request: Resource) -> bool:
    """Whether more is known of an order than a result says."""
    return request.get("status") != "unknown" or bool(request.keys() & _COMMON)


def _write_common(writing: Writing, request: Resource, made: Resource, control: str) -> None:
    segment = writing.write(ORC, made)
    kept = element.get(request, "_status.extension") or ()
    if not any(is_kept(each, ORDER_CONTROL) for each in kept):
        status = request.get("status", "")
        segment.set(control, 1)
        if not any(is_kept(each, ORDER_STATUS) for each in kept):
            segment.set(ORDER_STATUS.written.get(status, ""), 5)


def _as_said(writing: Writing, request: Resource) -> Resource:
    return requester_as_said(writing, spread_occurrence(request))


def specimen_as_said(writing: Writing, resource: Resource) -> Resource:
    """A specimen as the tables of SPM and OBR have it."""
    collection: Any = resource.get("collection")
    if not isinstance(collection, dict):
        return resource
    collection = spread_period(collection, "collected")
    collector = inline(resource, collection.get("collector"), writing.resolve)
    bare = {name: value for name, value in collection.items() if name != "collector"}
    return {**resource, "collection": {**bare, **({"collector": collector} if collector else {})}}


def write_specimens(writing: Writing, specimens: list[Resource]) -> None:
    """Add the SPM segments of specimens."""
    for number, specimen in enumerate(specimens, start=1):
        said = specimen_as_said(writing, specimen)
        notes = specimen.get("note") or []
        described = bool(notes) and notes[0].keys() == {"text"}
        writing.write(SPM, {**said, "note": notes[:1] if described else []}, number)
        write_notes(writing, {**specimen, "note": notes[1:] if described else notes})


def write_conditions(writing: Writing, conditions: list[Resource]) -> None:
    """Add the DG1 segments of diagnoses."""
    for number, condition in enumerate(conditions, start=1):
        writing.write(DG1_OF_NO_VISIT, condition, number)
