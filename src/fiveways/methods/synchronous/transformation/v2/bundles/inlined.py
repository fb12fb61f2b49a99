"""Who and what a resource names, first put in the place of the reference, then contained and referred to; and back again.

A table reads `requester` as the practitioner that a field describes. Once all of a resource is read, what is in such places is
contained; before it is written, what is referred to is put back, whether it is contained, is another entry, or is only named.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from fiveways.methods.synchronous.transformation.v2.codes.general import ADDRESS_USE, TELECOM_USE
from fiveways.methods.synchronous.transformation.v2.tables.table import ALTERNATE_CODES, Resource

Resolve = Callable[[Any], Resource | None]
"""Finds the resource that a Reference leads to outside of the resource that has it."""
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


def unknown() -> Resource:
    """What stands where FHIR wants an element, and a message does not say it."""
    return {"extension": [{"url": _ABSENT, "valueCode": "unknown"}]}


def contain(into: Resource, resource: Resource, kind: str) -> Resource:
    """Put a resource into another, once; the Reference to it."""
    if kind == "Organization":
        resource = _nobodys_home(resource)
    contained = into.setdefault("contained", [])
    for each in contained:
        if each["resourceType"] == kind and {n: v for n, v in each.items() if n not in ("resourceType", "id")} == resource:
            return {"reference": f"#{each['id']}"}
    name = f"{kind.lower()}-{len(contained) + 1}"
    contained.append({"resourceType": kind, "id": name, **resource})
    return {"reference": f"#{name}"}


_HOME = {"address": (ADDRESS_USE, "H"), "telecom": (TELECOM_USE, "PRN")}
"""What a home is in HL7's tables, by the element of an organisation that is none in FHIR."""


def _nobodys_home(organization: Resource) -> Resource:
    """An organisation whose addresses and numbers are nobody's home: a code that says so is kept beside the use. One that is not
    named is said to be unknown."""
    made = dict(organization)
    for name, (codes, home) in _HOME.items():
        for each in (each for each in made.get(name, ()) if each.get("use") == "home"):
            del each["use"]
            concept = {"coding": [codes.coding(home)]}
            each["_use"] = {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}]}
    if not made.keys() & {"name", "identifier"}:
        made["_name"] = unknown()
    return made


def contain_place(into: Resource, place: Resource) -> Resource:
    """Put a place, and the places that it is part of, into a resource; the Reference to it."""
    inner = dict(place)
    if outer := inner.pop("partOf", None):
        inner["partOf"] = contain_place(into, outer)
    return contain(into, inner, "Location")


def resolve(resource: Resource, reference: Any, elsewhere: Resolve) -> Resource | None:
    """The resource that a Reference leads to; of one that only names it, as much as it says. Its type is in it."""
    if not isinstance(reference, dict):
        return None
    name = reference.get("reference")
    for each in resource.get("contained") or ():
        if isinstance(each, dict) and name == f"#{each.get('id')}":
            return each
    found = elsewhere(reference)
    if found is None and isinstance(reference.get("identifier"), dict):
        return {"resourceType": str(reference.get("type") or ""), "identifier": [reference["identifier"]]}
    return found


def inline(resource: Resource, reference: Any, elsewhere: Resolve, kind: str = "Practitioner") -> Resource | None:
    """What a Reference to a resource of a type leads to, without its type and id; a place with those that it is part of. A role is
    the practitioner who has it."""
    found = resolve(resource, reference, elsewhere)
    if found is None:
        return None
    if kind == "Practitioner" and found.get("resourceType") == "PractitionerRole":
        return inline(resource, found.get("practitioner"), elsewhere)
    if found.get("resourceType") not in (kind, ""):
        return None
    bare = {name: value for name, value in found.items() if name not in ("resourceType", "id", "meta", "text")}
    if outer := inline(resource, bare.pop("partOf", None), elsewhere, kind):
        bare["partOf"] = outer
    return bare


def picked(resource: Resource, *names: str) -> Resource:
    """Some of the elements of a resource, those that it has."""
    return {name: resource[name] for name in names if name in resource}


def _beside(name: str) -> str:
    """The other half of a primitive element: `_status` of `status`, and the other way round."""
    return name[1:] if name.startswith("_") else f"_{name}"


def _holds(known: Any, value: Any) -> bool:
    """Whether one value says all that another does."""
    if isinstance(known, dict) and isinstance(value, dict):
        return all(name in known and _holds(known[name], each) for name, each in value.items())
    if isinstance(known, list) and isinstance(value, list):
        return all(any(_holds(other, each) for other in known) for each in value)
    return bool(known == value)


def merge(into: Resource, more: Resource, whole: Container[str] = (), path: str = "") -> list[str]:
    """Put into a resource what another says; the paths at which they say different things, where the first stays. Lists are joined,
    and a member that is there is not put twice. What is at the paths in `whole` is one thing: whichever says all that the other
    does."""
    differing = []
    for name, value in more.items():
        at = f"{path}.{name}" if path else name
        known = into.get(name)
        if known is None and _beside(name) in into and _beside(name) not in more:
            differing.append(at)
        elif known is None:
            into[name] = value
        elif known == value:
            continue
        elif at in whole:
            if _holds(value, known):
                into[name] = value
            elif not _holds(known, value):
                differing.append(at)
        elif isinstance(known, dict) and isinstance(value, dict):
            differing += merge(known, value, whole, at)
        elif isinstance(known, list) and isinstance(value, list):
            known += [each for each in value if each not in known]
        else:
            differing.append(at)
    return differing
