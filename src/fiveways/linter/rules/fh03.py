"""FH03: messages that are no FHIR messages (A46)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows without `payload: fhir-message`; not in a sandbox."""
    if deployment.messaging.sandbox:
        return
    for name, workflow in deployment.workflows.items():
        if workflow.payload is None:
            yield ("workflows", name), "its messages may be anything"


rule = Rule(
    id="FH03",
    severity="warning",
    anti_pattern="What a message means is agreed from pair to pair, and found out to be wrong by whoever opens it.",
    best_practice="Send FHIR messages, and have them checked when they come in: payload: fhir-message.",
    statements=("A46",),
    find=find,
)
