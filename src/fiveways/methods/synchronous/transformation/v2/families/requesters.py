"""Who orders, where, and for whom: a practitioner, or one in a role at an organisation (ORC-12, and ORC-21 to 24)."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, inline, picked, resolve
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def place_requester(request: Resource) -> None:
    """Contain who orders in a request."""
    person = request.pop("requester", {})
    if addresses := request.pop("addresses", None):
        person = {**person, "address": addresses}
    facility = request.pop("facility", None)
    who = contain(request, person, "Practitioner") if person else None
    if facility:
        role: Resource = {"practitioner": who} if who else {}
        role["organization"] = contain(request, facility, "Organization")
        who = contain(request, role, "PractitionerRole")
    if who:
        request["requester"] = who


def requester_as_said(writing: Writing, request: Resource) -> Resource:
    """A request with who orders as ORC and OBR have them."""
    reference = request.get("requester")
    said = {name: value for name, value in request.items() if name != "requester"}
    person = inline(request, reference, writing.resolve)
    found = resolve(request, reference, writing.resolve) or {}
    role = found if found.get("resourceType") == "PractitionerRole" else {}
    if person:
        said["requester"] = {name: value for name, value in person.items() if name != "address"}
        said |= {"addresses": person["address"]} if person.get("address") else {}
    if facility := inline(request, role.get("organization"), writing.resolve, "Organization"):
        said["facility"] = picked(facility, "name", "identifier", "address", "telecom")
    return {name: value for name, value in said.items() if value}
