"""What became of the values that went through transformations, counted by day, so that what is not mapped is seen and can be
mapped.

Counts are gathered in memory and written every few seconds, by each process what it has counted: those of the last seconds before a
process dies are lost, and nothing else depends on them. There are paths in them, and no values.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric
from sqlalchemy import BigInteger, Column, Integer, Table, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock
from fiveways.errors import StoreError
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.tables import metadata

KEEP: Final = timedelta(days=400)
MOST_PATHS: Final = 10_000
"""Different paths between two writings: senders choose what they send."""
_WHICH: Final = re.compile(r"\(\d+\)|\[\d+\]")

transformed = Table(
    "transformed",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False),  # days since 0001-01-01
    Column("api", Text, primary_key=True),
    Column("kind", Text, primary_key=True),  # of message: ADT^A01
    Column("fate", Text, primary_key=True),
    Column("path", Text, primary_key=True),  # '' where they are counted together
    Column("count", BigInteger, nullable=False),
)
_c = transformed.c
_names = ("day", "api", "kind", "fate", "path", "count")
_new = insert(transformed).values({name: bindparam(f"v_{name}") for name in _names})
_add = _new.on_conflict_do_update(
    index_elements=[_c.day, _c.api, _c.kind, _c.fate, _c.path], set_={"count": _c.count + _new.excluded.count}
)
_purge = delete(transformed).where(_c.day < bindparam("b_day"))


@lru_cache(maxsize=4096)
def _anywhere(path: str) -> str:
    """A path without which segment and which repetition it is."""
    return _WHICH.sub("", path)


class Row(NamedTuple):
    """So many of an API's messages of a kind (`fate` 'message'), or of values in them: mapped, unmapped, or wrong."""

    api: str
    kind: str
    fate: str
    path: str
    times: int


class Counts:
    """The counts of this process that are still to be written, and its metrics."""

    def __init__(self, registry: CollectorRegistry, clock: Clock) -> None:
        self._clock = clock
        self._counts: Counter[tuple[int, str, str, str, str]] = Counter()
        self._metric = Metric(
            "fiveways_transformed_values", "Values of messages, by what became of them", ["api", "kind", "fate"], registry=registry
        )

    def add(self, api: str, kind: str, coverage: Coverage) -> None:
        """Count a message that was transformed."""
        day, counts = self._clock.now().toordinal(), self._counts
        counts[day, api, kind, "message", ""] += 1
        counts[day, api, kind, "mapped", ""] += coverage.mapped
        for fate, paths in (("unmapped", coverage.unmapped), ("wrong", [path for path, _ in coverage.wrong])):
            for path in paths:
                key = day, api, kind, fate, _anywhere(path)
                if key in counts or len(counts) < MOST_PATHS:
                    counts[key] += 1
        metric = self._metric
        metric.labels(api, kind, "mapped").inc(coverage.mapped)
        metric.labels(api, kind, "unmapped").inc(len(coverage.unmapped))
        metric.labels(api, kind, "wrong").inc(len(coverage.wrong))

    async def write(self, group: GroupWriter) -> None:
        """Add what was counted to what is stored. What cannot be written now is kept for the next time."""
        taken, self._counts = self._counts, Counter()
        if not taken:
            return
        rows = [
            dict(zip((f"v_{name}" for name in _names), (*key, count), strict=True)) for key, count in taken.items() if count
        ]  # fmt: skip
        try:
            await group.submit(_add, rows, synced=False)
        except StoreError:
            self._counts.update(taken)
            raise


async def purge(group: GroupWriter, today: date) -> None:
    """Forget what was counted long ago."""
    await group.submit(_purge, {"b_day": (today - KEEP).toordinal()}, synced=False)


async def found(database: Database, since: date, api: str = "") -> Sequence[Row]:
    """What was counted from a day on, the most frequent first."""
    total = func.sum(_c.count).label("total")
    query = select(_c.api, _c.kind, _c.fate, _c.path, total).where(_c.day >= since.toordinal())
    if api:
        query = query.where(_c.api == api)
    query = query.group_by(_c.api, _c.kind, _c.fate, _c.path).order_by(_c.api, _c.kind, _c.fate, total.desc(), _c.path)
    async with database.read() as connection:
        return [Row(*row[:4], int(row[4])) for row in await connection.execute(query)]
