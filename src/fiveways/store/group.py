"""Group commit: small writes of one process share a transaction, and each waits for its durable commit.

A disk can make some thousand commits a second, and each costs the processor too; so whatever comes in while one transaction is
being committed goes together into the next. What nobody waits for (`enqueue`, and sources such as the audit) lingers a little,
so that groups are large; what somebody waits for goes at once and takes the rest along.

SQL is compiled once from SQLAlchemy statements and run on the raw driver: `sqlite3` in a thread of its own, or asyncpg. One bad
write does not fail its neighbours: a group that fails for a reason of one of its members is written again one by one. Where the
store itself fails (disk full, connection lost) all get StoreError, and nothing of theirs is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard

from sqlalchemy import Delete, Insert, Select, Update
from sqlalchemy.engine import Dialect

from fiveways.errors import StoreError
from fiveways.store.database import Database

log = logging.getLogger(__name__)

Writing = Insert | Update | Delete | Select[Any]
"""A statement of a submission. A question beside writes is answered in their transaction, and costs no way of its own."""
Row = Mapping[str, Any]


class Result(NamedTuple):
    """What a write came to: rows touched, and rows returned where the statement has RETURNING."""

    rowcount: int
    rows: list[tuple[Any, ...]]


class Compiled:
    """A statement as the raw driver takes it: text, names of its parameters in their order, and values fixed in it."""

    __slots__ = ("_fixed", "names", "returning", "sql")

    def __init__(self, statement: Writing, dialect: Dialect) -> None:
        names = [column.name for column in statement.table.columns] if _is_plain_insert(statement) else None
        compiled = statement.compile(dialect=dialect, column_keys=names)
        self.sql = str(compiled)
        self.names: tuple[str, ...] = tuple(getattr(compiled, "positiontup", None) or ())
        self.returning = isinstance(statement, Select) or bool(statement._returning)  # noqa: SLF001 - no public way to ask
        binds: Mapping[str, Any] = getattr(compiled, "binds", {})
        self._fixed = {name: bind.effective_value for name, bind in binds.items() if not bind.required}

    def parameters(self, row: Row) -> tuple[Any, ...]:
        """The values of one row in order; KeyError for a missing one."""
        fixed = self._fixed
        return tuple([row[name] if name in row else fixed[name] for name in self.names])


def _is_plain_insert(statement: Writing) -> TypeGuard[Insert]:
    return isinstance(statement, Insert) and not statement._values and statement.select is None  # noqa: SLF001


Settled = Callable[[list[Result]], None]
"""Told the results of a submission before its commit."""


class Step(NamedTuple):
    """A statement and the parameters of its rows."""

    compiled: Compiled
    parameters: Sequence[tuple[Any, ...]]


class Write:
    """One submission: steps that are kept together or not at all.

    `guarded`: so many steps at the beginning are claims; where one touches no row, nothing that follows it is done, and the results
    end with it. `settled` is told what was done, where the group is written and before its sources are asked. `synced`: on disk
    when it is told of.
    """

    __slots__ = ("future", "guarded", "settled", "steps", "synced")

    def __init__(
        self,
        steps: Sequence[Step],
        future: asyncio.Future[list[Result]] | None = None,
        *,
        guarded: int = 0,
        settled: Settled | None = None,
        synced: bool = True,
    ) -> None:
        self.steps = steps
        self.future = future
        self.guarded = guarded
        self.settled = settled
        self.synced = synced


class Source(Protocol):
    """Something that makes its own rows when a group is written: the audit hashes its events only then, in their final order, and
    when it is known what the group's writes came to.

    All but `settled` are called where the group is written (SQLite: the writer's thread), never two at a time.
    """

    def pending(self) -> bool:
        """Whether there is anything to write."""
        ...

    def gather(self) -> Step | None:
        """Everything to be written now; the same again if it was not committed."""
        ...

    def committed(self) -> None:
        """What `gather` gave is durable."""
        ...

    def failed(self, error: StoreError) -> None:
        """What `gather` gave was not kept."""
        ...

    def settled(self) -> None:
        """Called in the event loop after `committed` or `failed`, to tell those who wait."""
        ...


Outcomes = list[list[Result] | StoreError]
"""For each write of a group, in order, what its steps came to or why none was kept."""


Done = Callable[[Outcomes, bool], None]


class Backend(Protocol):
    """Writes groups on a raw connection, one at a time."""

    def start(self, writes: Sequence[Write], sources: Sequence[Source], synced: bool, done: Done) -> None:
        """Write a group; `done(outcomes, sources_kept)` is called in the event loop, once all is on disk or, where the group need
        not be `synced`, committed."""
        ...

    def ask(self, step: Step) -> Result | None:
        """The answer to a question, as things were last committed, where it can be had at once; None where it has to be waited
        for. Raises StoreError."""
        ...

    async def close(self) -> None:
        """Close the connection; nothing is being written."""
        ...


class GroupWriter:
    """The one writer of small writes in this process. Open it inside a running event loop."""

    def __init__(self, database: Database, *, linger: float = 0.02, limit: int = 20_000) -> None:
        """`linger`: seconds for which writes nobody waits for are collected; `limit`: writes queued before callers wait."""
        self.database = database
        self._loop = asyncio.get_running_loop()
        self._backend = _backend(database)
        self._linger = linger
        self._limit = limit
        self._queue: deque[Write] = deque()
        self._sources: list[Source] = []
        self._statements: dict[Writing, Compiled] = {}
        self._running = False
        self._now = False
        self._synced = False
        """Whether the next group is to be on disk, whatever is in it."""
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closing = False
        self._closed = False
        self._failures = 0

    async def submit(self, statement: Writing, rows: Row | Sequence[Row], *, synced: bool = True) -> Result:
        """Write `rows` with `statement`; returns once they are durable (`synced`: see `transact`). Raises StoreError, and then
        none of them was kept.

        `statement` should be a constant of its module: it is compiled once. Its rows are kept all or none.
        """
        return (await self.transact((statement, rows), synced=synced))[0]

    async def transact(
        self,
        *steps: tuple[Writing, Row | Sequence[Row]],
        guarded: int = 0,
        settled: Settled | None = None,
        synced: bool = True,
    ) -> list[Result]:
        """Write several statements, in order and all or none; returns what each came to once all are durable.

        `guarded`: so many at the beginning are claims. Where one touches no row nothing else is done, and its result is the last.
        `settled` is told what was done, in time for an audit event in the same commit to say so (`AuditLog.attest`); called where
        the group is written, it must do no more than note it. `synced=False`, for what a power cut may take away: it returns once
        all is committed, which every process sees and a crash of this one does not undo, and all is on disk with the next group
        that is synced, a moment later.
        """
        while len(self._queue) >= self._limit:
            await self.room()
        future: asyncio.Future[list[Result]] = self._loop.create_future()
        self._append(steps, future, guarded, settled, synced)
        if synced:
            self.hurry()
        else:
            self._hasten()
        return await future

    async def ask(self, question: Select[Any], row: Row) -> Sequence[tuple[Any, ...]]:
        """The rows that answer a question which an index answers, as things were last committed. Raises StoreError.

        On SQLite it is read at once, in the event loop: no thread is crossed, and no writer waited for. So it is for few rows.
        """
        if self._closing:
            raise StoreError("the store is closing")
        answer = self._backend.ask(self._step(question, row))
        return answer.rows if answer is not None else (await self.submit(question, row, synced=False)).rows

    def enqueue(self, statement: Writing, rows: Row | Sequence[Row]) -> None:
        """Write `rows` soon, with nobody waiting; a failure is logged. Where `full` is true, await `room` first."""
        self._append([(statement, rows)], None, 0, None, True)
        self.soon()

    @property
    def full(self) -> bool:
        """Whether the queue is at its limit."""
        return len(self._queue) >= self._limit

    async def room(self) -> None:
        """Return once the queue is below its limit."""
        while len(self._queue) >= self._limit:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(waiter)
            self.hurry()
            await waiter

    def attach(self, source: Source) -> None:
        """Let `source` take part in every group from now on."""
        self._sources.append(source)

    def detach(self, source: Source) -> None:
        """Let `source` no longer take part."""
        self._sources.remove(source)

    def soon(self) -> None:
        """Something is pending that can wait a little."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._linger, self._lingered)

    def hurry(self) -> None:
        """Something is pending that somebody waits for."""
        self._synced = True
        self._hasten()

    def _hasten(self) -> None:
        if not self._now:
            self._now = True
            if not self._running:
                self._loop.call_soon(self._start)

    def _lingered(self) -> None:
        self._timer = None
        self._now = False  # what came while a group failed has waited for this
        self.hurry()

    async def flush(self) -> None:
        """Return once everything pending now has been tried."""
        while self._running or self._queue or any(source.pending() for source in self._sources):
            before = self._failures
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(waiter)
            self.hurry()
            await waiter
            if self._failures > before:
                raise StoreError("the store cannot be written")

    async def close(self) -> None:
        """Write what is pending and close. Raises StoreError where that was not possible."""
        if self._closing:
            return
        self._closing = True
        try:
            await self.flush()
        finally:
            self._closed = True
            self._stop_timer()
            await self._backend.close()

    def _append(
        self,
        steps: Iterable[tuple[Writing, Row | Sequence[Row]]],
        future: asyncio.Future[list[Result]] | None,
        guarded: int,
        settled: Settled | None,
        synced: bool,
    ) -> None:
        if self._closing:
            raise StoreError("the store is closing")
        made = [self._step(statement, rows) for statement, rows in steps]
        self._queue.append(Write(made, future, guarded=guarded, settled=settled, synced=synced))

    def _step(self, statement: Writing, rows: Row | Sequence[Row]) -> Step:
        compiled = self._statements.get(statement)
        if compiled is None:
            compiled = Compiled(statement, self.database.engine.dialect)
            if len(self._statements) >= 512:
                self._statements.clear()
            self._statements[statement] = compiled
        if isinstance(rows, dict):
            return Step(compiled, (compiled.parameters(rows),))
        many: Iterable[Row] = (rows,) if isinstance(rows, Mapping) else rows
        return Step(compiled, [compiled.parameters(row) for row in many])

    def _start(self) -> None:
        if self._running or self._closed:
            return
        self._now = False
        writes = list(self._queue)
        synced = self._synced or any(write.synced for write in writes)
        sources = [source for source in self._sources if source.pending()] if synced else []
        if synced:
            self._synced = False
            self._stop_timer()
        if not writes and not sources:
            self._wake()
            return
        self._queue.clear()
        self._running = True

        def done(outcomes: Outcomes, kept: bool) -> None:
            self._finish(writes, sources, outcomes, kept)

        self._backend.start(writes, sources, synced, done)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _finish(self, writes: Sequence[Write], sources: Sequence[Source], outcomes: Outcomes, kept: bool) -> None:
        self._running = False
        for write, outcome in zip(writes, outcomes, strict=True):
            if write.future is None:
                if isinstance(outcome, StoreError):
                    log.error("a queued write was not kept", extra={"reason": str(outcome)})
            elif not write.future.done():
                if isinstance(outcome, StoreError):
                    write.future.set_exception(StoreError(str(outcome)))
                else:
                    write.future.set_result(outcome)
        self._failures = 0 if kept else self._failures + 1
        for source in sources:
            source.settled()
        self._wake()
        if self._running:
            return
        if not self._queue and not any(source.pending() for source in self._sources):
            self._now = self._synced = False  # what was in a hurry came into this very group while it was being written
            return
        if not kept:
            self._timer = self._timer or self._loop.call_later(min(1.0, 0.05 * 2 ** min(self._failures, 6)), self._lingered)
        elif self._now:
            self._loop.call_soon(self._start)
        else:
            self.soon()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


def _backend(database: Database) -> Backend:
    if database.kind == "sqlite":
        from fiveways.store.group_sqlite import SqliteBackend  # noqa: PLC0415, RUF100

        return SqliteBackend(database.path)
    from fiveways.store.group_postgres import PostgresBackend  # noqa: PLC0415, RUF100 - an extra

    return PostgresBackend(database.url)
