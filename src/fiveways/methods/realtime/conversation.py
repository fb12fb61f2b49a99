"""Conversations: who takes part, what reached whom, and what became of what was said. Every change is an entry of the channel, so
that all participants see the same, in one order; nothing is erased."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from fiveways.clock import micros
from fiveways.delivery.engine import Step
from fiveways.errors import Conflict, Forbidden, InvalidValue, NotFound
from fiveways.methods.realtime import records
from fiveways.methods.realtime.access import APPLICATION, PERSON, member_of
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.participation import Found, Participation
from fiveways.methods.realtime.service import Draft, Position, Published
from fiveways.methods.realtime.states import LIFE, State
from fiveways.types import Consumer

PARTICIPANTS: Final = 1000
"""Participants of one conversation."""


class Participant(NamedTuple):
    """Who takes part, since when (microseconds) and by whom, and up to which message it reached them, and was read."""

    member: str
    at: int
    by: str
    delivered: int
    read: int


class Conversations:
    """What is done in conversations, beside publishing."""

    def __init__(self, participation: Participation) -> None:
        self._participation = participation
        self._channels = participation.channels
        self._group = participation.channels.group

    # --- who takes part --------------------------------------------------------------------------------------------------

    async def begin(self, consumer: Consumer, name: str, members: list[str], correlation: str = "") -> Published:
        """Begin a conversation, with whom, or invite to it. Who is not there already is. Forbidden, InvalidValue, StoreError."""
        found = self._conversation(name)
        me = member_of(consumer)
        takes_part = await self._participation.takes_part(name, me)
        if not takes_part and not await self._participation.allowed(found.channel.settings.invite, consumer, found):
            raise Forbidden("You may not begin this conversation, nor invite to it")
        wanted = list(dict.fromkeys(members))
        if not wanted or not all(_is_member(member) for member in wanted):
            raise InvalidValue(f"Participants are named {PERSON}… or {APPLICATION}…")
        there = {each.member for each in await self.participants(name)}
        new = [member for member in wanted if member not in there]
        if len(there) + len(new) > PARTICIPANTS:
            raise InvalidValue(f"A conversation has up to {PARTICIPANTS} participants")
        if not new:
            position = await self._channels.position(found.channel)
            return Published(position.top, position.epoch, again=True)
        at = micros(self._channels.clock)
        steps: tuple[Step, ...] = tuple(
            (records.add_member, {"b_channel": name, "b_member": member, "b_at": at, "b_by": me}) for member in new
        )
        data = msgspec.json.encode({"members": new})
        draft = Draft(me, data, happening="invite", correlation=correlation, steps=steps)
        return await self._channels.publish(found.channel, draft)

    async def leave(self, consumer: Consumer, name: str, correlation: str = "") -> Published:
        """Take part no longer."""
        found, me = await self._part(consumer, name)
        step = (records.remove_member, {"b_channel": name, "b_member": me})
        draft = Draft(me, b"{}", happening="leave", correlation=correlation, steps=(step,))
        return await self._channels.publish(found.channel, draft)

    async def close(self, consumer: Consumer, name: str, correlation: str = "") -> Published:
        """Nothing more is said in a conversation; it is kept."""
        found, me = await self._part(consumer, name)
        step = (records.close, {"b_channel": name})
        draft = Draft(me, b"{}", happening="close", correlation=correlation, steps=(step,))
        return await self._channels.publish(found.channel, draft)

    async def participants(self, name: str) -> list[Participant]:
        """Who takes part, in the order in which they came."""
        rows = await self._group.ask(records.find_members, {"b_channel": name})
        return [Participant(row[1], row[2], row[3], row[4], row[5]) for row in rows]

    async def mine(self, consumer: Consumer, last: str = "", most: int = 100) -> list[dict[str, Any]]:
        """The conversations that somebody takes part in, by name, and how many messages they have not read."""
        asked = {"b_member": member_of(consumer), "b_last": last, "b_most": min(most, records.MOST)}
        rows = await self._group.ask(records.find_conversations, asked)
        return [
            {"channel": name, "kind": kind, "offset": top, "delivered": delivered, "read": read}
            for name, kind, top, delivered, read in rows
        ]

    # --- receipts --------------------------------------------------------------------------------------------------------

    async def acknowledge(self, consumer: Consumer, name: str, number: int, state: str, correlation: str = "") -> Published | None:
        """What was said up to a number reached a device of somebody's (`delivered`), or was read. None where that is known."""
        found, me = await self._part(consumer, name)
        happening, statement = _RECEIPTS.get(state, ("", None))
        if statement is None:
            raise InvalidValue("state is delivered or read")
        self._participation.pace(found.channel, me, receipts=True)
        position = await self._channels.position(found.channel)
        if not 0 < number <= position.top:
            raise InvalidValue(f"There is no message {number} yet: the newest is {position.top}")
        rows = await self._group.ask(records.find_member, {"b_channel": name, "b_member": me})
        if rows and rows[0][0 if happening == "deliver" else 1] >= number:
            return None
        step = (statement, {"b_channel": name, "b_member": me, "v_number": number})
        data = msgspec.json.encode({"state": state, "offset": number})
        draft = Draft(me, data, f"{happening}:{number}", happening, number, correlation, (step,))
        return await self._channels.publish(found.channel, draft)

    async def state(self, name: str, number: int) -> State:
        """Where a message is in its life: delivered, or read, once it was by all others who take part. NotFound."""
        message = await self._channels.one(name, number)
        if message is None or message.happening != "say":
            raise NotFound(f"There is no message {number}")
        state = LIFE.after(None, "say")
        others = [each for each in await self.participants(name) if each.member != message.sender]
        if others and all(each.delivered >= number for each in others):
            state = LIFE.after(state, "deliver")
        if others and all(each.read >= number for each in others):
            state = LIFE.after(state, "read")
        async for each in self._channels.all(name):
            if each.about == number and each.happening in ("correct", "retract") and state is not State.RETRACTED:
                state = LIFE.after(state, each.happening)
        return state

    # --- what becomes of what was said -----------------------------------------------------------------------------------

    async def correct(self, consumer: Consumer, name: str, number: int, data: bytes, correlation: str = "") -> Published:
        """Say something anew, in place of what one has said. Forbidden, Conflict, NotFound."""
        found, me = await self._own(consumer, name, number)
        if len(data) > found.channel.settings.limits.largest:
            raise InvalidValue("The correction is too large")
        return await self._channels.publish(found.channel, Draft(me, data, "", "correct", number, correlation))

    async def retract(self, consumer: Consumer, name: str, number: int, reason: str, correlation: str = "") -> Published:
        """Take back what one has said; it is kept. Forbidden, Conflict, NotFound."""
        found, me = await self._own(consumer, name, number)
        data = msgspec.json.encode({"reason": reason[:1000]})
        return await self._channels.publish(found.channel, Draft(me, data, f"retract:{number}", "retract", number, correlation))

    async def _own(self, consumer: Consumer, name: str, number: int) -> tuple[Found, str]:
        found, me = await self._part(consumer, name)
        message = await self._channels.one(name, number)
        if message is None or message.happening != "say":
            raise NotFound(f"There is no message {number}")
        if message.sender != me:
            raise Forbidden("Only who has said something corrects or retracts it")
        if await self.state(name, number) is State.RETRACTED:
            raise Conflict("It was retracted already")
        self._participation.pace(found.channel, me)
        return found, me

    # --- the whole -------------------------------------------------------------------------------------------------------

    async def transcript(self, consumer: Consumer, name: str) -> tuple[Found, Position, list[Message]]:
        """All that was said, in order, and what became of it. Forbidden, NotFound."""
        found, _ = await self._part(consumer, name)
        position = await self._channels.position(found.channel)
        return found, position, [each async for each in self._channels.all(name)]

    async def _part(self, consumer: Consumer, name: str) -> tuple[Found, str]:
        found, me = self._conversation(name), member_of(consumer)
        if not await self._participation.takes_part(name, me):
            raise Forbidden("You take no part in this conversation")
        return found, me

    def _conversation(self, name: str) -> Found:
        found = self._participation.find(name)
        if found.channel.settings.kind != "conversation":
            raise NotFound("This channel is no conversation")
        return found


_RECEIPTS: Final = {"delivered": ("deliver", records.deliver), "read": ("read", records.read)}


def _is_member(member: str) -> bool:
    kind = next((kind for kind in (PERSON, APPLICATION) if member.startswith(kind)), None)
    return kind is not None and len(kind) < len(member) <= 255 and member.isprintable()
