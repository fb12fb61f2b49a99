"""SY06: an update whose outcome is awaited, and on which a person has to act first (S23)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment

_UPDATES = ("create", "update", "command", "task")


def find(deployment: Deployment) -> Found:
    """APIs whose `need:` is to change something, to hear what came of it, and that depends on a person or an offline process;
    a promise of work says that the outcome follows, and is none of them."""
    for name, api in deployment.apis.items():
        need = api.need
        if need is None or api.promises or need.intent not in _UPDATES or need.outcome != "outcome":
            continue
        for key, who in (("human_actor", "a person"), ("offline_process", "an offline process")):
            if getattr(need, key):
                yield ("apis", name, "need", key), f"the outcome is not known before {who} has acted"


rule = Rule(
    id="SY06",
    severity="warning",
    anti_pattern="The exchange ends long before the outcome is known, and the consumer takes a receipt for it.",
    best_practice="Answer with a promise of work, and let the outcome follow as a message.",
    statements=("S23", "A6"),
    find=find,
)
