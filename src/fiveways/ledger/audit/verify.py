"""Whether the audit is what was written: every row, in its order, to the newest, against what is kept outside the database.

Whoever can change the database but not the node's files can do nothing that this does not find: a row altered, removed, moved
or added breaks its hash or the next one's; a chain computed anew ends in another hash than the signed head and the sealed
segments say; a chain cut short ends before the head; an older copy of the database likewise; a chain of the attacker's own
has no head. Rows that were lost in a crash are told apart by the signed `chain.recovered` event behind them.

It may run while the platform does: the head is read before the rows, so the rows may be ahead of it but never behind, and rows
ahead end in a signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from fiveways.ledger.audit.chain import (
    GENESIS,
    Head,
    Line,
    Removal,
    Segment,
    hash_event,
    head_of_row,
    holds,
    prefix,
)
from fiveways.ledger.audit.event import AuditEvent, decode
from fiveways.ledger.audit.files import chains_in, read_head, read_segments
from fiveways.ledger.audit.recovery import BROKEN, RECOVERED
from fiveways.ledger.audit.tables import audit_events, keys
from fiveways.ledger.keys import read_public_key
from fiveways.store.database import Database

_MOST_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that only tampering, or the loss of what was durable, explains."""

    chain: str
    seq: int
    what: str

    def __str__(self) -> str:
        return f"{self.chain} {self.seq}: {self.what}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Events accepted but not yet durable when the process was killed: `first` to `last`; None for how many if not known."""

    chain: str
    first: int
    last: int
    lost: int | None


@dataclass(slots=True)
class Report:
    """What verification found."""

    events: int = 0
    chains: list[str] = field(default_factory=list)
    removed: dict[str, int] = field(default_factory=dict)
    """By chain: the number of the last event that retention removed; verification starts behind it."""
    gaps: list[Gap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    """Chains whose heads were said to be kept on another node; run verification there."""

    @property
    def ok(self) -> bool:
        """Whether nothing was tampered with. Gaps of crashes are no tampering."""
        return not self.findings

    def add(self, chain: str, seq: int, what: str) -> None:
        """Note a finding; after a hundred of one run there is no point in more."""
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(chain, seq, what))


async def verify(database: Database, folder: Path, public_key: bytes | None = None, *, elsewhere: Collection[str] = ()) -> Report:
    """Check every chain in the database against the files in `folder` (`{data}`).

    `public_key` (PEM) is the node's key as kept somewhere safe; by default the one in `{data}/keys/audit.pub`. `elsewhere`
    names the chains whose files are on other nodes; a chain that is neither here nor there is a finding.
    """
    pem = public_key if public_key is not None else (folder / "keys" / "audit.pub").read_bytes()
    public = read_public_key(pem)
    report = Report()
    files = folder / "audit"
    async with database.read() as connection:
        stored = await chains(connection)
    here = chains_in(files)
    for chain in sorted({*here, *stored}):
        if chain in here:
            report.chains.append(chain)
            await _check(report, database, files, chain, public)
        elif chain in elsewhere:
            report.elsewhere.append(chain)
        else:
            report.add(chain, 0, "this chain has no signed head here: it was made up, or its files were removed")
    return report


async def _check(report: Report, database: Database, files: Path, chain: str, public: Ed25519PublicKey) -> None:
    while True:
        outside = await asyncio.to_thread(_Outside.read, files, chain, public)
        part = Report()
        async with database.read() as connection:
            await _Check(part, connection, outside, public).run()
        if part.ok or len((await asyncio.to_thread(_Outside.read, files, chain, public)).lines) == len(outside.lines):
            break  # else retention came in between
    report.events += part.events
    report.removed |= part.removed
    report.gaps += part.gaps
    report.findings += part.findings


async def chains(connection: AsyncConnection) -> list[str]:
    """The chains in the database, by a look into the key for each."""
    names: list[str] = []
    column = audit_events.c.chain
    name = await connection.scalar(select(func.min(column)))
    while name is not None:
        names.append(name)
        name = await connection.scalar(select(func.min(column)).where(column > name))
    return names


@dataclass(slots=True)
class _Outside:
    chain: str
    head: Head | None
    lines: list[Line]
    fault: str | None

    @classmethod
    def read(cls, files: Path, chain: str, public: Ed25519PublicKey) -> _Outside:
        head = read_head(files, chain, public)
        lines, digests, fault = read_segments(files, chain, public)
        if fault is None and head is not None and head.segments:
            if head.segments > len(lines):
                fault = f"its segments file has {len(lines)} lines, and had {head.segments}"
            elif digests[head.segments - 1] != head.digest:
                fault = f"line {head.segments} of its segments file is not the one there was"
        return cls(chain, head, lines, fault)


