"""MS06: a need for haste that recipients do not meet, who collect now and then (A44)."""

from __future__ import annotations

from fiveways.deployment.settings import format_duration
from fiveways.linter.observed import ENOUGH, SHARE, Observed
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


def find(deployment: Deployment) -> Found:
    """Workflows whose `need:` asks for a latency below what a receiver's `collects_every:` declares, or for none at all.

    A file shows only what it declares; what is observed of each recipient is in the running platform's metrics.
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


def observe(deployment: Deployment, observed: Observed) -> Found:
    """Workflows that name a receiver who takes longer than `need: {latency_budget: …}` to collect more than one message in twenty,
    of whatever workflow. A note says that the histogram's buckets leave it open."""
    for name, workflow in deployment.workflows.items():
        budget = workflow.need.latency_budget if workflow.need is not None else None
        for receiver in workflow.receivers if budget is not None else ():
            times = observed.collected(receiver)
            exceeds = times.exceeds(budget.total_seconds(), SHARE) if budget is not None and times.count >= ENOUGH else False
            if budget is None or exceeds is False:
                continue
            seen = f"observed: {receiver} collects nineteen in twenty of {times.count:,} messages within a time {times.told(SHARE)}"
            message = f"{seen}, {'longer' if exceeds else 'probably longer'} than the {format_duration(budget)} that may pass"
            yield ("workflows", name, "need", "latency_budget"), message, "warning" if exceeds else "note"


rule = Rule(
    id="MS06",
    severity="warning",
    anti_pattern="How long a message waits is up to each recipient's software: a need below that is met by luck.",
    best_practice="Agree on collects_every: with the recipient, tell it of arrivals, or ask synchronously. Compare with what "
    "is observed of it: `fiveways_messaging_collect_seconds` in the metrics, and version 2 of the endpoint lookup.",
    statements=("A44",),
    find=find,
    observe=observe,
)
