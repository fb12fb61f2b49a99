"""What befalls messages without anybody asking: they expire, uploads are given up, and what is old is removed.

Any number of nodes may do this at once over one store, and none does what another has done:

- **Expiry.** A message that has waited in an inbox for longer than its workflow says (`undelivered_after`), or messaging as a whole
  (`collect_within`), is undeliverable. One transaction writes that event, takes the message out of the inbox and puts the report
  into its sender's, and into those of others that its workflow names. The event is the claim: its place in the message's life is a
  primary key, and it is written only where the message still waits. Of two nodes, or of a node and the recipient's acknowledgement,
  one wins; for the others nothing happens. A crash leaves all of it or nothing, so that no report is made twice. A report that is
  not collected expires without one of its own. `overdue.py` finds what has waited too long.
- **Uploads** that were begun that long ago and never completed end as errors, and take no chunk any more.
- **Retention.** A message older than `messaging.keep` whose life has ended is removed (what still waits is left to expiry, which
  comes first). One transaction removes it with its events and small chunks; from then on it is unknown, and nobody can come to ask
  for its payloads. The rows of its large chunks stay: they say which payloads are to be removed, which a later round does, each
  payload before its row. So no message ever refers to a payload that is not there, and no payload is forgotten: after
  a crash the next round of any node goes on, as removing a payload again is no error.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import Select

from fiveways.clock import Clock, micros, micros_in
from fiveways.correlation import new_id
from fiveways.ledger.audit import AuditEvent
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging import records
from fiveways.methods.messaging.directory import Directory, MessagingSettings
from fiveways.methods.messaging.failures import for_all
from fiveways.methods.messaging.ids import first_id
from fiveways.methods.messaging.ids import new_id as new_message_id
from fiveways.methods.messaging.overdue import Deadlines, Overdue
from fiveways.methods.messaging.posting import Posting, Step
from fiveways.methods.messaging.records import Details
from fiveways.methods.messaging.reports import DEACTIVATED, NOT_COLLECTED, Report, in_words, non_delivery, not_collected
from fiveways.methods.messaging.states import State
from fiveways.methods.messaging.webhook import Arrivals

log = structlog.get_logger("fiveways.messages")

AT_ONCE = 50
"""Messages dealt with in one go: others' writes wait for so many."""
_LONGEST_REQUEST = 3600 * 10**6
"""Microseconds for which a first chunk may have been on its way in, between the moment that its message bears and its row."""

_details = msgspec.json.Decoder(Details)


