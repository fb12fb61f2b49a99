"""How much goes on in channels, of this process, for Prometheus and for boards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from fiveways.methods.realtime.hub import Hub


class RealtimeMetrics(Collector):
    """The families. No label: names of channels may say whom they are about."""

    def __init__(self, registry: CollectorRegistry, hub: Hub, connections: Callable[[], int], published: Callable[[], int]) -> None:
        self._hub = hub
        self._published = published
        self._connections = connections
        registry.register(self)

    def figures(self) -> dict[str, Any]:
        """As they are now."""
        return {
            "connections": self._connections(), "channels": len(self._hub), "published": self._published(),
            "delivered": self._hub.delivered,
        }  # fmt: skip

    def collect(self) -> Iterable[Metric]:
        """The samples."""
        now = self.figures()
        yield GaugeMetricFamily("fiveways_realtime_connections", "Connections to channels", now["connections"])
        yield GaugeMetricFamily("fiveways_realtime_channels", "Channels that somebody reads here", now["channels"])
        yield CounterMetricFamily("fiveways_realtime_published", "Messages published in channels", now["published"])
        yield CounterMetricFamily("fiveways_realtime_delivered", "Messages times those who were sent them", now["delivered"])
