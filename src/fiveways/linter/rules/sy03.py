"""SY03: information that is asked for otherwise than synchronously (S13, A11, A20)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows whose `need:` is to retrieve; an error where it is for direct care."""
    for name, workflow in deployment.workflows.items():
        need = workflow.need
        if need is not None and need.said("intent") == "retrieve":
            where, message = ("workflows", name, "need", "intent"), "a request for information, sent as a message"
            yield (where, message, "error") if need.purpose == "direct_care" else (where, message)


rule = Rule(
    id="SY03",
    severity="warning",
    anti_pattern="Whoever needs to know something waits for two mailboxes to be looked into, with the patient in front of them.",
    best_practice="Publish the information by a synchronous API; have a slow provider redesigned.",
    statements=("S13", "A11", "A20"),
    find=find,
)
