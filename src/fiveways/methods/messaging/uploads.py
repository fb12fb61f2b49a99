"""Chunks of a message whose content is looked at before anybody may see it (`checks.py`).

The chunk that makes the message whole is written first, in a transaction of its own, and the chunks do not change from then on.
What they come to is then looked at, and a second transaction delivers the message or refuses it. Whoever else looks at the same
moment (the sender, sending its last chunk again; another node) looks at the same content, and only one of them makes its end. A
crash in between leaves a message that is whole and in nobody's inbox; its sender has no answer, and sends the chunk again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from sqlalchemy import Integer, Text, bindparam, delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert

from fiveways.clock import Clock, micros
from fiveways.errors import StoreError
from fiveways.ledger.ledger import Ledger
from fiveways.methods.messaging import records
from fiveways.methods.messaging.checks import Check
from fiveways.methods.messaging.records import Chunk, Message, message_chunks, message_events, messages
from fiveways.methods.messaging.refusals import Gone, Whole
from fiveways.methods.messaging.refused import ending, was_refused
from fiveways.methods.messaging.reports import Refused
from fiveways.methods.messaging.states import PLACE, State
from fiveways.methods.messaging.webhook import Arrivals
from fiveways.store.payloads import verified

_id = bindparam("b_id", type_=Text)
_content = ("size", "sha256", "body", "payload")
_count = select(func.count()).select_from(message_chunks).where(message_chunks.c.message == _id)
_ended = exists().where(message_events.c.message == _id, message_events.c.place >= PLACE[State.ACCEPTED])
_whole = exists().where(messages.c.id == _id, messages.c.chunks <= _count.scalar_subquery())
_put = insert(message_chunks).from_select(
    ["message", "number", *_content],
    select(*(bindparam(f"v_{column.name}", type_=column.type) for column in message_chunks.columns)).where(~_ended, ~_whole),
)
put_unless_whole = _put.on_conflict_do_update(
    index_elements=[message_chunks.c.message, message_chunks.c.number],
    set_={name: _put.excluded[name] for name in _content},
)
"""A chunk, in the place of one that was there; nothing where the message is whole. Behind `records.hold_upload`."""
_remove_small = delete(message_chunks).where(message_chunks.c.message == _id, message_chunks.c.payload.is_(None))
_large = (
    select(message_chunks.c.number, message_chunks.c.payload)
    .where(message_chunks.c.message == _id, message_chunks.c.payload.is_not(None))
    .order_by(message_chunks.c.number)
)
_find = select(*(message_chunks.c[name] for name in ("number", *_content))).where(
    message_chunks.c.message == _id, message_chunks.c.number == bindparam("b_number", type_=Integer)
)


class CheckedUploads:
    """Takes chunks in, and ends uploads that are whole."""

    def __init__(self, ledger: Ledger, clock: Clock, told: Callable[[str], Collection[str]], arrivals: Arrivals | None) -> None:
        """`told`: who is told of a workflow's failures, besides senders; `arrivals`: tells of arrivals."""
        self._told = told
        self._arrivals = arrivals
        self._ledger = ledger
        self._group = ledger.group
        self._clock = clock

    async def put(self, message: Message, chunk: Mapping[str, Any]) -> bool:
        """Write a chunk (`Messaging` has kept its bytes); whether the message is whole now, or was and has this very chunk.

        Raises Whole where it is whole with another one.
        """
        id_ = message.id
        results = await self._group.transact(
            (records.hold_upload, {"b_id": id_}),
            (_find, {"b_id": id_, "b_number": chunk["number"]}),
            (put_unless_whole, {"b_id": id_, **{f"v_{name}": value for name, value in chunk.items()}}),
            (_count, {"b_id": id_}),
            guarded=1,
        )
        there = [Chunk(*row) for row in results[1].rows] if len(results) > 1 else []
        if len(results) > 1 and results[2].rowcount:
            for replaced in there:
                await self._drop(replaced.payload)
            return int(results[3].rows[0][0]) >= message.chunks
        await self._drop(chunk["payload"])
        if not there or there[0].sha256 != chunk["sha256"]:
            raise Whole("The message is whole")
        return True

    async def end(self, message: Message, check: Check, new_id: Callable[[], str]) -> tuple[State, bool]:
        """Deliver a message that is whole, or refuse it; the state that it is in then, and whether this call has brought it there.

        `new_id` makes ids of reports.
        Raises Gone where the upload was given up meanwhile, and what `check` raises.
        """
        try:
            why = await check(self._bytes(message), message.details.content_encoding)
        except KeyError:  # whoever refused it first has removed what we were reading
            return await self._ended(message), False
        done = await (self._deliver(message) if why is None else self._refuse(message, why, new_id))
        if done is None:
            return await self._ended(message), False
        return done, True

    async def _deliver(self, message: Message) -> State | None:
        mine, at = {"b_id": message.id}, micros(self._clock)
        arrivals, promised = self._arrivals, []
        if arrivals is not None:
            size = int((await self._group.submit(records.total_size, mine, synced=False)).rows[0][0])
            promised = await arrivals.when_whole(message, at, size)
        results = await self._group.transact(
            (records.hold_upload, mine),
            (records.deliver_if_whole, mine),
            (records.accept_if_whole, {**mine, "b_at": at}),
            *promised,
        )
        if arrivals is not None and promised:
            arrivals.wake()
        return State.ACCEPTED if results[2].rowcount else None

    async def _refuse(self, message: Message, why: Refused, new_id: Callable[[], str]) -> State | None:
        mine, at, arrivals = {"b_id": message.id}, micros(self._clock), self._arrivals
        steps = ending(message, message.id, State.ACCEPTED, why, self._told(message.workflow), new_id, at)
        promised = await arrivals.of(steps) if arrivals is not None else []
        results = await self._group.transact(
            (records.hold_upload, mine),
            (records.accept_if_whole, {**mine, "b_at": at}),
            *steps,
            (_remove_small, mine),
            *promised,
            guarded=2,
        )
        if len(results) <= 2:
            return None
        if arrivals is not None and promised:
            arrivals.wake()
        for number, payload in (await self._group.submit(_large, mine, synced=False)).rows:  # what is left by a crash goes later
            await self._drop(payload)
            await self._group.submit(records.remove_chunk, {**mine, "b_number": number})
        return State.ERROR

    async def _ended(self, message: Message) -> State:
        """The state that others have brought a message to."""
        rows = (await self._group.submit(records.find_message, {"b_id": message.id}, synced=False)).rows
        if not rows:
            raise Gone("The message is not kept any more")
        now = records.messages_of(rows)[0]
        if now.state is State.UPLOADING:
            raise StoreError("the content of a message is not there")
        if now.state is State.ERROR and not was_refused(now):
            raise Gone("The upload was given up")
        return now.state

    async def _bytes(self, message: Message) -> AsyncIterator[bytes]:
        """What all chunks have in them, one after another. Raises KeyError for one that is not there."""
        for number in range(1, message.chunks + 1):
            rows = (await self._group.submit(_find, {"b_id": message.id, "b_number": number}, synced=False)).rows
            if not rows:
                raise KeyError(number)
            chunk = Chunk(*rows[0])
            if chunk.payload is None:
                yield chunk.body or b""
                continue
            async for piece in verified(self._ledger.payloads.open(chunk.payload), chunk.sha256):
                yield piece

    async def _drop(self, payload: str | None) -> None:
        if payload is not None:
            await self._ledger.payloads.delete(payload)
