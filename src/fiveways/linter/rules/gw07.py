"""GW07: logic or state inside a gateway policy (S67); a middleware façade that has neither (S65)."""

from __future__ import annotations

from pathlib import Path

from fiveways.deployment.callables import load_callable
from fiveways.linter import code
from fiveways.linter.policies import policies
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment, base: Path) -> Found:
    """Policies that are seen to keep something, or to make calls of their own; façades that are plain functions."""
    for loc, name, policy in policies(deployment, base):
        if (why := code.state(policy)) is not None:
            yield loc, f"{name} has state: {why}"
        elif (module := code.client(policy)) is not None:
            yield loc, f"{name} makes calls of its own, by {module}"
    for name, api in deployment.apis.items():
        if api.facade is None:
            continue
        try:
            facade = load_callable(api.facade, base)
        except (ImportError, AttributeError):
            continue  # told of as a reference that leads nowhere
        if not isinstance(facade, type):
            yield ("apis", name, "facade"), f"{api.facade} is no class: it has no life of its own, and a policy will do", "note"


rule = Rule(
    id="GW07",
    severity="warning",
    anti_pattern="A gateway policy with a memory is an application nobody deploys, backs up or knows of; each process has its own.",
    best_practice="Make it a middleware façade (pattern: middleware), a class with a life cycle, on the debt register.",
    statements=("S65", "S67", "S68"),
    find_in_code=find,
)
