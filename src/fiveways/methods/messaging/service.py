"""What messaging does: take a message in, show what waits, hand it out, let it be acknowledged, tell what became of it.

Every call writes, or asks, in one submission to the store, together with the claim that whoever calls makes on its credential
(`Claim`): one durable commit a request, shared with all others of the moment. Nothing is acknowledged before it (A10, MS03).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping
from datetime import timedelta
from typing import Any

import msgspec
from sqlalchemy import Select

from fiveways.clock import Clock, micros
from fiveways.errors import Fault
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging import records, repeats
from fiveways.methods.messaging.checks import Check
from fiveways.methods.messaging.collecting import CollectTimes
from fiveways.methods.messaging.contents import Contents, passed
from fiveways.methods.messaging.counts import InboxCounts
from fiveways.methods.messaging.failures import ending, was_refused
from fiveways.methods.messaging.ids import Ids, new_id
from fiveways.methods.messaging.posting import Completing, Posting, Step
from fiveways.methods.messaging.records import Chunk, Draft, Listing, Message, Sent
from fiveways.methods.messaging.refusals import Empty, EncodingChanged, Gone, NotYours, Reused, TooManyChunks, Unknown, Whole
from fiveways.methods.messaging.reports import Refused, Report
from fiveways.methods.messaging.states import COLLECTABLE, State, after
from fiveways.methods.messaging.uploads import CheckedUploads
from fiveways.methods.messaging.webhook import Arrivals
from fiveways.store.group import Result, Settled, Writing

Claim = tuple[Writing, Mapping[str, Any]]
"""A write that must touch a row, or nothing is done (`GroupWriter.transact`)."""
Attest = Callable[[], Callable[[bool], None]] | None
"""Called just before a write: it records the audit event that is to be durable with it (`Interaction.attest`)."""
Made = Callable[[list[Result]], bool]
"""Whether the results of a submission are those of what was to be done."""

LARGEST = 20 * 10**9
"""Bytes of a message, all its chunks together, where nothing else is declared."""


class Messaging:
    """The mailboxes of this store. Whoever calls has been authorised; whose a message is, is looked at here."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        largest: int = LARGEST,
        *,
        checks: Callable[[str], Check | None] = lambda workflow: None,
        told: Callable[[str], Collection[str]] = lambda workflow: (),
        arrivals: Arrivals | None = None,
        collected: CollectTimes | None = None,
    ) -> None:
        """`largest`: bytes that a message may have, all its chunks together. `checks`: what a workflow asks of content. `told`: who
        is told of its failures, besides senders. `arrivals`: tells of them, where anybody wants to be told. `collected`: where it
        is noted how long messages waited."""
        self._ledger = ledger
        self._checks = checks
        self._told = told
        self._collected = collected
        self._group = ledger.group
        self._clock = clock
        self._ids = Ids(clock)
        self._contents = Contents(ledger.payloads, largest)
        self._posting = Posting(ledger.group, arrivals)
        self._checked_uploads = CheckedUploads(self._group, self._contents, self._posting, self._ids, clock, told)
        self._counts = InboxCounts(ledger.group, clock)

    # --- sending ---------------------------------------------------------------------------------------------------------

    async def send(
        self,
        draft: Draft,
        body: AsyncIterable[bytes] | bytes,
        claim: Claim | None,
        attest: Attest = None,
        once_within: timedelta | None = None,
        refused: Refused | None = None,
    ) -> Sent:
        """Take a message, or its first chunk, in. Raises Reused, Empty, and whatever `body` raises.

        `once_within`: the same message with the same local id, sent again within that time, is the one that was sent before.
        Raises LocalIdUsed where another message has that local id. `refused`: why it is not delivered, where that is known;
        what its workflow asks of content may refuse it too. Its sender is answered all the same, and told in a report.
        """
        now = self._ids.now()
        id_ = new_id(now)
        if refused is None:
            chunk = await self._contents.kept(id_, 1, body)
            if draft.chunks == 1 and (check := self._checks(draft.workflow)) is not None:
                refused = await self._looked_at(check, draft, chunk)
        elif not (chunk := await passed(id_, 1, body))["size"]:
            raise Empty("A message without content is none")
        row = {
            "id": id_, "sender": draft.sender, "recipient": draft.recipient, "workflow": draft.workflow, "local_id": draft.local_id,
            "kind": "DATA", "chunks": draft.chunks, "at": now, "correlation": draft.correlation,
            "details": msgspec.json.encode(draft.details),
        }  # fmt: skip
        state = after(None, "send" if draft.chunks == 1 else "begin")
        steps: list[Step] = [(records.add_message, row), (records.add_event, records.event_row(id_, state, now))]
        if refused is not None:
            steps += ending(draft, id_, state, refused, self._told(draft.workflow), self._ids.new, now)
        else:
            steps.append((records.add_chunk, chunk))
            if state is State.ACCEPTED:
                steps.append((records.add_to_inbox, {"v_mailbox": draft.recipient, "v_message": id_, "v_workflow": draft.workflow}))
        once = repeats.once(draft, chunk, id_, now, once_within) if once_within is not None and draft.local_id else None
        try:
            results = await self._transact(claim, *steps, attest=attest, once=once)
        except Reused:
            await self._contents.drop(chunk["payload"])
            raise
        if len(results) < len(steps):
            await self._contents.drop(chunk["payload"])
            return Sent(await repeats.first(self._group, draft, chunk), repeated=True)
        if refused is not None:
            await self._contents.drop(chunk["payload"])
            self._counts.add(draft.sender, 1)
        elif state is State.ACCEPTED:
            self._counts.add(draft.recipient, 1)
        return Sent(id_)

    async def add_chunk(
        self,
        sender: str,
        message_id: str,
        number: int,
        total: int,
        encoding: str,
        body: AsyncIterable[bytes] | bytes,
        claim: Claim | None,
        attest: Attest = None,
        once: bool = False,
    ) -> State:
        """Take another chunk of a message in; the message is in its recipient's inbox once all chunks are here, in any order.

        `once`: a chunk sent again of a message that is whole is no mistake (otherwise Whole is raised). Chunks of a message that
        was refused are taken and thrown away.
        """
        found, sizes = (
            await self._ask(claim, (records.find_message, {"b_id": message_id}), (records.total_size, {"b_id": message_id}))
        )[-2:]
        if not found.rows:
            raise Unknown("There is no such message")
        message = records.messages_of(found.rows)[0]
        if message.sender != sender:
            raise NotYours("Only its sender may add to a message")
        if was_refused(message):
            await passed(message_id, number, body)
            return message.state
        if message.state is State.ERROR:
            raise Gone("The upload was given up")
        if message.state is not State.UPLOADING:
            if once and await self._has(await passed(message_id, number, body)):
                return message.state
            raise Whole("The message is whole")
        if number > message.chunks or total != message.chunks or message.kind != "DATA":
            raise TooManyChunks(f"The message was announced with {message.chunks} chunks")
        if encoding != message.details.content_encoding:
            raise EncodingChanged("The content encoding of a message cannot change")
        before = int(sizes.rows[0][0])
        chunk = await self._contents.kept(message_id, number, body, before)
        check = self._checks(message.workflow)
        if check is not None:
            return await self._add_to_checked(message, chunk, check)
        now = micros(self._clock)
        results = await self._posting.transact(
            (records.hold_upload, {"b_id": message_id}),
            (records.find_chunk, {"b_id": message_id, "b_number": number}),
            (records.put_chunk, {"b_id": message_id, **{f"v_{name}": value for name, value in chunk.items()}}),
            (records.deliver_if_whole, {"b_id": message_id}),
            (records.accept_if_whole, {"b_id": message_id, "b_at": now}),
            guarded=1,
            settled=_settling(attest, _chunk_taken),
            completing=Completing(message, now, before + chunk["size"]),
        )
        if not _chunk_taken(results):
            await self._contents.drop(chunk["payload"])
            raise Whole("The message is whole")
        for replaced in results[1].rows:
            await self._contents.drop(Chunk(*replaced).payload)
        if not results[4].rowcount:
            return State.UPLOADING
        self._counts.add(message.recipient, 1)
        return State.ACCEPTED

    async def _add_to_checked(self, message: Message, chunk: dict[str, Any], check: Check) -> State:
        """Take a chunk in of a message that nobody may see before its content was looked at."""
        if not await self._checked_uploads.put(message, chunk):
            return State.UPLOADING
        state, ended = await self._checked_uploads.end(message, check)
        if ended:
            self._counts.add(message.recipient if state is State.ACCEPTED else message.sender, 1)
        return state

    async def _looked_at(self, check: Check, draft: Draft, chunk: dict[str, Any]) -> Refused | None:
        content = self.content(Chunk(1, chunk["size"], chunk["sha256"], chunk["body"], chunk["payload"]))
        try:
            return await check(content, draft.details.content_encoding)
        except Fault:
            await self._contents.drop(chunk["payload"])
            raise

    # --- collecting ------------------------------------------------------------------------------------------------------

    async def waiting(
        self,
        mailbox: str,
        claim: Claim | None,
        *,
        limit: int,
        behind: int = 0,
        question: Select[Any] = records.all_waiting,
        parameters: Mapping[str, Any] | None = None,
    ) -> Listing:
        """What waits in an inbox behind a position, `limit` messages at most; `question` may want less (`records.waiting`)."""
        asked = {"b_mailbox": mailbox, "b_after": behind, "b_most": limit + 1, **(parameters or {})}
        rows = (await self._ask(claim, (question, asked)))[-1].rows
        page = rows[:limit]
        last = page[-1][0] if page else behind
        return Listing([row[1] for row in page], last, len(rows) > limit, await self.count(mailbox))

    async def position(self, message_id: str) -> int | None:
        """Where a message stands in its inbox; None where it does not wait any more."""
        rows = (await self._group.submit(records.position_of, {"b_id": message_id}, synced=False)).rows
        return rows[0][0] if rows else None

    async def message(self, message_id: str, claim: Claim | None = None) -> Message | None:
        """A message and its life so far, or None."""
        rows = (await self._ask(claim, (records.find_message, {"b_id": message_id})))[-1].rows
        return records.messages_of(rows)[0] if rows else None

    async def collect(self, mailbox: str, message_id: str, number: int, claim: Claim | None) -> tuple[Message, Chunk | None]:
        """A message for its recipient, with the chunk asked for; None for a report, and for a chunk that is not there."""
        found, pieces = (
            await self._ask(
                claim, (records.find_message, {"b_id": message_id}), (records.find_chunk, {"b_id": message_id, "b_number": number})
            )
        )[-2:]
        if not found.rows:
            raise Unknown("Message does not exist")
        message = records.messages_of(found.rows)[0]
        if message.recipient != mailbox:
            raise NotYours("Only its recipient may collect a message")
        if message.state not in COLLECTABLE:
            raise Gone("Message no longer available for download")
        return message, Chunk(*pieces.rows[0]) if pieces.rows else None

    def content(self, chunk: Chunk) -> bytes | AsyncIterator[bytes]:
        """The bytes of a chunk. Raises StoreError, before the last of them, where they are not those that were taken in."""
        return self._contents.open(chunk)

    async def acknowledge(self, mailbox: str, message_id: str, claim: Claim | None, attest: Attest = None) -> Message:
        """Its recipient has it: it leaves the inbox. Doing so again changes nothing. Gone, where its life has ended otherwise."""
        event = {"b_state": State.ACKNOWLEDGED.value, "b_at": micros(self._clock), "b_code": "", "b_reason": ""}
        _, left, found = (
            await self._transact(
                claim,
                (records.end, {"b_id": message_id, "b_mailbox": mailbox, **event}),
                (records.leave_inbox, {"b_id": message_id, "b_mailbox": mailbox}),
                (records.find_message, {"b_id": message_id}),
                attest=attest,
                made=lambda results: _is_acknowledged(results[-1], mailbox),
            )
        )[-3:]
        self._counts.add(mailbox, -left.rowcount)
        if not found.rows:
            raise Unknown("Message does not exist")
        message = records.messages_of(found.rows)[0]
        if message.recipient != mailbox:
            raise NotYours("Only its recipient may acknowledge a message")
        if message.state is not State.ACKNOWLEDGED:  # its sender is told that it was not collected, or will be
            raise Gone("Message no longer available for acknowledgement")
        if self._collected is not None and left.rowcount:
            self._collected.observe(mailbox, (message.events[-1].at - message.events[-2].at) / 1e6)
        return message

    async def by_local_id(self, sender: str, local_id: str, claim: Claim | None) -> list[Message]:
        """The newest messages that `sender` has given `local_id`: two at most, as more than one is ambiguous."""
        asked = {"b_sender": sender, "b_local_id": local_id}
        return records.messages_of((await self._ask(claim, (records.find_by_local_id, asked)))[-1].rows)

    async def size(self, message_id: str) -> int:
        """The bytes of a message's content, all chunks together."""
        return int((await self._group.submit(records.total_size, {"b_id": message_id}, synced=False)).rows[0][0])

    async def count(self, mailbox: str) -> int:
        """How many messages wait in an inbox, as it was counted not long ago (`InboxCounts`)."""
        return await self._counts.of(mailbox)

    async def report(self, report: Report) -> str:
        """Put a report into an inbox; its id."""
        id_ = self._ids.new()
        await self._posting.transact(*report.steps(id_, micros(self._clock)))
        self._counts.add(report.recipient, 1)
        return id_

    def recount(self) -> None:
        """Forget what inboxes were counted to hold: a tester has changed it."""
        self._counts.forget()

    async def reset(self, mailbox: str | None = None) -> None:
        """Forget every message, or all those for one mailbox: for a sandbox."""
        for payload in await records.forget(self._ledger.database, mailbox):
            await self._ledger.payloads.delete(payload)
        if mailbox is None:
            self._ids.forget()  # the sandbox's clock may have been put back
        self.recount()

    # --- keeping ---------------------------------------------------------------------------------------------------------

    async def _ask(self, claim: Claim | None, *steps: Step) -> list[Result]:
        """Ask, with the claim first: that is seen by every process when this returns, and on disk a moment later."""
        if claim is None:
            return await self._group.transact(*steps, synced=False)
        results = await self._group.transact(claim, *steps, guarded=1, synced=False)
        if not results[0].rowcount:
            raise Reused
        return results

    async def _has(self, chunk: Mapping[str, Any]) -> bool:
        """Whether this is what the message's chunk of that number has in it."""
        asked = {"b_id": chunk["message"], "b_number": chunk["number"]}
        found = (await self._ask(None, (records.find_chunk, asked)))[0].rows
        return bool(found) and Chunk(*found[0]).sha256 == chunk["sha256"]

    async def _transact(
        self,
        claim: Claim | None,
        *steps: Step,
        attest: Attest = None,
        made: Made = lambda results: True,
        once: Claim | None = None,
    ) -> list[Result]:
        """Write and ask, with the claims first; the results end with `once` where that was claimed before. `made`: whether what is
        attested came to be, where the claims held."""
        claims = [each for each in (claim, once) if each is not None]
        whole = len(claims) + len(steps)
        settled = _settling(attest, lambda results: len(results) == whole and made(results))
        results = await self._posting.transact(*claims, *steps, guarded=len(claims), settled=settled)
        if claim is not None and not results[0].rowcount:
            raise Reused
        return results


def _settling(attest: Attest, made: Made) -> Settled | None:
    """What tells the audit whether that was `made` which is attested; None where nothing is."""
    if attest is None:
        return None
    settle = attest()
    return lambda results: settle(made(results))


def _is_acknowledged(found: Result, mailbox: str) -> bool:
    """Whether there is such a message, for `mailbox`, and it was acknowledged (`acknowledge`)."""
    return any(message.recipient == mailbox and message.state is State.ACKNOWLEDGED for message in records.messages_of(found.rows))


def _chunk_taken(results: list[Result]) -> bool:
    """Whether the upload was still going on when its chunk came to be written (`add_chunk`)."""
    return len(results) > 1 and results[2].rowcount > 0
