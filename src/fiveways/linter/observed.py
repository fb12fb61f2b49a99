"""What a running platform's metrics say of a deployment, for rules that have to observe (`fiveways check --live`).

Read from the Prometheus text form: of one node, or of all of them as a Prometheus server's `/federate` has them. Series that differ
in labels nobody asks for are added up. What is not of ours is passed over.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from fiveways.deployment.settings import format_duration
from fiveways.errors import FivewaysError

ENOUGH: Final = 30
"""Observations below which nothing is said."""
SHARE: Final = 0.95
"""The centile that is looked at: one in twenty may take longer."""
_MOST: Final = 1e12
"""More than anything that is counted, or is seconds."""
_DURATION: Final = "fiveways_gateway_request_duration_seconds"
_COLLECTED: Final = "fiveways_messaging_collect_seconds"
_RETRIEVING: Final = (".read", ".vread", ".search")


class ObservationError(FivewaysError):
    """A running platform cannot be observed; the message says why."""


@dataclass(slots=True, frozen=True)
class Times:
    """How long things took: by upper bound in seconds, how many were above the bound before and not above this one; and the sum
    of all in seconds."""

    buckets: tuple[tuple[float, float], ...]
    total: float

    @property
    def count(self) -> int:
        """How many there were."""
        return round(sum(count for _, count in self.buckets))

    def centile(self, share: float) -> tuple[float, float]:
        """Between which two bounds the time lies within which this share of all was done."""
        passed, low = 0.0, 0.0
        for bound, count in self.buckets:
            passed += count
            if count and passed >= share * self.count:
                return low, bound
            low = bound
        return low, math.inf

    def told(self, share: float) -> str:
        """Where this centile lies, for people: between 2.5s and 5s."""
        low, high = self.centile(share)
        return f"over {_seconds(low)}" if high == math.inf else f"between {_seconds(low)} and {_seconds(high)}"

    def exceeds(self, limit: float, share: float) -> bool | None:
        """Whether this centile is above a limit; None where the buckets leave it open, and it is likelier than not.

        Where the limit is in the middle of the centile's bucket, the sum may still decide: it is larger than it could be if no more
        than the rest were above the limit.
        """
        low, high = self.centile(share)
        if low >= limit:
            return True
        if high <= limit:
            return False
        if self.total > self._most(limit, share) * (1 + 1e-9):
            return True
        before = sum(count for bound, count in self.buckets if bound <= low)
        inside = sum(count for bound, count in self.buckets if bound == high)
        estimate = low + (high - low) * (share * self.count - before) / inside if inside else low
        return None if estimate > limit else False

    def _most(self, limit: float, share: float) -> float:
        """The largest sum there can be while this centile is not above a limit."""
        above = self.count - math.ceil(share * self.count)
        most = 0.0
        for bound, count in reversed(self.buckets):
            over = min(above, count) if bound > limit else 0.0
            above -= int(over)
            most += (over * bound if over else 0.0) + (count - over) * min(bound, limit)
        return most


def _seconds(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))


class Observed:
    """The figures, by what they are of."""

    def __init__(self, samples: Iterable[tuple[str, Mapping[str, str], float]], now: float) -> None:
        """`samples`: name, labels and value; `now`: when they were read, in seconds since the Unix epoch."""
        self._now = now
        self._durations: dict[str, _Histogram] = {}
        self._retrieved: dict[str, dict[str, _Histogram]] = {}
        self._statuses: dict[str, dict[str, float]] = {}
        self._over: dict[str, float] = {}
        self._collected: dict[str, _Histogram] = {}
        self._plain: dict[str, list[float]] = {}
        for name, labels, value in samples:
            self._take(name, labels, value)

    def durations(self, api: str) -> Times:
        """How long an API's requests took, from their head to their answer's, whatever it was."""
        return self._durations.get(api, _Histogram()).times()

    def requests(self, api: str) -> int:
        """How many requests an API has answered."""
        return round(sum(self._statuses.get(api, {}).values()))

    def faults(self, api: str) -> int:
        """How many of them with a fault of the platform's or the provider's."""
        return round(self._statuses.get(api, {}).get("5xx", 0))

    def over_budget(self, api: str) -> int:
        """How many of them took longer than the API's latency budget."""
        return round(self._over.get(api, 0))

    def retrieved(self, api: str) -> Iterator[tuple[str, Times]]:
        """By application, how long its requests took by which it got something from an API (2xx)."""
        for application, histogram in sorted(self._retrieved.get(api, {}).items()):
            yield application, histogram.times()

    def collected(self, mailbox: str) -> Times:
        """How long a mailbox's messages have waited, from acceptance to acknowledgement."""
        return self._collected.get(mailbox, _Histogram()).times()

    @property
    def replicated(self) -> bool | None:
        """Whether the store declares that it is replicated synchronously; None where that is not known."""
        said = self._plain.get("fiveways_store_replicated")
        return min(said) >= 1 if said else None

    @property
    def counted_for(self) -> float | None:
        """For how many seconds all this has been counted; None where that is not known."""
        said = self._plain.get("fiveways_counting_since_seconds")
        return max(0.0, self._now - min(said)) if said else None

    def _take(self, name: str, labels: Mapping[str, str], value: float) -> None:
        family, _, part = name.rpartition("_")
        api = labels.get("api", "")
        if family == _DURATION:
            self._durations.setdefault(api, _Histogram()).take(part, labels, value)
            if part == "count":
                by_status = self._statuses.setdefault(api, {})
                status = labels.get("status", "")
                by_status[status] = by_status.get(status, 0.0) + value
            interaction = labels.get("interaction", "")
            retrieving = interaction == "GET" or interaction.startswith("GET ") or interaction.endswith(_RETRIEVING)
            if retrieving and labels.get("status") == "2xx":
                by_application = self._retrieved.setdefault(api, {})
                by_application.setdefault(labels.get("application", "-"), _Histogram()).take(part, labels, value)
        elif family == _COLLECTED:
            self._collected.setdefault(labels.get("mailbox", ""), _Histogram()).take(part, labels, value)
        elif name == "fiveways_gateway_over_latency_budget_total":
            self._over[api] = self._over.get(api, 0.0) + value
        else:
            self._plain.setdefault(name, []).append(value)


