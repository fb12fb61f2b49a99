"""HX03: polling without back-off (A54)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Exchanges whose longest time between two questions is not above the first."""
    for name, exchange in deployment.exchanges.items():
        if exchange.poll.longest < 2 * exchange.poll.first:
            where = ("exchanges", name, "poll", "longest")
            yield where, "who has waited for long is told to ask again as soon as who has just begun"


rule = Rule(
    id="HX03",
    severity="warning",
    anti_pattern="All consumers ask at the same pace however long it takes, and are most when the provider is slowest.",
    best_practice="Let poll.longest be well above poll.first; half a minute and a second are the defaults.",
    statements=("A54",),
    find=find,
)
