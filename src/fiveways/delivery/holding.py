"""A key that this node works on: its lease, and everything that is written under it.

Each write begins by lengthening the lease, and nothing of it is done where the lease has run out or is another's: a node that was
thought dead can come back, but cannot say any more what became of its attempt. As whoever works on a key has its lease's row
locked while it writes, what the statements behind it see of the key's rows is what everybody before has left (PostgreSQL: each
statement has a snapshot of its own).

Taking, keeping and leaving a lease does not wait for the disk: what a power cut takes away of it is a lease of a node that is gone.
What happens to a delivery does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from fiveways.clock import Clock, micros, micros_in
from fiveways.correlation import new_id
from fiveways.delivery import records
from fiveways.delivery.alone import alone
from fiveways.delivery.engine import Step
from fiveways.delivery.states import State
from fiveways.errors import FivewaysError
from fiveways.store.group import GroupWriter, Result


class LeaseLost(FivewaysError):
    """The lease ran out: the key may be another node's, and this one has no say in it any more."""


@dataclass(frozen=True, slots=True)
class First:
    """The first of a key. Moments are in microseconds since the Unix epoch."""

    delivery: str
    ready: int
    attempts: int
    since: int
    expires: int
    target: str
    content_type: str
    size: int
    body: bytes | None
    payload: str | None
    envelope: bytes | None
    correlation: str
    at: int
    state: State


class Holding:
    """The lease of one key of one queue.

    `held`: whether there is something to let go of; `first`: what stands at the head of the key, as of the last write, None where
    nothing does; `expired`: what is to be expired before that.
    """

    def __init__(self, group: GroupWriter, clock: Clock, queue: str, key: str, node: str, lease: timedelta) -> None:
        self._group = group
        self._clock = clock
        self._names = {"b_queue": queue, "b_key": key}
        self._node = node
        self._lease = micros_in(lease)
        self.queue = queue
        self.key = key
        self.token = new_id()
        self.held = False
        self.first: First | None = None
        self.expired: list[str] = []

    async def take(self) -> bool:
        """Take the key, put aside what is behind its first, and see what that is; False where another node holds the key."""
        now = micros(self._clock)
        taking = {**self._names, "b_token": self.token, "b_by": self._node, "b_now": now, "b_until": now + self._lease}
        expired = (records.find_expired, {**self._names, "b_now": now})
        results = await alone(self._group, (records.take_lease, taking), *self._view(), expired)
        if len(results) == 1:
            return False
        self.held = True
        self.expired = [row[0] for row in results[-1].rows]
        self._see(results[-2])
        return True

    async def renew(self) -> int:
        """Hold the key for longer; until when. Raises LeaseLost."""
        fence = self._fence()
        if not (await self._group.submit(*fence, synced=False)).rowcount:
            raise LeaseLost(f"the lease of a key of {self.queue} ran out")
        until: int = fence[1]["b_until"]
        return until

    async def begin(self, first: First) -> None:
        """An attempt begins: that is durable before it is made. Raises LeaseLost."""
        await self._write(
            *self._happens(records.lapse, first.delivery, "the lease ran out"),
            *self._happens(records.claim, first.delivery),
            (records.count_attempt, {"b_id": first.delivery}),
        )

    async def delivered(self, first: First, said: str) -> None:
        """Its receiver has it, and `said` something. Raises LeaseLost, and then it will be delivered again."""
        await self._onward(*self._happens(records.deliver, first.delivery, said), *_leave(first.delivery))

    async def failed(self, first: First, reason: str, until: int) -> None:
        """It is tried again at `until`; the key rests."""
        again = (records.put_off, {"b_id": first.delivery, "b_until": until})
        await self._onward(*self._happens(records.fail, first.delivery, reason), again)

    async def put_off(self, first: First, until: int) -> None:
        """It is looked at again at `until`, and no attempt was made."""
        await self._onward((records.put_off, {"b_id": first.delivery, "b_until": until}))

    async def give_up(self, first: First, reason: str, *, block: bool) -> None:
        """It is a dead letter; where `block`, what is behind it waits."""
        now = micros(self._clock)
        stay = ((records.block, {"b_id": first.delivery}),) if block else _leave(first.delivery)
        bury = (records.bury, {"b_id": first.delivery, "b_queue": self.queue, "b_at": now})
        await self._onward(*self._happens(records.give_up, first.delivery, reason), bury, *stay)

    async def expire(self, deliveries: list[str]) -> None:
        """Nobody needs these any more, wherever they stand under the key; the rest goes on."""
        steps: list[Step] = []
        for delivery in deliveries:
            steps += self._happens(records.lapse, delivery, "the lease ran out")
            steps += (*self._happens(records.expire, delivery), *_leave(delivery))
        self.expired = []
        await self._onward(*steps)

    async def remove(self, first: First) -> None:
        """Its life has ended otherwise (a person discarded it), and it only stands in the way."""
        await self._onward(*_leave(first.delivery))

    async def let_go(self) -> None:
        """Leave the key to whoever comes next."""
        self.held = False
        await self._group.submit(records.let_go, {**self._names, "b_token": self.token}, synced=False)

    # --- how it is written ------------------------------------------------------------------------------------------------

    async def _onward(self, *steps: Step) -> None:
        """Write, see what is first now, and let go of a key that has nothing left."""
        done = (records.let_go_if_done, {**self._names, "b_token": self.token})
        results = await self._write(*steps, *self._view(), done)
        self._see(results[-2])
        self.held = not results[-1].rowcount

    async def _write(self, *steps: Step) -> list[Result]:
        results = await self._group.transact(self._fence(), *steps, guarded=1)
        if len(results) == 1:
            raise LeaseLost(f"the lease of a key of {self.queue} ran out")
        return results

    def _fence(self) -> Step:
        now = micros(self._clock)
        return records.keep_lease, {**self._names, "b_token": self.token, "b_now": now, "b_until": now + self._lease}

    def _view(self) -> tuple[Step, ...]:
        return (records.put_aside, self._names), (records.bring_forward, self._names), (records.find_first, self._names)

    def _see(self, found: Result) -> None:
        self.first = None
        for row in found.rows:
            self.first = First(*(*row[:-1], State(row[-1])))

    def _happens(self, statement: Any, delivery: str, reason: str = "") -> tuple[Step, ...]:
        return ((statement, {"b_id": delivery, "b_at": micros(self._clock), "b_by": self._node, "b_reason": reason}),)


def _leave(delivery: str) -> tuple[Step, ...]:
    return ((records.leave_queue, {"b_id": delivery}),)
