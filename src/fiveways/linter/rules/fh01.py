"""FH01: an API that does not say which data model it exchanges (S41)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """APIs without `model:`."""
    for name, api in deployment.apis.items():
        if api.model is None:
            yield ("apis", name), "no data model is declared"


rule = Rule(
    id="FH01",
    severity="warning",
    anti_pattern="Consumers cannot tell what they will get, and nobody can tell whether it is the current standard.",
    best_practice="Declare model: {fhir: {version: R4, profiles: uk-core}}, or {other: NAME} where it is not FHIR.",
    statements=("S41",),
    find=find,
)
