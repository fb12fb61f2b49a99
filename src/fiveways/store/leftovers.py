"""Payloads that no row names: a process was killed, or its client left, between putting a payload and committing its row.

A payload is put before the row that names it, so that no row ever names what is not there; the price is that one may be left over.
It is removed once it is older than any request lasts, its reference says how old that is, and no table names it. Every table is
asked in one snapshot, so that a payload handed from one to another is not missed in between. Any number of nodes may do this at
once: removing again is no error.

What names payloads is a column marked with `PAYLOAD` (`tables.py`). Columns of the database that are called `payload` are asked
too, marked or not: a node of an older version may share its store with tables that it does not know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnClause, Connection, Select, Text, column, inspect, select, table, union

from fiveways.store.database import Database
from fiveways.store.payloads import Payloads, put_at
from fiveways.store.tables import PAYLOAD, metadata

LONGEST_REQUEST = timedelta(days=7)
"""Longer than any request lasts that puts a payload: up to that age its row may still come."""
AT_ONCE = 500
"""References looked up in one question."""


async def remove(database: Database, payloads: Payloads, now: datetime) -> int:
    """Remove the payloads put before `now` - `LONGEST_REQUEST` that no row names; how many. Raises StoreError."""
    removed = 0
    columns = list((await naming(database)).values())
    async for refs in _old(payloads, now - LONGEST_REQUEST):
        left = set(refs) - await _named(database, columns, refs)
        for ref in sorted(left):
            await payloads.delete(ref)
        removed += len(left)
    return removed


async def naming(database: Database) -> dict[tuple[str, str], ColumnClause[str]]:
    """The columns that name payloads, by table and name."""
    async with database.read() as connection:
        names = await connection.run_sync(_called_payload)
    marked = {(each.name, c.name) for each in metadata.tables.values() for c in each.columns if PAYLOAD.items() <= c.info.items()}
    return {(of, name): table(of, column(name, Text)).c[name] for of, name in sorted(marked | names)}


def question(columns: Sequence[ColumnClause[str]], refs: Sequence[str]) -> Select[tuple[str]]:
    """Which of `refs` some row names."""
    return select(union(*(select(each.label("ref")).where(each.in_(refs)) for each in columns)).subquery().c.ref)


async def _named(database: Database, columns: Sequence[ColumnClause[str]], refs: Sequence[str]) -> set[str]:
    async with database.read() as connection:
        return {row.ref for row in await connection.execute(question(columns, refs))}


async def _old(payloads: Payloads, before: datetime) -> AsyncIterator[list[str]]:
    """References of payloads put before a moment, some at a time. What has another name in that place is nobody's payload."""
    batch = []
    async for ref in payloads.list():
        try:
            if put_at(ref) >= before:
                continue
        except KeyError:
            continue
        batch.append(ref)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _called_payload(connection: Connection) -> set[tuple[str, str]]:
    tables = inspect(connection).get_multi_columns()
    return {(name, each["name"]) for (_, name), columns in tables.items() for each in columns if each["name"] == "payload"}
