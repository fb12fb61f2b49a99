"""GW08: a façade over a back end that already conforms (S61, S69)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Façades that hide something old, whose `need:` says that the back end is conformant."""
    for name, api in deployment.apis.items():
        if api.hides_debt and api.need is not None and api.need.said("backend") == "conformant":
            yield ("apis", name, "pattern"), f"the back end is conformant, so that there is nothing for a {api.pattern} to hide"


rule = Rule(
    id="GW08",
    severity="warning",
    anti_pattern="A façade that has nothing to hide costs its owner, and may come to hide something.",
    best_practice="Publish the back end by a simple pass-through.",
    statements=("S61", "S69"),
    find=find,
)
