"""MS04: messages that must be delivered once only, over a store that is lost with one machine (A30)."""

from __future__ import annotations

from fiveways.linter.observed import Observed
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows with `need: {once_only: true}`, where the database is a file or payloads are in the data folder; not a sandbox."""
    if deployment.messaging.sandbox:
        return
    url, payloads = deployment.store.url, deployment.store.payloads
    if url is None or url.startswith("sqlite:"):
        problem = "the store is a file on one machine"
    elif payloads is None or payloads == "memory://":
        problem = "large messages are kept on one machine"
    else:
        return
    for name, workflow in deployment.workflows.items():
        if workflow.need is not None and workflow.need.once_only:
            yield ("workflows", name, "need", "once_only"), f"delivery once only is needed, and {problem}"


def observe(deployment: Deployment, observed: Observed) -> Found:
    """The same workflows, where the running platform's PostgreSQL does not declare that commits wait for a second machine."""
    url = deployment.store.url
    if deployment.messaging.sandbox or url is None or url.startswith("sqlite:") or observed.replicated is not False:
        return
    for name, workflow in deployment.workflows.items():
        if workflow.need is not None and workflow.need.once_only:
            problem = "observed: the running platform's database declares no synchronous standby"
            yield ("workflows", name, "need", "once_only"), f"delivery once only is needed, and {problem}"


rule = Rule(
    id="MS04",
    severity="warning",
    anti_pattern="When the machine is lost, what was accepted is lost with it, and its senders will not send it again.",
    best_practice="Keep rows in a PostgreSQL that is replicated synchronously, and payloads in an object store (s3://bucket) or on "
    "storage that outlives a machine (file:///mounted); run two nodes.",
    statements=("A29", "A30"),
    find=find,
    observe=observe,
)
