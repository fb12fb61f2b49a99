"""GW06: a debt plan whose day has come, or is near (S62, S63)."""

from __future__ import annotations

from datetime import UTC, datetime

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment

NEAR = 90
"""Days before its end at which a plan is near."""


def find(deployment: Deployment) -> Found:
    """`debt:` whose `retire_by:` is past (an error), or less than three months away."""
    today = datetime.now(UTC).date()
    for name, api in deployment.apis.items():
        if api.debt is None:
            continue
        left = (api.debt.retire_by - today).days
        where = ("apis", name, "debt", "retire_by")
        if left < 0:
            yield where, f"{api.debt.owner} was to have retired this by {api.debt.retire_by}, {-left} days ago", "error"
        elif left < NEAR:
            yield where, f"{api.debt.owner} is to have retired this by {api.debt.retire_by}, in {left} days"


rule = Rule(
    id="GW06",
    severity="warning",
    anti_pattern="A plan that nobody looks at again is none: the short term that justified the façade goes on for years.",
    best_practice="Retire the façade, or have its owner agree on another day and say why.",
    statements=("S62", "S63", "S71"),
    find=find,
)
