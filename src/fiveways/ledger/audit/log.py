"""Recording into the chain: cheap in the event loop; hashing and writing happen where the group is written.

Numbers are given in the order of `record`, so that the counter of accepted events says exactly how many a crash has lost. An
event that could not be written is never dropped: it stays queued until the store works again, and meanwhile the queue fills
and callers wait.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import case, null
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock, micros, micros_of
from fiveways.errors import StoreError
from fiveways.ledger.audit.chain import GENESIS, Head, Line, Removal, Segment, digest_of, hash_event, prefix, sign_line
from fiveways.ledger.audit.event import AuditEvent, Provisional, encode
from fiveways.ledger.audit.files import ChainFiles, read_segments
from fiveways.ledger.audit.recovery import Standing, recover
from fiveways.ledger.audit.retention import SEGMENTS_REMOVED, Expired, expired, remove
from fiveways.ledger.audit.settings import AuditSettings
from fiveways.ledger.audit.tables import audit_events, keys
from fiveways.ledger.audit.trace import trace
from fiveways.ledger.keys import public_pem, signing_key
from fiveways.store.database import Database
from fiveways.store.group import Compiled, GroupWriter, Step

logger: Final = logging.getLogger(__name__)

_row: Final = insert(audit_events)
# Where a connection was lost during the commit, the rows may be there already: the same row again is no error, another one is.
_insert: Final = _row.on_conflict_do_update(
    index_elements=[audit_events.c.chain, audit_events.c.seq],
    set_={"hash": case((audit_events.c.hash == _row.excluded.hash, _row.excluded.hash), else_=null())},
)
_AT_ONCE: Final = 1024
"""Events in one commit at most: encoding them holds the interpreter for some two milliseconds."""


class AuditLog:
    """The audit of this process. `open` it once the tables are there; `close` it before its group writer."""

    def __init__(
        self, group: GroupWriter, clock: Clock, settings: AuditSettings, files: ChainFiles, private: Ed25519PrivateKey
    ) -> None:
        self._group = group
        self._loop = asyncio.get_running_loop()
        self._clock = clock
        self._limit = settings.queue
        self._segment_rows = settings.segment_rows
        self._segment_age = settings.segment_age.total_seconds()
        self._retention = settings.retention
        self._files = files
        self._key = private
        self._named = prefix(files.chain)
        self._compiled = Compiled(_insert, group.database.engine.dialect)
        self._accepted = files.accepted
        self._events: deque[AuditEvent | Provisional] = deque()
        self._rows: list[tuple[object, ...]] = []
        self._head = Head(files.chain, 0, GENESIS, 0, GENESIS)
        self._standing = Standing.fresh()
        self._segment_started = clock.monotonic()
        self._durable = 0
        self._error: StoreError | None = None
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._room: deque[asyncio.Future[None]] = deque()
        self._due = 0
        """How many events there were when the group was put together that is being written. Those that have come since may tell of
        writes that are not in it (`attest`), and wait for the next."""
        self._lock = threading.RLock()
        self._closed = False

    @classmethod
    async def open(
        cls,
        database: Database,
        group: GroupWriter,
        folder: Path,
        node: str,
        clock: Clock,
        settings: AuditSettings | None = None,
    ) -> AuditLog:
        """Continue the chain of `node` kept in `folder` (`{data}`; files in `audit/`, keys in `keys/`).

        What a crash has left is found first and written into the chain as a `chain.recovered` event. Raises StoreError where
        the chain cannot be this node's.
        """
        private = await asyncio.to_thread(signing_key, folder / "keys" / "audit.pem")
        files = await asyncio.to_thread(ChainFiles.claim, folder / "audit", node)
        log = cls(group, clock, settings or AuditSettings(), files, private)
        try:
            standing = await recover(database, files, private, clock)
        except BaseException:
            files.close()
            raise
        log._standing, log._durable = standing, standing.next - 1
        group.attach(log)
        if standing.event is not None:
            try:
                await log.durable(standing.event)
            except BaseException:
                group.detach(log)
                files.close()
                raise
        return log

    @property
    def chain(self) -> str:
        """The name of this process's chain."""
        return self._files.chain

    @property
    def public_key(self) -> bytes:
        """The key (PEM) that verifies this node's signatures: worth keeping elsewhere."""
        return public_pem(self._key.public_key())

    @property
    def full(self) -> bool:
        """Whether the queue is at its limit: await `room` before taking on more."""
        return len(self._events) >= self._limit

    def record(self, event: AuditEvent | Provisional) -> None:
        """Append `event`; it is durable within `linger` and on a graceful close. Raises StoreError once closed."""
        if self._closed:
            raise StoreError("the audit is closed")
        self._events.append(event)
        self._accepted[0] += 1
        self._group.soon()

    def attest(self, done: AuditEvent, otherwise: AuditEvent) -> Callable[[bool], None]:
        """Append an event that is to be durable with the write it tells of (`GroupWriter.transact(…, settled=…)`).

        What this returns is to be told there whether the write was made; where it was not, the event is `otherwise`.
        """
        provisional = Provisional(done, otherwise)
        self.record(provisional)
        return provisional.settle

    async def durable(self, event: AuditEvent) -> None:
        """Append `event` and return once it is durable.

        Raises StoreError if it is not; it stays queued then, and is written when the store works again.
        """
        self.record(event)
        await self.flush()

    async def room(self) -> None:
        """Return once the queue is below its limit."""
        while len(self._events) >= self._limit:
            future: asyncio.Future[None] = self._loop.create_future()
            self._room.append(future)
            self._group.hurry()
            await future

    async def flush(self) -> None:
        """Return once everything recorded so far is durable. Raises StoreError if the store cannot be written."""
        newest = self._accepted[0]
        if newest > self._durable:
            future: asyncio.Future[None] = self._loop.create_future()
            self._waiters.append((newest, future))
            self._group.hurry()
            await future

    async def seal(self) -> None:
        """Close the open segment now."""
        await asyncio.to_thread(self._seal)

    async def retain(self, older_than: datetime) -> int:
        """Remove the segments sealed before `older_than`; how many events went. The segments file and the audit say so."""
        database = self._group.database
        lines, _, fault = await asyncio.to_thread(read_segments, self._files.folder, self.chain, self._key.public_key())
        if fault is not None:
            raise StoreError(f"nothing is removed while {fault}")
        moment = micros_of(older_than)
        found = expired(lines, moment, self._durable)
        if found is None:  # but a run before may not have come to the end
            return await remove(database, self.chain, max((line.last for line in lines if isinstance(line, Removal)), default=0))
        await asyncio.to_thread(self._note_removal, found)
        rows = await remove(database, self.chain, found.last)
        details = {"segments": found.segments, "events": found.rows, "last": found.last}
        await self.durable(AuditEvent(at=micros(self._clock), kind=SEGMENTS_REMOVED, details=details))
        return rows

    async def purge(self, now: datetime) -> int:
        """What the scheduler runs now and then: seal a segment that is old enough, remove what retention says; events
        removed."""
        if self._standing.rows and self._clock.monotonic() - self._segment_started >= self._segment_age:
            await self.seal()
        return await self.retain(now - self._retention) if self._retention is not None else 0

    async def trace(self, id: str) -> list[AuditEvent]:  # noqa: A002
        """The events whose correlation, request or message id is `id`, of all nodes, in order of time."""
        return await trace(self._group.database, id)

    async def close(self) -> None:
        """Write what is queued, seal the segment, and let go of the chain."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.flush()
            await asyncio.to_thread(self._seal)
        finally:
            self._group.detach(self)
            self._files.close()

    # --- as a source of the group writer -------------------------------------------------------------------------------

    def pending(self) -> bool:
        """Whether there are events to write."""
        self._due = len(self._events)
        return bool(self._events or self._rows)

    def gather(self) -> Step | None:
        """Rows for all events queued, hashed, the last one signed; the same rows again if they were not committed."""
        if not self._rows:
            self._rows = self._hash()
        return Step(self._compiled, self._rows) if self._rows else None

    def _hash(self) -> list[tuple[object, ...]]:
        events, standing = self._events, self._standing
        chain, named, link, seq, hash_ = self.chain, self._named, standing.link, standing.next, b""
        count = min(self._due, _AT_ONCE)
        if not count:
            return []
        rows: list[tuple[object, ...]] = []
        for _ in range(count):
            queued = events.popleft()
            event = queued.event() if isinstance(queued, Provisional) else queued
            body = encode(event)
            link = hash_ = hash_event(link, named, seq, body)
            rows.append((chain, seq, event.at, *keys(seq, event), body, hash_, None))
            seq += 1
        self._head = Head(chain, seq - 1, hash_, standing.segments, standing.digest).signed(self._key)
        mark = self._head.mark()
        rows[-1] = (*rows[-1][:-1], mark)
        return rows

    def committed(self) -> None:
        """The rows are durable: so the head may be published, and then those who wait may know."""
        with self._lock:
            head, standing = self._head, self._standing
            standing.extend(head, len(self._rows))
            self._rows = []
            self._error = None
            try:
                if head.segments == standing.segments:
                    self._files.write_head(head)
                else:
                    self._publish()
                if standing.rows >= self._segment_rows or self._clock.monotonic() - self._segment_started >= self._segment_age:
                    self._seal()
            except OSError as error:  # the rows stand; the next head that can be written will vouch for them
                self._error = StoreError(f"the audit's head cannot be written: {error.strerror}")
            self._durable = head.seq

    def failed(self, error: StoreError) -> None:
        """The rows were not kept; they are tried again."""
        if self._error is None:
            logger.error("the audit cannot be written", extra={"chain": self.chain, "reason": str(error)})
        self._error = error

    def settled(self) -> None:
        """Tell those who wait for their event, and those who wait for room."""
        error = self._error
        while self._waiters and (error is not None or self._waiters[0][0] <= self._durable):
            future = self._waiters.popleft()[1]
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(StoreError(str(error)))
        while self._room and len(self._events) < self._limit:
            waiter = self._room.popleft()
            if not waiter.done():
                waiter.set_result(None)

    # --- segments ------------------------------------------------------------------------------------------------------

    def _seal(self) -> None:
        with self._lock:
            standing = self._standing
            self._segment_started = self._clock.monotonic()
            if not standing.rows:
                return
            segment = Segment(
                number=standing.segments + 1,
                chain=self.chain,
                first=standing.first,
                last=standing.next - 1,
                rows=standing.rows,
                before=standing.before.hex(),
                after=standing.link.hex(),
                at=micros(self._clock),
                previous=standing.digest.hex(),
            )
            standing.closed(self._append(segment))
            self._publish()

    def _note_removal(self, found: Expired) -> None:
        with self._lock:
            standing = self._standing
            removal = Removal(
                number=standing.segments + 1,
                chain=self.chain,
                last=found.last,
                rows=found.rows,
                after=found.after,
                at=micros(self._clock),
                previous=standing.digest.hex(),
            )
            standing.noted(self._append(removal))
            self._publish()

    def _append(self, line: Line) -> bytes:
        signed = sign_line(line, self._key)
        self._files.append(signed)
        return digest_of(signed)

    def _publish(self) -> None:
        standing = self._standing
        head = Head(self.chain, standing.next - 1, standing.link[:32], standing.segments, standing.digest)
        self._files.write_head(head.signed(self._key), sync=True)
