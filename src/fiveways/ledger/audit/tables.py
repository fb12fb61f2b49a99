"""The audit's rows, and the keys that find them again.

A consumer's correlation ids are random, and an index over random values costs more than all the rest of the row: every
insertion touches another page. So the index holds (4096 events) buckets of checksums: insertions stay within the few pages of
the newest bucket, and a search looks once into each.
"""

from __future__ import annotations

from typing import Final
from zlib import crc32

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from fiveways.ledger.audit.event import INTERACTION, AuditEvent
from fiveways.store.tables import metadata

BUCKET: Final = 12
"""Events of one bucket, as a power of two."""

audit_events: Final = Table(
    "audit_events",
    metadata,
    Column("chain", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("correlation_key", BigInteger),
    Column("request_key", BigInteger),
    Column("message_key", BigInteger),
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("signature", LargeBinary),
)
for _name in ("correlation_key", "request_key", "message_key"):
    _column = audit_events.c[_name]
    Index(None, _column, sqlite_where=_column.isnot(None), postgresql_where=_column.isnot(None))


def keys(seq: int, event: AuditEvent) -> tuple[int | None, int | None, int | None]:
    """The index entries of an event: correlation id, request id where it is another, and message id where an answer showed it.

    A fault shows its message id. Nobody is shown that of an interaction that went well: it is found by its request id.
    """
    request = None if event.request_id == event.correlation_id else key(seq, event.request_id)
    message = None if event.kind == INTERACTION and not event.outcome else key(seq, event.id)
    return key(seq, event.correlation_id), request, message


def key(seq: int, value: str) -> int | None:
    """The index entry of an id in the bucket of `seq`; None for ''."""
    return (seq >> BUCKET) << 32 | crc32(value.encode()) if value else None
