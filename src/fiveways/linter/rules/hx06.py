"""HX06: an HTTP exchange for a real-time need (A63)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Exchanges of APIs whose `need:` is full duplex, next to no latency, or a high rate of events."""
    for name in deployment.exchanges:
        need = deployment.apis[name].need
        if need is None:
            continue
        said = [key.replace("_", " ") for key in ("full_duplex", "near_zero_latency", "event_rate_high") if getattr(need, key)]
        if said:
            yield ("exchanges", name), f"its need says {' and '.join(said)}, which polling and callbacks do not give"


rule = Rule(
    id="HX06",
    severity="warning",
    anti_pattern="What should be told as it happens is asked for, again and again, and comes late.",
    best_practice="Use a real-time channel (channels:), which is made for it.",
    statements=("A63", "R5", "R6", "R7"),
    find=find,
)
