"""Metrics as a platform would answer with them, made by what makes a platform's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest

from fiveways.clock import ManualClock
from fiveways.correlation import Correlation
from fiveways.linter.observed import Observed, parse
from fiveways.methods.synchronous.policies.metrics import GatewayMetrics, Metrics
from fiveways.platform.tallies import Tallies
from fiveways.types import Consumer, Interaction, Outcome

BEGAN: Final = 1_800_000_000.0

Requests = tuple[int, float, int]
"""How many, how long each took in seconds, and with which status."""


def written(
    requests: Iterable[Requests] = (),
    collected: Iterable[tuple[int, float]] = (),
    *,
    budget: float | None = None,
    replicated: bool | None = None,
    interaction: str = "GET",
    application: str = "ward",
) -> str:
    """Of API a and mailbox A. `collected`: how many, and after how many seconds."""
    registry, clock = CollectorRegistry(), ManualClock()
    tallies, gateway = Tallies(registry, BEGAN), GatewayMetrics(registry)
    observe = Metrics(gateway, clock, budget)
    for number, seconds, status in requests:
        for _ in range(number):
            made = Interaction("1", "GET", b"/", b"", [], {}, None, None, Correlation(None, None), clock.monotonic() - seconds)
            made.api, made.name, made.consumer = "a", interaction, Consumer(application)
            observe(made, Outcome(status, []))
    for number, seconds in collected:
        for _ in range(number):
            tallies.collected.observe("A", seconds)
    if replicated is not None:
        tallies.store = {"": [float(replicated)]}
    return generate_latest(registry).decode()


def observed(text: str, after: float = 3600.0) -> Observed:
    """What a reader makes of metrics, so many seconds after counting began."""
    return parse(text, BEGAN + after)
