"""SY04: a consumer that has to ask very often for very little (S18)."""

from __future__ import annotations

from typing import Final

from fiveways.linter.observed import SHARE, Observed
from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment

OFTEN: Final = 10.0
"""Requests a second of one application to one API, on average for as long as is counted, from which on they are very many."""
AT_LEAST: Final = 60.0
"""Seconds over which they are counted at least: a short burst is no habit."""
QUICK: Final = 0.05
"""Seconds within which nineteen in twenty are answered, where each brings little. How large answers are is in no metric."""


def find(deployment: Deployment) -> Found:
    """Pass-through APIs whose `need:` is to retrieve granular information at a high rate, or from several back ends."""
    for name, api in deployment.apis.items():
        need = api.need
        if need is None or api.pattern != "pass-through" or need.payload != "granular" or need.intent != "retrieve":
            continue
        if need.event_rate_high:
            yield ("apis", name, "need", "event_rate_high"), "many small requests, each with the cost of a request"
        if need.backend == "several":
            yield ("apis", name, "need", "backend"), "consumers make one request for each of several back ends"


def observe(deployment: Deployment, observed: Observed) -> Found:
    """Pass-through APIs from which an application gets something ten times a second and more, on average since counting began, each
    time within 50 ms. A small answer is a quick one: metrics do not know sizes."""
    counted_for = observed.counted_for
    if counted_for is None:
        return
    for name, api in deployment.apis.items():
        if api.pattern != "pass-through":
            continue
        for application, times in observed.retrieved(name):
            rate = times.count / max(counted_for, AT_LEAST)
            if rate >= OFTEN and times.centile(SHARE)[1] <= QUICK:
                seen = f"observed: {application} has made {times.count:,} small requests of it, {rate:.0f} a second on average"
                yield ("apis", name), f"{seen}, 19 of 20 answered within {QUICK * 1000:.0f} ms"


rule = Rule(
    id="SY04",
    severity="warning",
    anti_pattern="A page is put together from dozens of small requests: the network and the gateway do little else.",
    best_practice="Publish an orchestration façade beside the granular API, so that one request brings what belongs together.",
    statements=("S18", "S44"),
    find=find,
    observe=observe,
)
