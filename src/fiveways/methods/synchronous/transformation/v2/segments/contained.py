"""Practitioners, places and organisations, contained in the resource that names them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.tables.segment import Seam
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

CLASSIFICATION = "http://hl7.org/fhir/StructureDefinition/subject-locationClassification"
"""HL7's extension for how somebody is in a place."""
_TEMPORARY: Resource = {"coding": [{"system": "http://hl7.org/fhir/subject-locationClassification", "code": "temporary"}]}
_SNOMED = "http://snomed.info/sct"
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


def performer(code: str) -> Seam:
    """Practitioners who had a hand in a procedure, by what they did (SNOMED CT); '' for those of whom that is not said."""

    def put(into: Resource, said: Resource) -> None:
        function = {"function": {"coding": [{"system": _SNOMED, "code": code}]}} if code else {}
        actor = {"reference": _contain(into, said, "Practitioner")}
        into.setdefault("performer", []).append({**function, "actor": actor})

    def members(resource: Resource) -> Iterator[Resource]:
        for each in resource.get("performer") or ():
            found = _contained(resource, element.get(each, "actor.reference"), "Practitioner")
            if (element.get(each, "function.coding[0].code") or "") == code and found is not None:
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


def _is_temporary(location: Resource) -> bool:
    return any(each.get("url") == CLASSIFICATION for each in location.get("extension") or ())


def _state(encounter: Resource) -> int:
    """Whether somebody is there (0), is expected (1), was there (2), or never was (3)."""
    if encounter.get("status") in _OVER:
        return _OVER[encounter["status"]]
    return int(encounter.get("status") == "planned" or element.get(encounter, "class.code") == "PRENC")


_OVER = {"finished": 2, "cancelled": 3, "entered-in-error": 3}
_STATES = ("active", "planned", "completed", None)
"""What a place is that somebody is in; of a visit that never was FHIR has nothing to say."""


def place(status: str = "", *, temporary: bool = False) -> Seam:
    """Where somebody is, was, or will be: a place within its places, all contained. `status` says which it is; without one it is
    where they are, as far as the state of the visit goes. `temporary`: they are there for a while only, and their place is another.

    What has the same state as where they are stands after it.
    """

    def state(encounter: Resource) -> str | None:
        return status or _STATES[_state(encounter)]

    def put(into: Resource, said: Resource) -> None:
        outer: str | None = None
        for place in reversed(list(_within(said))):
            part_of: Resource = {"partOf": {"reference": outer}} if outer is not None else {}
            outer = _contain(into, {**{n: v for n, v in place.items() if n != "partOf"}, **part_of}, "Location")
        stay: Resource = {"location": {"reference": outer}}
        if (now := state(into)) is not None:
            stay["status"] = now
        if temporary:
            stay = {"extension": [{"url": CLASSIFICATION, "valueCodeableConcept": _TEMPORARY}], **stay}
        into.setdefault("location", []).append(stay)

    def members(resource: Resource) -> Iterator[Resource]:
        found = [
            said
            for location in resource.get("location") or ()
            if location.get("status") == state(resource) and _is_temporary(location) is temporary
            if (said := _joined(resource, element.get(location, "location.reference"))) is not None
        ]
        before = int(bool(status) and _STATES[_state(resource)] == status)
        yield from found[before:][:1]

    return Seam(put, members)


def settle_places(encounter: Resource) -> None:
    """Say of the places where somebody is that they are what the state of the visit says, where that is known later."""
    now = _STATES[_state(encounter)]
    for location in encounter.get("location") or ():
        if location.get("status") == "active" and now != "active":
            location.pop("status")
            location.update({"status": now} if now is not None else {})


def current_place(resource: Resource) -> Resource | None:
    """Where somebody is, was, or will be, as it is contained: not for a while only."""
    now = _STATES[_state(resource)]
    for location in resource.get("location") or ():
        if location.get("status") == now and not _is_temporary(location):
            reference = element.get(location, "location.reference")
            return next((each for each in resource.get("contained") or () if reference == f"#{each.get('id')}"), None)
    return None


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
