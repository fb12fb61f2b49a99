"""What a back end is working on for a consumer, by the consumer's request id: whoever asks again joins the work under way (D13).

It is kept across restarts and nodes, until some time after the work was begun. Where the work is looked for is the back end's own
address of it; nothing of what it is about is kept.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Column, LargeBinary, Table, Text, bindparam, delete, select
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock, micros, micros_of
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

pending = Table(
    "pending",
    metadata,
    Column("consumer", Text, primary_key=True),
    Column("api", Text, primary_key=True),
    Column("request_id", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("location", Text, nullable=False),
    Column("cookies", Text, nullable=False),
    Column("until", BigInteger, nullable=False, index=True),
    sqlite_with_rowid=False,
)
_new = insert(pending)
_put = _new.on_conflict_do_update(
    index_elements=[pending.c.consumer, pending.c.api, pending.c.request_id],
    set_={name: _new.excluded[name] for name in ("fingerprint", "location", "cookies", "until")},
)
_find = select(pending.c.fingerprint, pending.c.location, pending.c.cookies).where(
    pending.c.consumer == bindparam("b_consumer", type_=Text),
    pending.c.api == bindparam("b_api", type_=Text),
    pending.c.request_id == bindparam("b_request_id", type_=Text),
    pending.c.until > bindparam("b_now", type_=BigInteger),
)


class Asked(NamedTuple):
    """Who asked for what: an application, an API, and the request id that the application gave."""

    consumer: str
    api: str
    request_id: str


class Work(NamedTuple):
    """What is under way: `fingerprint` of the request that began it, where the back end tells of it, and the cookies it wants."""

    fingerprint: bytes
    location: str
    cookies: str


class Pending:
    """Remembers work under way."""

    def __init__(self, group: GroupWriter, clock: Clock) -> None:
        self._group = group
        self._clock = clock

    async def keep(self, asked: Asked, work: Work, until: int) -> None:
        """Remember, durably when this returns, until a moment (microseconds since the Unix epoch). Raises StoreError."""
        await self._group.submit(_put, {**asked._asdict(), **work._asdict(), "until": until})

    async def find(self, asked: Asked) -> Work | None:
        """The work that was begun for a request, if it is remembered."""
        bound: dict[str, Any] = {f"b_{name}": value for name, value in asked._asdict().items()}
        rows = (await self._group.submit(_find, {**bound, "b_now": micros(self._clock)}, synced=False)).rows
        return Work(*rows[0]) if rows else None

    async def purge(self, now: datetime) -> int:
        """Forget what was to be remembered until now; how many."""
        async with self._group.database.write() as connection:
            return int((await connection.execute(delete(pending).where(pending.c.until <= micros_of(now)))).rowcount)
