"""FH04: an exchange that is no FHIR http (A69)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Exchanges of APIs whose model is not FHIR."""
    for name in deployment.exchanges:
        model = deployment.apis[name].model
        if model is None or model.fhir is None:
            yield ("exchanges", name), "what is exchanged is no FHIR, so that becoming synchronous will change it too"


rule = Rule(
    id="FH04",
    severity="warning",
    anti_pattern="The way out of the exchange begins with another data model.",
    best_practice="Exchange UK Core resources by FHIR http interactions: model: {fhir: {version: R4}}.",
    statements=("A69",),
    find=find,
)
