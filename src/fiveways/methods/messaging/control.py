"""What testers do to messages in a sandbox: move one to another state, put a report into an inbox."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, BindParameter, Integer, Text, bindparam, delete, exists, insert, select

from fiveways.clock import Clock
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging import records
from fiveways.methods.messaging.records import Details, inbox, message_events, messages
from fiveways.methods.messaging.service import Messaging, Step, new_id
from fiveways.methods.messaging.states import PLACE, State

_id: BindParameter[str] = bindparam("b_id", type_=Text)
_place: BindParameter[int] = bindparam("b_place", type_=Integer)
_forget_later = delete(message_events).where(message_events.c.message == _id, message_events.c.place >= _place)
_happen = insert(message_events).from_select(
    ["message", "place", "state", "at", "code", "reason"],
    select(
        messages.c.id,
        _place,
        *(
            bindparam(f"b_{name}", type_=kind)
            for name, kind in (("state", Text), ("at", BigInteger), ("code", Text), ("reason", Text))
        ),
    ).where(messages.c.id == _id),
)
_wait = insert(inbox).from_select(
    ["mailbox", "message", "workflow"],
    select(messages.c.recipient, messages.c.id, messages.c.workflow).where(
        messages.c.id == _id, ~exists().where(inbox.c.message == messages.c.id)
    ),
)
_wait_no_more = delete(inbox).where(inbox.c.message == _id)


class Control:
    """Changes messages as a tester says: past the table of transitions, but never into a life that there could not be."""

    def __init__(self, ledger: Ledger, messaging: Messaging, clock: Clock) -> None:
        self._group = ledger.group
        self._messaging = messaging
        self._clock = clock

    async def move(self, message_id: str, state: State, *, code: str = "", reason: str = "") -> bool:
        """Put a message into a state; whether there is such a message. What had followed that place in its life is forgotten."""
        event = {"b_state": state.value, "b_at": self._now(), "b_code": code, "b_reason": reason}
        where = {"b_id": message_id, "b_place": PLACE[state]}
        _, happened, _ = await self._group.transact(
            (_forget_later, where),
            (_happen, {**where, **event}),
            (_wait if state is State.ACCEPTED else _wait_no_more, {"b_id": message_id}),
        )
        self._messaging.recount()
        return happened.rowcount > 0

    async def report(self, recipient: str, workflow: str, local_id: str, *, code: str, reason: str, details: Details) -> str:
        """Put a report into an inbox; its id."""
        now = self._now()
        id_ = new_id(now)
        message: dict[str, Any] = {
            "id": id_, "sender": "", "recipient": recipient, "workflow": workflow, "local_id": local_id, "kind": "REPORT",
            "chunks": 0, "at": now, "correlation": "", "details": msgspec.json.encode(details),
        }  # fmt: skip
        accepted = State.ACCEPTED
        event = {"message": id_, "place": PLACE[accepted], "state": accepted.value, "at": now, "code": code, "reason": reason}
        steps: list[Step] = [(records.add_message, message), (records.add_event, event), (_wait, {"b_id": id_})]
        await self._group.transact(*steps)
        self._messaging.recount()
        return id_

    def _now(self) -> int:
        return int(self._clock.time() * 1e6)
