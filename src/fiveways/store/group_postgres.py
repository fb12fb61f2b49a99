"""The group writer's raw PostgreSQL connection (asyncpg).

Where the connection is lost during COMMIT nobody can know whether it happened: the writers are told that it failed. So a claim may
stand that nobody holds (its outcome is then unknown, and it is not carried out again), but nothing is held that does not stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine import URL

from fiveways.errors import StoreError
from fiveways.store.group import Done, Outcomes, Result, Source, Step, Write


class StoreFailed(Exception):
    """The store itself does not work; nothing in the group can be kept."""


class PostgresBackend:
    """Writes groups to PostgreSQL on one connection, made when first needed and made again when lost."""

    def __init__(self, url: URL) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None

    def start(self, writes: Sequence[Write], sources: Sequence[Source], synced: bool, done: Done) -> None:
        """Write a group; `done` is called when it is finished."""
        self._task = asyncio.get_running_loop().create_task(self._run(writes, sources, synced, done))

    def ask(self, step: Step) -> Result | None:
        """Nothing can be had at once from a server."""
        return None

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def _run(self, writes: Sequence[Write], sources: Sequence[Source], synced: bool, done: Done) -> None:
        outcomes, kept = await self._group(writes, sources, synced)
        done(outcomes, kept)

    async def _group(self, writes: Sequence[Write], sources: Sequence[Source], synced: bool) -> tuple[Outcomes, bool]:
        try:
            return await self._transaction(writes, sources, synced), True
        except (StoreFailed, OSError, TimeoutError, asyncpg.InterfaceError) as error:
            await self._abandon()
            return self._all_failed(writes, sources, StoreError(f"the database failed: {error or type(error).__name__}"))
        except asyncpg.PostgresError as error:
            if _of_the_store(error):
                return self._all_failed(writes, sources, StoreError(f"the database failed: {error.args[0]}"))
            if len(writes) + len(sources) == 1:
                return self._refused(writes, sources, error.args[0])
        except Exception as error:
            if len(writes) + len(sources) == 1:
                return self._refused(writes, sources, type(error).__name__)
        outcomes: Outcomes = []
        kept = True
        for write in writes:
            outcomes += (await self._group((write,), (), synced))[0]
        for source in sources:
            kept &= (await self._group((), (source,), synced))[1]
        return outcomes, kept

    def _all_failed(self, writes: Sequence[Write], sources: Sequence[Source], error: StoreError) -> tuple[Outcomes, bool]:
        for source in sources:
            source.failed(error)
        return [error] * len(writes), False

    def _refused(self, writes: Sequence[Write], sources: Sequence[Source], why: str) -> tuple[Outcomes, bool]:
        """One of either is at fault itself: where it is a write, the store is none the worse for it."""
        outcomes, _ = self._all_failed(writes, sources, StoreError(f"the write was refused: {why}"))
        return outcomes, not sources

    async def _transaction(self, writes: Sequence[Write], sources: Sequence[Source], synced: bool) -> Outcomes:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._dsn, timeout=10, command_timeout=30)
        connection = self._connection
        async with connection.transaction():
            if not synced:
                await connection.execute("SET LOCAL synchronous_commit TO off")
            outcomes: Outcomes = []
            for _, together in groupby(writes, key=lambda write: None if write.future else write.steps[0].compiled.sql):
                outcomes += await self._execute(connection, list(together))
            gathered = [(source, step) for source in sources if (step := source.gather()) is not None]
            for _, step in gathered:
                await connection.executemany(step.compiled.sql, step.parameters)
        for source, _ in gathered:
            source.committed()
        return outcomes

    async def _execute(self, connection: Any, writes: list[Write]) -> Outcomes:
        if writes[0].future is None:  # nobody asks for counts: all rows of one statement in one round trip
            rows = [row for write in writes for row in write.steps[0].parameters]
            await connection.executemany(writes[0].steps[0].compiled.sql, rows)
            return [[Result(len(write.steps[0].parameters), [])] for write in writes]
        return [await self._one(connection, write) for write in writes]

    async def _one(self, connection: Any, write: Write) -> list[Result]:
        results: list[Result] = []
        for step in write.steps:
            results.append(await self._step(connection, step))
            if len(results) <= write.guarded and not results[-1].rowcount:
                break
        if write.settled is not None:
            write.settled(results)
        return results

    async def _step(self, connection: Any, step: Step) -> Result:
        sql, returning = step.compiled.sql, step.compiled.returning
        if len(step.parameters) > 1 and not returning:
            await connection.executemany(sql, step.parameters)
            return Result(len(step.parameters), [])
        rows: list[tuple[Any, ...]] = []
        count = 0
        for parameters in step.parameters:
            if returning:
                found = [tuple(record) for record in await connection.fetch(sql, *parameters)]
                rows += found
                count += len(found)
            else:
                count += int((await connection.execute(sql, *parameters)).rpartition(" ")[2])
        return Result(count, rows)

    async def _abandon(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _of_the_store(error: asyncpg.PostgresError) -> bool:
    # Classes 08 connection, 53 insufficient resources, 57 operator intervention, 58 system error, XX internal, 25 read-only
    return (error.sqlstate or "")[:2] in ("08", "53", "57", "58", "XX", "25")
