"""HX08: a callback with no reason given against short polling (A67)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """`callback:` without `reason:`."""
    for name, exchange in deployment.exchanges.items():
        if exchange.callback is not None and not exchange.callback.reason.strip():
            yield ("exchanges", name, "callback"), "nothing says why polling is not enough"


rule = Rule(
    id="HX08",
    severity="warning",
    anti_pattern="Consumers build and run a server for what they could have asked for.",
    best_practice="Say the reason, or have consumers poll.",
    statements=("A65", "A67"),
    find=find,
)
