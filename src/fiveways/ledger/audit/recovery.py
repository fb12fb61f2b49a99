"""Where a chain stands when its process starts, and what a crash, or somebody else, did to it meanwhile.

The row at the signed head must be as the head says. Rows after it were committed in the moment between a commit and its head:
they count if they follow and their last one is signed, which only this node can have done. Fewer rows than were accepted is a
crash's gap, and the number is exact; rows that the head says were durable and are not there, or not as they were, are not a
crash: the chain then goes on behind a `chain.broken` event, and verification reports it ever after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from fiveways.clock import Clock, micros
from fiveways.errors import StoreError
from fiveways.ledger.audit.chain import GENESIS, Head, Line, hash_event, head_of_row, holds, prefix
from fiveways.ledger.audit.event import AuditEvent
from fiveways.ledger.audit.files import ChainFiles, read_head, read_segments
from fiveways.ledger.audit.tables import audit_events
from fiveways.store.database import Database

RECOVERED = "chain.recovered"
BROKEN = "chain.broken"
_LAST_SEQ = 2**62


@dataclass(slots=True)
class Standing:
    """The end of a chain and of its open segment."""

    next: int
    """The number of the next event."""
    link: bytes
    """Of the event before it."""
    segments: int
    digest: bytes
    first: int
    """Of the open segment."""
    before: bytes
    rows: int
    event: AuditEvent | None = None
    """What must be told in the chain first."""

    @classmethod
    def fresh(cls) -> Standing:
        """A chain with nothing in it."""
        return cls(next=1, link=GENESIS, segments=0, digest=GENESIS, first=1, before=GENESIS, rows=0)

    def extend(self, head: Head, rows: int) -> None:
        """Rows up to `head` are durable."""
        self.next = head.seq + 1
        self.link = head.hash + head.mark()
        self.rows += rows

    def closed(self, line_digest: bytes) -> None:
        """A line was added to the segments file that closes everything so far."""
        self.segments += 1
        self.digest = line_digest
        self.first, self.before, self.rows = self.next, self.link, 0

    def noted(self, line_digest: bytes) -> None:
        """A line was added to the segments file that closes nothing."""
        self.segments += 1
        self.digest = line_digest


async def recover(database: Database, files: ChainFiles, private: Ed25519PrivateKey, clock: Clock) -> Standing:
    """Where the chain stands. Raises StoreError where the rows in the database are another folder's chain."""
    public, chain = private.public_key(), files.chain
    files.mend()
    head = read_head(files.folder, chain, public)
    lines, digests, fault = read_segments(files.folder, chain, public)
    async with database.read() as connection:
        newest = await connection.scalar(select(func.max(audit_events.c.seq)).where(audit_events.c.chain == chain)) or 0
        if head is None:
            if newest or lines or fault:
                raise StoreError(
                    f"the audit chain {chain} has events but no signed head in {files.folder}: the node's name is "
                    "taken by another data folder, or its files were lost. Give this node another name, or restore the folder"
                )
            files.accepted[0] = 0
            files.write_head(Head(chain, 0, GENESIS, 0, GENESIS).signed(private), sync=True)
            return Standing.fresh()
        if newest >= _LAST_SEQ:
            raise StoreError(f"the audit chain {chain} holds an event numbered {newest}, which this node did not write")
        tail = await _tail(connection, head, public)
        standing = await _stand(connection, tail, head, lines, digests)
    accepted = max(files.accepted[0], head.seq)
    finding = tail.finding or fault or _segments_finding(head, digests)
    if finding is not None:
        standing.next = max(newest, accepted) + 1
        standing.first, standing.before, standing.rows = standing.next, standing.link, 0
        details: dict[str, Any] = {"after": tail.seq, "before": standing.link.hex(), "found": finding}
        standing.event = AuditEvent(at=micros(clock), kind=BROKEN, details=details)
    elif files.accepted[0] != tail.seq:
        standing.next = max(accepted, tail.seq) + 1
        details = {"after": tail.seq, "lost": standing.next - 1 - tail.seq}
        if files.accepted[0] < tail.seq:
            details["uncounted"] = True  # a power cut took the counter back: how many were lost is not known
        standing.event = AuditEvent(at=micros(clock), kind=RECOVERED, details=details)
    files.accepted[0] = standing.next - 1
    return standing


@dataclass(slots=True)
class _Tail:
    seq: int
    link: bytes
    finding: str | None = None


async def _tail(connection: AsyncConnection, head: Head, public: Ed25519PublicKey) -> _Tail:
    """The last event that is this node's, from the head on."""
    rows = audit_events.c
    query = (
        select(rows.seq, rows.body, rows.hash, rows.signature)
        .where(rows.chain == head.chain, rows.seq >= max(head.seq, 1))
        .order_by(rows.seq)
    )
    trusted = _Tail(0, GENESIS)
    named = prefix(head.chain)
    link, unsigned, started = GENESIS, 0, head.seq == 0
    async for seq, body, hash_, mark in await connection.stream(query):
        if not started:
            if seq != head.seq or hash_ != head.hash or not mark:
                break
        elif hash_ != hash_event(link, named, seq, body):
            return _Tail(trusted.seq, trusted.link, f"event {seq} does not follow the one before")
        started = True
        link = hash_ + (mark or b"")
        unsigned += 1
        if mark:
            signed = head_of_row(head.chain, seq, hash_, mark)
            if not holds(public, signed.signature, signed.message()):
                return _Tail(trusted.seq, trusted.link, f"event {seq} is not signed by this node")
            trusted, unsigned = _Tail(seq, link), 0
    if not started:
        return _Tail(head.seq, head.hash, f"event {head.seq}, durable once, is missing or was altered")
    if unsigned:
        trusted.finding = f"events after {trusted.seq} are not signed by this node"
    return trusted


async def _stand(connection: AsyncConnection, tail: _Tail, head: Head, lines: list[Line], digests: list[bytes]) -> Standing:
    last = lines[-1] if lines else None
    sealed, before = (last.last, bytes.fromhex(last.after)) if last else (0, GENESIS)
    for line in lines:
        if line.last > sealed:
            sealed, before = line.last, bytes.fromhex(line.after)
    query = select(func.count()).where(
        audit_events.c.chain == head.chain, audit_events.c.seq > sealed, audit_events.c.seq <= tail.seq
    )
    rows = int(await connection.scalar(query) or 0)
    digest = digests[-1] if digests else GENESIS
    return Standing(
        next=tail.seq + 1, link=tail.link, segments=len(lines), digest=digest, first=sealed + 1, before=before, rows=rows
    )


def _segments_finding(head: Head, digests: list[bytes]) -> str | None:
    if head.segments > len(digests) or (head.segments and digests[head.segments - 1] != head.digest):
        return f"its segments file does not hold the {head.segments} lines there were"
    return None
