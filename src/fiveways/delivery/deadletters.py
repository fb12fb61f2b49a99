"""Dead letters: a person looks at what was given up, mends it, sends it again, or decides that it shall not go; and says why.

What a person does and the audit event that says so are one commit (`Witness`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from fiveways.clock import micros
from fiveways.delivery import records
from fiveways.delivery.engine import Deliveries, Step
from fiveways.delivery.states import State
from fiveways.errors import FivewaysError
from fiveways.store.group import Writing
from fiveways.store.payloads import keep


class NoDeadLetter(FivewaysError):
    """There is no such delivery, or none that is dead."""


class Shown(msgspec.Struct, frozen=True):
    """A delivery, as it is shown to people. `size` is the body's in bytes; moments are in microseconds since the Unix epoch."""

    id: str
    queue: str
    key: str
    target: str
    content_type: str
    size: int
    correlation: str
    at: int
    """When it was promised."""


class Listed(Shown, frozen=True):
    """A dead letter in a list."""

    died: int
    reason: str
    """Why it was given up."""


class Waiting(Shown, frozen=True):
    """A delivery that is still to be made, in a list."""

    next: int | None
    """When it is attempted, or looked at again; None where it waits for another of its key."""
    attempts: int
    reason: str
    """Why the last attempt came to nothing."""


class Event(msgspec.Struct, frozen=True):
    """Something that happened to a delivery: what, the state it led to, when, who or which node, and why."""

    number: int
    happening: str
    state: State
    at: int
    by: str
    reason: str


class Inspected(Shown, frozen=True):
    """A delivery and its life so far."""

    expires: int | None
    body: bytes | None
    payload: str | None
    events: tuple[Event, ...]

    @property
    def state(self) -> State:
        """Where it is: the newest event says so."""
        return self.events[-1].state


Witness = Callable[[str, Inspected, str, Mapping[str, Any]], Callable[[bool], None]]
"""Records in the audit what a person does: the kind of event (`delivery.resent`, …), to which delivery, the reason, and details.
Called just before the write; what it returns is told whether the write was made, in time for the event in the same commit."""


class DeadLetters:
    """What a person does with dead letters, in the name of `account`."""

    def __init__(self, deliveries: Deliveries, account: str, witness: Witness) -> None:
        self._deliveries = deliveries
        self._group = deliveries.group
        self._account = account
        self._witness = witness

    async def list(self, queue: str = "", *, most: int = 100) -> Sequence[Listed]:
        """Dead letters, oldest first, of one queue, of all whose names begin so (`promise.`, with the dot), or of all."""
        async with self._group.database.read() as connection:
            rows = (await connection.execute(records.find_dead, {"b_queue": queue, "b_most": most})).all()
        return [Listed(*tuple(row)) for row in rows]

    async def waiting(self, queue: str = "", *, most: int = 100) -> Sequence[Waiting]:
        """What is still to be delivered, in order, of the same queues as in `list`."""
        async with self._group.database.read() as connection:
            rows = (await connection.execute(records.find_waiting, {"b_queue": queue, "b_most": most})).all()
        found = (Waiting(*tuple(row)) for row in rows)
        return [msgspec.structs.replace(each, next=None) if each.next == records.NEVER else each for each in found]

    async def inspect(self, id: str) -> Inspected:  # noqa: A002
        """A delivery, dead or not, and what happened to it. Raises NoDeadLetter where there is none."""
        async with self._group.database.read() as connection:
            row = (await connection.execute(records.find_delivery, {"b_id": id})).one_or_none()
            events = (await connection.execute(records.find_events, {"b_id": id})).all()
        if row is None:
            raise NoDeadLetter(f"there is no delivery {id}")
        life = tuple(Event(each.number, each.happening, State(each.state), each.at, each.by, each.reason) for each in events)
        return Inspected(
            id=row.id,
            queue=row.queue,
            key=row.key,
            target=row.target,
            content_type=row.content_type,
            size=row.size,
            correlation=row.correlation,
            at=row.at,
            expires=None if row.expires == records.NEVER else row.expires,
            body=row.body,
            payload=row.payload,
            events=life,
        )

    def content(self, delivery: Inspected) -> AsyncIterator[bytes]:
        """The body of a delivery."""
        return self._deliveries.content(delivery.body, delivery.payload)

    async def mend(self, id: str, reason: str, *, target: str | None = None, body: bytes | None = None) -> None:  # noqa: A002
        """Give a dead letter another target or body; it is still dead, until it is sent again."""
        if target is None and body is None:
            raise FivewaysError("nothing to mend: a new target or a new body")
        before = await self._in(id, State.DEAD)
        content = {"v_size": before.size, "v_body": before.body, "v_payload": before.payload}
        put = None
        if body is not None:
            kept = await keep(self._deliveries.payloads, body)
            put = None if isinstance(kept, bytes) else kept.ref
            content = {"v_size": len(body), "v_body": kept if isinstance(kept, bytes) else None, "v_payload": put}
        row = {"b_id": id, "v_target": before.target if target is None else target, **content}
        changed = {"target": target is not None, "body": body is not None}
        try:
            await self._do("delivery.mended", records.mend, before, reason, changed, (records.replace_content, row))
        except NoDeadLetter:  # where it is not known whether that was written, what is left over is removed when it is old
            if put is not None:
                await self._deliveries.payloads.delete(put)
            raise
        if body is not None and before.payload is not None:
            await self._deliveries.payloads.delete(before.payload)

    async def resend(self, id: str, reason: str) -> None:  # noqa: A002
        """Have a dead letter attempted again from the first attempt; it does not expire any more."""
        before = await self._in(id, State.DEAD)
        now = {"b_id": id, "b_at": micros(self._deliveries.clock)}
        await self._do(
            "delivery.resent", records.resend, before, reason, {}, (records.queue_again, now), (records.raise_up, {"b_id": id})
        )
        self._deliveries.wake(before.queue)

    async def discard(self, id: str, reason: str) -> None:  # noqa: A002
        """Decide that a dead letter, or what is still to be delivered, shall not be; what waits behind it goes on."""
        before = await self._in(id, State.DEAD, State.WAITING, State.HELD)
        now = {"b_id": id, "b_at": micros(self._deliveries.clock)}
        await self._do(
            "delivery.discarded", records.discard, before, reason, {}, (records.look_again, now), (records.raise_up, {"b_id": id})
        )
        self._deliveries.wake(before.queue)

    async def _in(self, id: str, *states: State) -> Inspected:  # noqa: A002
        found = await self.inspect(id)
        if found.state not in states:
            what = "no dead letter" if states == (State.DEAD,) else "nothing that could still be given up"
            raise NoDeadLetter(f"delivery {id} is {what}: it is {found.state.value}")
        return found

    async def _do(
        self, kind: str, happening: Writing, before: Inspected, reason: str, details: Mapping[str, Any], *steps: Step
    ) -> None:
        """What happens and what it means, in one commit with its audit event; NoDeadLetter where somebody was quicker."""
        if not reason.strip():
            raise FivewaysError("a reason is needed: the audit keeps it")
        settle = self._witness(kind, before, reason, details)
        event = {"b_id": before.id, "b_at": micros(self._deliveries.clock), "b_by": self._account, "b_reason": reason}
        results = await self._group.transact(
            (happening, event), *steps, guarded=1, settled=lambda results: settle(len(results) > 1)
        )
        if len(results) == 1:
            raise NoDeadLetter(f"delivery {before.id} is no dead letter any more")
