"""Events of the platform, written in the transaction of what they tell of, and read at least once by each of their consumers.

A consumer is a name with a position. One process at a time works for it: it takes a lease on the position, hands events out
in order, and moves the position on when the next event is asked for, that is, when the one before was dealt with. Who dies
leaves the lease to run out, and the event to be handed out again. The bus wakes a waiting consumer; without it, it polls.

Positions are given by the database in order of insertion, and with several writers an event can become visible after one with a
higher position. On PostgreSQL a reader therefore takes a lock that writers share, and sees only what nobody can still precede.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_new
from sqlalchemy.ext.asyncio import AsyncConnection

from fiveways.clock import Clock, micros, micros_of, moment_of
from fiveways.correlation import new_id
from fiveways.store.bus import Bus
from fiveways.store.database import Database
from fiveways.store.tables import metadata

_Position = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts only in INTEGER

outbox = Table(
    "outbox",
    metadata,
    Column("position", _Position, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False, index=True),
    sqlite_autoincrement=True,
)
Index(None, outbox.c.topic, outbox.c.position)

outbox_consumers = Table(
    "outbox_consumers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("lease", BigInteger, nullable=False),
)

_WRITERS = 0x66776F62
"""The PostgreSQL advisory lock that writers share and a reader passes through ('fwob')."""
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `topic` says of what sort, `key` to what, `body` is JSON."""

    position: int
    topic: str
    key: str
    body: bytes
    at: datetime


class Outbox:
    """Events, and who has read how far."""

    def __init__(self, database: Database, bus: Bus, clock: Clock, *, poll: float = 1.0, lease: float = 30.0) -> None:
        """`poll`: seconds between looks where no wake-up comes; `lease`: seconds that a consumer's process may take for an
        event."""
        self._database = database
        self._bus = bus
        self._clock = clock
        self._poll = poll
        self._lease = lease

    async def add(self, connection: AsyncConnection, topic: str, key: str, body: bytes) -> None:
        """Add an event in the caller's transaction: it exists if that commits. Then `wake` its consumers."""
        if self._database.kind == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _WRITERS})
        at = micros(self._clock)
        await connection.execute(insert(outbox).values(topic=topic, key=key, body=body, at=at))

    async def wake(self, topic: str) -> None:
        """Tell consumers of `topic`, after the commit, that there is something; if this is lost, they find it by polling."""
        await self._bus.publish(f"outbox.{topic}")

    async def follow(self, consumer: str, topic: str) -> AsyncGenerator[Event, None]:
        """The events of `topic` in order, from where `consumer` stopped; waits for more, until the iterator is closed.

        Asking for the next event says that the one before was dealt with, durably when the next one comes. Of several processes
        that follow under one name one gets events, and the others wait to take its place.
        """
        owner = new_id()
        await self._introduce(consumer, topic)
        with self._bus.subscribe(f"outbox.{topic}") as wakes:
            try:
                done: int | None = None
                while True:
                    events = await self._take(consumer, topic, owner, done)
                    done = None
                    if not events:
                        await wakes.wait(self._poll)
                    for number, event in enumerate(events):
                        if number and not await self._hold(consumer, topic, owner, done):
                            break
                        yield event
                        done = event.position
            finally:
                await asyncio.shield(self._let_go(consumer, topic, owner))

    async def purge(self, before: datetime) -> int:
        """Remove events older than `before` that every consumer of their topic has read; how many."""
        read = select(func.min(outbox_consumers.c.position)).where(outbox_consumers.c.topic == outbox.c.topic).scalar_subquery()
        old = outbox.c.at < micros_of(before)
        async with self._database.write() as connection:
            result = await connection.execute(delete(outbox).where(old, outbox.c.position <= func.coalesce(read, 2**62)))
            return int(result.rowcount)

    async def _introduce(self, consumer: str, topic: str) -> None:
        row = {"name": consumer, "topic": topic, "position": 0, "owner": "", "lease": 0}
        async with self._database.write() as connection:
            await connection.execute(insert_new(outbox_consumers).on_conflict_do_nothing(), row)

    async def _take(self, consumer: str, topic: str, owner: str, done: int | None) -> list[Event]:
        """Hold the lease, note how far the consumer is, and read on."""
        async with self._database.write() as connection:
            position = await self._renew(connection, consumer, topic, owner, done)
            if position is None:
                return []
            if self._database.kind == "postgresql":
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITERS})
            query = (
                select(outbox)
                .where(outbox.c.topic == topic, outbox.c.position > position)
                .order_by(outbox.c.position)
                .limit(_AT_ONCE)
            )
            return [Event(row.position, row.topic, row.key, row.body, moment_of(row.at)) for row in await connection.execute(query)]

    async def _hold(self, consumer: str, topic: str, owner: str, done: int | None) -> bool:
        async with self._database.write() as connection:
            return await self._renew(connection, consumer, topic, owner, done) is not None

    async def _renew(self, connection: AsyncConnection, consumer: str, topic: str, owner: str, done: int | None) -> int | None:
        """Take or lengthen the lease; the consumer's position, or None where another process holds it."""
        now = self._clock.time()
        row = outbox_consumers.c
        values: dict[str, object] = {"owner": owner, "lease": int((now + self._lease) * 1e6)}
        mine = row.owner == owner
        if done is not None:
            values["position"] = done
        else:
            mine = mine | (row.lease <= int(now * 1e6))
        query = update(outbox_consumers).where(row.name == consumer, row.topic == topic, mine).values(values)
        position: int | None = await connection.scalar(query.returning(row.position))
        return position

    async def _let_go(self, consumer: str, topic: str, owner: str) -> None:
        row = outbox_consumers.c
        async with self._database.write() as connection:
            await connection.execute(
                update(outbox_consumers).where(row.name == consumer, row.topic == topic, row.owner == owner).values(lease=0)
            )
