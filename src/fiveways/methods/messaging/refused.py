"""Messages that are taken and not delivered: nobody is found for them, or their content is not what their workflow demands.

Their sender is answered as for any other, and told by a REPORT in the transaction that writes the message's end. Content is not
kept, as nobody may collect it; of a chunked message, what the sender goes on to send is taken and thrown away.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, Callable, Collection, Mapping
from typing import Any

from fiveways.methods.messaging import records
from fiveways.methods.messaging.failures import for_all
from fiveways.methods.messaging.records import Draft, Message
from fiveways.methods.messaging.reports import Refused, refusal
from fiveways.methods.messaging.states import PLACE, State, after
from fiveways.store.group import Writing
from fiveways.store.payloads import pieces

Step = tuple[Writing, Mapping[str, Any]]


def ending(
    of: Draft | Message, message_id: str, state: State, why: Refused, told: Collection[str], new_id: Callable[[], str], at: int
) -> list[Step]:
    """The end of a message that is in `state`, and the reports of it, to its sender and to the mailboxes of `told`.

    `new_id` makes the reports' ids; `at`: microseconds since the Unix epoch.
    """
    end = after(state, "fail" if state is State.ACCEPTED else "abandon")
    event = {"message": message_id, "place": PLACE[end], "state": end.value, "at": at, "code": why.code, "reason": why.reason}
    reports = for_all(refusal(of, message_id, why), told)
    return [(records.add_event, event), *(step for each in reports for step in each.steps(new_id(), at))]


def was_refused(message: Message) -> bool:
    """Whether a message ended so; an upload that was given up has no code."""
    return message.state is State.ERROR and message.events[-1].code != ""


async def passed(message_id: str, body: AsyncIterable[bytes] | bytes) -> dict[str, Any]:
    """The row of a chunk whose bytes are not kept, once they have gone by; it is never written."""
    size, sha256 = 0, hashlib.sha256()
    async for piece in pieces(body):
        size += len(piece)
        sha256.update(piece)
    return {"message": message_id, "number": 1, "size": size, "sha256": sha256.hexdigest(), "body": None, "payload": None}
