"""What a mailbox has sent and received, newest first, whatever became of it: to recover a lost answer, or to look back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BindParameter, Integer, Select, Text, bindparam, exists, select

from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging.ids import first_id
from fiveways.methods.messaging.records import Message, message_events, messages, messages_of, with_life
from fiveways.methods.messaging.states import PLACE, State

FIRST, LAST = "", "~"
"""Ids before and after all others."""
_life = message_events.c
_mailbox: BindParameter[str] = bindparam("b_mailbox", type_=Text)
_since: BindParameter[str] = bindparam("b_since", type_=Text)
_behind: BindParameter[str] = bindparam("b_behind", type_=Text)
_most: BindParameter[int] = bindparam("b_most", type_=Integer)
_whole_once = exists().where(_life.message == messages.c.id, _life.place == PLACE[State.ACCEPTED])
_in_error = exists().where(_life.message == messages.c.id, _life.state == State.ERROR.value)


def _newest(*conditions: Any) -> Select[Any]:
    wanted = select(messages.c.id).where(*conditions, messages.c.id < _behind, messages.c.id > _since)
    page = wanted.order_by(messages.c.id.desc()).limit(_most).subquery()
    return with_life.join(page, page.c.id == messages.c.id).order_by(messages.c.id.desc(), _life.place)


_QUESTIONS = {
    "inbox": _newest(messages.c.recipient == _mailbox, _whole_once, ~_in_error),
    "outbox": _newest(messages.c.sender == _mailbox),
}


class History:
    """Pages of what is kept of a mailbox's messages."""

    def __init__(self, ledger: Ledger) -> None:
        self._group = ledger.group

    async def page(self, box: str, mailbox: str, *, since: int, behind: str, limit: int) -> tuple[list[Message], bool]:
        """The `limit` newest messages of a mailbox's `box` ('inbox', 'outbox') that are older than the id `behind`; is there more.

        `since`: only what was sent after this, in microseconds since the Unix epoch.
        """
        asked = {"b_mailbox": mailbox, "b_since": first_id(since + 1), "b_behind": behind, "b_most": limit + 1}
        found = messages_of((await self._group.submit(_QUESTIONS[box], asked, synced=False)).rows)
        return found[:limit], len(found) > limit
