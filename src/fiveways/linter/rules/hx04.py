"""HX04: long polling (A60, A61)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Exchanges with `long_poll:`."""
    for name, exchange in deployment.exchanges.items():
        if exchange.long_poll is not None:
            yield ("exchanges", name, "long_poll"), "requests are held open until there is an outcome"


rule = Rule(
    id="HX04",
    severity="warning",
    anti_pattern="Each consumer that waits holds a connection, and whatever stands between must hold it too.",
    best_practice="Prefer short polling, or a real-time channel, as the tactical step.",
    statements=("A60", "A61"),
    find=find,
)
