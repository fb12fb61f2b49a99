"""Practitioners, places and organisations, contained in the resource that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.tables.segment import Seam
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


def _contain(into: Resource, resource: Resource, kind: str) -> str:
    """Put a resource into another; the reference to it."""
    contained = into.setdefault("contained", [])
    name = f"{kind.lower()}-{len(contained) + 1}"
    contained.append({"resourceType": kind, "id": name, **resource})
    return f"#{name}"


def _contained(resource: Resource, reference: str | None, kind: str = "") -> Resource | None:
    for each in resource.get("contained") or ():
        if reference == f"#{each.get('id')}" and each.get("resourceType") == (kind or each.get("resourceType")):
            return {name: value for name, value in each.items() if name not in ("resourceType", "id", "meta")}
    return None


def participant(code: str) -> Seam:
    """Practitioners who take part in an encounter in one way."""

    def put(into: Resource, said: Resource) -> None:
        kind = {"coding": [{"system": PARTICIPATION, "code": code}]}
        reference = _contain(into, said, "Practitioner")
        into.setdefault("participant", []).append({"type": [kind], "individual": {"reference": reference}})

    def members(resource: Resource) -> Iterator[Resource]:
        for participant in resource.get("participant") or ():
            found = _contained(resource, element.get(participant, "individual.reference"), "Practitioner")
            if element.get(participant, "type[0].coding[0].code") == code and found is not None:
                yield found

    return Seam(put, members)


def referred(path: str, kind: str, *, many: bool = False) -> Seam:
    """Resources of a type that an element refers to, one or several."""

    def put(into: Resource, said: Resource) -> None:
        reference = {"reference": _contain(into, said, kind)}
        if many:
            into.setdefault(path, []).append(reference)
        else:
            element.put(into, path, reference)

    def members(resource: Resource) -> Iterator[Resource]:
        found = element.get(resource, path)
        for each in found if isinstance(found, list) else [found]:
            said = _contained(resource, element.get(each, "reference"), kind)
            if said is not None:
                yield said

    return Seam(put, members)


def place(*status: str, when: Callable[[Resource], int] = lambda into: 0) -> Seam:
    """Where somebody is, was, or will be: a place within its places, all contained. `status` are what that can be; `when` says
    which it is."""

    def put(into: Resource, said: Resource) -> None:
        outer: str | None = None
        for place in reversed(list(_within(said))):
            part_of: Resource = {"partOf": {"reference": outer}} if outer is not None else {}
            outer = _contain(into, {**{n: v for n, v in place.items() if n != "partOf"}, **part_of}, "Location")
        into.setdefault("location", []).append({"location": {"reference": outer}, "status": status[when(into)]})

    def members(resource: Resource) -> Iterator[Resource]:
        for location in resource.get("location") or ():
            found = _joined(resource, element.get(location, "location.reference"))
            if location.get("status") == status[when(resource)] and found is not None:
                yield found
                return

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
    outer = _joined({**resource, "contained": _others(resource, reference)}, element.get(found, "partOf.reference"))
    inner = {name: value for name, value in found.items() if name != "partOf"}
    return {**inner, "partOf": outer} if outer is not None else inner


def _others(resource: Resource, reference: str | None) -> list[Any]:
    """What is contained besides: a place is not part of itself, however far out."""
    return [each for each in resource.get("contained") or () if reference != f"#{each.get('id')}"]
