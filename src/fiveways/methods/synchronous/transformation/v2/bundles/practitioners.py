"""Practitioners, places and organisations that are known by an identifier: entries of their own.

Tables contain whom and what a segment names in the resource that names them. Who has an identifier that others can find them by is
made where they are not there yet, and referred to; who has none stays where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fiveways.methods.synchronous.transformation.v2.bundles.gathering import LIFTED
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, is_known
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def lift(reading: Reading) -> None:
    """Make entries of those that are contained in the entries there are, and known by an identifier."""
    for entry in tuple(reading.entries):
        contained = entry["resource"].get("contained")
        if contained and any(each["resourceType"] in LIFTED and is_known(each) for each in contained):
            _lift_from(entry["resource"], contained, reading)


def _lift_from(resource: Resource, contained: list[Resource], reading: Reading) -> None:
    del resource["contained"]
    names: dict[str, str] = {}
    kept: list[Resource] = []
    for each in contained:
        if each["resourceType"] not in LIFTED or not is_known(each):
            kept.append(each)
            continue
        own = {name: value for name, value in each.items() if name != "id"}
        if "partOf" in own and (within := _renamed(own, names, kept)):
            own["contained"] = within
        found = reading.find(own)
        if found is not None and any(found.get(name) != value for name, value in own.items()):
            kept.append(each)  # somebody else is said to have the same identifier, or the same person is called otherwise
            continue
        names[f"#{each['id']}"] = reading.add(own, named=True)
    for each in kept:
        if "partOf" in each or each["resourceType"] not in LIFTED:
            _renamed(each, names, ())
    if needed := _renamed(resource, names, kept):
        resource["contained"] = needed


def _renamed(resource: Resource, names: Mapping[str, str], contained: Sequence[Resource]) -> list[Resource]:
    """Put the references that things have now in the place of those that they had in a resource. Returns those of what is contained
    that it refers to, and those that they refer to."""
    wanted = set()
    for holder in _references(resource):
        reference = holder["reference"]
        if reference[0] == "#":
            holder["reference"] = names.get(reference, reference)
            wanted.add(reference)
    found: list[Resource] = []
    for each in reversed(contained):
        if f"#{each['id']}" in wanted:
            found.insert(0, each)
            wanted |= {holder["reference"] for holder in _references(each)}
    return found


def _references(resource: Resource) -> Iterator[Resource]:
    """Whatever in a resource refers to something."""
    left: list[Any] = [resource]
    while left:
        value = left.pop()
        if type(value) is dict:
            if "reference" in value:
                yield value
            else:
                left += [each for each in value.values() if type(each) is not str]
        elif type(value) is list:
            left += value
