"""Channels that are kept, as they are followed in this process: to every reader each message once, in order, with none left out.

A stream is where this process is in a channel that somebody reads here. What was written here, or what the bus says was written
elsewhere, goes to its readers where it is the next one; where it is not, all that stands between is read from the store. So it is
no matter what the bus loses or says twice, and in which order it does.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

import msgspec

from fiveways.clock import micros
from fiveways.errors import StoreError
from fiveways.methods.realtime.hub import Hub, Reader
from fiveways.methods.realtime.message import Message, decode
from fiveways.methods.realtime.service import TOPIC, Channel, Channels, Position, changed
from fiveways.store import bus

log = logging.getLogger(__name__)

RECOVERABLE: Final = 10_000
"""Messages that one who comes back is given to catch up; who has missed more reads the history."""
RECOVERABLE_BYTES: Final = 8 * 2**20
"""The same in bytes."""
_PASSED: Final = 1000
"""Messages of a channel that are remembered while somebody joins it."""


class Joined(NamedTuple):
    """What somebody has who joined: where the channel is, and what they have missed, where that is known (`recovered`)."""

    position: Position
    missed: Sequence[Message] = ()
    recovered: bool = False
    whole: bool = False
    """Whether what is missed is one message with the whole of the channel's state."""


class _Stream:
    __slots__ = ("again", "channel", "epoch", "joining", "number", "passed", "reading")

    def __init__(self, channel: Channel, position: Position) -> None:
        self.channel = channel
        self.epoch = position.epoch
        self.number = position.top
        self.joining = 0
        self.passed: deque[Message] = deque(maxlen=_PASSED)
        """What went to readers while others were joining, who need not ask the store for it."""
        self.reading: asyncio.Task[None] | None = None
        self.again = False
        """Whether there was news that what is being read may not have."""

    def since(self, number: int) -> list[Message] | None:
        """What passed behind a number; None where that is not known here."""
        if self.passed and self.passed[0].number <= number + 1:
            return [each for each in self.passed if each.number > number]
        return None


