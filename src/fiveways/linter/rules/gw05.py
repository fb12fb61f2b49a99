"""GW05: a façade that hides something old, and no plan to be rid of it (S62, S70)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Façades that hide something old, without `debt:`."""
    for name, api in deployment.apis.items():
        if api.hides_debt and api.debt is None:
            yield ("apis", name), f"a {api.pattern} hides technical debt, and nothing says who pays it off, and by when"


rule = Rule(
    id="GW05",
    severity="error",
    anti_pattern="What a façade hides stays for good: nobody owns it, and every consumer depends on the façade.",
    best_practice="Declare debt: {owner, reason, target, retire_by}; `fiveways debt` prints the register of them all.",
    statements=("S62", "S63", "S70", "S71"),
    find=find,
)
