"""Quota and spike arrest, exact across processes and nodes, without asking the database about each request.

What is still allowed of a rate stands in one row. A process leases a chunk of permits from it (at most 2 % of the limit, no more
than it used of late, shrinking near the end) and hands them out from memory; what it does not use goes back when it has been idle
for half a second, and on close. The row never lends more than the rate has, so all processes together cannot admit more.

A rate per minute, hour or day is a quota: windows of fixed length, aligned to the epoch. A rate per second is a spike arrest: a
token bucket that holds as many as the rate allows in a second (the Generic Cell Rate Algorithm, ITU-T I.371). A leased permit may
be used a little later than it was taken, while the bucket already fills again; so a chunk of a bucket is good for 20 ms only, and
is lent as if it were taken at the end of them.

Refusals are remembered until they could change, so a flood of refused requests costs no database work.
"""

from __future__ import annotations

import asyncio
import math
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, ColumnElement, Integer, Table, Text, bindparam, case, delete, update
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock
from fiveways.deployment.settings import Rate
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

rates = Table(
    "rates",
    metadata,
    Column("key", Text, primary_key=True),
    Column("period", Integer, primary_key=True),
    Column("window", BigInteger, nullable=False),  # which one, of a quota
    Column("taken", BigInteger, nullable=False),  # permits of it lent; of a bucket, when it will be full (ns since the epoch)
    Column("granted", BigInteger, nullable=False),  # by the last lease
    Column("until", BigInteger, nullable=False),  # seconds since the epoch after which the row says nothing any more
)

SHARE = 50
"""A chunk is at most the limit divided by this."""
CHUNK_LIFE = 0.02
"""Seconds for which a chunk of a bucket is good."""
IDLE = 0.5
"""Seconds after which unused permits go back, and after which an exhausted quota is looked at again."""
_KEYS = 100_000
"""Rates remembered in memory before idle ones are forgotten."""


class Verdict(NamedTuple):
    """Whether a request may pass, and what the RateLimit header fields say."""

    allowed: bool
    limit: int
    remaining: int
    """Permits left as far as this process knows."""
    reset: int
    """Seconds until the window ends, or the bucket is full."""
    retry_after: int
    """Seconds after which it is worth trying again; 0 where allowed."""


def _p(name: str) -> ColumnElement[int]:
    return bindparam(f"p_{name}", type_=BigInteger)


def _least(a: ColumnElement[int], b: ColumnElement[int]) -> ColumnElement[int]:
    return case((a < b, a), else_=b)


def _most(a: ColumnElement[int], b: ColumnElement[int]) -> ColumnElement[int]:
    return case((a > b, a), else_=b)


_c = rates.c
_row = {name: bindparam(f"v_{name}", type_=_c[name].type) for name in ("key", "period", "window", "taken", "granted", "until")}