class Streams:
    """What this process follows."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.channels: Channels
        """To be set before anything is asked: they tell this of what is written."""
        self._streams: dict[str, _Stream] = {}
        self._looked = 0
        """When the store was last asked for news, and answered (microseconds)."""

    # --- joining ---------------------------------------------------------------------------------------------------------

    async def join(self, channel: Channel, reader: Reader, since: Position | None = None) -> Joined:
        """Have a reader sent all that comes from now on. `since`: where it was; what it has missed comes with the answer, which has
        to be sent before the event loop has its next turn. Raises StoreError."""
        name, merged = channel.name, channel.settings.merge
        if channel.settings.certainty == "ephemeral":
            self.hub.add(name, reader)
            return Joined(Position("", 0))
        position = await self.channels.position(channel)
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = _Stream(channel, position)
        stream.joining += 1
        try:
            missed, recovered = await self._missed(stream, since)
            if merged and not recovered:
                missed = [await self._whole(stream)]
            self.hub.add(name, reader, merged=merged)
            return Joined(Position(stream.epoch, stream.number), missed, recovered, merged and not recovered)
        finally:
            self._joined(stream)

    def _joined(self, stream: _Stream) -> None:
        stream.joining -= 1
        if not stream.joining:
            stream.passed.clear()
            self._let_go(stream)

    async def _missed(self, stream: _Stream, since: Position | None) -> tuple[list[Message], bool]:
        """What came since, as far as this process has got; that is further then than it was."""
        name, missed = stream.channel.name, list[Message]()
        await self._catch_up(stream)
        size = 0
        while since is not None and since.epoch == stream.epoch and since.top <= stream.number:
            if len(missed) > RECOVERABLE or size > RECOVERABLE_BYTES:
                break
            last = missed[-1].number if missed else since.top
            if last == stream.number:
                return missed, True
            found = stream.since(last) or await self.channels.after(name, last)
            if not found or found[-1].number != last + len(found) or found[-1].epoch != stream.epoch:
                break  # what is between is not kept any more
            missed += found
            size += sum(len(each.data) for each in found)
            self._on(stream, found)
        return [], False

    async def _whole(self, stream: _Stream) -> Message:
        """The state of a channel; this process is where that is."""
        while True:
            whole = await self.channels.whole(stream.channel)
            if whole.epoch != stream.epoch or whole.number > stream.number:
                await self._catch_up(stream)
            if whole.epoch == stream.epoch and whole.number == stream.number:
                return whole
            if whole.epoch == stream.epoch and (passed := stream.since(whole.number)) is not None:
                return changed(whole, passed)

    def leave(self, name: str, reader: Reader) -> None:
        """A reader is sent nothing more."""
        self.hub.remove(name, reader)
        if (stream := self._streams.get(name)) is not None:
            self._let_go(stream)

    async def snapshot(self, name: str) -> Message | None:
        """The whole state of a channel that is followed, for one who was too slow for its changes."""
        stream = self._streams.get(name)
        if stream is None:
            return None
        stream.joining += 1
        try:
            return await self._whole(stream)
        finally:
            self._joined(stream)

    # --- news ------------------------------------------------------------------------------------------------------------

    def written(self, message: Message) -> None:
        """A message was written by this process."""
        self._news(message)

    def heard(self, topic: str, data: bytes) -> None:
        """The bus says that a message was written, or was sent in a channel of which nothing is kept."""
        try:
            message = decode(data)
        except msgspec.MsgspecError:
            log.warning("the bus said what is not understood", extra={"topic": topic[: len(TOPIC) + 20]})
            return
        if message.number:
            self._news(message)
        else:
            self.hub.publish(message)

    def hearing(self, over: bus.Bus) -> AbstractContextManager[None]:
        """A context manager, for as long as news are wanted."""
        return over.hear(TOPIC, self.heard)

    def _news(self, message: Message) -> None:
        stream = self._streams.get(message.channel)
        if stream is None or (message.epoch == stream.epoch and message.number <= stream.number):
            return
        if message.epoch == stream.epoch and message.number == stream.number + 1:
            self._on(stream, (message,))
            return
        self._read_soon(stream)

    async def look(self) -> None:
        """Ask the store where the channels are that are followed here: news may have been lost. StoreError."""
        began = micros(self.channels.clock)
        for name, epoch, top in await self.channels.changed(self._looked or began):
            stream = self._streams.get(name)
            if stream is not None and (epoch != stream.epoch or top > stream.number):
                self._read_soon(stream)
        self._looked = began

    def _read_soon(self, stream: _Stream) -> None:
        stream.again = True
        if stream.reading is None:
            stream.reading = asyncio.get_running_loop().create_task(self._read(stream))

    async def _read(self, stream: _Stream) -> None:
        try:
            while stream.again:
                stream.again = False
                await self._catch_up(stream)
        except StoreError as error:
            log.warning("a channel could not be followed for now", extra={"reason": str(error)})
        finally:
            stream.reading = None

    async def _catch_up(self, stream: _Stream) -> None:
        """Go on to where the channel is, and have readers sent what is between."""
        name = stream.channel.name
        while True:
            position = await self.channels.position(stream.channel)
            if position.epoch != stream.epoch:  # it was forgotten and has begun anew: what readers have is of another
                self._lose(stream)
                stream.epoch, stream.number = position.epoch, position.top
            found = await self.channels.after(name, stream.number)
            self._on(stream, found)
            if not found and position.top > stream.number:
                self._lose(stream)
                stream.number = position.top
            if stream.number >= position.top:
                return

    def _on(self, stream: _Stream, messages: Sequence[Message]) -> None:
        """These come next; those that are behind already are no news."""
        for message in messages:
            if message.number <= stream.number or message.epoch != stream.epoch:
                continue
            if message.number > stream.number + 1:  # what is between is not kept any more
                self._lose(stream)
            stream.number = message.number
            if stream.joining:
                stream.passed.append(message)
            self.hub.publish(message)
            if message.happening == "leave":
                self.hub.review(message.channel)

    def _lose(self, stream: _Stream) -> None:
        """What comes does not follow on what readers have."""
        stream.passed.clear()
        self.hub.lose(stream.channel.name)

    def _let_go(self, stream: _Stream) -> None:
        if not stream.joining and not self.hub.size(stream.channel.name):
            self._streams.pop(stream.channel.name, None)
            if stream.reading is not None:
                stream.reading.cancel()

    def __len__(self) -> int:
        return len(self._streams)
