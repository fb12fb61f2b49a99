"""A transformer of one's own: an old laboratory answers with lines of text, and consumers want Observations."""

from __future__ import annotations

import json
from typing import Any

from fiveways.errors import Fault, MethodNotAllowed, ProviderFaulty
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Coverage, Place

LOINC = "http://loinc.org"
TESTS = {"K": ("2823-3", "Potassium", "mmol/L"), "NA": ("2951-2", "Sodium", "mmol/L")}


class Laboratory:
    """`GET /Observation?patient=X` is `GET /results/X`, whose lines say CODE|VALUE."""

    def __init__(self, place: Place) -> None:
        self._ward = place.options["ward"]

    def ask(self, asked: Asked) -> Asked:
        """What the laboratory is asked."""
        if asked.method != "GET" or asked.path != "/Observation":
            raise MethodNotAllowed("Results are searched for", headers={"Allow": "GET"})
        return Asked("GET", f"/results/{asked.query.get('patient', '')}", {"ward": self._ward}, "", b"")

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """What the consumer is answered."""
        if answered.status != 200:
            raise ProviderFaulty(f"The laboratory answered {answered.status}")
        coverage = Coverage()
        entries = []
        for number, line in enumerate(answered.content.decode("latin-1").splitlines(), start=1):
            code, _, value = line.partition("|")
            if code not in TESTS:
                coverage.unmapped.append(f"line {number}")
                continue
            entries.append({"resource": observation(code, value), "search": {"mode": "match"}})
            coverage.mapped += 1
        asked.kind, asked.coverage = "results", coverage
        bundle = {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}
        return Answered(200, "application/fhir+json", json.dumps(bundle).encode())

    def refuse(self, asked: Asked, fault: Fault) -> None:
        """As the API says its faults: an OperationOutcome."""


def observation(code: str, value: str) -> dict[str, Any]:
    """One line as an Observation."""
    loinc, display, unit = TESTS[code]
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": loinc, "display": display}]},
        "valueQuantity": {"value": float(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }
