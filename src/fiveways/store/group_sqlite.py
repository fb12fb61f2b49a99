"""The group writer's raw SQLite connection, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

from fiveways.errors import StoreError
from fiveways.store.database import BUSY_PATIENCE, BUSY_RETRY, SQLITE_PRAGMAS
from fiveways.store.group import Compiled, Done, Outcomes, Result, Source, Step, Write

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = (256, 64, 16, 4, 1)
"""Rows in one INSERT: each statement hands the interpreter's lock over once, and one row each would wait for it every time."""

_Job = tuple[Sequence[Write], Sequence[Source], bool, Done]


class SqliteBackend:
    """Writes groups to an SQLite file. It lives in the event loop it was made in; its connection lives in its thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._connection: sqlite3.Connection | None = None
        self._reading: sqlite3.Connection | None = None
        self._bulk: dict[tuple[str, int], str] = {}
        self._synced = True
        self._writing = threading.Thread(target=self._run, name="group-writer", daemon=True)
        self._writing.start()

    def start(self, writes: Sequence[Write], sources: Sequence[Source], synced: bool, done: Done) -> None:
        """Write a group; `done` is called in the event loop."""
        self._jobs.put((writes, sources, synced, done))

    def ask(self, step: Step) -> Result | None:
        """The answer to a question, read by a connection of the event loop's own, which no writer holds up."""
        try:
            if self._reading is None:
                self._reading = self._opened("PRAGMA query_only=ON")
            return _step(self._reading, step)
        except sqlite3.Error as error:
            raise StoreError(f"the database failed: {error}") from None

    async def close(self) -> None:
        """Close the connections and end the thread."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None
        self._jobs.put(None)
        await asyncio.to_thread(self._writing.join)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            writes, sources, synced, done = job
            try:
                self._sync(synced)
                outcomes, kept = self._group(writes, sources)
            except Exception:
                log.exception("the group writer failed")
                outcomes, kept = [StoreError("the group writer failed")] * len(writes), False
            with suppress(RuntimeError):  # the loop has been closed under us: nobody waits any more
                self._loop.call_soon_threadsafe(done, outcomes, kept)
            del job, writes, sources, done, outcomes
        if self._connection is not None:
            self._connection.close()

    def _group(self, writes: Sequence[Write], sources: Sequence[Source]) -> tuple[Outcomes, bool]:
        try:
            return self._transaction(writes, sources), True
        except StoreFailed as error:
            for source in sources:
                source.failed(error.reason)
            return [error.reason] * len(writes), False
        except WriteFailed as error:
            if len(writes) + len(sources) == 1:
                for source in sources:
                    source.failed(error.reason)
                return [error.reason] * len(writes), not sources
        outcomes: Outcomes = []
        kept = True
        for write in writes:
            outcomes += self._group((write,), ())[0]
        for source in sources:
            kept &= self._group((), (source,))[1]
        return outcomes, kept

    def _transaction(self, writes: Sequence[Write], sources: Sequence[Source]) -> Outcomes:
        try:
            connection = self._connected()
            _begin(connection)
            try:
                results: Outcomes = [_execute(connection, write) for write in writes]
                gathered = [(source, step) for source in sources if (step := source.gather()) is not None]
                for _, step in gathered:
                    self._execute_bulk(connection, step)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            if _of_one_write(error):
                raise WriteFailed(StoreError(f"the write was refused: {error}")) from None
            raise StoreFailed(StoreError(f"the database failed: {error}")) from None
        except Exception as error:
            raise WriteFailed(StoreError(f"the write was refused: {type(error).__name__}")) from None
        for source, _ in gathered:
            source.committed()
        return results

    def _sync(self, synced: bool) -> None:
        """What is committed from now on is on disk (SQLite syncs what came before with it), or is left to the next that is."""
        if synced is not self._synced:
            self._connected().execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._synced = synced

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = self._opened()
        return self._connection

    def _opened(self, *pragmas: str) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=5.0, cached_statements=256)
        for pragma in (*SQLITE_PRAGMAS, "PRAGMA busy_timeout=0", *pragmas):
            connection.execute(pragma)
        return connection

    def _execute_bulk(self, connection: sqlite3.Connection, step: Step) -> None:
        rows, start = step.parameters, 0
        for count in _ROWS_AT_ONCE:
            while len(rows) - start >= count:
                some = rows[start : start + count]
                connection.execute(self._many(step.compiled, count), list(chain.from_iterable(some)))
                start += count

    def _many(self, compiled: Compiled, count: int) -> str:
        sql = self._bulk.get((compiled.sql, count))
        if sql is None:
            start, values, rest = compiled.sql.partition(" VALUES ")
            row, bracket, conflict = rest.partition(")")
            sql = self._bulk[compiled.sql, count] = start + values + ", ".join([row + bracket] * count) + conflict
        return sql


class StoreFailed(Exception):
    """The store itself does not work; nothing in the group can be kept."""

    def __init__(self, reason: StoreError) -> None:
        self.reason = reason


class WriteFailed(Exception):
    """One member of the group is at fault."""

    def __init__(self, reason: StoreError) -> None:
        self.reason = reason


def _of_one_write(error: sqlite3.Error) -> bool:
    if isinstance(error, sqlite3.OperationalError):
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_ERROR  # bad SQL; a full disk, a lost file or a lock is not
    return not isinstance(error, sqlite3.InternalError) and type(error) is not sqlite3.DatabaseError  # a corrupt file


def _begin(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + BUSY_PATIENCE
    while True:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(BUSY_RETRY)


def _execute(connection: sqlite3.Connection, write: Write) -> list[Result]:
    results: list[Result] = []
    for step in write.steps:
        results.append(_step(connection, step))
        if len(results) <= write.guarded and not results[-1].rowcount:
            break
    if write.settled is not None:
        write.settled(results)
    return results


def _step(connection: sqlite3.Connection, step: Step) -> Result:
    sql, returning = step.compiled.sql, step.compiled.returning
    if len(step.parameters) == 1 or returning:
        rows: list[tuple[Any, ...]] = []
        count = 0
        for parameters in step.parameters:
            cursor = connection.execute(sql, parameters)
            if returning:
                rows += cursor.fetchall()
            count += max(cursor.rowcount, 0)
        return Result(count, rows)
    return Result(connection.executemany(sql, step.parameters).rowcount, [])
