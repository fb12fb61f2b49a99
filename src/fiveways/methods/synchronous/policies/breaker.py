"""Circuit breaker: a back end that keeps failing is left alone for a while, then probed by one request (S12, S21).

    closed --failures in a row--> open --after a while--> half-open --one success--> closed, one failure--> open

One breaker per target, shared by the APIs in front of it. While it is open, requests get 503 with Retry-After at once.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Literal

from pydantic import Field

from fiveways.clock import Clock
from fiveways.deployment.settings import Duration, Settings
from fiveways.errors import ProviderUnavailable
from fiveways.methods.synchronous.upstream.faults import UpstreamBusy, UpstreamFault
from fiveways.types import Interaction, Outcome

MANY = 2**31
State = Literal["closed", "open", "half-open"]


class BreakerSettings(Settings):
    """When a target counts as failing, and for how long it is then left alone."""

    failures: int = Field(default=5, ge=1)
    """Failures in a row that open the breaker: no connection, no answer in time, or one of `statuses`."""
    rest: Duration = timedelta(seconds=30)
    """How long it stays open before one request is let through as a probe."""
    statuses: tuple[int, ...] = (502, 503, 504)
    """Statuses of the back end that count as failures."""


class Breaker:
    """The breaker of one target. One of the guards of `guard.py`."""

    def __init__(self, settings: BreakerSettings, clock: Clock, target: str) -> None:
        self.target = target
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._open_until = 0.0
        self._probing = False
        self._statuses = frozenset(settings.statuses)

    @property
    def state(self) -> State:
        """Where the breaker stands."""
        if self._failures < self._settings.failures:
            return "closed"
        return "open" if self._clock.monotonic() < self._open_until else "half-open"

    def room(self) -> int:
        """How many requests may be let through just now: none while it is open or probed, one where it is to be probed."""
        if self._failures < self._settings.failures:
            return MANY
        return 0 if self._probing or self._clock.monotonic() < self._open_until else 1

    def enter(self, interaction: Interaction) -> None:
        """Let the request through, or refuse while the breaker is open."""
        if self._failures >= self._settings.failures:
            self._refuse_while_open()
            self._probing = True

    def answered(self, outcome: Outcome) -> None:
        """The back end has answered, which may still be a failure. While open, only the probe's success counts."""
        probed, self._probing = self._probing, False
        if outcome.status in self._statuses:
            self._failed()
        elif probed or self._failures < self._settings.failures:
            self._failures = 0

    def failed(self, error: BaseException) -> None:
        """There is no answer; the error says whether that is the back end's fault. That all our connections are in use is not."""
        self._probing = False
        if isinstance(error, UpstreamFault) and not isinstance(error, UpstreamBusy):
            self._failed()

    def _refuse_while_open(self) -> None:
        left = self._open_until - self._clock.monotonic()
        if left > 0 or self._probing:
            raise ProviderUnavailable(
                "The provider is failing and is being left alone; resend with the same X-Request-ID after the time given",
                headers={"Retry-After": str(max(1, math.ceil(left)))},
            )

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= self._settings.failures:
            self._open_until = self._clock.monotonic() + self._settings.rest.total_seconds()
