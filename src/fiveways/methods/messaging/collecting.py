"""How soon messages are collected: from their acceptance to their acknowledgement, by recipient, as observed (A44).

Three ways to see it: a histogram that each acknowledgement adds to, how many wait in each inbox and since when (`Inboxes`, looked
at now and then), and for senders who look a recipient up, what its newest messages have taken (`Observations`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from sqlalchemy import BindParameter, Select, Text, bindparam, func, select

from fiveways.clock import Clock, micros
from fiveways.methods.messaging.records import inbox, message_events, messages
from fiveways.methods.messaging.states import PLACE, State
from fiveways.store.database import Database

BUCKETS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 86_400.0, 3 * 86_400.0, 5 * 86_400.0)
"""Upper bounds in seconds."""
NEWEST: Final = 200
"""Acknowledged messages of a mailbox that are looked at."""
_READ: Final = 2 * NEWEST
"""Messages that are read to find them."""
_KEPT: Final = 60.0
"""Seconds for which what was found is told."""
_AT_ONCE: Final = 20
"""Mailboxes looked at for one who asks; of others is told what is known."""
_MOST: Final = 20_000
"""Mailboxes of which it is remembered."""


class CollectTimes:
    """A histogram by mailbox. `rows`: how many in each bucket (`BUCKETS`, then above them all), and last the sum in seconds."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[str, list[float]] = {}

    def observe(self, mailbox: str, seconds: float) -> None:
        """A message was acknowledged, so long after it was accepted."""
        row = self.rows.get(mailbox)
        if row is None:
            row = self.rows[mailbox] = [0.0] * (len(BUCKETS) + 2)
        row[bisect_left(BUCKETS, seconds)] += 1
        row[-1] += seconds


class Observed(msgspec.Struct, frozen=True):
    """What the newest acknowledged messages of a mailbox have taken. `since`: when the oldest of them was accepted, in microseconds
    since the Unix epoch."""

    messages: int
    median_seconds: float
    p95_seconds: float
    since: int


_mailbox: BindParameter[str] = bindparam("b_mailbox", type_=Text)
_before: BindParameter[str] = bindparam("b_before", type_=Text)
_accepted, _ended = message_events.alias("accepted"), message_events.alias("ended")


def _newest_acknowledged() -> Select[Any]:
    """Of a bounded number of a mailbox's newest messages, when those that it acknowledged were accepted and acknowledged."""
    newest = (
        select(messages.c.id)
        .where(messages.c.recipient == _mailbox, messages.c.id < _before)
        .order_by(messages.c.id.desc())
        .limit(_READ)
        .subquery()
    )
    accepted = (_accepted.c.message == newest.c.id) & (_accepted.c.place == PLACE[State.ACCEPTED])
    ended = (_ended.c.message == newest.c.id) & (_ended.c.place == PLACE[State.ACKNOWLEDGED])
    return (
        select(newest.c.id, _accepted.c.at, _ended.c.at)
        .select_from(newest)
        .join(_accepted, accepted)
        .join(_ended, ended)
        .where(_ended.c.state == State.ACKNOWLEDGED.value)
        .order_by(newest.c.id.desc())
        .limit(NEWEST)
    )


_find = _newest_acknowledged()
_head = select(inbox.c.message).where(inbox.c.mailbox == _mailbox).order_by(inbox.c.position).limit(1)
_LAST = "~"
"""Behind every message id."""


class Observations:
    """What recipients take to collect their messages, for those who are about to send them some. Kept for a minute."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Observed | None]] = OrderedDict()

    async def of(self, mailboxes: Iterable[str]) -> dict[str, Observed]:
        """What was observed of each mailbox of which there is something; StoreError where the store cannot be asked."""
        found: dict[str, Observed] = {}
        looks = 0
        for mailbox in mailboxes:
            until, observed = self._known.get(mailbox, (0.0, None))
            now = self._clock.monotonic()
            if (mailbox not in self._known or now >= until) and looks < _AT_ONCE:
                looks += 1
                self._remember(mailbox, now, observed)  # whoever asks meanwhile is told what was known
                observed = await self._look(mailbox)
                self._remember(mailbox, now, observed)
            if observed is not None:
                found[mailbox] = observed
        return found

    def _remember(self, mailbox: str, now: float, observed: Observed | None) -> None:
        self._known[mailbox] = (now + _KEPT, observed)
        self._known.move_to_end(mailbox)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    async def _look(self, mailbox: str) -> Observed | None:
        """Read as much however many messages there are: the newest, and where most of them still wait, those before all that do."""
        async with self._database.read() as connection:
            rows = {row[0]: row for row in await connection.execute(_find, {"b_mailbox": mailbox, "b_before": _LAST})}
            if len(rows) < NEWEST and (head := await connection.scalar(_head, {"b_mailbox": mailbox})) is not None:
                rows |= {row[0]: row for row in await connection.execute(_find, {"b_mailbox": mailbox, "b_before": head})}
        newest = sorted(rows.values(), reverse=True)[:NEWEST]
        if not newest:
            return None
        took = sorted((acknowledged - accepted) / 1e6 for _, accepted, acknowledged in newest)
        return Observed(len(took), _share(took, 0.5), _share(took, 0.95), min(row[1] for row in newest))


def _share(took: list[float], share: float) -> float:
    """The time within which this share of them was collected (nearest rank), to the millisecond."""
    return round(took[max(0, -int(-share * len(took) // 1) - 1)], 3)


_oldest = (
    select(inbox.c.mailbox, func.count().label("waiting"), func.min(inbox.c.position).label("position"))
    .group_by(inbox.c.mailbox)
    .subquery()
)
_waiting = (
    select(_oldest.c.mailbox, _oldest.c.waiting, message_events.c.at)
    .join(inbox, inbox.c.position == _oldest.c.position)
    .join(message_events, (message_events.c.message == inbox.c.message) & (message_events.c.place == PLACE[State.ACCEPTED]))
)


class Inboxes:
    """How full inboxes are. `rows`: by mailbox, how many messages wait and for how many seconds the first of them has, when `look`
    last looked; only of mailboxes in which something waits."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.rows: dict[str, list[float]] = {}

    async def look(self) -> None:
        """Look at all inboxes: one pass over an index. StoreError where the store cannot be asked."""
        async with self._database.read() as connection:
            rows = (await connection.execute(_waiting)).all()
        now = micros(self._clock)
        self.rows = {row[0]: [float(row[1]), max(0, now - row[2]) / 1e6] for row in rows}
