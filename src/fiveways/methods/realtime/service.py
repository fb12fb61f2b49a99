"""Channels: what is published is numbered, kept, and told to every node, in one order for everybody.

A channel counts its messages in its row: to write one is to count it up and to insert, in one transaction, so that numbers have no
gap and no two nodes give the same. The bus then says to all what was written; whoever misses that finds it in the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from fiveways.clock import micros, micros_in
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries, Promise, Step
from fiveways.errors import Conflict, InvalidValue, StoreError
from fiveways.ledger.audit import AuditEvent, AuditLog
from fiveways.methods.realtime import message, records
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.settings import ChannelSettings

TOPIC: Final = "realtime.said."
"""Of the bus: a message, by its channel."""
RECORDED: Final = "realtime.record"
"""The queue of messages that become part of the record."""
_LATELY: Final = 15_000_000
"""Microseconds: clocks of nodes may be apart, and a commit may take its time."""
_KNOWN: Final = 100_000


class Channel(NamedTuple):
    """A channel, by its name, and what the deployment file says of its kind."""

    name: str
    kind: str
    settings: ChannelSettings


class Position(NamedTuple):
    """Where a channel is: how many messages there were, in which epoch."""

    epoch: str
    top: int
    closed: bool = False


class Draft(NamedTuple):
    """A message before it has a number. `data` is JSON; `client_id` is what its sender calls it, and so it is written once, however
    often it comes; `steps` are done in its transaction; `in_line` is called when it stands in line to be written, behind those that
    came before."""

    sender: str
    data: bytes
    client_id: str = ""
    happening: str = "say"
    about: int = 0
    correlation: str = ""
    steps: tuple[Step, ...] = ()
    in_line: Callable[[], None] | None = None


class Published(NamedTuple):
    """What became of a draft: its number (0 where nothing is kept), and whether it had been written before."""

    number: int
    epoch: str
    again: bool = False


Follows = Callable[[str, ChannelSettings, Message], Awaitable[Promise | None]]


async def _nothing(kind: str, settings: ChannelSettings, message: Message) -> None:
    return None


class Channels:
    """The channels of a store."""

    def __init__(self, deliveries: Deliveries, audit: AuditLog, written: Callable[[Message], None]) -> None:
        """`written` is told of each message that was written here, before anybody else is."""
        self.group = deliveries.group
        self.deliveries = deliveries
        self.clock = deliveries.clock
        self._audit = audit
        self._written = written
        self.published = 0
        """Messages that were published by this process."""
        self.follows: Follows = _nothing
        """What is promised together with a message."""
        self._begun: set[str] = set()

    # --- channels --------------------------------------------------------------------------------------------------------

    async def position(self, channel: Channel) -> Position:
        """Where a channel is; it begins where it is asked for first. StoreError."""
        while True:
            rows = await self.group.ask(records.find, {"b_channel": channel.name})
            if rows:
                return Position(rows[0][0], rows[0][1], bool(rows[0][2]))
            await self._begin(channel)

    async def find(self, name: str) -> Position | None:
        """Where a channel is; None where there is none."""
        rows = await self.group.ask(records.find, {"b_channel": name})
        return Position(rows[0][0], rows[0][1], bool(rows[0][2])) if rows else None

    async def _begin(self, channel: Channel) -> None:
        row = {"b_channel": channel.name, "b_kind": channel.kind, "b_epoch": new_id()[-12:], "b_at": micros(self.clock)}
        await self.group.submit(records.begin, row, synced=channel.settings.certainty == "durable")

    # --- publishing ------------------------------------------------------------------------------------------------------

    async def publish(self, channel: Channel, draft: Draft) -> Published:
        """Write a message, and tell all nodes of it. Returns once it is as sure as its channel says. Raises Conflict where its name
        was another message's or the channel is closed, and StoreError where it was not written."""
        made = Message(
            channel.name, 0, new_id(), micros(self.clock), draft.happening, draft.sender, draft.client_id,
            hashlib.sha256(draft.data).digest()[:16] if draft.client_id else b"", draft.about, draft.correlation, draft.data,
        )  # fmt: skip
        if channel.settings.certainty == "ephemeral":
            await self.mention(made)
            self.published += 1
            return Published(0, "")
        if channel.name not in self._begun:
            if len(self._begun) >= _KNOWN:
                self._begun.clear()
            await self._begin(channel)
            self._begun.add(channel.name)
        promise = await self.follows(channel.kind, channel.settings, made)
        if promise is not None:
            draft = draft._replace(steps=(*draft.steps, *promise.steps))
        try:
            done = await self._once(channel, made, draft)
        except BaseException:
            if promise is not None:
                await self.deliveries.drop(promise)
            raise
        if promise is not None and done.again:
            await self.deliveries.drop(promise)
        elif promise is not None:
            self.deliveries.wake(RECORDED)
        return done

    async def _once(self, channel: Channel, made: Message, draft: Draft) -> Published:
        for _ in range(2):
            try:
                number, epoch = await self._write(channel, made, draft)
            except StoreError:
                if not draft.client_id or (again := await self._before(made)) is None:  # it came twice at once
                    raise
                return again
            if number:
                written = msgspec.structs.replace(made, number=number, epoch=epoch)
                self._written(written)
                self.published += 1
                await self.mention(written)
                return Published(number, epoch)
            if draft.client_id and (again := await self._before(made)) is not None:
                return again
            if (await self.position(channel)).closed:  # which begins it anew, where it was forgotten meanwhile
                raise Conflict("The conversation is closed: begin another one")
        raise StoreError("the channel is being removed")

    async def mention(self, made: Message) -> None:
        """Tell all nodes of a message. One without a number goes to whoever is there, and nothing is kept of it."""
        await self.deliveries.bus.publish(f"{TOPIC}{made.channel}", message.encode(made))

    def passing(self, name: str, happening: str, sender: str, data: bytes) -> Message:
        """Something that is so just now: who types, comes or goes."""
        return Message(name, 0, new_id(), micros(self.clock), happening, sender, "", b"", 0, "", data)

    async def _write(self, channel: Channel, made: Message, draft: Draft) -> tuple[int, str]:
        named: dict[str, Any] = {"b_channel": made.channel, "b_at": made.at, "b_sender": made.sender, "b_client_id": made.client_id}
        row = named | {
            "v_id": made.id, "v_happening": made.happening, "v_fingerprint": made.fingerprint, "v_about": made.about,
            "v_correlation": made.correlation, "v_data": made.data,
        }  # fmt: skip
        changes = _changes(channel, made.data) if channel.settings.merge else ()
        durable = channel.settings.certainty == "durable"
        settle = self._attest(channel, made) if durable else None
        if draft.in_line is not None:
            draft.in_line()
        results = await self.group.transact(
            (records.count_up, named), (records.write, row), *changes, *draft.steps,
            guarded=1, settled=settle, synced=durable,
        )  # fmt: skip
        rows = results[0].rows
        return (int(rows[0][0]), str(rows[0][1])) if rows else (0, "")

    def _attest(self, channel: Channel, made: Message) -> Callable[[Sequence[Any]], None]:
        details = {"kind": channel.kind, "size": len(made.data)} | ({"about": made.about} if made.about else {})
        said = AuditEvent(
            at=made.at, kind=f"realtime.message.{made.happening}", id=made.id, correlation_id=made.correlation, api=channel.kind,
            subject=made.sender, details=details,
        )  # fmt: skip
        again = msgspec.structs.replace(said, kind="realtime.message.repeated")
        settle = self._audit.attest(said, again)
        return lambda results: settle(len(results) > 1)

    async def _before(self, made: Message) -> Published | None:
        """What became of a message when it came before. Conflict where another one has its name."""
        asked = {"b_channel": made.channel, "b_sender": made.sender, "b_client_id": made.client_id}
        rows = await self.group.ask(records.find_again, asked)
        if not rows:
            return None
        number, fingerprint, _ = rows[0]
        if fingerprint != made.fingerprint:
            raise Conflict("Another message was sent under this id: give each its own")
        position = await self.find(made.channel)
        return Published(number, position.epoch if position is not None else "", again=True)

    # --- reading ---------------------------------------------------------------------------------------------------------

    async def after(self, name: str, number: int, most: int = records.MOST) -> list[Message]:
        """Messages behind a number, oldest first: up to `most`, and up to 1,000."""
        asked = {"b_channel": name, "b_after": number, "b_most": min(most, records.MOST)}
        return list(map(message.of, await self.group.ask(records.find_after, asked)))

    async def before(self, name: str, number: int, most: int) -> list[Message]:
        """Messages in front of a number, newest first; 0 is the end."""
        asked = {"b_channel": name, "b_after": number, "b_most": min(most, records.MOST)}
        return list(map(message.of, await self.group.ask(records.find_before, asked)))

    async def one(self, name: str, number: int) -> Message | None:
        """A message."""
        rows = await self.group.ask(records.find_one, {"b_channel": name, "b_number": number})
        return message.of(rows[0]) if rows else None

    async def oldest(self, name: str) -> int:
        """The number of the oldest message that is kept; 0 where there is none."""
        return (await self.group.ask(records.find_oldest, {"b_channel": name}))[0][0] or 0

    async def whole(self, channel: Channel) -> Message:
        """The state of a channel whose messages are changes, as one message: as it was after the message whose number it has."""
        while not (rows := await self.group.ask(records.find_values, {"b_channel": channel.name})):
            await self._begin(channel)
        epoch, top = rows[0][:2]
        state = {key: msgspec.Raw(value) for _, _, key, value in rows if key is not None}
        data = msgspec.json.encode(state)
        return Message(channel.name, top, new_id(), micros(self.clock), "say", "", "", b"", 0, "", data, epoch)

    async def changed(self, since: int) -> Sequence[tuple[str, str, int]]:
        """Of channels in which something was said since then (microseconds), or a little before: name, epoch, and number of the
        newest message."""
        asked = {"b_at": since - _LATELY}
        rows = (await self.group.submit(records.find_changed, asked, synced=False)).rows
        return [(name, epoch, top) for name, epoch, top in rows]

    async def all(self, name: str) -> AsyncIterator[Message]:
        """All that is kept of a channel, oldest first."""
        last = 0
        while found := await self.after(name, last):
            for each in found:
                yield each
            last = found[-1].number

    # --- the end ---------------------------------------------------------------------------------------------------------

    async def trim_all(self, kind: str, settings: ChannelSettings) -> None:
        """Let go of what is older than is kept of a kind of channels. StoreError."""
        last = ""
        while True:
            rows = await self.group.ask(records.find_listed, {"b_last": last, "b_kind": kind, "b_most": records.MOST})
            for name, _, top, _, _ in rows:
                await self._trim(name, top, settings)
                last = name
            if len(rows) < records.MOST:
                return

    async def _trim(self, name: str, top: int, settings: ChannelSettings) -> None:
        length, keep = settings.history.length, settings.history.keep
        before = top - length if length is not None else 0
        since = micros(self.clock) - micros_in(keep) if keep is not None else 0
        await self.group.submit(records.forget_old, {"b_channel": name, "b_after": before, "b_at": since}, synced=False)


_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def changed(whole: Message, changes: Iterable[Message]) -> Message:
    """The state of a channel after changes to it, oldest first."""
    state, number = _members(whole.data), whole.number
    for change in changes:
        state |= _members(change.data)
        number = change.number
    data = msgspec.json.encode({key: value for key, value in state.items() if bytes(value) != b"null"})
    return msgspec.structs.replace(whole, number=number, data=data)


def _changes(channel: Channel, data: bytes) -> list[Step]:
    """What a message changes of its channel's state. InvalidValue where it is no JSON object."""
    try:
        members = _members(data)
    except msgspec.MsgspecError:
        raise InvalidValue("In this channel a message is a JSON object: names, and what they are set to") from None
    if len(members) > records.MOST:
        raise InvalidValue(f"More than {records.MOST} members in one message")
    steps: list[Step] = []
    for key, value in members.items():
        row: dict[str, Any] = {"b_channel": channel.name, "v_key": key}
        if bytes(value) == b"null":
            steps.append((records.drop_value, row))
        else:
            steps.append((records.put_value, row | {"v_value": bytes(value)}))
    return steps
