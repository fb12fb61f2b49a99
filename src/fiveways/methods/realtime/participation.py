"""What participants do in channels, whichever wire they come by: every operation says who, and is refused where the deployment file
does not allow it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from fiveways.clock import Clock
from fiveways.errors import Forbidden, InvalidValue, NotFound, PayloadTooLarge, TooManyRequests
from fiveways.methods.realtime import access, records
from fiveways.methods.realtime.access import Relation, member_of
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.names import Named, Names
from fiveways.methods.realtime.presence import Presence, Present
from fiveways.methods.realtime.service import Channel, Channels, Draft, Position, Published
from fiveways.methods.realtime.settings import ChannelSettings, RealtimeSettings, Who
from fiveways.types import Consumer

_MOST: Final = 100_000
PAGE: Final = 4 * 2**20
"""Bytes of messages in one answer, about; who has fewer messages than were asked for asks for those behind the last one."""
LONGEST_ID: Final = 128
"""Characters of what a sender calls a message."""
DEEPEST: Final = 100
"""Arrays and objects within one another, in what is said: some readers take 128, and some fail at a thousand."""
_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_ONE_KIND: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one reading of the deployment file says of channels."""

    settings: RealtimeSettings
    kinds: dict[str, ChannelSettings]
    names: Names


class Found(NamedTuple):
    """A channel, and what its name says."""

    channel: Channel
    named: Named


class Participation:
    """What may be done, and is."""

    def __init__(self, channels: Channels, presence: Presence, plan: Callable[[], Plan], ask: Relation) -> None:
        self.channels = channels
        self.presence = presence
        self.plan = plan
        self._ask = ask
        self._rates = _Rates(channels.clock)

    def find(self, name: str) -> Found:
        """A channel by its name. NotFound for a name that none may have."""
        plan = self.plan()
        named = plan.names.find(name)
        if named is None:
            raise NotFound("There is no such channel: its name fits no pattern of the deployment")
        return Found(Channel(name, named.kind, plan.kinds[named.kind]), named)

    # --- who -------------------------------------------------------------------------------------------------------------

    async def takes_part(self, name: str, member: str) -> bool:
        """Whether somebody takes part in a conversation. StoreError."""
        return bool(await self.channels.group.ask(records.find_member, {"b_channel": name, "b_member": member}))

    async def allowed(self, rules: Sequence[Who], consumer: Consumer, found: Found) -> bool:
        """Whether a consumer is one of those. StoreError."""
        name = found.channel.name
        return await access.allowed(
            rules, consumer, name, found.named.parts, lambda: self.takes_part(name, member_of(consumer)), self._ask
        )

    async def joining(self, consumer: Consumer, name: str) -> Found:
        """A channel that a consumer may join. NotFound, Forbidden, StoreError."""
        found = self.find(name)
        if not await self.allowed(found.channel.settings.joining, consumer, found):
            raise Forbidden("This channel is not open to you")
        return found

    # --- publishing ------------------------------------------------------------------------------------------------------

    async def publish(
        self, consumer: Consumer, name: str, data: bytes, *, client_id: str = "", correlation: str = "", found: Found | None = None,
        in_line: Callable[[], None] | None = None,
    ) -> Published:  # fmt: skip
        """Publish JSON in a channel. NotFound, Forbidden, InvalidValue, PayloadTooLarge, TooManyRequests, Conflict, StoreError."""
        found = found or self.find(name)
        settings = found.channel.settings
        if not await self.allowed(settings.publishing, consumer, found):
            raise Forbidden("You may not publish in this channel")
        channel, sender = found.channel, member_of(consumer)
        limits = channel.settings.limits
        if len(data) > limits.largest:
            raise PayloadTooLarge(f"A message in this channel has up to {limits.largest} bytes")
        if len(client_id) > LONGEST_ID:
            raise InvalidValue(f"The id of a message has up to {LONGEST_ID} characters")
        self.pace(channel, sender)
        return await self.channels.publish(channel, Draft(sender, data, client_id, correlation=correlation, in_line=in_line))

    def pace(self, channel: Channel, sender: str, *, receipts: bool = False) -> None:
        """Count something that a participant does. TooManyRequests where that is too fast; receipts are counted for themselves."""
        rate = channel.settings.limits.rate
        wait = self._rates.take(f"{channel.kind} receipts" if receipts else channel.kind, sender, rate.limit, rate.period)
        if wait:
            raise TooManyRequests(f"More than {rate} in this channel", headers={"Retry-After": str(max(1, round(wait)))})

    # --- looking ---------------------------------------------------------------------------------------------------------

    async def history(
        self, consumer: Consumer, name: str, since: Position | None, most: int, *, backwards: bool = False
    ) -> tuple[Position, list[Message]]:
        """What was said: behind `since` or, backwards, in front of it; up to `most`. NotFound, Forbidden, InvalidValue where
        the epoch is another's, StoreError."""
        found = await self.joining(consumer, name)
        if found.channel.settings.certainty == "ephemeral":
            raise NotFound("Nothing is kept of this channel")
        position = await self.channels.position(found.channel)
        if since is not None and since.epoch and since.epoch != position.epoch:
            raise InvalidValue("This position is of another epoch of the channel: begin at its beginning")
        if most <= 0:
            return position, []
        if backwards:
            return position, _page(await self.channels.before(name, since.top if since is not None else 0, most))
        return position, _page(await self.channels.after(name, since.top if since is not None else 0, most))

    async def present(self, consumer: Consumer, name: str) -> list[Present]:
        """Who is there. NotFound, Forbidden, StoreError."""
        found = await self.joining(consumer, name)
        if not found.channel.settings.shown:
            raise NotFound("Nobody is told who is in this channel")
        return await self.presence.of(name)


def _page(messages: list[Message]) -> list[Message]:
    """As many of the first as one answer may have: one at least."""
    size = 0
    for number, each in enumerate(messages):
        size += len(each.data)
        if size > PAGE and number:
            return messages[:number]
    return messages


class _Rates:
    """How fast each participant publishes in each kind of channel, in this process: a bucket of tokens each."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, kind: str, member: str, limit: int, period: int) -> float:
        """Take one; how many seconds to wait where there is none."""
        now = self._clock.monotonic()
        left, at = self._buckets.get((kind, member), (float(limit), now))
        left = min(float(limit), left + (now - at) * limit / period)
        if left < 1:
            return (1 - left) * period / limit
        if len(self._buckets) >= _MOST:
            self._buckets.clear()
        self._buckets[kind, member] = (left - 1, now)
        return 0.0


def data_of(raw: msgspec.Raw | bytes) -> bytes:
    """What a client has sent as JSON, as it is kept: without blanks between its parts, on one line, as both wires end at lines.
    InvalidValue where it is nested more deeply than every reader takes."""
    try:
        data = msgspec.json.format(bytes(raw) or b"null", indent=-1)
    except RecursionError:
        data = b"[" * (DEEPEST + 1)
    if data.count(b"[") + data.count(b"{") > DEEPEST and _is_deep(data):
        raise InvalidValue(f"What is said is nested up to {DEEPEST} deep")
    return data


def _is_deep(data: bytes) -> bool:
    left = _TEXT.sub(b"", data).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(DEEPEST):  # take off the innermost, time and again
        if not left:
            return False
        left = left.replace(b"[]", b"")
    return bool(left)
