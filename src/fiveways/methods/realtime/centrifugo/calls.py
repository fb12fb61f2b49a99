"""What clients call by name (RPC): what Centrifugo's protocol has no command for, of conversations above all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from fiveways.correlation import new_id
from fiveways.errors import InvalidValue
from fiveways.methods.realtime.access import member_of
from fiveways.methods.realtime.centrifugo.wire import NO_METHOD, Number, Refusal
from fiveways.methods.realtime.conversation import Conversations
from fiveways.methods.realtime.participation import Participation, data_of
from fiveways.methods.realtime.service import Published
from fiveways.types import Consumer


class Asked(msgspec.Struct, frozen=True):
    """What a method is called with: of these what it needs."""

    channel: str = ""
    id: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    offset: Number = 0
    state: str = "delivered"
    reason: str = ""
    members: list[str] = []
    correlation: str = ""
    last: str = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


SEND: Final = "message.send"
_LONGEST: Final = 128
_asked: Final = msgspec.json.Decoder(Asked).decode
_Call = Callable[["Calls", Consumer, Asked], Awaitable[Any]]


class Calls:
    """The methods that clients may call."""

    def __init__(self, participation: Participation, conversations: Conversations) -> None:
        self._participation = participation
        self._conversations = conversations

    async def call(self, consumer: Consumer, method: str, data: bytes, in_line: Callable[[], None]) -> bytes:
        """What a method comes to: JSON. `in_line`: as in `service.Draft`, of a message. Raises Refusal, faults and StoreError."""
        called = METHODS.get(method)
        if called is None:
            raise Refusal(NO_METHOD, f"There is no method of this name. There are {', '.join(METHODS)}")
        asked = _asked(data) if data != b"null" else Asked()
        if method == SEND:
            return msgspec.json.encode(await self.send(consumer, asked, in_line))
        return msgspec.json.encode(await called(self, consumer, asked))

    async def send(self, consumer: Consumer, asked: Asked, in_line: Callable[[], None] | None = None) -> Any:
        """message.send {channel, id, data}: publish, once however often it is called with this id."""
        done = await self._participation.publish(
            consumer, asked.channel, data_of(asked.data), client_id=asked.id, correlation=_correlation(asked), in_line=in_line
        )
        return _done(done)

    async def acknowledge(self, consumer: Consumer, asked: Asked) -> Any:
        """message.acknowledge {channel, offset, state}: what was said so far is on a device (delivered), or was read."""
        done = await self._conversations.acknowledge(consumer, asked.channel, asked.offset, asked.state, _correlation(asked))
        return _done(done) if done is not None else {}

    async def correct(self, consumer: Consumer, asked: Asked) -> Any:
        """message.correct {channel, offset, data}: say it anew."""
        return _done(
            await self._conversations.correct(consumer, asked.channel, asked.offset, data_of(asked.data), _correlation(asked))
        )

    async def retract(self, consumer: Consumer, asked: Asked) -> Any:
        """message.retract {channel, offset, reason}: take it back."""
        return _done(await self._conversations.retract(consumer, asked.channel, asked.offset, asked.reason, _correlation(asked)))

    async def state(self, consumer: Consumer, asked: Asked) -> Any:
        """message.state {channel, offset}: sent, delivered, read, corrected or retracted."""
        await self._participation.joining(consumer, asked.channel)
        return {"state": await self._conversations.state(asked.channel, asked.offset)}

    async def type(self, consumer: Consumer, asked: Asked) -> Any:
        """message.type {channel}: others are told that one is writing."""
        found = await self._participation.joining(consumer, asked.channel)
        self._participation.pace(found.channel, member_of(consumer), receipts=True)
        channels = self._participation.channels
        await channels.mention(channels.passing(found.channel.name, "type", member_of(consumer), b"{}"))
        return {}

    async def begin(self, consumer: Consumer, asked: Asked) -> Any:
        """conversation.begin {channel, members}: begin one, or invite to it."""
        return _done(await self._conversations.begin(consumer, asked.channel, asked.members, _correlation(asked)))

    async def leave(self, consumer: Consumer, asked: Asked) -> Any:
        """conversation.leave {channel}: take part no longer."""
        return _done(await self._conversations.leave(consumer, asked.channel, _correlation(asked)))

    async def close(self, consumer: Consumer, asked: Asked) -> Any:
        """conversation.close {channel}: nothing more is said in it."""
        return _done(await self._conversations.close(consumer, asked.channel, _correlation(asked)))

    async def participants(self, consumer: Consumer, asked: Asked) -> Any:
        """conversation.participants {channel}: who takes part, and what reached them."""
        await self._participation.joining(consumer, asked.channel)
        found = await self._conversations.participants(asked.channel)
        return {"participants": [{"member": each.member, "delivered": each.delivered, "read": each.read} for each in found]}

    async def mine(self, consumer: Consumer, asked: Asked) -> Any:
        """conversation.mine {last, limit}: those that one takes part in, by name."""
        return {"conversations": await self._conversations.mine(consumer, asked.last, asked.limit)}


METHODS: Final[dict[str, _Call]] = {
    SEND: Calls.send, "message.acknowledge": Calls.acknowledge, "message.correct": Calls.correct,
    "message.retract": Calls.retract, "message.state": Calls.state, "message.type": Calls.type,
    "conversation.begin": Calls.begin, "conversation.leave": Calls.leave, "conversation.close": Calls.close,
    "conversation.participants": Calls.participants, "conversation.mine": Calls.mine,
}  # fmt: skip
"""By the name that clients call them by."""


def _correlation(asked: Asked) -> str:
    """What a client says that it belongs to; else an id of its own."""
    said = asked.correlation
    if len(said) > _LONGEST or not said.isprintable():
        raise InvalidValue(f"correlation has up to {_LONGEST} characters that can be printed")
    return said or new_id()


def _done(done: Published) -> dict[str, Any]:
    return {"offset": done.number, "epoch": done.epoch, "again": done.again}
