"""MS01: a message whose outcome is to be heard, and no response that reaches whoever sent it (A3)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows without `acknowledged_by:` that are no answers themselves, and answers that do not reach every sender; not in a
    sandbox."""
    if deployment.messaging.sandbox:
        return
    workflows = deployment.workflows
    answers = {workflow.acknowledged_by for workflow in workflows.values()}
    for name, workflow in workflows.items():
        if workflow.acknowledged_by is not None:
            answer = workflows[workflow.acknowledged_by]
            where = ("workflows", name, "acknowledged_by")
            deaf = sorted(set(workflow.senders) - set(answer.receivers)) if answer.receivers else []
            mute = sorted(set(workflow.receivers) - set(answer.senders)) if answer.senders else []
            if deaf:
                yield where, f"{workflow.acknowledged_by} does not come to {', '.join(deaf)}"
            if mute:
                yield where, f"{workflow.acknowledged_by} may not be sent by {', '.join(mute)}"
        elif name not in answers and (workflow.need is None or workflow.need.outcome == "outcome"):
            yield ("workflows", name), "nothing is declared in which its sender hears what came of it"


rule = Rule(
    id="MS01",
    severity="warning",
    anti_pattern="Acknowledged says that a recipient has a message, not what became of it: whoever sent it never learns.",
    best_practice="Declare acknowledged_by: X_ACK, from its receivers to its senders, and listen for it; or need: {outcome: none} "
    "where nobody wants to know.",
    statements=("A3", "A5", "A12"),
    find=find,
)
