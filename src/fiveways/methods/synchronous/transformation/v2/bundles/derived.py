"""Identifiers of what has none of its own, so that the same thing said again is found again, and not made twice.

An identifier that is derived has the system of URIs (`urn:ietf:rfc:3986`), and its value is a UUID (`urn:uuid:…`, version 5 of RFC
4122) of what the thing is, whose it is, and what tells it from others of its kind. It stands for what a message says, and is of no
sender's: it is not written back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from uuid_utils import UUID, uuid5

from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.reading import is_known, search
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

SYSTEM = "urn:ietf:rfc:3986"
_NAMESPACE = UUID("c1f6a2c2-51a9-5a2b-9c0e-6f6a0c1b7d55")


def derive(made: Resource, *parts: str, seen: dict[str, int] | None = None) -> None:
    """Give a resource that no identifier finds one that follows from its type and `parts`: one without the first part, which is
    whose it is, gets none. `seen` counts those that are alike: the second is another than the first."""
    if is_known(made) or not parts[0]:
        return
    name = " ".join((made["resourceType"], *parts))
    if seen is not None:
        seen[name] = seen.get(name, 0) + 1
        name = f"{name} {seen[name]}"
    made.setdefault("identifier", []).append({"system": SYSTEM, "value": f"urn:uuid:{uuid5(_NAMESPACE, name)}"})


@dataclass(frozen=True, slots=True)
class Owner:
    """What things belong to that have no identifier of their own: an order by its number, and what it orders. `parts` are what
    finds it; of one that nothing finds nothing is found. `seen` counts the things of a message that are alike."""

    parts: tuple[str, ...] = ("",)
    seen: dict[str, int] = field(default_factory=dict)

    def derive(self, made: Resource, *parts: str) -> None:
        """Give a resource that no identifier finds one that follows from its owner, and from what tells it from its owner's other
        things."""
        derive(made, *self.parts, *parts, seen=self.seen)


def number_of(message: Message, identifiers: Iterable[Any]) -> str:
    """The first of some identifiers with who gives it: its system, or the sender and what the sender calls who does; '' where that
    is not said."""
    for each in identifiers:
        value, system = each.get("value"), each.get("system")
        sender = message.get("MSH-4") or message.get("MSH-3")
        if value and (system or sender):
            return f"{system}|{value}" if system else f"{sender}|{element.get(each, 'assigner.display') or ''}|{value}"
    return ""


def found_by(message: Message, resource: Resource) -> str:
    """What finds a resource: its search, or a number of it and its sender; '' where nothing does."""
    return search(resource) if is_known(resource) else number_of(message, resource.get("identifier", ()))


def is_derived(identifier: Any) -> bool:
    """Whether an identifier is none that somebody gave."""
    value = str(element.get(identifier, "value") or "")
    return element.get(identifier, "system") == SYSTEM and value.startswith("urn:uuid:")


def given(resource: Resource) -> list[Any]:
    """The identifiers that somebody gave a resource."""
    return [each for each in resource.get("identifier") or () if not is_derived(each)]


def code_of(concept: Resource) -> str:
    """What tells a concept from others: its first code, or its text."""
    coding: Any = element.get(concept, "coding[0]") or {}
    return f"{coding.get('system', '')}|{coding.get('code', '')}" if coding else str(concept.get("text", ""))
