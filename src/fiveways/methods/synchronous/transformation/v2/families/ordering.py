"""Orders out of ORC, OBR, TQ1 and SPM: what orders and results have in common."""

from __future__ import annotations

from collections.abc import Sequence

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import Owner, code_of, derive, found_by, number_of
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, entered, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, merge, picked, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.families import beside, people
from fiveways.methods.synchronous.transformation.v2.families.adt import encounter, patient
from fiveways.methods.synchronous.transformation.v2.families.groups import Order, Sample, Subject, only
from fiveways.methods.synchronous.transformation.v2.families.observing import add_notes
from fiveways.methods.synchronous.transformation.v2.families.provenance import attest
from fiveways.methods.synchronous.transformation.v2.families.requesters import place_requester
from fiveways.methods.synchronous.transformation.v2.families.timing import (
    settle_occurrence,
    settle_period,
)
from fiveways.methods.synchronous.transformation.v2.segments.clinical import DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.order import ORC
from fiveways.methods.synchronous.transformation.v2.segments.specimen import SPM
from fiveways.methods.synchronous.transformation.v2.segments.timing import TQ1
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_WHOLE = frozenset(
    (
        "ServiceRequest.requester", "ServiceRequest.basedOn", "ServiceRequest.timing", "ServiceRequest.code",
        "ServiceRequest.requisition", "ServiceRequest._priority", "Specimen.collection.collector", "Specimen.collection.quantity",
        "collection.quantity", "collection.bodySite", "type",
    )
)  # fmt: skip
"""Elements that are one thing: another that differs is not mixed into them."""
AGENTS = ("enterer", "verifier")
"""Those who have entered an order, and who have verified it."""
"""Elements that TQ1 says."""


def who(reading: Reading, subject: Subject, status: str = "unknown") -> tuple[Resource, Resource]:
    """The patient and the visit of a group, as elements `subject` and `encounter`; {} where there is none. Both are only named by a
    message like this, so that what is known of them is not changed."""
    with only(reading, subject.segments):
        if not subject.described:
            return {}, {}
        about = patient(reading)
        others = beside.taken(about)
        person = {"subject": refer(enter(reading, about, named=True))}
        people.enter_contacts(reading, about, person["subject"]["reference"], named=True)
        account = beside.place(reading, others, person["subject"]["reference"])
        visit = encounter(reading, person["subject"]["reference"], status)
        if visit is None:
            return person, {}
        at = enter(reading, visit, named=True)
        beside.join(reading, at, account)
        return person, {"encounter": refer(at)}


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


def place_request(
    reading: Reading,
    order: Order,
    made: Resource,
    common: Resource,
    where: str,
    owner: Owner,
    *,
    named: bool,
    notes: Sequence[Segment],
) -> str | None:
    """Make the entry of an order; the reference to it. None where a message that only names it (`named`) says nothing of one but
    what was done. `notes` are those on the order itself."""
    said = made.get("ServiceRequest") or {}
    agents = picked(made.get("Provenance") or {}, *AGENTS)
    if named and not notes and not agents and not said.keys() - {"code"}:
        return None
    status, intent = said.pop("status", "unknown"), said.pop("intent", "order")
    resource: Resource = {"resourceType": "ServiceRequest", **said, "status": status, "intent": intent}
    if "identifier" in resource:
        resource["identifier"] = sorted(resource["identifier"], key=lambda each: not is_of(each, "PLAC"))
    settle_occurrence(reading, resource, where)
    place_requester(resource)
    if "orderDetail" in resource and "code" not in resource:
        del resource["orderDetail"]
        reading.coverage.wrong.append((where, "details of an order without a code"))
    resource.update({"subject": unknown(), **common})
    add_notes(reading, notes, resource)
    conditions = [] if named else [refer(place_condition(reading, each, common, owner)) for each in order.diagnoses]
    if conditions:
        resource["reasonReference"] = conditions
    if numbered := number_of(reading.message, resource.get("identifier", ())):
        derive(resource, numbered, code_of(resource.get("code", {})))
    reference = enter(reading, resource, named=named, by_code=True)
    if agents:
        activity = _ACTIVITIES.get(order.common.value(1) if order.common is not None else "", "")
        attest(reading, reference, agents, activity=activity, recorded=resource.get("authoredOn", ""))
    return reference


_ACTIVITIES = {"NW": "CREATE", "SC": "UPDATE", "OC": "CANCEL", "CA": "CANCEL"}
"""What has been done to an order, by what is said of it (ORC-1)."""


def is_of(identifier: Resource, code: str) -> bool:
    """Whether an identifier is of a type of HL7's table 0203."""
    return bool(element.get(identifier, "type.coding[0].code") == code)


def owner_of(reading: Reading, made: Resource, code: str, seen: dict[str, int]) -> Owner:
    """The order that its segments speak of, as what is observed and found for it belongs to it: by the filler's number, or else by
    the placer's."""
    request = made.get("ServiceRequest") or {}
    identifiers = sorted(request.get("identifier", ()), key=lambda each: not is_of(each, code))
    return Owner((number_of(reading.message, identifiers), code_of(request.get("code", {}))), seen)


def whose(reading: Reading, common: Resource, seen: dict[str, int]) -> Owner:
    """The patient, and the visit, as what is found of them belongs to them and to no order."""
    person, visit = (entered(reading, common.get(name)) or {} for name in ("subject", "encounter"))
    return Owner((search(person), found_by(reading.message, visit)), seen)


def place_condition(reading: Reading, segment: Segment, common: Resource, owner: Owner) -> str:
    """Make the entry of a diagnosis; the reference to it."""
    said = reading.read(DG1_OF_NO_VISIT, segment, {"resourceType": "Condition"})
    said.update({"subject": unknown(), **common})
    owner.derive(said, code_of(said.get("code", {})))
    return enter(reading, said)


def place_specimen(
    reading: Reading, sample: Sample | None, made: Resource, common: Resource, where: str, owner: Owner
) -> str | None:
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
    owner.derive(resource, code_of(resource.get("type", {})))
    return enter(reading, resource)
