"""SY04: a consumer that has to ask very often for very little (S18)."""

from __future__ import annotations

from fiveways.linter.rule import Found, Rule
from fiveways.platform.model import Deployment


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


rule = Rule(
    id="SY04",
    severity="warning",
    anti_pattern="A page is put together from dozens of small requests: the network and the gateway do little else.",
    best_practice="Publish an orchestration façade beside the granular API, so that one request brings what belongs together.",
    statements=("S18", "S44"),
    find=find,
)
