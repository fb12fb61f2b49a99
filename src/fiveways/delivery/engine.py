"""Promising: a delivery is written in the transaction of what it follows from, so that there is both or neither.

promise = await deliveries.promise("messaging.webhook", key=mailbox, target=url, body=body, correlation=correlation)
await group.transact(*steps_of_my_own, *promise.steps)
deliveries.wake("messaging.webhook")
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.dialects.postgresql import Insert

from fiveways.clock import Clock, micros, micros_of
from fiveways.correlation import new_id
from fiveways.delivery import records
from fiveways.store.bus import Bus
from fiveways.store.group import GroupWriter, Writing
from fiveways.store.payloads import Payload, Payloads, keep

Step = tuple[Writing, Mapping[str, Any]]
_AT_ONCE = 50


def topic(queue: str) -> str:
    """What the bus calls news of a queue."""
    return f"delivery.{queue}"


class Promise(NamedTuple):
    """A delivery that is still to be committed: its id, what writes it, the payload that was put for it, if it is large, and the
    time that it is promised at (microseconds since the Unix epoch)."""

    id: str
    steps: tuple[Step, ...]
    payload: str | None
    at: int


class Depth(NamedTuple):
    """How much there is of a queue, and since when (microseconds since the Unix epoch, None where there is nothing)."""

    waiting: int
    waiting_since: int | None
    dead: int
    dead_since: int | None


class Deliveries:
    """What must still happen, over one store. Whoever makes the promises keeps to this; `Worker` keeps the promises."""

    def __init__(self, group: GroupWriter, payloads: Payloads, bus: Bus, clock: Clock, node: str) -> None:
        self.group = group
        self.payloads = payloads
        self.bus = bus
        self.clock = clock
        self.node = node
        self._waking: set[str] = set()
        self._telling: set[asyncio.Task[None]] = set()

    async def promise(
        self,
        queue: str,
        *,
        target: str,
        body: AsyncIterable[bytes] | bytes | Payload,
        key: str | None = None,
        content_type: str = "application/json",
        correlation: str = "",
        not_before: datetime | None = None,
        expires_at: datetime | None = None,
        id: str | None = None,  # noqa: A002
        envelope: bytes | None = None,
        new: bool = False,
        condition: Insert = records.promise,
        parameters: Mapping[str, Any] | None = None,
    ) -> Promise:
        """A delivery to be written with the caller's own steps, after them; nothing is promised before that is committed.

        Deliveries of one queue and `key` go in order, one at a time; None is a key of its own. `id` is for promises that may be
        made again: of one id there is one delivery. `envelope`: what the handler is given besides the body. `new`: it is
        written with its first step as a guard (`guarded=1`), so that nothing is done where it is known; it costs less.
        `condition` (a constant, of `records.promise_if`, with its `parameters`) has the transaction decide whether there is
        anything to deliver. A large body is in the payload store when this returns: `drop` the promise where it is not kept after
        all.
        """
        name = id or new_id()
        now = micros(self.clock)
        kept = body if isinstance(body, Payload) else await keep(self.payloads, body)
        size, small, ref = (len(kept), kept, None) if isinstance(kept, bytes) else (kept.size, None, kept.ref)
        row = {
            "v_id": name, "v_queue": queue, "v_key": name if key is None else key, "v_target": target,
            "v_content_type": content_type, "v_size": size, "v_body": small, "v_payload": ref, "v_correlation": correlation,
            "v_at": now, "v_expires": records.NEVER if expires_at is None else micros_of(expires_at), "v_envelope": envelope,
        }  # fmt: skip
        due = now if not_before is None else micros_of(not_before)
        first = (condition, {**row, **(parameters or {})})
        if new:
            row |= {"b_by": self.node, "b_not_before": due}
            return Promise(name, (first, (records.begin_new_life, row), (records.queue_up_new, row)), ref, now)
        life = records.begin_life, {"b_id": name, "b_by": self.node}
        steps = (first, life, (records.queue_up, {"b_id": name, "b_not_before": due}))
        return Promise(name, steps, ref, now)

    async def drop(self, promise: Promise) -> None:
        """Remove what was put for a promise that was not committed."""
        if promise.payload is not None:
            await self.payloads.delete(promise.payload)

    async def promised(self, id: str) -> tuple[bytes | None, int] | None:  # noqa: A002
        """The envelope of a delivery, and when it was promised (microseconds since the Unix epoch); None where there is no such
        delivery any more."""
        rows = (await self.group.submit(records.find_promised, {"b_id": id}, synced=False)).rows
        return (rows[0][0], rows[0][1]) if rows else None

    def wake(self, queue: str) -> None:
        """Tell workers, after the commit, that there is something to do; if this is lost, they find it by polling."""
        if queue in self._waking:  # whoever is told then finds this too
            return
        self._waking.add(queue)
        task = asyncio.get_running_loop().create_task(self._woken(queue))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _woken(self, queue: str) -> None:
        self._waking.discard(queue)
        await self.bus.publish(topic(queue))

    def content(self, body: bytes | None, payload: str | None) -> AsyncIterator[bytes]:
        """The body of a delivery, from its row or the payload store."""
        return self.payloads.open(payload) if payload is not None else _once(body or b"")

    async def depth(self, queue: str) -> Depth:
        """What waits and what is dead of a queue: counted one by one, so for a scrape and not for each request."""
        async with self.group.database.read() as connection:
            waiting = (await connection.execute(records.find_depth, {"b_queue": queue})).one()
            dead = (await connection.execute(records.find_dead_count, {"b_queue": queue})).one()
        return Depth(waiting[0], waiting[1], dead[0], dead[1])

    async def purge(self, before: datetime) -> int:
        """Forget deliveries promised before `before` whose life has ended, and their payloads; how many."""
        forgotten = 0
        while True:
            async with self.group.database.read() as connection:
                asked = {"b_now": micros_of(before), "b_most": _AT_ONCE}
                ended = (await connection.execute(records.find_ended, asked)).all()
            await self._forget(ended)
            forgotten += len(ended)
            if len(ended) < _AT_ONCE:
                return forgotten

    async def forget(self, ids: Sequence[str]) -> None:
        """Forget deliveries, wherever they are in their lives, and their payloads: whoever promised them needs them no more."""
        async with self.group.database.read() as connection:
            found = (await connection.execute(records.find_payloads, {"b_ids": list(ids)})).all()
        await self._forget(found, records.leave_queue, records.raise_up)

    async def _forget(self, rows: Sequence[Any], *first: Writing) -> None:
        for row in rows:
            if row.payload is not None:
                await self.payloads.delete(row.payload)  # first: a crash in between leaves the row, and the next round
        ids: Sequence[Mapping[str, Any]] = [{"b_id": row.id} for row in rows]
        if ids:
            await self.group.transact(*((each, ids) for each in (*first, records.forget_events, records.forget)))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
