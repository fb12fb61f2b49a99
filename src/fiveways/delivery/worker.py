"""Keeps promises: takes what is due, key by key, under leases that several nodes share, and sees each to its end.

At least once: the attempt is durable before it is made and its outcome after, so that a node that dies in between leaves a delivery
that another attempts again. It bears the same id: receivers that must not do things twice look at that.

Of one key one delivery is under way at a time, over all nodes. A key whose first has failed rests until that is due again, and a
throttled one until its receiver may take more. The bus wakes a worker; without it, it looks now and then.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from fiveways.clock import micros, micros_in, moment_of
from fiveways.delivery import records
from fiveways.delivery.capacity import Limiter, Throttle
from fiveways.delivery.engine import Deliveries, topic
from fiveways.delivery.holding import First, Holding, LeaseLost
from fiveways.delivery.queue import Capacity, Delivery, GiveUp, Queue, Retry
from fiveways.delivery.states import ENDED
from fiveways.errors import StoreError
from fiveways.store.bus import Wakes

log = logging.getLogger(__name__)

_REST = 0.25
"""Seconds between looks at whether receivers that are left alone may be tried again."""

Observer = Callable[[str, str, float], None]
"""Told of a queue, what happened (`delivered`, `failed`, `dead`, `expired`, `throttled`, `lost`), and the delivery's age in
seconds."""


class Worker:
    """Works on queues until closed. `counts` are what happened, by queue and happening, since it was made."""

    def __init__(
        self,
        deliveries: Deliveries,
        limiter: Limiter,
        queues: Iterable[Queue],
        *,
        poll: float = 1.0,
        observer: Observer | None = None,
    ) -> None:
        """`poll`: seconds between looks where no wake-up comes."""
        self._deliveries = deliveries
        self._group = deliveries.group
        self._clock = deliveries.clock
        self._throttle = Throttle(deliveries.group, deliveries.clock, limiter)
        self._queues = {queue.name: queue for queue in queues}
        self._poll = poll
        self._observer = observer
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._ended: set[asyncio.Task[None]] = set()
        self._started = False
        self.counts: Counter[tuple[str, str]] = Counter()

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._started = True
        for name in self._queues.keys() - self._loops.keys():
            self._loops[name] = asyncio.create_task(self._run(name), name=f"delivery {name}")

    def change(self, queues: Iterable[Queue]) -> None:
        """Work on these queues from now on, and on those of the same names as is said now; what is under way ends as it began,
        but of a queue that is no longer there: that is due at once for other nodes."""
        self._queues = {queue.name: queue for queue in queues}
        for name in self._loops.keys() - self._queues.keys():
            loop = self._loops.pop(name)
            loop.cancel()
            self._ended.add(loop)
            loop.add_done_callback(self._ended.discard)
        if self._started:
            self.start()

    async def close(self) -> None:
        """Stop: attempts under way are cancelled, and what they were about is due at once for other nodes."""
        for loop in self._loops.values():
            loop.cancel()
        await asyncio.gather(*self._loops.values(), *self._ended, return_exceptions=True)
        self._loops, self._started = {}, False

    async def _run(self, name: str) -> None:
        """Look whenever somebody has news, but no more than half of the time; and now and then while receivers are left alone."""
        working: dict[str, asyncio.Task[None]] = {}
        time = asyncio.get_running_loop().time
        try:
            with self._deliveries.bus.subscribe(topic(name)) as wakes:
                while True:
                    wait, began = self._poll, time()
                    try:
                        wait = await self._look(self._queues[name], working, wakes)
                    except StoreError as error:
                        log.error("deliveries cannot be looked for", extra={"queue": name, "reason": str(error)})
                    took = time() - began
                    if self._queues[name].room() > 0:
                        await wakes.wait(wait)
                        await asyncio.sleep(min(took, self._poll))
                    else:
                        await asyncio.sleep(min(self._poll, _REST))
        finally:
            for task in working.values():
                task.cancel()
            await asyncio.gather(*working.values(), return_exceptions=True)

    async def _look(self, queue: Queue, working: dict[str, asyncio.Task[None]], wakes: Wakes) -> float:
        """Begin to work on what is due; in how many seconds to look again."""
        now, most = micros(self._clock), queue.concurrency
        if len(working) >= most:
            return self._poll
        asked = {"b_queue": queue.name, "b_now": now, "b_most": most}
        due, expires = (await self._group.submit(records.find_soonest, {"b_queue": queue.name}, synced=False)).rows[0]
        if due is None:
            return self._poll
        if min(due, expires) > now:
            return min(self._poll, float(due - now) / 1e6)
        async with self._group.database.read() as connection:
            expiring = (await connection.execute(records.find_expiring, asked)).all()
            ready = (await connection.execute(records.find_due, asked)).all() if queue.room() > 0 else ()
            later = await connection.scalar(records.find_next, {"b_queue": queue.name, "b_now": now})
        most = min(most, max(queue.room(), len(expiring)))
        for key in dict.fromkeys(row[0] for row in (*expiring, *ready)):
            if key not in working and len(working) < most:
                task = working[key] = asyncio.create_task(self._work(queue, key))
                task.add_done_callback(partial(self._done, working, key, wakes))
        return self._poll if later is None else min(self._poll, max(0.0, (later - now) / 1e6))

    @staticmethod
    def _done(working: dict[str, asyncio.Task[None]], key: str, wakes: Wakes, task: asyncio.Task[None]) -> None:
        """Look again: something may have come under the key while it was held."""
        del working[key]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("work on a key failed; its lease runs out", exc_info=error)
        wakes.notify("", b"")

    async def _work(self, queue: Queue, key: str) -> None:
        """See to what is due of a key, one after another."""
        holding = Holding(self._group, self._clock, queue.name, key, self._deliveries.node, queue.lease)
        try:
            if not await holding.take():
                return
            try:
                if holding.expired:
                    for _ in holding.expired:
                        self._tell(queue, "expired", None)
                    await holding.expire(holding.expired)
                while (first := holding.first) is not None and first.ready <= micros(self._clock) and queue.room() > 0:
                    queue = self._queues.get(queue.name, queue)  # what a reload has changed holds for the next already
                    await self._see_to(queue, holding, first)
            finally:
                if holding.held:
                    await asyncio.shield(holding.let_go())
        except LeaseLost:
            self._tell(queue, "lost", None)
            log.warning("a lease was lost", extra={"queue": queue.name, "node": self._deliveries.node})
        except StoreError as error:
            log.error("work on a key was broken off: the store failed", extra={"queue": queue.name, "reason": str(error)})
            await asyncio.sleep(self._poll)

    async def _see_to(self, queue: Queue, holding: Holding, first: First) -> None:
        now = micros(self._clock)
        if first.state in ENDED:
            await holding.remove(first)
        elif first.expires <= now:
            await holding.expire([first.delivery])
            self._tell(queue, "expired", first)
        elif first.attempts >= queue.attempts:
            await holding.give_up(first, f"{first.attempts} attempts, the last without an outcome", block=queue.blocking)
            self._tell(queue, "dead", first)
        else:
            delivery = self._delivery(queue, holding, first)
            capacity = queue.capacity(delivery)
            if capacity is not None:
                wait = await self._throttle.admit(capacity, holding.token, now + micros_in(queue.lease))
                if wait is not None:
                    await holding.put_off(first, now + micros_in(wait))
                    self._tell(queue, "throttled", first)
                    return
            try:
                await holding.begin(first)
                await self._attempt(queue, holding, first, delivery, capacity)
            finally:
                if capacity is not None:
                    await asyncio.shield(self._throttle.leave(capacity, holding.token))

    async def _attempt(self, queue: Queue, holding: Holding, first: First, delivery: Delivery, capacity: Capacity | None) -> None:
        heed = timedelta(0)
        try:
            said = await self._hand_over(queue, holding, delivery, capacity)
        except LeaseLost:
            raise
        except asyncio.CancelledError:
            with suppress(LeaseLost, StoreError):
                await asyncio.shield(holding.failed(first, "the node was stopped", micros(self._clock)))
            raise
        except GiveUp as error:
            await holding.give_up(first, str(error), block=queue.blocking)
            self._tell(queue, "dead", first)
            return
        except Retry as error:
            reason, heed = str(error), min(error.after or heed, queue.longest_heed)
        except Exception as error:
            log.exception("an attempt at a delivery failed", extra={"queue": queue.name, "delivery": delivery.id})
            reason = type(error).__name__  # a stranger's message may hold anything
        else:
            await holding.delivered(first, said or "")
            self._tell(queue, "delivered", first)
            return
        now = micros(self._clock)
        wait = micros_in(max(queue.backoff(delivery.attempt), heed))
        if delivery.attempt >= queue.attempts or now + wait - first.since > micros_in(queue.patience):
            await holding.give_up(first, f"after {_times(delivery.attempt)}: {reason}", block=queue.blocking)
            self._tell(queue, "dead", first)
        else:
            await holding.failed(first, reason, now + wait)
            self._tell(queue, "failed", first)

    async def _hand_over(self, queue: Queue, holding: Holding, delivery: Delivery, capacity: Capacity | None) -> str | None:
        """Let the handler attempt it while the lease is renewed; LeaseLost where that fails, and the attempt is cancelled."""

        async def call() -> str | None:
            seconds = queue.time_limit.total_seconds()
            try:
                async with asyncio.timeout(seconds) as limit:
                    return await queue.handler(delivery)
            except TimeoutError:
                raise Retry(f"no outcome within {seconds:g} s" if limit.expired() else "TimeoutError") from None

        attempt = asyncio.create_task(call())
        renewal = asyncio.create_task(self._renew(queue, holding, capacity))
        try:
            await asyncio.wait((attempt, renewal), return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                renewal.result()
            return await attempt
        finally:
            for task in (attempt, renewal):
                task.cancel()
            await asyncio.gather(attempt, renewal, return_exceptions=True)

    async def _renew(self, queue: Queue, holding: Holding, capacity: Capacity | None) -> None:
        """Renew the lease until cancelled, or lost."""
        period = queue.lease.total_seconds() / 3
        while True:
            await asyncio.sleep(period)
            try:
                until = await holding.renew()
                if capacity is not None and capacity.concurrency is not None:
                    mine = {"b_receiver": capacity.receiver, "b_token": holding.token, "b_until": until}
                    await self._group.submit(records.keep_slot, mine, synced=False)
            except StoreError:
                continue  # it may work the next time; if not in time, the outcome is refused

    def _delivery(self, queue: Queue, holding: Holding, first: First) -> Delivery:
        return Delivery(
            id=first.delivery,
            queue=queue.name,
            key=holding.key,
            target=first.target,
            content_type=first.content_type,
            size=first.size,
            correlation=first.correlation,
            at=moment_of(first.at),
            attempt=first.attempts + 1,
            content=lambda: self._deliveries.content(first.body, first.payload),
            envelope=first.envelope or b"",
        )

    def _tell(self, queue: Queue, happening: str, first: First | None) -> None:
        self.counts[queue.name, happening] += 1
        if self._observer is not None:
            self._observer(queue.name, happening, (micros(self._clock) - first.at) / 1e6 if first is not None else 0.0)


def _times(attempts: int) -> str:
    return "one attempt" if attempts == 1 else f"{attempts} attempts"
