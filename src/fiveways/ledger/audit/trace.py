"""The timeline of a conversation, from the audit of every node."""

from __future__ import annotations

from sqlalchemy import func, or_, select

from fiveways.ledger.audit.event import AuditEvent, decode
from fiveways.ledger.audit.tables import BUCKET, audit_events, key
from fiveways.ledger.audit.verify import chains
from fiveways.store.database import Database

_BUCKETS_AT_ONCE = 300


async def trace(database: Database, id: str) -> list[AuditEvent]:  # noqa: A002
    """The events whose correlation id, request id or message id is `id`, in order of time."""
    if not id:
        return []
    found: list[AuditEvent] = []
    rows = audit_events.c
    async with database.read() as connection:
        for chain in await chains(connection):
            ends = select(func.min(rows.seq), func.max(rows.seq)).where(rows.chain == chain)
            first, last = (await connection.execute(ends)).one()
            buckets = range(first >> BUCKET, (last >> BUCKET) + 1)
            for start in range(0, len(buckets), _BUCKETS_AT_ONCE):
                keys = [key(bucket << BUCKET, id) for bucket in buckets[start : start + _BUCKETS_AT_ONCE]]
                query = select(rows.body).where(
                    rows.chain == chain,
                    or_(rows.correlation_key.in_(keys), rows.request_key.in_(keys), rows.message_key.in_(keys)),
                )
                events = [decode(body) for body in (await connection.scalars(query)).all()]
                found += [event for event in events if id in (event.correlation_id, event.request_id, event.id)]
    return sorted(found, key=lambda event: event.at)
