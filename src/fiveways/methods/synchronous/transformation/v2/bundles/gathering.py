"""Practitioners, places and organisations that are entries, contained in what refers to them: as tables write them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

LIFTED = frozenset(("Practitioner", "Location", "Organization"))
"""The types of those that are contained in what names them, or entries of their own."""


def gathered(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    """The resources, each with those practitioners, places and organisations contained in it that it refers to."""
    known = {**by_type_and_id(resources), **resources}
    return {
        url: resource if resource.get("resourceType") in LIFTED else _gather(resource, known) for url, resource in resources.items()
    }


def by_type_and_id(resources: Mapping[str, Resource]) -> dict[str, Resource]:
    """The resources by their relative URLs: `Patient/1`."""
    return {f"{each.get('resourceType')}/{each['id']}": each for each in resources.values() if "id" in each}


def _gather(resource: Resource, known: Mapping[str, Resource]) -> Resource:
    """A copy of a resource in which what it refers to is contained; what is not touched is shared with it."""
    names: dict[str, str] = {}
    contained: list[Resource] = []

    def local(reference: str) -> str:
        found = known.get(reference)
        if found is None or found.get("resourceType") not in LIFTED:
            return reference
        if reference not in names:
            names[reference] = f"#entry-{len(names) + 1}"
            own = copied({name: value for name, value in found.items() if name not in ("id", "meta", "contained")})
            contained.append({**own, "id": names[reference].removeprefix("#")})
            contained.extend(copied(each) for each in found.get("contained") or ())
        return names[reference]

    def copied(value: Any) -> Any:
        if isinstance(value, dict):
            made = {name: copied(each) if isinstance(each, dict | list) else each for name, each in value.items()}
            if isinstance(made.get("reference"), str):
                made["reference"] = local(made["reference"])
            return made
        return [copied(each) for each in value] if isinstance(value, list) else value

    made: Resource = copied(resource)
    if contained:
        made["contained"] = [*(made.get("contained") or ()), *contained]
    return made
