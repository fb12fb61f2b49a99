"""Alerting: error rate, latency against the declared service level, open breakers, certificates that expire, by the programme's
thresholds (S12, S43); and what other methods find, as files that are late.

Nothing is counted for it: `Alerts.evaluate` compares what metrics count with what they had counted a window before. An alert is
raised when its condition begins to hold and cleared when it ends: one line in the log and one call of the webhook each, not one
per request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from pydantic import Field

from fiveways.clock import Clock
from fiveways.deployment.settings import Duration, HttpUrl, Percent, Reference, Settings
from fiveways.methods.synchronous.policies.breaker import Breaker
from fiveways.methods.synchronous.policies.metrics import Counts, GatewayMetrics
from fiveways.security.expiry import Expiry

log = structlog.get_logger("fiveways.alerts")


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
    """The time looked back on. Every five seconds somebody looks; a shorter window is one of five seconds."""
    certificates: Duration = timedelta(days=14)
    """How long before a certificate expires an alert is raised."""
    at_least: int = Field(default=20, ge=1)
    """Fewer requests than this in the window raise nothing."""
    webhook: Webhook | None = None
    """Where alerts go besides the log."""


class Window:
    """An API's counts as they stood at every look, as far back as a window reaches."""

    def __init__(self, length: float, now: float, counts: Counts) -> None:
        self._length = length
        self._looks = deque([(now, counts)])

    def look(self, now: float, counts: Counts) -> Counts:
        """What has come since the window's beginning, or the last look before it; `counts` are those of this look."""
        looks = self._looks
        looks.append((now, counts))
        while len(looks) > 2 and looks[1][0] <= now - self._length:
            looks.popleft()
        before = looks[0][1]
        return Counts(counts.total - before.total, counts.errors - before.errors, counts.slow - before.slow)


@dataclass(slots=True, frozen=True)
class Alert:
    """Something that holds, or no longer does. `subject` is an API's or a target's name."""

    rule: str
    subject: str
    raised: bool
    message: str


@dataclass(slots=True)
class Alerts:
    """Evaluates the rules over the APIs and breakers, and tells of what changed.

    `budgets` are the APIs' latency budgets in seconds, by name. `standing` is what was told and holds still, by rule and subject.
    """

    settings: AlertSettings
    clock: Clock
    tell: Callable[[Alert], Awaitable[None]]
    budgets: Mapping[str, float | None]
    metrics: GatewayMetrics
    breakers: Iterable[Breaker]
    expiry: Expiry
    others: Callable[[], Mapping[tuple[str, str], str]] = dict
    """What other methods find: messages, by rule and subject."""
    standing: dict[tuple[str, str], str] = field(default_factory=dict)
    windows: dict[str, Window] = field(init=False)

    def __post_init__(self) -> None:
        length, now, counts = self.settings.window.total_seconds(), self.clock.monotonic(), self.metrics.counts()
        self.windows = {name: Window(length, now, counts.get(name, Counts())) for name in self.budgets}

    def go_on_from(self, previous: Alerts) -> None:
        """Take over from who evaluated before a reload: what stands, and the windows that still mean the same."""
        self.standing = previous.standing
        if self.settings.window == previous.settings.window:
            for name, budget in self.budgets.items():
                if name in previous.budgets and previous.budgets[name] == budget:
                    self.windows[name] = previous.windows[name]

    async def evaluate(self) -> None:
        """Raise what newly holds and clear what no longer does."""
        holds: dict[tuple[str, str], str] = {}
        now, counts = self.clock.monotonic(), self.metrics.counts()
        for name, window in self.windows.items():
            total, errors, slow = window.look(now, counts.get(name, Counts()))
            if total < self.settings.at_least:
                continue
            if errors / total >= self.settings.error_rate:
                holds["error-rate", name] = f"{errors} of {total} answers of {name} were 5xx"
            if slow / total >= self.settings.slow_rate:
                holds["latency", name] = f"{slow} of {total} answers of {name} were over its latency budget"
        for breaker in self.breakers:
            if breaker.state != "closed":
                holds["breaker", breaker.target] = f"the breaker of {breaker.target} is {breaker.state}"
        for whose, message in self.expiry.near(self.clock.now()):
            holds["certificate", whose] = message
        holds.update(self.others())
        began = [Alert(*key, True, message) for key, message in holds.items() if key not in self.standing]
        ended = [Alert(*key, False, message) for key, message in self.standing.items() if key not in holds]
        self.standing = holds
        for alert in began + ended:
            state = "raised" if alert.raised else "cleared"
            log.warning("alert", rule=alert.rule, subject=alert.subject, state=state, message=alert.message)
            await self.tell(alert)
