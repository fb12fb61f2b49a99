"""Which message says what a Bundle does: the type and event that it is tagged with, or those that its resources are usually said
in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.families.events import event_of
from fiveways.methods.synchronous.transformation.v2.messages import EVENTS, READ
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

BY_EVENT = {kind.partition("^")[2]: kind for kind in READ}


def kind_of_bundle(bundle: Resource) -> str | None:
    """`ADT^A31`; None where there is no message for it."""
    event = _said(bundle)
    if event is None:
        entries = [(entry.get("request") or {}, entry.get("resource") or {}) for entry in bundle.get("entry") or ()]
        for kind, usual in _USUAL:
            found = next(((request, resource) for request, resource in entries if resource.get("resourceType") == kind), None)
            if found is not None:
                return BY_EVENT.get(usual(*found))
        event = event_of(bundle)
    return BY_EVENT.get(event) if event is not None else None


def _said(bundle: Resource) -> str | None:
    """The event that a Bundle's tag, or its MessageHeader, says."""
    header = element.get(bundle, "entry[0].resource") or {}
    coding = [header["eventCoding"]] if header.get("resourceType") == "MessageHeader" and "eventCoding" in header else []
    for each in (*coding, *(element.get(bundle, "meta.tag") or ())):
        if each.get("system") == EVENTS and each.get("code") in BY_EVENT:
            return str(each["code"])
    return None


def _appointment(request: Resource, resource: Resource) -> str:
    if resource.get("status") in ("cancelled", "entered-in-error"):
        return "S15"
    return "S12" if request.get("method") == "POST" else "S14"


_USUAL: tuple[tuple[str, Callable[[Any, Any], str]], ...] = (
    ("Appointment", _appointment),
    ("DiagnosticReport", lambda request, resource: "R01"),
    ("ServiceRequest", lambda request, resource: "O21"),
    ("DocumentReference", lambda request, resource: "T02"),
)
"""The first of these that a Bundle has says which event it is; without any it is one of a visit, or of a patient."""
