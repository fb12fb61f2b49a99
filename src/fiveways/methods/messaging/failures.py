"""Messages that come to nothing, and who learns of it: their sender, and whom their workflow names besides (A45).

A message may be refused once it is taken: nobody is found for it, or its content is not what its workflow demands. Its sender is
answered as for any other, and told by a REPORT in the transaction that writes the message's end. Content is not kept, as nobody may
collect it; of a chunked message, what the sender goes on to send is taken and thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import msgspec

from fiveways.methods.messaging import records
from fiveways.methods.messaging.posting import Step
from fiveways.methods.messaging.records import Draft, Message
from fiveways.methods.messaging.reports import Refused, Report, refusal
from fiveways.methods.messaging.states import State, after


def for_all(report: Report, told: Iterable[str]) -> list[Report]:
    """A report for its recipient, and the same for each mailbox of `told`: each is told once."""
    return [msgspec.structs.replace(report, recipient=mailbox) for mailbox in dict.fromkeys((report.recipient, *told))]


def ending(
    of: Draft | Message, message_id: str, state: State, why: Refused, told: Collection[str], new_id: Callable[[], str], at: int
) -> list[Step]:
    """The end of a message that is in `state`, and the reports of it, to its sender and to the mailboxes of `told`.

    `new_id` makes the reports' ids; `at`: microseconds since the Unix epoch.
    """
    end = after(state, "fail" if state is State.ACCEPTED else "abandon")
    reports = for_all(refusal(of, message_id, why), told)
    event = records.event_row(message_id, end, at, why.code, why.reason)
    return [(records.add_event, event), *(step for each in reports for step in each.steps(new_id(), at))]


def was_refused(message: Message) -> bool:
    """Whether a message ended so; an upload that was given up has no code."""
    return message.state is State.ERROR and message.events[-1].code != ""
