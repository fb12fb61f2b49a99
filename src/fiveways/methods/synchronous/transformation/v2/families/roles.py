"""Who takes part, in which role: ROL after PID is a general practitioner, ROL after PV1 takes part in the visit.

Other roles that somebody has for a patient may be those of a care team, or of nobody who cares for them: they are told of.
"""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, contain_place, inline, picked, resolve
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.segments.role import ROL
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_PRIMARY = "PP"
"""The primary care provider, in HL7's table of roles (0443)."""
_TAKEN_AWAY = "DE"


def read_general_practitioners(reading: Reading, patient: Resource) -> None:
    """Put the general practitioners of ROL into a patient."""
    for segment in _after(reading, "PID"):
        if segment.value(3, 1, 1) == _PRIMARY and segment.value(3, 1, 3) in ("HL70443", ""):
            role = _role(reading, segment, patient)
            if role:
                patient.setdefault("generalPractitioner", []).append(contain(patient, role, "PractitionerRole"))


def read_participants(reading: Reading, visit: Resource) -> None:
    """Put those who take part into a visit."""
    for segment in _after(reading, "PV1"):
        role = _role(reading, segment, visit)
        participant: Resource = {}
        if types := role.pop("code", None):
            participant["type"] = types
        if period := role.pop("period", None):
            participant["period"] = period
        if role:
            participant["individual"] = contain(visit, role, "PractitionerRole")
        if participant:
            visit.setdefault("participant", []).append(participant)


def _after(reading: Reading, name: str) -> Iterator[Segment]:
    """ROL segments of what a segment says, those that are taken away not among them."""
    of = ""
    for segment in reading.message.segments:
        if segment.name in ("PID", "PV1", "PR1", "IN1"):
            of = segment.name
        elif segment.name == "ROL" and of == name and segment.value(2) != _TAKEN_AWAY:
            yield segment


def _role(reading: Reading, segment: Segment, owner: Resource) -> Resource:
    """A role; who has it, and where, are contained in its owner."""
    said = reading.read(ROL, segment, {})
    if person := said.pop("practitioner", None):
        said["practitioner"] = contain(owner, person, "Practitioner")
    if place := said.pop("location", None):
        said["location"] = [contain_place(owner, place)]
    if organization := said.pop("organization", None):
        said["organization"] = contain(owner, organization, "Organization")
    return said


def write_general_practitioners(writing: Writing, patient: Resource) -> None:
    """Add the ROL segments of a patient."""
    for reference in patient.get("generalPractitioner") or ():
        if (role := _role_of(writing, patient, reference)) is not None:
            _write(writing, {"code": [{"coding": [{"system": _ROLES, "code": _PRIMARY}]}], **role})


_ROLES = "http://terminology.hl7.org/CodeSystem/v2-0443"


def write_participants(writing: Writing, visit: Resource) -> None:
    """Add the ROL segments of a visit."""
    for participant in visit.get("participant") or ():
        if (role := _role_of(writing, visit, participant.get("individual"))) is not None:
            said = {**role, "code": participant.get("type") or role.get("code") or []}
            _write(writing, {**said, **picked(participant, "period")})


def _role_of(writing: Writing, owner: Resource, reference: object) -> Resource | None:
    """A role with who has it, and where; None where it is none."""
    found = resolve(owner, reference, writing.resolve)
    if found is None or found.get("resourceType") != "PractitionerRole":
        return None
    role = {name: value for name, value in found.items() if name not in ("practitioner", "location", "organization")}
    for name, path, kind in (
        ("practitioner", "practitioner", "Practitioner"),
        ("location", "location[0]", "Location"),
        ("organization", "organization", "Organization"),
    ):
        if said := inline(owner, element.get(found, path), writing.resolve, kind):
            role[name] = said
    return role


def _write(writing: Writing, role: Resource) -> None:
    segment = writing.write(ROL, role)
    segment.set("UC", 2)
