"""MS02: responses that nothing leads from to the requests they answer (A4)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows with `acknowledged_by:` and without `correlated_by:`; not in a sandbox."""
    if deployment.messaging.sandbox:
        return
    for name, workflow in deployment.workflows.items():
        if workflow.acknowledged_by is not None and workflow.correlated_by is None:
            yield ("workflows", name), f"nothing says which request a {workflow.acknowledged_by} answers"


rule = Rule(
    id="MS02",
    severity="warning",
    anti_pattern="Responses come in any order and at any time: one that is taken for another's answer closes the wrong request.",
    best_practice="Declare correlated_by: message-header (FHIR's MessageHeader.response.identifier), local-id or correlation-id, "
    "and have both ends keep to it.",
    statements=("A4",),
    find=find,
)
