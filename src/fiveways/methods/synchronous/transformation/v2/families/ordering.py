"""Orders out of ORC, OBR, TQ1 and SPM, and back: what orders and results have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, inline, merge, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.codes.orders import ORDER_CONTROL, ORDER_STATUS, is_kept
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import in_order
from fiveways.methods.synchronous.transformation.v2.families.adt import encounter, patient
from fiveways.methods.synchronous.transformation.v2.families.groups import Order, Sample, Subject, only
from fiveways.methods.synchronous.transformation.v2.families.observing import add_notes, write_notes
from fiveways.methods.synchronous.transformation.v2.segments.clinical import DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV1_PLANNED, PV2, PV2_PLANNED
from fiveways.methods.synchronous.transformation.v2.segments.order import ORC, SPM, TQ1
from fiveways.methods.synchronous.transformation.v2.segments.patient import NK1, PD1, PID
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_WHOLE = frozenset(
    (
        "ServiceRequest.requester", "ServiceRequest.code", "ServiceRequest.requisition", "ServiceRequest._priority",
        "Specimen.collection.collector", "Specimen.collection.quantity", "collection.quantity", "collection.bodySite", "type",
    )
)  # fmt: skip
"""Elements that are one thing: another that differs is not mixed into them."""
_COMMON = frozenset(("_status", "requisition", "authoredOn", "extension", "locationCode"))
"""Elements that ORC alone says."""
_TIMED = frozenset(("occurrencePeriod", "quantityQuantity", "priority", "_priority"))
"""Elements that TQ1 says."""


def who(reading: Reading, subject: Subject, status: str = "unknown") -> tuple[Resource, Resource]:
    """The patient and the visit of a group, as elements `subject` and `encounter`; {} where there is none. Both are only named by a
    message like this, so that what is known of them is not changed."""
    with only(reading, subject.segments):
        if not subject.described:
            return {}, {}
        person = {"subject": refer(enter(reading, patient(reading), named=True))}
        visit = encounter(reading, person["subject"]["reference"], status)
        if visit is None:
            return person, {}
        return person, {"encounter": refer(enter(reading, visit, named=True))}


def compose(reading: Reading, order: Order, request: SegmentTable) -> Resource:
    """What the segments of an order say, by the resources that it is of. Where they say different things, the timing goes before
    the order, and the order before the request; what was not taken is told of."""
    made: Resource = {}
    said: list[tuple[Segment | None, SegmentTable]] = [(segment, TQ1) for segment in order.timings]
    for segment, table in (*said, (order.common, ORC), (order.request, request)):
        if segment is None:
            continue
        where = reading.where(segment)
        found = reading.read(table, segment, {})
        reading.coverage.unmapped += [f"{where}-{number}" for number in found.pop("differing", ())]
        reading.coverage.unmapped += [f"{where}{_field(table, path)}" for path in merge(made, found, _WHOLE)]
    return made


def _field(table: SegmentTable, path: str) -> str:
    """The number of the field that is at a path: `-16`."""
    rows = [row for row in table.rows if path == row.path or path.startswith(f"{row.path}.")]
    rows = rows or [row for row in table.rows if row.path.endswith("occurrencePeriod")]
    return f"-{max(rows, key=lambda row: len(row.path)).number}" if rows else ""


def settle_period(reading: Reading, resource: Resource, name: str, where: str) -> None:
    """A period that is but a moment becomes one: `effectivePeriod` with only a start is `effectiveDateTime`."""
    period = resource.get(f"{name}Period")
    if period is None:
        return
    start, end = period.get("start"), period.get("end")
    if start and end and not in_order(start, end):
        reading.coverage.wrong.append((where, f"{name}: it ends before it begins"))
        end = None
        del period["end"]
    if start and not end:
        resource[f"{name}DateTime"] = start
        del resource[f"{name}Period"]


def spread_period(resource: Resource, name: str) -> Resource:
    """The other way: a resource whose moment is a period with only a start."""
    moment = resource.get(f"{name}DateTime")
    if moment is None:
        return resource
    return {**{key: value for key, value in resource.items() if key != f"{name}DateTime"}, f"{name}Period": {"start": moment}}


def place_request(
    reading: Reading, order: Order, made: Resource, common: Resource, where: str, *, named: bool, notes: Sequence[Segment]
) -> str | None:
    """Make the entry of an order; the reference to it. None where a message that only names it (`named`) says nothing of one but
    what was done. `notes` are those on the order itself."""
    said = made.get("ServiceRequest") or {}
    if named and not notes and not said.keys() - {"code"}:
        return None
    status = said.pop("status", "unknown")
    resource: Resource = {"resourceType": "ServiceRequest", **said, "status": status, "intent": "order"}
    if "identifier" in resource:
        resource["identifier"] = sorted(resource["identifier"], key=lambda each: not is_of(each, "PLAC"))
    settle_period(reading, resource, "occurrence", where)
    if requester := resource.pop("requester", None):
        resource["requester"] = contain(resource, requester, "Practitioner")
    if "orderDetail" in resource and "code" not in resource:
        del resource["orderDetail"]
        reading.coverage.wrong.append((where, "details of an order without a code"))
    resource.update({"subject": unknown(), **common})
    add_notes(reading, notes, resource)
    conditions = [] if named else [refer(place_condition(reading, each, common)) for each in order.diagnoses]
    if conditions:
        resource["reasonReference"] = conditions
    return enter(reading, resource, named=named, by_code=True)


def is_of(identifier: Resource, code: str) -> bool:
    """Whether an identifier is of a type of HL7's table 0203."""
    return bool(element.get(identifier, "type.coding[0].code") == code)


