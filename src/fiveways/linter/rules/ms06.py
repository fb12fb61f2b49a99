"""MS06: a need for haste that recipients do not meet, who collect now and then (A44)."""

from __future__ import annotations

from fiveways.deployment.settings import format_duration
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows whose `need:` asks for a latency below what a receiver's `collects_every:` declares, or for none at all.

    A file shows only what it declares: what is observed of each recipient is in the metrics, `fiveways_messaging_collect_seconds`.
    """
    for name, workflow in deployment.workflows.items():
        need = workflow.need
        if need is None:
            continue
        for wish in ("needed_now", "near_zero_latency"):
            if getattr(need, wish):
                yield ("workflows", name, "need", wish), "a message waits until its recipient looks into its mailbox"
        if need.latency_budget is None:
            continue
        for receiver in workflow.receivers:
            every = deployment.mailboxes[receiver].collects_every
            if every is not None and every > need.latency_budget:
                budget = format_duration(need.latency_budget)
                message = f"{receiver} collects every {format_duration(every)}, and {budget} is what may pass"
                yield ("workflows", name, "need", "latency_budget"), message


rule = Rule(
    id="MS06",
    severity="warning",
    anti_pattern="How long a message waits is up to each recipient's software: a need below that is met by luck.",
    best_practice="Agree on collects_every: with the recipient, tell it of arrivals, or ask synchronously. Compare with what "
    "is observed of it: `fiveways_messaging_collect_seconds` in the metrics, and version 2 of the endpoint lookup.",
    statements=("A44",),
    find=find,
)
