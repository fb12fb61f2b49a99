"""Reports: what the platform tells a sender of a message that did not get through, in the sender's own inbox (A45)."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import msgspec

from fiveways.clock import micros_in
from fiveways.methods.messaging import records
from fiveways.methods.messaging.posting import Step
from fiveways.methods.messaging.records import Details, Draft, Message
from fiveways.methods.messaging.states import State

NOT_COLLECTED = "14"
"""MESH's code for a message that nobody collected in time."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender is told. It waits for them as a message of kind REPORT without content, from nobody."""

    recipient: str
    """The mailbox that sent what the report is about."""
    workflow: str
    local_id: str
    code: str
    """MESH's, such as `14`."""
    reason: str
    details: Details
    correlation: str = ""

    def steps(self, id_: str, at: int) -> list[Step]:
        """The rows of the report, to be written in the transaction of what it tells of. `at`: microseconds since the Unix epoch."""
        message = {
            "id": id_, "sender": "", "recipient": self.recipient, "workflow": self.workflow, "local_id": self.local_id,
            "kind": "REPORT", "chunks": 0, "at": at, "correlation": self.correlation, "details": msgspec.json.encode(self.details),
        }  # fmt: skip
        waiting = {"v_mailbox": self.recipient, "v_message": id_, "v_workflow": self.workflow}
        return [
            (records.add_message, message),
            (records.add_event, records.event_row(id_, State.ACCEPTED, at, self.code, self.reason)),
            (records.add_to_inbox, waiting),
        ]


class Refused(NamedTuple):
    """Why a message that was taken is not delivered: a code, and words that say nothing of what is in it or for whom it was."""

    code: str
    reason: str


def refusal(of: Draft | Message, message_id: str, why: Refused) -> Report:
    """The report to whoever sent a message that is not delivered."""
    return Report(
        recipient=of.sender,
        workflow=of.workflow,
        local_id=of.local_id,
        code=why.code,
        reason=why.reason,
        details=non_delivery(of.details.subject, message_id),
        correlation=of.correlation,
    )


def not_collected(within: timedelta) -> str:
    """Why a message was not delivered that nobody collected within a time."""
    return f"Message not collected by recipient after {in_words(within)}"


DEACTIVATED = "Mailbox deactivated"
"""Why a message was not delivered that nobody could collect, as its mailbox was not in use any more."""


def non_delivery(subject: str, linked: str) -> Details:
    """What a report says of the message `linked`, whose subject was `subject`, that was not delivered."""
    return Details(subject=f"NDR: {subject}" if subject else "NDR", linked=linked)


def in_words(span: timedelta) -> str:
    """A length of time as reports say it: `5 days`, `90 minutes`, `1 second`."""
    microseconds = micros_in(span)
    for unit, length in _UNITS.items():
        number, rest = divmod(microseconds, length)
        if number and not rest:
            return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
    return f"{span.total_seconds():g} seconds"


_UNITS = {"day": 86_400_000_000, "hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000}
