"""Several answers as one FHIR Bundle (R4 §2.36): what was found, and for what was not found out, why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fiveways.errors import Cause

STATUS = "https://www.rfc-editor.org/rfc/rfc9110"
"""The system of a coding whose code is an HTTP status."""


def searchset(resources: Iterable[Mapping[str, Any]], causes: Iterable[Cause] = ()) -> dict[str, Any]:
    """A Bundle of resources, the entries of Bundles among them, each marked as a match; and an OperationOutcome for each cause."""
    entries = [{**entry, "search": {"mode": "match"}} for resource in resources for entry in _entries(resource)]
    missing = [{"resource": outcome(cause), "search": {"mode": "outcome"}} for cause in causes]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": [*entries, *missing]}


def outcome(cause: Cause) -> dict[str, Any]:
    """An OperationOutcome that says what could not be had, with the status that it was answered with."""
    return {"resourceType": "OperationOutcome", "issue": [issue(cause, "warning")]}


def issue(cause: Cause, severity: str) -> dict[str, Any]:
    """An issue of an OperationOutcome."""
    coding = [{"system": STATUS, "code": str(cause.status)}] if cause.status is not None else []
    return {
        "severity": severity,
        "code": cause.issue,
        "details": {"coding": coding, "text": cause.code},
        "diagnostics": f"{cause.name}: {cause.diagnostics}",
    }


def _entries(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    if resource.get("resourceType") != "Bundle":
        return [{"resource": resource}]
    kept = ("fullUrl", "resource")
    return [{key: entry[key] for key in kept if key in entry} for entry in resource.get("entry", ()) if "resource" in entry]
