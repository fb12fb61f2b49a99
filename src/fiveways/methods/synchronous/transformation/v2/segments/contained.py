"""Practitioners and places, contained in the resource that names them."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.segment import Seam
from fiveways.methods.synchronous.transformation.v2.table import Resource

PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def _contain(into: Resource, resource: Resource, kind: str) -> str:
    """Put a resource into another; the reference to it."""
    contained = into.setdefault("contained", [])
    name = f"{kind.lower()}-{len(contained) + 1}"
    contained.append({"resourceType": kind, "id": name, **resource})
    return f"#{name}"


def _contained(resource: Resource, reference: str | None) -> Resource | None:
    for each in resource.get("contained") or ():
        if reference == f"#{each.get('id')}":
            return {name: value for name, value in each.items() if name not in ("resourceType", "id")}
    return None


def participant(code: str) -> Seam:
    """Practitioners who take part in an encounter in one way."""

    def put(into: Resource, said: Resource) -> None:
        kind = {"coding": [{"system": PARTICIPATION, "code": code}]}
        reference = _contain(into, said, "Practitioner")
        into.setdefault("participant", []).append({"type": [kind], "individual": {"reference": reference}})

    def members(resource: Resource) -> Iterator[Resource]:
        for participant in resource.get("participant") or ():
            found = _contained(resource, element.get(participant, "individual.reference"))
            if element.get(participant, "type[0].coding[0].code") == code and found is not None:
                yield found

    return Seam(put, members)


def place(status: str) -> Seam:
    """Where somebody is, was, or will be: a place within its places, all contained."""

    def put(into: Resource, said: Resource) -> None:
        outer: str | None = None
        for place in reversed(list(_within(said))):
            part_of: Resource = {"partOf": {"reference": outer}} if outer is not None else {}
            outer = _contain(into, {**{n: v for n, v in place.items() if n != "partOf"}, **part_of}, "Location")
        into.setdefault("location", []).append({"location": {"reference": outer}, "status": status})

    def members(resource: Resource) -> Iterator[Resource]:
        for location in resource.get("location") or ():
            found = _joined(resource, element.get(location, "location.reference"))
            if location.get("status") == status and found is not None:
                yield found

    return Seam(put, members)


def _within(place: Resource) -> Iterator[Resource]:
    at: Resource | None = place
    while at:
        yield at
        at = at.get("partOf")


def _joined(resource: Resource, reference: str | None) -> Resource | None:
    found = _contained(resource, reference)
    if found is None:
        return None
    outer = _joined(resource, element.get(found, "partOf.reference"))
    inner = {name: value for name, value in found.items() if name != "partOf"}
    return {**inner, "partOf": outer} if outer is not None else inner
