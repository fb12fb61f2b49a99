"""HX01: an exchange whose transition is due or over (A49, A50)."""

from __future__ import annotations

from datetime import UTC, datetime

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """`transitional:` whose `retire_by:` is past, or less than three months away (a warning)."""
    today = datetime.now(UTC).date()
    for name, exchange in deployment.exchanges.items():
        said = exchange.transitional
        where, left = ("exchanges", name, "transitional", "retire_by"), (said.retire_by - today).days
        if left < 0:
            yield where, f"it was to be {said.target} by {said.retire_by}, {-left} days ago"
        elif left < 90:
            yield where, f"it is to be {said.target} by {said.retire_by}, in {left} days", "warning"


rule = Rule(
    id="HX01",
    severity="error",
    anti_pattern="What was to be a step on the way stays, and with it all that consumers had to build for it.",
    best_practice="Move to the target, or agree on another day: consumers are told of it by the answers themselves.",
    statements=("A49", "A50"),
    find=find,
)