# A quota: in a newer window nothing is taken yet; a process whose clock is behind takes from the newer one.
_used = case((_c.window >= _p("window"), _c.taken), else_=_p("zero"))
_left = _p("limit") - _used
_lent = _most(_least(_least(_p("want"), _most(_p("need"), _left // 4)), _left), _p("zero"))
_lease_window = (
    insert(rates)
    .values(_row)
    .on_conflict_do_update(
        index_elements=[_c.key, _c.period],
        set_={"window": _most(_c.window, _p("window")), "taken": _used + _lent, "granted": _lent, "until": _p("until")},
    )
    .returning(_c.granted, _c.taken, _c.window)
)
_return_window = (
    update(rates)
    .where(_c.key == bindparam("b_key"), _c.period == bindparam("b_period"), _c.window == _p("window"))
    .values(taken=_c.taken - _p("unused"))
)

# A bucket: `taken` is when it will be full. Lending n moves that by n steps; it may be one bucket ahead of now.
_start = _most(_c.taken - _p("back"), _p("start"))
_room = _most((_p("horizon") - _start) // _p("step"), _p("zero"))
_given = _least(_p("want"), _room)
_lease_bucket = (
    insert(rates)
    .values(_row)
    .on_conflict_do_update(
        index_elements=[_c.key, _c.period],
        set_={
            "taken": case((_given > _p("zero"), _start + _given * _p("step")), else_=_c.taken - _p("back")),
            "granted": _given,
            "until": _p("until"),
        },
    )
    .returning(_c.granted, _c.taken, _c.window)
)
_return_bucket = (
    update(rates)
    .where(_c.key == bindparam("b_key"), _c.period == bindparam("b_period"))
    .values(taken=_c.taken - _p("unused") * _p("step"))
)


class _Permits:
    """What this process holds of one rate."""

    __slots__ = ("chunk", "expires", "key", "lease", "left", "permits", "rate", "refused_until", "used", "waiting", "window")

    def __init__(self, key: str, rate: Rate) -> None:
        self.key = key
        self.rate = rate
        self.permits = 0
        self.expires = 0.0
        self.refused_until = 0.0
        self.window = 0
        self.left = rate.limit
        self.chunk = 1
        self.used = 0.0
        self.waiting = 0
        self.lease: asyncio.Task[None] | None = None


class Rates:
    """The limiter of this process."""

    def __init__(self, group: GroupWriter, clock: Clock) -> None:
        self._group = group
        self._clock = clock
        self._time = clock.time
        self._held: dict[tuple[str, Rate], _Permits] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._leases: set[asyncio.Task[None]] = set()

    def take_now(self, key: str, rate: Rate) -> Verdict | None:
        """A verdict from what this process holds or remembers; None where `take` has to ask the store."""
        held = self._held.get((key, rate))
        if held is None:
            return None
        now = self._time()
        if held.permits and now < held.expires:
            held.permits -= 1
            held.used = now
            left = held.left + held.permits
            reset = held.expires - now if rate.period > 1 else (rate.limit - left) / rate.limit
            return Verdict(True, rate.limit, left, math.ceil(reset), 0)
        if now < held.refused_until:
            return self._refusal(held, now)
        return None

    async def take(self, key: str, rate: Rate) -> Verdict:
        """A verdict on one request, leasing permits where none are held. Raises StoreError where the store cannot be asked."""
        verdict = self.take_now(key, rate)
        if verdict is not None:
            return verdict
        held = self._held.get((key, rate))
        if held is None:
            held = self._held[key, rate] = _Permits(key, rate)
        held.waiting += 1
        try:
            while (verdict := self.take_now(key, rate)) is None:
                if held.lease is None:
                    held.lease = asyncio.get_running_loop().create_task(self._lease(held))
                    self._leases.add(held.lease)
                    held.lease.add_done_callback(self._leased)
                await asyncio.shield(held.lease)
            return verdict
        finally:
            held.waiting -= 1

    async def purge(self, now: datetime) -> int:
        """Forget rates that say nothing any more; how many."""
        async with self._group.database.write() as connection:
            result = await connection.execute(delete(rates).where(_c.until < int(now.timestamp())))
            return int(result.rowcount)

    async def close(self) -> None:
        """Give back what was not used."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        await asyncio.gather(*self._leases, return_exceptions=True)
        now = self._time()
        for held in self._held.values():
            self._give_back(held, now)

    def _leased(self, lease: asyncio.Task[None]) -> None:
        self._leases.discard(lease)
        if not lease.cancelled():
            lease.exception()  # those who wait are told; where nobody waits any more there is nobody to tell

    def _refusal(self, held: _Permits, now: float) -> Verdict:
        rate = held.rate
        if rate.period == 1:
            wait = max(1, math.ceil(held.refused_until - now))
            return Verdict(False, rate.limit, 0, 1, wait)
        end = max(1, math.ceil((held.window + 1) * rate.period - now))
        return Verdict(False, rate.limit, 0, end, end)

    async def _lease(self, held: _Permits) -> None:
        try:
            if held.rate.period == 1:
                await self._lease_of_bucket(held)
            else:
                await self._lease_of_window(held)
        finally:
            held.lease = None
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(IDLE, self._sweep_idle)

    def _chunk(self, held: _Permits, *, exhausted: bool) -> int:
        """Twice the last chunk where that was used up, half of it where not; never less than who waits."""
        most = max(1, held.rate.limit // SHARE)
        held.chunk = min(most, held.chunk * 2) if exhausted else max(1, held.chunk // 2)
        return min(held.rate.limit, max(held.chunk, min(held.waiting, most)))

    async def _lease_of_window(self, held: _Permits) -> None:
        key, (limit, period) = held.key, held.rate
        now = self._time()
        window = int(now // period)
        want = self._chunk(held, exhausted=not held.permits)
        held.permits = 0  # those of a window that has ended are worth nothing
        until = (window + 2) * period
        row = {
            "v_key": key, "v_period": period, "v_window": window, "v_taken": want, "v_granted": want, "v_until": until,
            "p_window": window, "p_zero": 0, "p_limit": limit, "p_want": want, "p_need": 1, "p_until": until,
        }  # fmt: skip
        ((granted, taken, window),) = (await self._group.submit(_lease_window, row)).rows
        held.window, held.left, held.permits = window, max(0, limit - taken), granted
        held.expires = (window + 1) * period
        if not granted:
            held.refused_until = min(held.expires, self._time() + IDLE)

    async def _lease_of_bucket(self, held: _Permits) -> None:
        limit, now = held.rate.limit, self._time()
        step = -(-1_000_000_000 // limit)
        want = self._chunk(held, exhausted=not held.permits)
        back, held.permits = held.permits, 0
        granted, full = await self._borrow(held, now, step, want, back, CHUNK_LIFE if want > 1 else 0.0)
        if not granted and want > 1:  # not enough for a chunk: one, to be used at once
            now, want = self._time(), 1
            granted, full = await self._borrow(held, now, step, 1, 0, 0.0)
        now = self._time()
        ahead = full / 1e9 - now
        held.left = max(0, min(limit, int(limit - ahead * limit)))
        held.permits = granted
        held.expires = now + CHUNK_LIFE
        if not granted:
            held.refused_until = now + max(0.001, ahead + step / 1e9 - 1)

    async def _borrow(self, held: _Permits, now: float, step: int, want: int, back: int, life: float) -> tuple[int, int]:
        start = int((now + life) * 1e9)
        horizon = int(now * 1e9) + held.rate.limit * step
        first = max(0, min(want, (horizon - start) // step))
        until = int(now) + 2
        row = {
            "v_key": held.key, "v_period": 1, "v_window": 0, "v_taken": start + first * step, "v_granted": first, "v_until": until,
            "p_back": back * step, "p_start": start, "p_horizon": horizon, "p_step": step, "p_want": want, "p_zero": 0,
            "p_until": until,
        }  # fmt: skip
        ((granted, full, _),) = (await self._group.submit(_lease_bucket, row)).rows
        return granted, full

    def _sweep_idle(self) -> None:
        now = self._time()
        holding = False
        for name, held in list(self._held.items()):
            if held.lease is not None:
                holding = True
            elif not held.permits or now - held.used >= IDLE:
                self._give_back(held, now)
                if now >= held.refused_until and (now - held.used > 60 or len(self._held) > _KEYS):
                    del self._held[name]
            else:
                holding = True
        again = holding or bool(self._held)
        delay = IDLE if holding else 30.0
        self._sweep = asyncio.get_running_loop().call_later(delay, self._sweep_idle) if again else None

    def _give_back(self, held: _Permits, now: float) -> None:
        unused, held.permits = held.permits, 0
        limit, period = held.rate
        if not unused or (period > 1 and now >= held.expires):
            return
        row: dict[str, Any] = {"b_key": held.key, "b_period": period, "p_unused": unused}
        if period == 1:
            self._group.enqueue(_return_bucket, {**row, "p_step": -(-1_000_000_000 // limit)})
        else:
            self._group.enqueue(_return_window, {**row, "p_window": held.window})