class Worker:
    """Lets messages expire and removes old ones. `settings` and `directory` are asked at each round, as a reload may
    change them: a message for a mailbox that is not in use any more waits like others, and its sender is told why it ended."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        settings: Callable[[], MessagingSettings],
        directory: Callable[[], Directory | None] = lambda: None,
        arrivals: Callable[[], Arrivals | None] = lambda: None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._directory = directory
        self._arrivals = arrivals
        self._overdue = Overdue(ledger.database, clock, AT_ONCE)
        self._no_uploads_before = 0

    def every(self) -> float:
        """Seconds between rounds: a minute, or a tenth of the shortest time that is set where that is less."""
        shortest = min(self._deadlines().times()[0], self._settings().keep).total_seconds()
        return min(60.0, max(0.1, shortest / 10))

    async def round(self) -> None:
        """Do everything that is due; StoreError where the store fails, and then the rest is done in the next round."""
        settings = self._settings()
        await self._expire(self._deadlines())
        await self._tell("messages.expired", abandoned=await self._abandon(settings.collect_within))
        payloads = await self._remove_payloads(settings.keep)
        removed = await self._remove(settings.keep)
        await self._tell("messages.purged", messages=removed, payloads=payloads)

    def afresh(self) -> None:
        """Look at everything anew in the next round: a sandbox's clock was put back."""
        self._no_uploads_before = 0

    # --- expiry ----------------------------------------------------------------------------------------------------------

    def _deadlines(self) -> Deadlines:
        return Deadlines(self._settings().collect_within, self._directory())

    async def _expire(self, deadlines: Deadlines) -> None:
        """End what has waited for too long, and tell by workflow what came to nothing."""
        ended: dict[str, Counter[str]] = {}

        async def end(overdue: list[Any]) -> bool:
            now = micros(self._clock)
            # Each message is a transaction of its own; the group writer commits them together.
            ends = [self._end(row, now + index, deadlines.of(row.workflow, row.kind)) for index, row in enumerate(overdue)]
            reports = await asyncio.gather(*ends)
            for row, told in zip(overdue, reports, strict=True):
                if told is not None:
                    ended.setdefault(self._declared(row.workflow), Counter()).update(undeliverable=1, reports=told)
            return any(told is not None for told in reports)  # if not, others were quicker: the rest is for them or the next round

        try:
            await self._overdue.each(deadlines, end)
        finally:
            for workflow, counts in ended.items():
                await self._tell_failed(workflow, counts)

    async def _end(self, row: Any, at: int, within: timedelta) -> int | None:
        """End a message that nobody has collected; how many reports tell of it, None where it had ended in the meantime."""
        directory = self._directory()
        closed = directory is not None and directory.mailbox(row.recipient) is None
        reason = DEACTIVATED if closed else not_collected(within)
        mine = {"b_id": row.id, "b_mailbox": row.recipient}
        event = {"b_state": State.UNDELIVERABLE.value, "b_at": at, "b_code": NOT_COLLECTED, "b_reason": reason}
        steps: list[Step] = [(records.end, {**mine, **event}), (records.leave_inbox, mine)]
        reports: list[Report] = []
        if row.kind == "DATA":
            report = Report(
                recipient=row.sender,
                workflow=row.workflow,
                local_id=row.local_id,
                code=NOT_COLLECTED,
                reason=reason,
                details=non_delivery(_details.decode(row.details).subject, row.id),
                correlation=row.correlation,
            )
            reports = for_all(report, directory.failures(row.workflow).told if directory is not None else ())
            steps += [step for each in reports for step in each.steps(new_message_id(at), at)]
        done = await Posting(self._ledger.group, self._arrivals()).transact(*steps, guarded=1)
        return len(reports) if len(done) > 1 else None

    async def _abandon(self, within: timedelta) -> int:
        """End uploads that were begun too long ago; how many."""
        abandoned = 0
        until = micros(self._clock) - micros_in(within)
        reason = f"Upload not completed within {in_words(within)}"
        while True:
            since = self._no_uploads_before - _LONGEST_REQUEST
            found = await self._found(
                records.find_unfinished,
                b_id_after=first_id(since),
                b_id_before=first_id(until + 1),
                b_most=AT_ONCE,
            )
            for row in found:
                event = {"b_id": row.id, "b_at": micros(self._clock), "b_reason": reason}
                results = await self._ledger.group.transact(
                    (records.hold_upload, {"b_id": row.id}), (records.abandon, event), guarded=1
                )
                abandoned += len(results) > 1 and results[1].rowcount
            if len(found) < AT_ONCE:
                self._no_uploads_before = until
                return abandoned

    # --- retention -------------------------------------------------------------------------------------------------------

    async def _remove(self, keep: timedelta) -> int:
        """Remove messages that are older than they are kept; how many."""
        removed = 0
        before = first_id(micros(self._clock) - micros_in(keep) + 1)
        while count := await records.remove_old(self._ledger.database, before, AT_ONCE):
            removed += count
        return removed

    async def _remove_payloads(self, keep: timedelta) -> int:
        """Remove the payloads of messages that an earlier round has removed; how many."""
        removed = 0
        before = first_id(micros(self._clock) - micros_in(keep) + 1)
        while found := await self._found(records.find_removed, b_id_before=before, b_most=AT_ONCE):
            for row in found:
                if row.payload is not None:
                    await self._ledger.payloads.delete(row.payload)
            gone = [self._ledger.group.submit(records.remove_chunk, {"b_id": row.message, "b_number": row.number}) for row in found]
            removed += sum(result.rowcount for result in await asyncio.gather(*gone))
        return removed

    # --- asking and telling ----------------------------------------------------------------------------------------------

    async def _found(self, question: Select[Any], **parameters: object) -> list[Any]:
        async with self._ledger.database.read() as connection:
            return list((await connection.execute(question, parameters)).all())

    def _declared(self, workflow: str) -> str:
        """The workflow, where somebody has declared it; '' for others, whose names are whatever their senders said."""
        directory = self._directory()
        return workflow if directory is not None and workflow in directory.workflows else ""

    async def _tell_failed(self, workflow: str, counts: Counter[str]) -> None:
        """Leave in the audit and the log how many messages of a workflow came to nothing, and who works them."""
        directory = self._directory()
        worked_by = directory.failures(workflow).worked_by if directory is not None else ""
        whose = {name: said for name, said in (("workflow", workflow), ("worked_by", worked_by)) if said}
        log.warning("messages were not collected in time", **whose, **counts)
        await self._tell("messages.expired", whose, **counts)

    async def _tell(self, kind: str, whose: Mapping[str, str] | None = None, **counts: int) -> None:
        """Leave in the audit how many messages something befell, where it was any; never which."""
        if any(counts.values()):
            details = {**(whose or {}), **counts}
            await self._ledger.audit.durable(AuditEvent(at=micros(self._clock), kind=kind, id=new_id(), details=details))
