"""Metrics: how many, how long, and within the latency budget or not, by application, API and interaction (S15, S17, S43).

The series are counted in plain lists and turned into Prometheus samples when they are asked for: a request costs a bisection.
Alerting looks at the same counts. Where several processes serve one node, what they have counted is added up (`Figures`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fiveways.clock import Clock
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.types import Interaction, Outcome

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""

_Key = tuple[str, str, str, int]


class Counts(NamedTuple):
    """An API's answers since counting began: all, those with status 5xx, and those over its latency budget."""

    total: int = 0
    errors: int = 0
    slow: int = 0


class _Series:
    """A histogram: how many in each bucket (the last: above all bounds), and the sum of all."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0


class Figures(NamedTuple):
    """What a process has counted up to a moment.

    `series` has application, API, interaction, class of status (2 for 2xx), how many in each bucket (`BUCKETS`, and above them
    all), and the sum of durations in seconds; `over_budget` is by API; `breakers` says of each target whether one is not closed.
    """

    series: list[tuple[str, str, str, int, list[int], float]]
    over_budget: dict[str, int]
    breakers: dict[str, bool]


class GatewayMetrics(Collector):
    """The gateway's metric families; every label value comes from the deployment or a fixed list.

    `node` is what all processes of this node had counted when they were last added up, this one included; empty where there is
    only this one, which then shows its counts as they stand.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.series: dict[_Key, _Series] = {}
        self.over_budget: dict[str, int] = {}
        self.breakers: tuple[Breaker, ...] = ()
        self.node: tuple[Figures, ...] = ()
        registry.register(self)

    def counts(self) -> dict[str, Counts]:
        """What each API that was asked at all has answered."""
        counts: dict[str, Counts] = {}
        for (_, api, _, status), series in self.series.items():
            total, errors, _ = counts.get(api, Counts())
            answers = sum(series.counts)
            counts[api] = Counts(total + answers, errors + (answers if status == 5 else 0), self.over_budget.get(api, 0))
        return counts

    def figures(self) -> Figures:
        """What this process has counted up to now. May be asked in another thread."""
        series = [(*key, list(each.counts), each.total) for key, each in list(self.series.items())]
        targets = {breaker.target: False for breaker in self.breakers}
        for breaker in self.breakers:
            targets[breaker.target] |= breaker.state != "closed"
        return Figures(series, dict(self.over_budget), targets)

    def go_on_from(self, figures: Figures) -> None:
        """Count on from where an earlier process was. Its breakers are not ours."""
        _add(self.series, self.over_budget, figures)

    def collect(self) -> Iterable[Metric]:
        """The samples: counts summed over the node's processes, and a breaker is open where it is in one of them."""
        parts = self.node or (self.figures(),)
        series: dict[_Key, _Series] = {}
        over_budget: dict[str, int] = {}
        targets: dict[str, bool] = {}
        for figures in parts:
            _add(series, over_budget, figures)
            for target, is_open in figures.breakers.items():
                targets[target] = targets.get(target, False) or is_open
        yield _durations(series)
        over = CounterMetricFamily(
            "fiveways_gateway_over_latency_budget", "Requests that took longer than the API's latency budget", labels=("api",)
        )
        for api, count in over_budget.items():
            over.add_metric((api,), count)
        yield over
        opened = GaugeMetricFamily("fiveways_gateway_breaker_open", "1 while a target's breaker is not closed", labels=("target",))
        for target, is_open in targets.items():
            opened.add_metric((target,), float(is_open))
        yield opened
        processes = "fiveways_gateway_processes", "Gateway processes of this node whose counts are in these figures"
        yield GaugeMetricFamily(*processes, value=len(parts))


def _add(series: dict[_Key, _Series], over_budget: dict[str, int], figures: Figures) -> None:
    """Add the counts of `figures` to `series` and `over_budget`."""
    for application, api, name, status, counts, total in figures.series:
        key = (application, api, name, status)
        known = series.get(key)
        if known is None:
            known = series[key] = _Series()
        for index, count in enumerate(counts):
            known.counts[index] += count
        known.total += total
    for api, count in figures.over_budget.items():
        over_budget[api] = over_budget.get(api, 0) + count


def _durations(all_series: dict[_Key, _Series]) -> HistogramMetricFamily:
    duration = HistogramMetricFamily(
        "fiveways_gateway_request_duration_seconds",
        "From the request's head read to the answer's head ready, by class of status",
        labels=("application", "api", "interaction", "status"),
    )
    for (application, api, name, status), series in all_series.items():
        passed, buckets = 0, []
        for bound, count in zip((*BUCKETS, float("inf")), series.counts, strict=True):
            passed += count
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(passed)))
        duration.add_metric((application or "-", api or "-", name or "-", f"{status}xx"), buckets, series.total)
    return duration


class Metrics:
    """Observes one API. `budget` is its latency budget in seconds, where it declares one."""

    def __init__(self, metrics: GatewayMetrics, clock: Clock, budget: float | None) -> None:
        self._metrics = metrics
        self._monotonic = clock.monotonic
        self._budget = budget

    def __call__(self, interaction: Interaction, outcome: Outcome) -> None:
        """Count and time the interaction."""
        elapsed = self._monotonic() - interaction.started
        key = (interaction.consumer.application, interaction.api, interaction.name, outcome.status // 100)
        series = self._metrics.series.get(key)
        if series is None:
            series = self._metrics.series[key] = _Series()
        series.counts[bisect_left(BUCKETS, elapsed)] += 1
        series.total += elapsed
        if self._budget is not None and elapsed > self._budget:
            over = self._metrics.over_budget
            over[interaction.api] = over.get(interaction.api, 0) + 1
