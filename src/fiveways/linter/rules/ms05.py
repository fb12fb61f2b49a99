"""MS05: something urgent, sent as a message (A43)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows with `need: {urgent: true}`."""
    for name, workflow in deployment.workflows.items():
        if workflow.need is not None and workflow.need.urgent:
            yield ("workflows", name, "need", "urgent"), "the recipient must act at once, and looks into its mailbox now and then"


rule = Rule(
    id="MS05",
    severity="warning",
    anti_pattern="A message waits until its recipient collects it, and nobody is alarmed before it expires.",
    best_practice="Ask synchronously, so that a failure shows at once; where a person must act first, have a promise of work "
    "answered and send the outcome as a message.",
    statements=("A43", "A6"),
    find=find,
)
