"""Working on transfers that are complete: verified, examined, judged and released, each step once, whoever dies in between.

A transfer is a delivery of the same id under a lease that several nodes share, in order per feed. Its state says how far it is;
what a node that died has left half done is done anew and comes to the same: what is released is so in the verdict's transaction.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import msgspec

from fiveways.clock import micros, moment_of
from fiveways.delivery.engine import Step
from fiveways.delivery.queue import Delivery, Queue, Retry
from fiveways.errors import StoreError
from fiveways.methods.bulk import records
from fiveways.methods.bulk.agreement import Agreement, Agreements, Claims
from fiveways.methods.bulk.contents import Content, Contents
from fiveways.methods.bulk.file_records import know_sha256
from fiveways.methods.bulk.receipt import Sign, receipt
from fiveways.methods.bulk.releasing import Cut, Releasing
from fiveways.methods.bulk.service import RECEIPTS, RELEASES, WORK, Transfer, Transfers, Verdict
from fiveways.methods.bulk.states import ENDED, State, after
from fiveways.methods.bulk.tree import Broken
from fiveways.methods.bulk.verification import gaps, read, verify


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What quality control has come to."""

    records: int
    accepted: int
    set_aside: int
    reasons: Sequence[str]
    """Why the whole file is rejected; nothing, where it is not."""
    good: str | None
    """The content that has the good records; None where it is the original."""
    cuts: Mapping[int, Sequence[Cut]]
    """For each sink that is declared with batches: where good records are cut."""
    examination: bytes
    """What was found, as it is kept for reports."""
    newest: datetime | None = None
    """The newest value of any date column."""


class Examine(Protocol):
    """Quality control of one transfer."""

    async def __call__(self, transfer: Transfer, content: Content, agreement: Agreement, claims: Claims) -> Examined:
        """Check every record. Raises Broken and StoreError."""
        ...


class Working:
    """Works on transfers."""

    def __init__(
        self,
        transfers: Transfers,
        contents: Contents,
        agreements: Callable[[], Agreements],
        examine: Examine,
        releasing: Releasing,
        sign: Sign,
    ) -> None:
        """`agreements`: the feeds of the deployment, as it is just now; `sign`: signs receipts."""
        self._transfers = transfers
        self._contents = contents
        self._agreements = agreements
        self._examine = examine
        self._releasing = releasing
        self._sign = sign

    async def __call__(self, delivery: Delivery) -> str:
        """Take a transfer as far as it goes. Raises Retry."""
        transfer = await self._transfers.find(delivery.id)
        if transfer is None or transfer.state in ENDED:
            return "judged already"
        agreement = self._agreements().by_feed.get(transfer.feed)
        if agreement is None:
            raise Retry("the deployment has no such feed just now")
        try:
            return await self._worked(agreement, transfer)
        except (StoreError, Broken) as error:
            raise Retry(str(error)) from None

    async def _worked(self, agreement: Agreement, transfer: Transfer) -> str:
        if transfer.state is State.RECEIVED:
            await self._transfers.happens(transfer, "verify")
            transfer = await self._transfers.find(transfer.id) or transfer
        assert transfer.content is not None
        try:
            content = await self._contents.find(transfer.content)
        except KeyError:
            return await self._judged(agreement, transfer, None, transfer.claims, ["its content is gone"])
        found = await read(self._contents.pieces(content), hashlib.sha256())
        if content.sha256 is None:
            await self._contents.group.submit(know_sha256, {"b_id": content.id, "v_sha256": found.sha256})
            content = replace(content, sha256=found.sha256)
        settings = agreement.settings
        claims, reasons = verify(agreement, transfer.claims, content, found, counted=settings.records is not None)
        if settings.repeats == "reject":
            same = await self._transfers.ask(records.find_same, b_feed=transfer.feed, b_blake3=found.blake3, b_id=transfer.id)
            reasons += [f"the same content was released before, as transfer {id_}" for (id_,) in same]
        await self._transfers.know(records.know_digest, transfer, blake3=found.blake3)
        if reasons:
            return await self._judged(agreement, transfer, content, claims, reasons)
        if settings.records is None:
            return await self._judged(agreement, transfer, content, claims, [], records_=claims.records or 0)
        if transfer.state is State.VERIFYING:
            await self._transfers.happens(transfer, "examine")
            transfer = await self._transfers.find(transfer.id) or transfer
        await self._contents.group.submit(records.forget_aside, {"b_id": transfer.id})  # of an examination that was broken off
        examined = await self._examine(transfer, content, agreement, claims)
        reasons = list(examined.reasons)
        if claims.records is not None and claims.records != examined.records and not reasons:
            reasons.append(f"it has {examined.records} records, and {claims.records} are said")
        return await self._judged(agreement, transfer, content, claims, reasons, examined)

    async def _judged(
        self,
        agreement: Agreement,
        transfer: Transfer,
        content: Content | None,
        claims: Claims,
        reasons: list[str],
        examined: Examined | None = None,
        *,
        records_: int = 0,
    ) -> str:
        """Write the verdict down, with everything that follows from it."""
        happening = "reject" if reasons else "release_part" if examined is not None and examined.set_aside else "release"
        numbers = [row[0] for row in await self._transfers.ask(records.find_sequences, b_feed=transfer.feed, b_id=transfer.id)]
        verdict = Verdict(
            happening=happening,
            reasons=[*reasons, *gaps(transfer.sequence, numbers), *aged(agreement, transfer, examined)],
            records=examined.records if examined is not None else records_,
            accepted=examined.accepted if examined is not None else records_,
            set_aside=examined.set_aside if examined is not None else 0,
            good=examined.good if examined is not None and not reasons else None,
            examination=examined.examination if examined is not None else None,
        )
        signed = await self.receipt(transfer, content, claims, verdict)
        steps: list[Step] = []
        if happening != "reject":
            steps += await self._releasing.steps(
                agreement, transfer, verdict.good or transfer.content or "", examined.cuts if examined is not None else {}
            )
        steps += await self._releasing.receipt_steps(agreement, transfer, signed)
        await self._transfers.judge(transfer, replace(verdict, receipt=signed), *steps, queues=(RELEASES, RECEIPTS))
        return str(after(transfer.state, happening))

    async def receipt(self, transfer: Transfer, content: Content | None, claims: Claims, verdict: Verdict) -> str:
        """A transfer's receipt, signed, with the event that `verdict` is about to be."""
        events: list[Any] = [tuple(event) for event in await self._transfers.history(transfer.id)]
        state, now = after(transfer.state, verdict.happening), self._transfers.clock.now()
        events.append((transfer.id, len(events), verdict.happening, str(state), micros(self._transfers.clock), "", ""))
        facts = msgspec.msgpack.decode(content.secured, type=dict[str, str]) if content is not None and content.secured else {}
        return self._sign(receipt(transfer, content, claims, verdict, events, facts, state, now))


def aged(agreement: Agreement, transfer: Transfer, examined: Examined | None) -> list[str]:
    """What there is to say of how old its newest record is (B13)."""
    oldest = agreement.settings.oldest
    if oldest is None or examined is None or examined.newest is None:
        return []
    age = moment_of(transfer.at) - examined.newest
    return [f"its newest record is {age.days} days old"] if age > oldest else []


def queue(working: Working) -> Queue:
    """The queue of transfers that are complete."""
    return Queue(
        name=WORK, handler=working, attempts=2**31, patience=timedelta(days=3650), longest_wait=timedelta(minutes=5),
        time_limit=timedelta(hours=12), concurrency=2,
    )  # fmt: skip
