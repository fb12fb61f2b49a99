"""Removing what is old enough: whole sealed segments, oldest first, and never without a trace.

First a signed line in the segments file says what goes, then the rows go in one transaction, then the audit tells of it.
Where a crash comes in between, the rows go at the next run; until then verification checks them like all others.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete

from fiveways.ledger.audit.chain import Line, Removal, Segment
from fiveways.ledger.audit.tables import audit_events
from fiveways.store.database import Database

SEGMENTS_REMOVED = "segments.removed"


@dataclass(frozen=True, slots=True)
class Expired:
    """What may be removed: everything up to `last`, `rows` events in `segments` segments."""

    last: int
    rows: int
    segments: int
    after: str


def expired(lines: list[Line], older_than: int, head: int) -> Expired | None:
    """The sealed segments whose seal is older than `older_than` (µs since the epoch); the head's own is always kept."""
    removed = max((line.last for line in lines if isinstance(line, Removal)), default=0)
    gone: list[Segment] = []
    for line in lines:
        if isinstance(line, Segment) and line.last > removed:
            if line.at >= older_than or line.last >= head:
                break
            gone.append(line)
    if not gone:
        return None
    return Expired(gone[-1].last, sum(line.rows for line in gone), len(gone), gone[-1].after)


async def remove(database: Database, chain: str, last: int) -> int:
    """Remove the rows of `chain` up to `last`; how many there were."""
    async with database.write() as connection:
        result = await connection.execute(delete(audit_events).where(audit_events.c.chain == chain, audit_events.c.seq <= last))
        return int(result.rowcount)
