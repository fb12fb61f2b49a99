"""HX02: a person acts before the outcome of an HTTP exchange is known (A56)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Exchanges of APIs whose `need:` has a human actor."""
    for name in deployment.exchanges:
        need = deployment.apis[name].need
        if need is not None and need.human_actor:
            yield ("exchanges", name), "a person acts before the outcome is known, and consumers are kept polling for days"


rule = Rule(
    id="HX02",
    severity="error",
    anti_pattern="Consumers poll, or hold connections open, for what a person will do when they get to it.",
    best_practice="Use messaging: the request is a message, and the outcome another.",
    statements=("A56", "A6"),
    find=find,
)