def place_condition(reading: Reading, segment: Segment, common: Resource) -> str:
    """Make the entry of a diagnosis; the reference to it."""
    said = reading.read(DG1_OF_NO_VISIT, segment, {"resourceType": "Condition"})
    said.update({"subject": unknown(), **common})
    return enter(reading, said)


def place_specimen(reading: Reading, sample: Sample | None, made: Resource, common: Resource, where: str) -> str | None:
    """Make the entry of a specimen, of what SPM says and of what OBR says of it; the reference to it. None where neither does."""
    resource: Resource = {"resourceType": "Specimen"}
    if sample is not None:
        at = reading.where(sample.segment)
        reading.read(SPM, sample.segment, resource)
        add_notes(reading, sample.notes, resource)
    else:
        at = where
    for path in merge(resource, made, _WHOLE):
        reading.coverage.unmapped.append(f"{where} (Specimen.{path})")
    if len(resource) == 1:
        return None
    if collection := resource.get("collection"):
        settle_period(reading, collection, "collected", at)
        if collector := collection.pop("collector", None):
            collection["collector"] = contain(resource, collector, "Practitioner")
    if subject := common.get("subject"):
        resource["subject"] = subject
    return enter(reading, resource)


def write_who(writing: Writing, person: Resource | None, visit: Resource | None, *, contacts: bool = True) -> None:
    """Add the segments of a patient and of a visit."""
    if person is not None:
        writing.write(PID, person, 1)
        writing.write_what_is_said(PD1, person)
        for number, contact in enumerate((person.get("contact") or ()) if contacts else (), start=1):
            writing.write(NK1, {**contact, "contained": person.get("contained") or []}, number)
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
    if _is_said(request):
        _write_common(writing, request, made, "RE")
    writing.write(table, made, number)


def write_timing(writing: Writing, request: Resource) -> None:
    """Add TQ1 of an order that says when, how much, or how urgently."""
    said = spread_period(request, "occurrence")
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
    said = spread_period(request, "occurrence")
    if requester := inline(request, request.get("requester"), writing.resolve):
        said = {**said, "requester": requester}
    elif "requester" in said:
        said = {name: value for name, value in said.items() if name != "requester"}
    return said


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
