"""HX05: long polling behind the gateway (A62)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Long polling at a listener that the gateway answers too."""
    for name, exchange in deployment.exchanges.items():
        said = exchange.long_poll
        if said is None:
            continue
        listener = deployment.listeners.get(said.listener)
        if listener is not None and not listener.long_poll:
            where = ("exchanges", name, "long_poll", "listener")
            yield where, f"the gateway answers at {said.listener}, and does not hold requests: they are answered at once"


rule = Rule(
    id="HX05",
    severity="error",
    anti_pattern="An API proxy bounds every request, and holding them uses up what others need.",
    best_practice="Give long polling a listener of its own: listeners: {waiting: {http: ADDRESS, long_poll: true}}.",
    statements=("A62",),
    find=find,
)
