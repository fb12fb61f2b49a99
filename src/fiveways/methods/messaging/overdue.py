"""What has waited for too long, found without looking at what has not, however much waits and however the times differ.

Positions in inboxes are given in the order of arrival. So what came before a moment lies before a position, which is found by
halves, in some twenty small questions. Up to there each message that waits is looked at once for each length of time that any
workflow declares, and what was looked at is not looked at again by this process: what is found overdue ends, and the rest has
another time. Arrivals may be a little out of order (nodes whose clocks differ, a transaction that commits late): what is
found to be not overdue yet among what is holds the place from which the next look goes on, and everything is looked at anew
every hour.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, BindParameter, ColumnElement, Integer, Select, Text, and_, bindparam, exists, func, or_, select

from fiveways.clock import Clock, micros, micros_in
from fiveways.methods.messaging.directory import Directory
from fiveways.methods.messaging.records import inbox, message_events, messages
from fiveways.methods.messaging.states import PLACE, State
from fiveways.store.database import Database

AFRESH = 3600.0
"""Seconds after which everything is looked at anew."""
_NEAR = 8
"""Messages up to a position that are asked whether one came before a moment: others among them may be out of order."""
_NAMED = 10_000
"""Workflows that a question names at most; for more, all that waits is looked at."""

_life = message_events.c
_behind: BindParameter[int] = bindparam("b_behind", type_=BigInteger)
_until: BindParameter[int] = bindparam("b_until", type_=BigInteger)
_most: BindParameter[int] = bindparam("b_most", type_=Integer)
_named: BindParameter[Any] = bindparam("b_named", type_=Text, expanding=True)
_is_report = exists().where(messages.c.id == inbox.c.message, messages.c.kind == "REPORT")
_in_range = and_(inbox.c.position > _behind, inbox.c.position <= _until)
_accepted = and_(_life.message == inbox.c.message, _life.place == PLACE[State.ACCEPTED])

_last = select(func.coalesce(func.max(inbox.c.position), 0))
_nearest = (
    select(inbox.c.position, _life.at)
    .join(message_events, _accepted)
    .where(inbox.c.position <= _until)
    .order_by(inbox.c.position.desc())
    .limit(_NEAR)
)


def _waiting(*conditions: ColumnElement[bool]) -> Select[Any]:
    """Messages at positions in a range, in their order, with what a report needs of them."""
    found = select(inbox.c.position, inbox.c.message).where(_in_range, *conditions)
    page = found.order_by(inbox.c.position).limit(_most).subquery()
    told = ("id", "sender", "recipient", "workflow", "local_id", "kind", "correlation", "details")
    return (
        select(page.c.position, _life.at.label("accepted"), *(messages.c[name] for name in told))
        .join(messages, messages.c.id == page.c.message)
        .join(message_events, and_(_life.message == page.c.message, _life.place == PLACE[State.ACCEPTED]))
        .order_by(page.c.position)
    )


_all = _waiting()
_of_these = _waiting(and_(inbox.c.workflow.in_(_named), ~_is_report))
_of_others = _waiting(or_(inbox.c.workflow.not_in(_named), _is_report))


class Deadlines:
    """How long messages wait: as long as their workflow declares, otherwise `collect_within`; reports always that."""

    def __init__(self, collect_within: timedelta, directory: Directory | None) -> None:
        self.collect_within = collect_within
        self._own: dict[str, timedelta] = {}
        for id_, workflow in directory.workflows.items() if directory is not None else ():
            own = workflow.settings.undelivered_after
            if own is not None and own != collect_within:
                self._own[id_] = own

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deadlines) and (self.collect_within, self._own) == (other.collect_within, other._own)

    __hash__ = None  # type: ignore[assignment]

    def of(self, workflow: str, kind: str) -> timedelta:
        """How long a message waits."""
        return self._own.get(workflow, self.collect_within) if kind == "DATA" else self.collect_within

    def times(self) -> list[timedelta]:
        """Every length of time that some message waits, shortest first."""
        return sorted({self.collect_within, *self._own.values()})

    def question(self, within: timedelta) -> tuple[Select[Any], dict[str, list[str]]]:
        """The question for what waits that long, and the parameters it needs besides."""
        of_others = within == self.collect_within
        named = [id_ for id_, own in self._own.items() if of_others or own == within]
        if not named or len(named) > _NAMED:
            return _all, {}
        return (_of_others if of_others else _of_these), {"b_named": named}


class Overdue:
    """Finds what is overdue in all inboxes, and remembers how far it has looked."""

    def __init__(self, database: Database, clock: Clock, at_once: int) -> None:
        """`at_once`: so many messages are given to be ended in one go."""
        self._database = database
        self._clock = clock
        self._at_once = at_once
        self._deadlines: Deadlines | None = None
        self._looked: dict[timedelta, int] = {}
        """The position up to which nothing waits any more that may become overdue."""
        self._afresh = 0.0

    async def each(self, deadlines: Deadlines, end: Callable[[list[Any]], Awaitable[bool]]) -> None:
        """Give everything that is overdue to `end`, a few at once; where that says False, the rest is left to the next time.

        StoreError where the store cannot be read.
        """
        now = self._clock.monotonic()
        if deadlines != self._deadlines or now >= self._afresh:
            self._deadlines, self._afresh = deadlines, now + AFRESH
            self._looked.clear()
        for within in deadlines.times():
            await self._each(deadlines, within, end)

    async def _each(self, deadlines: Deadlines, within: timedelta, end: Callable[[list[Any]], Awaitable[bool]]) -> None:
        before = micros(self._clock) - micros_in(within)
        behind = self._looked.get(within, 0)
        until = await self._came_before(before, behind)
        question, named = deadlines.question(within)
        held = until
        full = behind < until
        while full:
            rows = await self._rows(question, b_behind=behind, b_until=until, b_most=self._at_once, **named)
            full = len(rows) == self._at_once
            behind = rows[-1].position if rows else until
            meant = [row for row in rows if deadlines.of(row.workflow, row.kind) == within]
            overdue = [row for row in meant if row.accepted <= before]
            held = min([held, *(row.position - 1 for row in meant if row.accepted > before)])
            if overdue and not await end(overdue):
                return
        self._looked[within] = held

    async def _came_before(self, moment: int, low: int) -> int:
        """The position up to which messages came before a moment (microseconds), or a few behind it; those up to `low` did."""
        high = int((await self._rows(_last))[0][0])
        while low < high:
            middle = (low + high + 1) // 2
            near = await self._rows(_nearest, b_until=middle)
            if any(row.at <= moment for row in near) or not near:
                low = middle
            else:
                high = middle - 1
        return low

    async def _rows(self, question: Select[Any], **parameters: object) -> list[Any]:
        async with self._database.read() as connection:
            return list((await connection.execute(question, parameters)).all())
