"""Chunks of a message whose content is looked at before anybody may see it (`checks.py`).

The chunk that makes the message whole is written first, in a transaction of its own, and the chunks do not change from then on.
What they come to is then looked at, and a second transaction delivers the message or refuses it. Whoever else looks at the same
moment (the sender, sending its last chunk again; another node) looks at the same content, and only one of them makes its end. A
crash in between leaves a message that is whole and in nobody's inbox; its sender has no answer, and sends the chunk again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from sqlalchemy import Text, bindparam, delete, select

from fiveways.clock import Clock, micros
from fiveways.errors import StoreError
from fiveways.methods.messaging import records
from fiveways.methods.messaging.checks import Check
from fiveways.methods.messaging.contents import Contents
from fiveways.methods.messaging.failures import ending, was_refused
from fiveways.methods.messaging.ids import Ids
from fiveways.methods.messaging.posting import Completing, Posting
from fiveways.methods.messaging.records import Chunk, Message, message_chunks
from fiveways.methods.messaging.refusals import Gone, Whole
from fiveways.methods.messaging.reports import Refused
from fiveways.methods.messaging.states import State
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import pieces

_id = bindparam("b_id", type_=Text)
_remove_small = delete(message_chunks).where(message_chunks.c.message == _id, message_chunks.c.payload.is_(None))
_large = (
    select(*(message_chunks.c[name] for name in Chunk.__struct_fields__))
    .where(message_chunks.c.message == _id, message_chunks.c.payload.is_not(None))
    .order_by(message_chunks.c.number)
)


class CheckedUploads:
    """Takes chunks in, and ends uploads that are whole."""

    def __init__(
        self,
        group: GroupWriter,
        contents: Contents,
        posting: Posting,
        ids: Ids,
        clock: Clock,
        told: Callable[[str], Collection[str]],
    ) -> None:
        """`told`: who is told of a workflow's failures, besides senders."""
        self._group = group
        self._contents = contents
        self._posting = posting
        self._ids = ids
        self._clock = clock
        self._told = told

    async def put(self, message: Message, chunk: Mapping[str, Any]) -> bool:
        """Write a chunk (`Messaging` has kept its bytes); whether the message is whole now, or was and has this very chunk.

        Raises Whole where it is whole with another one.
        """
        id_ = message.id
        results = await self._group.transact(
            (records.hold_upload, {"b_id": id_}),
            (records.find_chunk, {"b_id": id_, "b_number": chunk["number"]}),
            (records.put_chunk_unless_whole, {"b_id": id_, **{f"v_{name}": value for name, value in chunk.items()}}),
            (records.count_chunks, {"b_id": id_}),
            guarded=1,
        )
        there = [Chunk(*row) for row in results[1].rows] if len(results) > 1 else []
        if len(results) > 1 and results[2].rowcount:
            for replaced in there:
                await self._contents.drop(replaced.payload)
            return int(results[3].rows[0][0]) >= message.chunks
        await self._contents.drop(chunk["payload"])
        if not there or there[0].sha256 != chunk["sha256"]:
            raise Whole("The message is whole")
        return True

    async def end(self, message: Message, check: Check) -> tuple[State, bool]:
        """Deliver a message that is whole, or refuse it; the state that it is in then, and whether this call has brought it there.

        Raises Gone where the upload was given up meanwhile, and what `check` raises.
        """
        try:
            why = await check(self._bytes(message), message.details.content_encoding)
        except KeyError:  # whoever refused it first has removed what we were reading
            return await self._ended(message), False
        done = await (self._deliver(message) if why is None else self._refuse(message, why))
        if done is None:
            return await self._ended(message), False
        return done, True

    async def _deliver(self, message: Message) -> State | None:
        mine, at = {"b_id": message.id}, micros(self._clock)
        size = int((await self._group.submit(records.total_size, mine, synced=False)).rows[0][0])
        results = await self._posting.transact(
            (records.hold_upload, mine),
            (records.deliver_if_whole, mine),
            (records.accept_if_whole, {**mine, "b_at": at}),
            completing=Completing(message, at, size),
        )
        return State.ACCEPTED if results[2].rowcount else None

    async def _refuse(self, message: Message, why: Refused) -> State | None:
        mine, at = {"b_id": message.id}, micros(self._clock)
        steps = ending(message, message.id, State.ACCEPTED, why, self._told(message.workflow), self._ids.new, at)
        results = await self._posting.transact(
            (records.hold_upload, mine),
            (records.accept_if_whole, {**mine, "b_at": at}),
            *steps,
            (_remove_small, mine),
            guarded=2,
        )
        if len(results) <= 2:
            return None
        for row in (await self._group.submit(_large, mine, synced=False)).rows:  # what is left by a crash goes later
            chunk = Chunk(*row)
            await self._contents.drop(chunk.payload)
            await self._group.submit(records.remove_chunk, {**mine, "b_number": chunk.number})
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
            rows = (await self._group.submit(records.find_chunk, {"b_id": message.id, "b_number": number}, synced=False)).rows
            if not rows:
                raise KeyError(number)
            async for piece in pieces(self._contents.open(Chunk(*rows[0]))):
                yield piece
