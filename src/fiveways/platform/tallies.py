"""Metrics of what is not a gateway's request: how soon messages are collected, how full inboxes are, what became of deliveries,
whether the store is replicated, and since when all that is counted.

Rows of numbers by label. Where several processes serve one node their counts are added up, and how things stand is told by whoever
looked (`node_metrics.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fiveways.methods.messaging.collecting import BUCKETS, CollectTimes

Rows = dict[str, list[float]]
"""Numbers by label; of two labels, a tab stands in between."""
_WIDTHS: Final = {"collected": len(BUCKETS) + 2, "outcomes": 1, "inboxes": 2, "queues": 3, "store": 1, "began": 1}


class Tallied(NamedTuple):
    """What a process has counted up to a moment, and how it last saw things stand; each by family."""

    counts: dict[str, Rows]
    states: dict[str, Rows]


class Tallies(Collector):
    """The families. `node` is what all processes of this node had when they were last added up; empty where there is only this.
    `began`: when counting began, in seconds since the Unix epoch."""

    def __init__(self, registry: CollectorRegistry, began: float | None = None) -> None:
        self.began: Rows = {"": [began]} if began is not None else {}
        self.collected = CollectTimes()
        self.outcomes: Rows = {}
        self.inboxes: Rows = {}
        """By mailbox: messages that wait, and seconds that the first has waited."""
        self.queues: Rows = {}
        """By queue: deliveries that wait, seconds that the first has waited, and dead letters."""
        self.store: Rows = {}
        """Of the one store there is: 1 where it declares that it is replicated (`store.replication`)."""
        self.node: tuple[Tallied, ...] = ()
        registry.register(self)

    def delivered(self, queue: str, happening: str, age: float) -> None:
        """Something happened to a delivery (`delivery.worker.Observer`)."""
        self.outcomes.setdefault(f"{queue}\t{happening}", [0.0])[0] += 1

    def figures(self) -> Tallied:
        """What this process has up to now. May be asked in another thread."""
        counts = {"collected": _copied(self.collected.rows), "outcomes": _copied(self.outcomes), "began": _copied(self.began)}
        return Tallied(counts, {"inboxes": self.inboxes, "queues": self.queues, "store": self.store})

    def go_on_from(self, tallied: Tallied) -> None:
        """Count on from where an earlier process was."""
        _add(self.collected.rows, tallied.counts, "collected")
        _add(self.outcomes, tallied.counts, "outcomes")
        _earliest(self.began, tallied.counts)

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        collected: Rows = {}
        outcomes: Rows = {}
        inboxes: Rows = {}
        queues: Rows = {}
        store: Rows = {}
        began: Rows = {}
        for each in self.node or (self.figures(),):
            _add(collected, each.counts, "collected")
            _add(outcomes, each.counts, "outcomes")
            _put(inboxes, each.states, "inboxes")
            _put(queues, each.states, "queues")
            _put(store, each.states, "store")
            _earliest(began, each.counts)
        yield _collect_times(collected)
        yield _gauge("fiveways_messaging_waiting", "Messages that wait in an inbox", "mailbox", inboxes, 0)
        words = "For how long the first message of an inbox has waited"
        yield _gauge("fiveways_messaging_oldest_waiting_seconds", words, "mailbox", inboxes, 1)
        happened = CounterMetricFamily(
            "fiveways_delivery_outcomes", "What happened to deliveries, attempt by attempt", labels=("queue", "outcome")
        )
        for labels, (number,) in outcomes.items():
            happened.add_metric(labels.split("\t"), number)
        yield happened
        yield _gauge("fiveways_delivery_waiting", "Deliveries that wait", "queue", queues, 0)
        words = "For how long the first delivery of a queue has waited"
        yield _gauge("fiveways_delivery_oldest_waiting_seconds", words, "queue", queues, 1)
        yield _gauge("fiveways_delivery_dead", "Dead letters: fiveways delivery list", "queue", queues, 2)
        words = "1 where the database declares that a commit waits for a second machine, 0 where it does not"
        yield _gauge("fiveways_store_replicated", words, "", store, 0)
        words = "When counting began, in seconds since the Unix epoch"
        yield _gauge("fiveways_counting_since_seconds", words, "", began, 0)


def _copied(rows: Rows) -> Rows:
    return {label: list(row) for label, row in list(rows.items())}


def _add(rows: Rows, families: Mapping[str, Rows], family: str) -> None:
    for label, numbers in families.get(family, {}).items():
        if len(numbers) == _WIDTHS[family]:  # an older release may have left others
            known = rows.setdefault(label, [0.0] * len(numbers))
            known[:] = map(float.__add__, known, numbers)


def _put(rows: Rows, families: Mapping[str, Rows], family: str) -> None:
    rows |= {label: row for label, row in families.get(family, {}).items() if len(row) == _WIDTHS[family]}


def _earliest(rows: Rows, families: Mapping[str, Rows]) -> None:
    for label, numbers in families.get("began", {}).items():
        if len(numbers) == _WIDTHS["began"]:
            rows[label] = min(rows.get(label, numbers), numbers)


def _gauge(name: str, words: str, label: str, rows: Rows, column: int) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=(label,) if label else ())
    for each, row in rows.items():
        family.add_metric((each,) if label else (), row[column])
    return family


def _collect_times(rows: Rows) -> HistogramMetricFamily:
    family = HistogramMetricFamily(
        "fiveways_messaging_collect_seconds", "From a message's acceptance to its acknowledgement", labels=("mailbox",)
    )
    for mailbox, row in rows.items():
        passed, buckets = 0.0, []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), row, strict=False):
            passed += count
            buckets.append((bound, passed))
        family.add_metric((mailbox,), buckets, row[-1])
    return family