class _Check:
    """The walk along one chain."""

    def __init__(self, report: Report, connection: AsyncConnection, outside: _Outside, public: Ed25519PublicKey) -> None:
        self.report = report
        self.connection = connection
        self.outside = outside
        self.public = public
        self.chain = outside.chain
        self.head = outside.head
        self.named = prefix(outside.chain)
        self.link = GENESIS
        self.next = 1
        self.unsigned = 0
        self.count = 0
        self.segments = iter([line for line in outside.lines if isinstance(line, Segment)])
        self.segment: Segment | None = None
        self.segment_start = 0

    async def run(self) -> None:
        if self.outside.fault:
            self.report.add(self.chain, 0, self.outside.fault)
        await self._start()
        async for row in self._rows():
            self._row(*row)
            self.count += 1
            self.report.events += 1
        self._end()

    async def _start(self) -> None:
        """Begin behind what retention removed, or before it while it is still being removed."""
        removals = [line for line in self.outside.lines if isinstance(line, Removal)]
        self.segment = next(self.segments, None)
        if not removals:
            return
        last = removals[-1]
        self.report.removed[self.chain] = last.last
        oldest = await self.connection.scalar(select(func.min(audit_events.c.seq)).where(audit_events.c.chain == self.chain))
        first, link = last.last + 1, last.after
        while self.segment is not None and self.segment.last <= last.last:
            if oldest is not None and self.segment.last >= oldest:
                first, link = self.segment.first, self.segment.before
                break
            self.segment = next(self.segments, None)
        self.next, self.link = first, bytes.fromhex(link)

    async def _rows(self) -> AsyncIterator[Any]:
        query = select(audit_events).where(audit_events.c.chain == self.chain).order_by(audit_events.c.seq)
        async for row in await self.connection.stream(query.execution_options(yield_per=1000)):
            yield row

    def _row(
        self,
        chain: str,
        seq: int,
        at: int,
        correlation_key: int | None,
        request_key: int | None,
        message_key: int | None,
        body: bytes,
        hash_: bytes,
        mark: bytes | None,
    ) -> None:
        self._pass_segments(seq)
        try:
            event = decode(body)
        except msgspec.DecodeError:
            event = None
        if seq != self.next:
            self._jump(seq, event)
        elif event is not None and event.kind in (RECOVERED, BROKEN):
            self._told(seq, event)
        if hash_ != hash_event(self.link, self.named, seq, body):
            self._find(seq, "altered, or not in its place: its hash does not follow from the event before")
        elif event is None or (at, (correlation_key, request_key, message_key)) != (event.at, keys(seq, event)):
            self._find(seq, "altered: its columns do not say what its body says")
        self.link = hash_ + (mark or b"")
        self.unsigned += 1
        if mark:
            head = head_of_row(chain, seq, hash_, mark)
            if holds(self.public, head.signature, head.message()):
                self.unsigned = 0
            else:
                self._find(seq, "its signature is not this node's")
        if self.head is not None and seq == self.head.seq:
            if hash_ != self.head.hash:
                self._find(seq, "not the event that the signed head names: the chain was computed anew")
            elif not mark:
                self._find(seq, "its signature was removed")
        self._close_segment(seq)
        self.next = seq + 1

    def _jump(self, seq: int, event: AuditEvent | None) -> None:
        if event is not None and event.kind in (RECOVERED, BROKEN) and self._told(seq, event):
            return
        if seq < self.next:
            self._find(seq, "events before the first one kept, which retention removed, are back")
        else:
            self._find(self.next, f"events {self.next} to {seq - 1} were removed")

    def _told(self, seq: int, event: AuditEvent) -> bool:
        """What the chain itself says of a crash, or of tampering found at a start. Whether that explains a jump to `seq`."""
        details = event.details or {}
        after = details.get("after")
        if event.kind == BROKEN:
            self._find(seq, f"tampering was found when the platform started: {details.get('found')}")
            self.link = bytes.fromhex(str(details.get("before", "")))
            return True
        if after != self.next - 1 or details.get("lost") != seq - self.next:
            return False
        lost = None if details.get("uncounted") else seq - self.next
        self.report.gaps.append(Gap(self.chain, self.next, seq - 1, lost))
        return True

    def _pass_segments(self, seq: int) -> None:
        """Segments whose last event should have come before `seq`, and did not."""
        while self.segment is not None and self.segment.last < seq:
            if self.segment.last >= self.next or self.next == 1:
                self._find(self.segment.last, f"the end of the sealed segment {self.segment.number} is missing")
            self.segment, self.segment_start = next(self.segments, None), self.count

    def _close_segment(self, seq: int) -> None:
        segment = self.segment
        if segment is None or segment.last != seq:
            return
        if self.link.hex() != segment.after:
            self._find(seq, f"not the event that the sealed segment {segment.number} ended with")
        if self.count + 1 - self.segment_start != segment.rows:
            rows = self.count + 1 - self.segment_start
            self._find(seq, f"the sealed segment {segment.number} had {segment.rows} events, and has {rows}")
        self.segment, self.segment_start = next(self.segments, None), self.count + 1

    def _end(self) -> None:
        last = self.next - 1
        if self.head is None:
            self._find(last, "its signed head is missing or not signed by this node")
        elif last < self.head.seq:
            self._find(self.head.seq, f"events {last + 1} to {self.head.seq}, the newest, were removed")
        elif self.unsigned:
            self._find(last, f"the newest {self.unsigned} events are not signed by this node")
        while self.segment is not None:
            if self.segment.last > last:
                self._find(self.segment.last, f"events of the sealed segment {self.segment.number} were removed")
            self.segment = next(self.segments, None)

    def _find(self, seq: int, what: str) -> None:
        self.report.add(self.chain, seq, what)
