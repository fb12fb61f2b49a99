"""The profiles of UK Core that resources say they conform to."""

from __future__ import annotations

from collections.abc import Iterable

from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_BASE = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
PROFILES = {
    kind: _BASE + kind
    for kind in (
        "Patient",
        "Encounter",
        "Observation",
        "Condition",
        "DiagnosticReport",
        "ServiceRequest",
        "Specimen",
        "Appointment",
        "DocumentReference",
        "AllergyIntolerance",
        "Practitioner",
        "Location",
        "Organization",
        "Procedure",
        "RelatedPerson",
    )
}
"""The profiles by the types of resources; a resource of another type says none."""


def declare(entries: Iterable[Resource]) -> None:
    """Say the profile of each entry's resource, where it has what the profile demands."""
    for entry in entries:
        resource = entry["resource"]
        profile = PROFILES.get(resource["resourceType"])
        if profile is not None and (resource["resourceType"] != "AllergyIntolerance" or "code" in resource):
            meta = resource.setdefault("meta", {})
            if profile not in meta.setdefault("profile", []):
                meta["profile"].append(profile)
