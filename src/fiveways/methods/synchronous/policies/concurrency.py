"""Concurrency: no more requests under way towards a back end than it bears; past that, 503 and Retry-After (A24)."""

from __future__ import annotations

from fiveways.errors import ProviderUnavailable
from fiveways.methods.synchronous.answer import when_over
from fiveways.types import Interaction, Outcome


class Concurrency:
    """Counts what is under way, an answer still streaming included. One of the guards of `guard.py`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.active = 0

    def enter(self, interaction: Interaction) -> None:
        """Count the request in, or refuse where the back end is at its limit."""
        if self.active >= self._limit:
            raise ProviderUnavailable(
                f"The provider is at its declared limit of {self._limit} concurrent requests; "
                "resend with the same X-Request-ID after the time given",
                headers={"Retry-After": "1"},
            )
        self.active += 1

    def answered(self, outcome: Outcome) -> None:
        """The answer is here, or on its way."""
        if type(outcome.body) is bytes:
            self.active -= 1
        else:
            when_over(outcome, self._over)

    def failed(self, error: BaseException) -> None:
        """There is no answer."""
        self.active -= 1

    def _over(self, passed: int, error: BaseException | None) -> None:
        self.active -= 1
