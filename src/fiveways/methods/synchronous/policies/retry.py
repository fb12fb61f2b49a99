"""Retries, for those who opt in: only where repeating is safe, within a budget, and audited (S22, RFC 9110 §9.2.2).

Safe to repeat is an idempotent method (or an operation declared idempotent) whose body can be sent again, and anything that
never reached the provider. Without this policy an attempt is exactly one upstream call (S40).
"""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta

from pydantic import Field

from fiveways.deployment.settings import Duration, Percent, Settings
from fiveways.errors import Fault
from fiveways.methods.synchronous.upstream.faults import UpstreamFault
from fiveways.types import Handler, Interaction, Outcome

_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE"))


class RetrySettings(Settings):
    """How often, and how much of the traffic at most, is tried again."""

    attempts: int = Field(default=2, ge=2, le=5)
    """Attempts in all, the first included."""
    budget: Percent = 0.2
    """Retries as a share of recent requests; past it a failure is passed on, so that retries never become the load."""
    wait: Duration = timedelta(milliseconds=50)
    """The longest pause before the first retry; it doubles, and each pause is a random part of it (full jitter)."""
    statuses: tuple[int, ...] = (502, 503, 504)
    """Statuses of the back end that are tried again."""


class Retry:
    """Tries again on behalf of the consumer."""

    def __init__(self, settings: RetrySettings, *, idempotent: bool | None = None) -> None:
        self._settings = settings
        self._idempotent = idempotent
        self._statuses = frozenset(settings.statuses)
        self._credit = 3.0
        self._most = 100 * settings.budget + 3

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Run the request, and again where that is safe and the budget allows."""
        self._credit = min(self._most, self._credit + self._settings.budget)
        safe = self._idempotent if self._idempotent is not None else interaction.method in _IDEMPOTENT
        attempt = 1
        while True:
            last = attempt >= self._settings.attempts or interaction.body is not None or self._credit < 1
            try:
                outcome = await handler(interaction)
                if last or not safe or outcome.status not in self._statuses:
                    return outcome
                await outcome.aclose()
            except Fault as fault:
                if last or not isinstance(fault, UpstreamFault) or not (safe or not fault.reached):
                    raise
            self._credit -= 1
            await asyncio.sleep(random.uniform(0, self._settings.wait.total_seconds() * 2 ** (attempt - 1)))  # noqa: S311
            attempt += 1
