"""Observations as OBX and NTE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import Resolve, inline, picked, resolve
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.codes.orders import OBSERVATION_STATUS
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import ranged
from fiveways.methods.synchronous.transformation.v2.datatypes.values import type_of
from fiveways.methods.synchronous.transformation.v2.families.observing import DIRECTOR, PERFORMER
from fiveways.methods.synchronous.transformation.v2.segments.observation import NTE, OBX, OBX_ANY
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def write_observation(writing: Writing, observation: Resource, number: int, omit: Resource | None = None) -> int:
    """Add the OBX and NTE segments of an observation; the number of the last. `omit` are elements that what stands before says."""
    said = _as_said(observation, writing.resolve, omit or {})
    components = [each for each in observation.get("component") or () if each.get("code") != observation.get("code")]
    _write_obx(writing, said, number)
    write_notes(writing, observation)
    for component in components:
        number += 1
        shared = picked(said, "status", "_status", "effectiveDateTime")
        _write_obx(writing, {**shared, **component, "values": [_value_of(component)]}, number)
    return number


def _write_obx(writing: Writing, said: Resource, number: int) -> None:
    kind = next((found for value in said["values"] if (found := type_of(value))), "")
    segment = writing.write(OBX.get(kind, OBX_ANY), said, number)
    if kind:
        segment.set(kind, 2)


def _as_said(observation: Resource, elsewhere: Resolve, omit: Resource) -> Resource:
    """An observation as the tables of OBX have it."""
    said = {name: value for name, value in observation.items() if omit.get(name) != value}
    said["values"] = list(_values(observation, elsewhere))
    if reference := observation.get("referenceRange"):
        said["referenceRange"] = [{"text": ranged(reference[0])}]
    if "effectivePeriod" in said and (start := element.get(said, "effectivePeriod.start")):
        said["effectiveDateTime"] = start
    if named := next((each for each in observation.get("contained") or () if _is_it(each, observation.get("specimen"))), None):
        said["specimen"] = named
    else:
        said.pop("specimen", None)
    said["performer"] = []
    for reference in observation.get("performer") or ():
        function = element.get(reference, "extension[0].valueCodeableConcept")
        if person := inline(observation, reference, elsewhere):
            if function == DIRECTOR:
                said["director"] = person
            else:
                said["performer"].append(person)
        elif organization := inline(observation, reference, elsewhere, "Organization"):
            said["organization" if function == PERFORMER else "producer"] = organization
    if "status" not in said or (said["status"] == "unknown" and "_status" not in said):
        said.pop("status", None)
    return said


def _is_it(contained: Resource, reference: Any) -> bool:
    return bool(element.get(reference, "reference") == f"#{contained.get('id')}")


def _values(observation: Resource, elsewhere: Resolve) -> Iterator[Resource]:
    if value := _value_of(observation):
        yield value
    for component in observation.get("component") or ():
        if component.get("code") == observation.get("code"):
            yield _value_of(component)
    for reference in observation.get("derivedFrom") or ():
        document = resolve(observation, reference, elsewhere) or {}
        if document.get("resourceType") == "DocumentReference":
            for content in document.get("content") or ():
                yield {"attachment": content.get("attachment") or {}}


def _value_of(element_of: Resource) -> Resource:
    """The value of an observation, or of a component; a truth as Y or N (table 0136)."""
    for name, value in element_of.items():
        if name == "valueBoolean":
            coding = {"system": f"{OBSERVATION_STATUS.system[:-4]}0136", "code": "Y" if value else "N"}
            return {"valueCodeableConcept": {"coding": [coding]}}
        if name.startswith("value"):
            return {name: value}
    return {}


def write_notes(writing: Writing, resource: Resource) -> None:
    """Add the NTE segments of a resource that has notes."""
    for number, note in enumerate(resource.get("note") or (), start=1):
        write_note(writing, note, resource, number)


def write_note(writing: Writing, note: Resource, owner: Resource, number: int) -> None:
    """Add the NTE segment of a note."""
    author: Any = inline(owner, note.get("authorReference"), writing.resolve)
    writing.write(NTE, {**note, **({"author": author} if author else {})}, number)
