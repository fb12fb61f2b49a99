"""Concurrency: no more requests under way towards a back end than it bears; past that, 503 and Retry-After (A24)."""

from __future__ import annotations

from fiveways.errors import ProviderUnavailable
from fiveways.methods.synchronous.answer import when_over
from fiveways.types import Handler, Interaction, Outcome


class Concurrency:
    """Counts what is under way, an answer still streaming included."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.active = 0

    async def __call__(self, interaction: Interaction, handler: Handler) -> Outcome:
        """Let the request through, or refuse where the back end is at its limit."""
        if self.active >= self._limit:
            raise ProviderUnavailable(
                f"The provider is at its declared limit of {self._limit} concurrent requests; "
                "resend with the same X-Request-ID after the time given",
                headers={"Retry-After": "1"},
            )
        self.active += 1
        try:
            outcome = await handler(interaction)
        except BaseException:
            self.active -= 1
            raise
        when_over(outcome, self._over)
        return outcome

    def _over(self, passed: int, error: BaseException | None) -> None:
        self.active -= 1
