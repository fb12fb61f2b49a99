"""MS07: messages of which nobody has said what happens when they fail (A45)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows without `failures:`, or with nothing in it; not in a sandbox."""
    if deployment.messaging.sandbox:
        return
    for name, workflow in deployment.workflows.items():
        if workflow.failures is None or not (workflow.failures.told or workflow.failures.worked_by):
            yield ("workflows", name), "nothing is declared of messages that fail"


rule = Rule(
    id="MS07",
    severity="warning",
    anti_pattern="The report of a message that nobody collected comes days later into a mailbox that a program empties, and no "
    "person learns that a patient's letter was never read.",
    best_practice="Declare failures: {worked_by: who deals with them, told: [mailboxes that are told besides the sender]}, and "
    "undelivered_after: where five days are too long.",
    statements=("A45", "A13"),
    find=find,
)
