"""Several answers as one FHIR Bundle (R4 §2.36): what was found, and for what was not found out, why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fiveways.errors import Cause
from fiveways.fhir.outcome import partial_outcome


def searchset(resources: Iterable[Mapping[str, Any]], causes: Iterable[Cause] = ()) -> dict[str, Any]:
    """A Bundle of resources, the entries of Bundles among them, each marked as a match; and an OperationOutcome for each cause."""
    entries = [{**entry, "search": {"mode": "match"}} for resource in resources for entry in _entries(resource)]
    missing = [{"resource": partial_outcome(cause), "search": {"mode": "outcome"}} for cause in causes]
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": [*entries, *missing]}


def _entries(resource: Mapping[str, Any]) -> list[dict[str, Any]]:
    if resource.get("resourceType") != "Bundle":
        return [{"resource": resource}]
    kept = ("fullUrl", "resource")
    return [{key: entry[key] for key in kept if key in entry} for entry in resource.get("entry", ()) if "resource" in entry]
