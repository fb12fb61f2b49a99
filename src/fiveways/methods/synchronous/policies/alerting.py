"""Alerting: error rate, latency against the declared service level, open breakers, by the programme's thresholds (S12, S43).

The observer counts into a short ring of buckets per API; `Alerts.evaluate` looks at them every few seconds. An alert is raised
when its condition begins to hold and cleared when it ends: one line in the log and one call of the webhook each, not one per
request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from pydantic import Field

from fiveways.clock import Clock
from fiveways.deployment.settings import Duration, HttpUrl, Percent, Reference, Settings
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.types import Interaction, Outcome

log = structlog.get_logger("fiveways.alerts")

_BUCKETS = 12


class Webhook(Settings):
    """Where alerts are posted as JSON. The body is signed: X-Fiveways-Signature is `sha256=` and HMAC-SHA256 of it in hex."""

    url: HttpUrl
    """The address to post to."""
    secret: Reference | None = None
    """The key of the signature."""


class AlertSettings(Settings):
    """The programme's thresholds for alerts."""

    error_rate: Percent = 0.05
    """Answers with status 5xx as a share of all, over `window`, that raise an alert."""
    slow_rate: Percent = 0.05
    """Answers over the API's latency budget as a share of all, over `window`, that raise an alert."""
    window: Duration = Field(default=timedelta(minutes=1), ge=timedelta(seconds=1))
    """The time looked back on."""
    at_least: int = Field(default=20, ge=1)
    """Fewer requests than this in the window raise nothing."""
    webhook: Webhook | None = None
    """Where alerts go besides the log."""


@dataclass(slots=True)
class _Counts:
    slot: int = -1
    total: int = 0
    errors: int = 0
    slow: int = 0


class Alerting:
    """Counts one API's answers. `budget` is its latency budget in seconds, where it declares one."""

    def __init__(self, settings: AlertSettings, clock: Clock, budget: float | None) -> None:
        self._settings = settings
        self._width = settings.window.total_seconds() / _BUCKETS
        self._clock = clock
        self._budget = budget
        self._ring = [_Counts() for _ in range(_BUCKETS)]

    def __call__(self, interaction: Interaction, outcome: Outcome) -> None:
        """Count the answer."""
        now = self._clock.monotonic()
        slot = int(now / self._width)
        counts = self._ring[slot % _BUCKETS]
        if counts.slot != slot:
            counts.slot, counts.total, counts.errors, counts.slow = slot, 0, 0, 0
        counts.total += 1
        if outcome.status >= 500:
            counts.errors += 1
        if self._budget is not None and now - interaction.started > self._budget:
            counts.slow += 1

    def same(self, settings: AlertSettings, budget: float | None) -> bool:
        """Whether these counts mean the same under the settings and budget given, and can go on."""
        return (self._settings, self._budget) == (settings, budget)

    def totals(self) -> tuple[int, int, int]:
        """Answers, errors and slow ones within the window."""
        oldest = int(self._clock.monotonic() / self._width) - _BUCKETS
        recent = [counts for counts in self._ring if counts.slot > oldest]
        return sum(c.total for c in recent), sum(c.errors for c in recent), sum(c.slow for c in recent)


@dataclass(slots=True, frozen=True)
class Alert:
    """Something that holds, or no longer does. `subject` is an API's or a target's name."""

    rule: str
    subject: str
    raised: bool
    message: str


@dataclass(slots=True)
class Alerts:
    """Evaluates the rules over all APIs and breakers, and tells of what changed.

    `standing` is what was told and holds still, by rule and subject: give it on to whoever goes on after a reload.
    """

    settings: AlertSettings
    tell: Callable[[Alert], Awaitable[None]]
    apis: Mapping[str, Alerting]
    breakers: Iterable[Breaker]
    standing: dict[tuple[str, str], str] = field(default_factory=dict)

    async def evaluate(self) -> None:
        """Raise what newly holds and clear what no longer does."""
        holds: dict[tuple[str, str], str] = {}
        for name, api in self.apis.items():
            total, errors, slow = api.totals()
            if total < self.settings.at_least:
                continue
            if errors / total >= self.settings.error_rate:
                holds["error-rate", name] = f"{errors} of {total} answers of {name} were 5xx"
            if slow / total >= self.settings.slow_rate:
                holds["latency", name] = f"{slow} of {total} answers of {name} were over its latency budget"
        for breaker in self.breakers:
            if breaker.state != "closed":
                holds["breaker", breaker.target] = f"the breaker of {breaker.target} is {breaker.state}"
        began = [Alert(*key, True, message) for key, message in holds.items() if key not in self.standing]
        ended = [Alert(*key, False, message) for key, message in self.standing.items() if key not in holds]
        self.standing = holds
        for alert in began + ended:
            state = "raised" if alert.raised else "cleared"
            log.warning("alert", rule=alert.rule, subject=alert.subject, state=state, message=alert.message)
            await self.tell(alert)
