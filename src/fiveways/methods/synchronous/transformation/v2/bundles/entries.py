"""Entries that an identifier alone does not tell apart, and what they have in common."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import merge
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def enter(reading: Reading, resource: Resource, *, named: bool = False, by_code: bool = False) -> str:
    """Make an entry; the reference to it. `named`: what is there is not changed.

    `by_code`: one number may be of several tests, so that the code is searched for too, and what is found twice in a message is two
    entries. Of anything else the second entry adds to the first.
    """
    asked = search(resource) if resource.get("identifier") else ""
    if asked and by_code and (code := _code(resource)):
        asked += f"&code={code}"
    known = reading.entry(asked) if asked else None
    if known is None:
        return reading.add(resource, named=named, asked=asked)
    if by_code:
        return reading.add(resource, asked="")
    merge(known["resource"], resource)
    return str(known["fullUrl"])


def entered(reading: Reading, reference: Any) -> Resource | None:
    """The resource of the entry that a Reference leads to; None where there is none."""
    entry = reading.entry_at(str(element.get(reference, "reference")))
    return entry["resource"] if entry is not None else None


def refer(reference: str | None) -> Resource:
    """A Reference to an entry, as an element: {} where there is none."""
    return {"reference": reference} if reference else {}


def _code(resource: Resource) -> str:
    coding: Any = element.get(resource, "code.coding[0]") or {}
    if not coding.get("code"):
        return ""
    return quote(f"{coding['system']}|{coding['code']}" if coding.get("system") else str(coding["code"]), safe=":/")
