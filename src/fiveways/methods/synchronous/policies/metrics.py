"""Metrics: how many, how long, and within the latency budget or not, by application, API and interaction (S15, S17, S43)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from fiveways.clock import Clock
from fiveways.types import Handler, Interaction, Outcome

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LABELS = ("application", "api", "interaction", "status")


class GatewayMetrics:
    """The gateway's metric families, in one registry; every label value comes from the deployment or a fixed list."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            "fiveways_gateway_request_duration_seconds",
            "From the request's head read to the answer's head ready, by class of status",
            _LABELS,
            buckets=BUCKETS,
            registry=registry,
        )
        self.over_budget = Counter(
            "fiveways_gateway_over_latency_budget",
            "Requests that took longer than the API's latency budget",
            ("api",),
            registry=registry,
        )
        self.breaker_open = Gauge(
            "fiveways_gateway_breaker_open", "1 while a target's breaker is open", ("target",), registry=registry
        )


class Metrics:
    """Observes one API. `budget` is its latency budget in seconds, where it declares one."""

    def __init__(self, metrics: GatewayMetrics, clock: Clock, budget: float | None) -> None:
        self._metrics = metrics
        self._clock = clock
        self._budget = budget
        self._series: dict[tuple[str, str, str, int], Histogram] = {}

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Count and time the interaction."""
        outcome = await handler(interaction)
        elapsed = self._clock.monotonic() - interaction.started
        key = (interaction.consumer.application, interaction.api, interaction.name, outcome.status // 100)
        series = self._series.get(key)
        if series is None:
            application, api, name, status = key
            series = self._series[key] = self._metrics.duration.labels(application or "-", api or "-", name or "-", f"{status}xx")
        series.observe(elapsed)
        if self._budget is not None and elapsed > self._budget:
            self._metrics.over_budget.labels(interaction.api).inc()
        return outcome