class _Histogram:
    """Cumulative counts by bound, of one series or several."""

    __slots__ = ("bounds", "total")

    def __init__(self) -> None:
        self.bounds: dict[float, float] = {}
        self.total = 0.0

    def take(self, part: str, labels: Mapping[str, str], value: float) -> None:
        if part == "bucket":
            bound = float(labels["le"])
            if not (0 <= bound <= _MOST or bound == math.inf):
                raise ValueError("a bound that none can be")
            self.bounds[bound] = self.bounds.get(bound, 0.0) + value
        elif part == "sum":
            self.total += value

    def times(self) -> Times:
        before, buckets = 0.0, []
        for bound, passed in sorted(self.bounds.items()):
            buckets.append((bound, max(0.0, passed - before)))
            before = max(before, passed)
        return Times(tuple(buckets), self.total)


def parse(text: str, now: float) -> Observed:
    """What metrics in the Prometheus text form say; ObservationError where it is none, or none of a Fiveways platform's."""
    ours = "".join(f"{line}\n" for line in text.split("\n") if line.startswith("fiveways_"))
    try:
        samples = [
            (sample.name, sample.labels, float(sample.value))
            for family in text_string_to_metric_families(ours)
            for sample in family.samples
        ]
        if any(not 0 <= value <= _MOST for _, _, value in samples):
            raise ValueError("a figure that none can be")
        observed = Observed(samples, now)
    except (ValueError, LookupError) as error:
        raise ObservationError("what it answers is not in the Prometheus text form") from error
    if not samples:
        raise ObservationError("what it answers has no metrics of a Fiveways platform")
    return observed
