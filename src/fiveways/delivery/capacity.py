"""What receivers have declared that they take, kept to by all nodes together (A24): attempts in a time, and attempts at once."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Protocol

from fiveways.clock import Clock, micros
from fiveways.delivery import records
from fiveways.delivery.alone import alone
from fiveways.delivery.queue import Capacity
from fiveways.deployment.settings import Rate
from fiveways.store.group import GroupWriter

FULL = timedelta(milliseconds=250)
"""How soon to look again whether a receiver has an end free."""
_TRIES = 3


class Verdict(Protocol):
    """Whether something may be done now, and if not, after how many seconds it is worth asking again."""

    @property
    def allowed(self) -> bool:
        """Whether it may be done."""
        ...

    @property
    def retry_after(self) -> int:
        """Seconds; 0 where allowed."""
        ...


class Limiter(Protocol):
    """Rates that hold across nodes: `ledger.rates.Rates`."""

    async def take(self, key: str, rate: Rate) -> Verdict:
        """A verdict on one attempt. Raises StoreError where the store cannot be asked."""
        ...


class Throttle:
    """Keeps attempts within what receivers take."""

    def __init__(self, group: GroupWriter, clock: Clock, limiter: Limiter) -> None:
        self._group = group
        self._clock = clock
        self._limiter = limiter

    async def admit(self, capacity: Capacity, token: str, until: int) -> timedelta | None:
        """Take a place at the receiver, as `token` and until then; None where it was had, else how long to wait."""
        if capacity.concurrency is not None and not await self._slot(capacity.receiver, capacity.concurrency, token, until):
            return FULL
        if capacity.rate is None:
            return None
        allowed = False
        try:
            verdict = await self._limiter.take(f"delivery:{capacity.receiver}", capacity.rate)
            allowed = verdict.allowed
        finally:
            if not allowed:
                await self.leave(capacity, token)
        if allowed:
            return None
        if capacity.rate.period == 1:  # told in whole seconds, which for a bucket is too coarse
            return timedelta(seconds=max(0.02, 1 / capacity.rate.limit))
        return timedelta(seconds=verdict.retry_after)

    async def leave(self, capacity: Capacity, token: str) -> None:
        """Give the place back."""
        if capacity.concurrency is not None:
            await self._group.submit(records.free_slot, {"b_receiver": capacity.receiver, "b_token": token}, synced=False)

    async def _slot(self, receiver: str, concurrency: int, token: str, until: int) -> bool:
        """Take a free slot: which are free is asked first, so that only those who want the same one wait for each other."""
        for _ in range(_TRIES):
            now = micros(self._clock)
            asked = {"b_receiver": receiver, "b_now": now}
            taken = {row[0] for row in (await self._group.submit(records.slots_taken, asked, synced=False)).rows}
            free = [number for number in range(concurrency) if number not in taken]
            if not free:
                return False
            mine = {"b_receiver": receiver, "b_number": random.choice(free), "b_token": token, "b_until": until, "b_now": now}  # noqa: S311
            if (await alone(self._group, (records.take_slot, mine)))[0].rowcount:
                return True
        return False
