"""Transfers: what has come of each file of a feed, from its first byte until somebody has it (B1, B21, B22)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from fiveways.clock import Clock, micros
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries, Step
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.methods.bulk import records
from fiveways.methods.bulk.agreement import Claims, combined, decode, encode
from fiveways.methods.bulk.states import COMING, State
from fiveways.store.group import Writing

ARRIVALS: Final = "bulk.arrivals"
"""The queue of files that have come, and are to be known for what they are; in order per feed."""
WORK: Final = "bulk.transfers"
"""The queue of transfers that are complete, and are to be verified, examined and released; in order per feed."""
RELEASES: Final = "bulk.releases"
"""The queue of batches that are to go to sinks; in order per sink."""
RECEIPTS: Final = "bulk.receipts"
"""The queue of receipts that are to go to senders."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer, as it was when it was looked for. Times are microseconds since the Unix epoch."""

    id: str
    content: str | None
    feed: str
    partner: str
    folder: str
    name: str
    correlation: str
    at: int
    changed: int
    arrived: int = 0
    size: int = 0
    sequence: int | None = None
    blake3: bytes | None = None
    said: bytes | None = None
    records: int = 0
    accepted: int = 0
    set_aside: int = 0
    why: bytes | None = None
    good: str | None = None
    examination: bytes | None = None
    receipt: str = ""
    state: State = State.RECEIVING
    number: int = 0
    """How often something has happened to it since it was begun."""
    since: int = 0

    @property
    def claims(self) -> Claims:
        """What its sender says of it."""
        return decode(self.said)

    @property
    def reasons(self) -> list[str]:
        """Why it was rejected, or what else is to be said of it."""
        return msgspec.msgpack.decode(self.why, type=list[str]) if self.why else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a transfer."""

    happening: str
    """`release`, `release_part` or `reject`."""
    reasons: Sequence[str] = ()
    records: int = 0
    accepted: int = 0
    set_aside: int = 0
    good: str | None = None
    examination: bytes | None = None
    receipt: str = ""


class Transfers:
    """The transfers of every feed, over one store."""

    def __init__(self, deliveries: Deliveries, audit: AuditLog, clock: Clock) -> None:
        self.deliveries = deliveries
        self.audit = audit
        self.clock = clock
        self.group = deliveries.group
        self.unaudited: frozenset[str] = frozenset()
        """Feeds whose transfers the audit is not told of."""

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def find(self, id: str) -> Transfer | None:  # noqa: A002
        """A transfer; None where there is none of this id."""
        rows = await self.ask(records.find, b_id=id)
        return _transfer(rows[0]) if rows else None

    async def of_content(self, feed: str, content: str) -> Transfer | None:
        """The feed's newest transfer of a content."""
        rows = await self.ask(records.find_by_content, b_feed=feed, b_content=content)
        return await self.find(rows[0][0]) if rows else None

    async def coming(self, feed: str, name: str) -> Transfer | None:
        """The feed's newest transfer of a file of this name that is not complete."""
        rows = await self.ask(records.find_by_name, b_feed=feed, b_name=name)
        return await self.find(rows[0][0]) if rows else None

    async def awaited(self, feed: str) -> set[str]:
        """The names of the feed's files that are spoken of, or are being uploaded, and have not come."""
        return {name for (name,) in await self.ask(records.find_awaited, b_feed=feed)}

    async def heard(self, feed: str, name: str, content: str) -> bool:
        """Whether what a content says of the feed's files of this name was taken down before."""
        rows = await self.ask(records.find_said, b_feed=feed, b_name=name)
        return any(content in decode(said).heard for (said,) in rows)

    async def all_coming(self, feed: str) -> list[Transfer]:
        """The feed's transfers that are not complete."""
        found: list[Transfer] = []
        while True:
            rows = await self.ask(records.find_coming, b_feed=feed, b_after=found[-1].id if found else "")
            found += map(_transfer, rows)
            if len(rows) < records.MOST:
                return found

    async def list(self, feed: str = "", state: str = "", most: int = 100) -> Sequence[Any]:
        """Transfers, newest first, of a feed and in a state, where these are said: rows of `records.find_listed`."""
        async with self.group.database.read() as connection:
            asked = {"b_feed": feed, "b_reason": state, "b_most": most}
            return (await connection.execute(records.find_listed, asked)).all()

    async def history(self, id: str) -> Sequence[Any]:  # noqa: A002
        """What happened to a transfer, in order: rows of `bulk_transfer_events`."""
        async with self.group.database.read() as connection:
            return (await connection.execute(records.find_events, {"b_id": id})).all()

    async def ask(self, question: Any, **asked: Any) -> Any:
        """Rows. Raises StoreError."""
        return await self.group.ask(question, asked)

    # --- its life --------------------------------------------------------------------------------------------------------

    async def begin(self, transfer: Transfer, happening: str = "begin") -> bool:
        """There is a transfer: an upload has begun, or (`announce`) one is spoken of; False where it is known."""
        row = {f"v_{column.name}": getattr(transfer, _FIELDS.get(column.name, column.name)) for column in records.transfers.columns}
        born = {"b_id": transfer.id, "b_at": micros(self.clock), "b_by": transfer.partner}
        life = records.begin_life if happening == "begin" else records.announce_life
        settle = self._attest(transfer, happening, "known", transfer.partner, {})
        results = await self.group.transact(
            (records.begin, row), (life, born), guarded=1, settled=lambda results: settle(len(results) > 1)
        )
        return len(results) > 1

    async def know(self, statement: Writing, transfer: Transfer, **values: Any) -> None:
        """Take down what is known of a transfer beside its life."""
        await self.group.submit(statement, {"b_id": transfer.id, **{f"v_{name}": value for name, value in values.items()}})

    async def claim(self, transfer: Transfer, claims: Claims) -> None:
        """Take down what its sender says of it."""
        await self.know(records.know_claims, transfer, claims=encode(claims), changed=micros(self.clock))

    async def complete(self, transfer: Transfer) -> bool:
        """It is complete, as agreed: it will be worked on. False where it is already."""
        promise = await self.deliveries.promise(
            WORK, target=transfer.feed, key=transfer.feed, body=b"", correlation=transfer.correlation, id=transfer.id
        )
        done = await self.happens(transfer, "receive", *promise.steps, details={"size": transfer.size})
        if done:
            self.deliveries.wake(WORK)
        return done

    async def judge(self, transfer: Transfer, verdict: Verdict, *more: Step, queues: Sequence[str] = ()) -> bool:
        """What became of it, and `more` in the same transaction; False where it was judged already."""
        row = {
            "b_id": transfer.id, "v_records": verdict.records, "v_accepted": verdict.accepted, "v_set_aside": verdict.set_aside,
            "v_reasons": msgspec.msgpack.encode(list(verdict.reasons)), "v_good": verdict.good,
            "v_examination": verdict.examination, "v_receipt": verdict.receipt,
        }  # fmt: skip
        details = {"records": verdict.records, "accepted": verdict.accepted, "set_aside": verdict.set_aside}
        done = await self.happens(transfer, verdict.happening, (records.know_verdict, row), *more, details=details)
        if done:
            for queue in queues:
                self.deliveries.wake(queue)
        return done

    async def happens(
        self,
        transfer: Transfer,
        happening: str,
        *more: Step,
        by: str = "",
        reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        """Something befalls a transfer, the audit says so, and `more` is done, all or none; False where it cannot happen to it, or
        has already."""
        by = by or self.deliveries.node
        event = {"b_id": transfer.id, "b_at": micros(self.clock), "b_by": by, "b_reason": reason}
        settle = self._attest(transfer, happening, "missed", by, details or {})
        results = await self.group.transact(
            (records.HAPPENINGS[happening], event), *more, guarded=1, settled=lambda results: settle(results[0].rowcount > 0)
        )
        return results[0].rowcount > 0

    async def take_over(self, transfer: Transfer, name: str) -> None:
        """End the feed's other transfers of this name: earlier uploads that were never complete, and one that was announced
        while this one began, whose claims are this one's."""
        for other in await self.all_coming(transfer.feed):
            if other.name != name or other.id == transfer.id or other.arrived:
                continue
            if other.content is None:
                found = await self.find(transfer.id) or transfer
                await self.claim(found, combined(found.claims, other.claims))
                await self.happens(other, "expire", reason=f"its file came as transfer {transfer.id}")
            elif other.id < transfer.id:
                await self.happens(other, "expire", reason="it was uploaded anew")

    async def tell(self, transfer: Transfer, happening: str, by: str, details: Mapping[str, Any]) -> None:
        """Have the audit say, durably, what somebody did with a transfer."""
        await self.audit.durable(self._event(transfer, happening, by, details))

    def _attest(
        self, transfer: Transfer, happening: str, otherwise: str, by: str, details: Mapping[str, Any]
    ) -> Callable[[bool], None]:
        """Have the audit say what happened, or that it did not, where it is to be told of the feed."""
        if transfer.feed in self.unaudited:
            return lambda done: None
        missed = self._event(transfer, otherwise, by, {"happening": happening})
        return self.audit.attest(self._event(transfer, happening, by, details), missed)

    def _event(self, transfer: Transfer, happening: str, by: str, details: Mapping[str, Any]) -> AuditEvent:
        return AuditEvent(
            at=micros(self.clock), kind=f"bulk.transfer.{happening}", id=transfer.id, correlation_id=transfer.correlation,
            application=transfer.partner, api=transfer.feed, details={"by": by, **details},
        )  # fmt: skip

    # --- the end ---------------------------------------------------------------------------------------------------------

    async def purge(self, feed: str, old: int) -> int:
        """Forget the feed's transfers that ended and have not changed since `old`; how many. Their contents go when nothing else
        has them."""
        forgotten = 0
        while True:
            rows = await self.ask(records.find_old, b_feed=feed, b_at=old)
            for (id_,) in rows:
                await self.deliveries.forget([id_])
                asked = {"b_id": id_}
                steps = (records.forget_aside, records.forget_batches, records.forget_events, records.forget)
                await self.group.transact(*((step, asked) for step in steps))
            forgotten += len(rows)
            if len(rows) < records.MOST:
                return forgotten


_FIELDS: Final = {"claims": "said", "reasons": "why"}
_STATE: Final = len(records.transfers.columns)


def new(feed: str, partner: str, folder: str, name: str, correlation: str, now: int, **known: Any) -> Transfer:
    """A transfer that is about to be begun."""
    return Transfer(new_id(), known.pop("content", None), feed, partner, folder, name, correlation, now, now, **known)


def is_coming(transfer: Transfer) -> bool:
    """Whether it is not known to be complete."""
    return transfer.state in COMING


def _transfer(row: Sequence[Any]) -> Transfer:
    columns = list(row)
    columns[_STATE] = State(columns[_STATE])
    return Transfer(*columns)
