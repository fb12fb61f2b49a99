"""What a receiver can take, and how it is kept from more: the excess waits in its mailbox (A24).

- **At once.** The inbox shows so many messages at most: those that have waited longest. One that is acknowledged makes room for the
  next. Whoever looks through a filter is shown so many of what passes it, so that what nobody acknowledges of one workflow does not
  stand in the way of another. The count is of all that waits.
- **Rate.** Beyond it the first chunk of a message is refused with 429 and Retry-After (RFC 6585 §4), which clients obey and come
  again. The permits are those of `ledger/rates.py`: all nodes hand out of one stock.
"""

from __future__ import annotations

from pydantic import Field

from fiveways.deployment.settings import Rate, Settings
from fiveways.errors import TooManyRequests
from fiveways.ledger.rates import Rates


class Takes(Settings):
    """How much a mailbox's receiver can take. What is beyond it waits."""

    rate: Rate | None = None
    """How many messages it downloads in a time at most: 30/min."""
    at_once: int | None = Field(default=None, ge=1, le=5000)
    """How many messages its inbox shows at most, until it acknowledges some."""


class Capacity:
    """Holds receivers to the rates that they have declared."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    async def take(self, mailbox: str, rate: Rate) -> None:
        """A mailbox is about to be given a message. Raises TooManyRequests beyond its rate, StoreError where nobody can tell."""
        verdict = await self._rates.take(f"mailbox:{mailbox}", rate)
        if not verdict.allowed:
            text = f"The mailbox takes {rate}: the message waits; come again in {verdict.retry_after} s"
            raise TooManyRequests(text, headers={"Retry-After": str(verdict.retry_after)})
