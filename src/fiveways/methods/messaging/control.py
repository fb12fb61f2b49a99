"""What testers do to messages in a sandbox: move one to another state, put a report into an inbox, let time pass, forget all."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import BigInteger, BindParameter, Integer, Text, bindparam, delete, exists, insert, select

from fiveways.clock import micros
from fiveways.ledger.ledger import Ledger
from fiveways.ledger.replay import replays
from fiveways.methods.messaging import records, repeats
from fiveways.methods.messaging.records import inbox, message_events, messages
from fiveways.methods.messaging.reports import Report
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.states import PLACE, State
from fiveways.methods.messaging.trials import Trials

_id: BindParameter[str] = bindparam("b_id", type_=Text)
_place: BindParameter[int] = bindparam("b_place", type_=Integer)
_forget_later = delete(message_events).where(message_events.c.message == _id, message_events.c.place >= _place)
_happen = records.append_event(
    messages.c.id, _place, *(bindparam(f"b_{name}", type_=Text) for name in ("state", "code", "reason")), messages.c.id == _id
)
_wait = insert(inbox).from_select(
    ["mailbox", "message", "workflow"],
    select(messages.c.recipient, messages.c.id, messages.c.workflow).where(
        messages.c.id == _id, ~exists().where(inbox.c.message == messages.c.id)
    ),
)
_wait_no_more = delete(inbox).where(inbox.c.message == _id)
_forget_repeats = delete(replays).where(
    replays.c.namespace == repeats.NAMESPACE, replays.c.until <= bindparam("b_until", type_=BigInteger)
)
_FOR_EVER = 2**62


class Control:
    """Changes messages as a tester says: past the table of transitions, but never into a life that there could not be."""

    def __init__(self, ledger: Ledger, messaging: Messaging, trials: Trials) -> None:
        self._group = ledger.group
        self._messaging = messaging
        self._clock = trials.clock
        self.trials = trials

    async def move(self, message_id: str, state: State, *, code: str = "", reason: str = "") -> bool:
        """Put a message into a state; whether there is such a message. What had followed that place in its life is forgotten."""
        event = {"b_state": state.value, "b_at": micros(self._clock), "b_code": code, "b_reason": reason}
        where = {"b_id": message_id, "b_place": PLACE[state]}
        _, happened, _ = await self._group.transact(
            (_forget_later, where),
            (_happen, {**where, **event}),
            (_wait if state is State.ACCEPTED else _wait_no_more, {"b_id": message_id}),
        )
        self._messaging.recount()
        return happened.rowcount > 0

    async def report(self, report: Report) -> str:
        """Put a report into an inbox; its id."""
        return await self._messaging.report(report)

    async def advance(self, by: timedelta) -> None:
        """Let time pass for messages, with all that it brings about: they expire, are removed, and may be sent again as new."""
        await self.trials.advance(by)
        await self._group.submit(_forget_repeats, {"b_until": micros(self._clock)})
        self._messaging.recount()

    async def reset(self, mailbox: str | None = None) -> None:
        """Forget every message and take every trial back; or forget the messages for one mailbox. Local ids may be used anew."""
        if mailbox is None:
            self.trials.reset()
        await self._messaging.reset(mailbox)
        await self._group.submit(_forget_repeats, {"b_until": _FOR_EVER})
