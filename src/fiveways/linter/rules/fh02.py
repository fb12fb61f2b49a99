"""FH02: a synchronous API that is no FHIR http (S48)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """APIs whose model is said not to be FHIR, and that have no plan of how that ends (`debt:`); exchanges are FH04's."""
    for name, api in deployment.apis.items():
        if name not in deployment.exchanges and api.debt is None and api.model is not None and api.model.fhir is None:
            yield ("apis", name, "model"), f"what is exchanged is {api.model.other}, and no FHIR"


rule = Rule(
    id="FH02",
    severity="warning",
    anti_pattern="Each consumer writes a client of its own for a model of its own.",
    best_practice="Exchange UK Core resources by FHIR http interactions, or an operation where it is a business service; where "
    "that cannot be yet, write down how it ends (debt:), and where it never will be, suppress this and say why.",
    statements=("S48",),
    find=find,
)
