"""A process that kills itself before or after a commit of its choice, as a power cut would: what crash tests have `fiveways` be.

CRASH_AT in its environment says where: `bulk_transfer_events begin before`, that is, before the commit in which `begin` is inserted
into that table; or `deliveries 2 after`: after the second commit that follows the first insert into it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from fiveways.store.group import Write
from fiveways.store.group_postgres import PostgresBackend
from fiveways.store.group_sqlite import SqliteBackend


def install(said: str) -> None:
    """Have this process kill itself there."""
    table, what, when = said.split()
    passed = -1

    def inserted(writes: Sequence[Write]) -> list[tuple[Any, ...]]:
        steps = (step for write in writes for step in write.steps if f"INTO {table} " in step.compiled.sql)
        return [row for step in steps for row in step.parameters]

    def reached(writes: Sequence[Write]) -> bool:
        nonlocal passed
        rows = inserted(writes)
        if not what.isdigit():
            return any(what in row for row in rows)
        if passed >= 0 or rows:
            passed += 1
        return passed == int(what)

    def kill(here: bool, now: str) -> None:
        if here and now == when:
            os.kill(os.getpid(), signal.SIGKILL)

    in_sqlite: Any = SqliteBackend._transaction
    in_postgres: Any = PostgresBackend._transaction

    def sqlite(self: SqliteBackend, writes: Sequence[Write], sources: Any) -> Any:
        here = reached(writes)
        kill(here, "before")
        done = in_sqlite(self, writes, sources)
        kill(here, "after")
        return done

    async def postgres(self: PostgresBackend, writes: Sequence[Write], sources: Any, synced: bool) -> Any:
        here = reached(writes)
        kill(here, "before")
        done = await in_postgres(self, writes, sources, synced)
        kill(here, "after")
        return done

    SqliteBackend._transaction = sqlite  # type: ignore[method-assign]
    PostgresBackend._transaction = postgres  # type: ignore[method-assign]
