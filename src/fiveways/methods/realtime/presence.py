"""Who is there: a row for each subscriber, of the node that has them. A node that is silent for too long has nobody any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec

from fiveways.clock import Clock, micros, micros_in
from fiveways.methods.realtime import records
from fiveways.methods.realtime.settings import RealtimeSettings
from fiveways.store.group import GroupWriter


class Present(NamedTuple):
    """Somebody who is there: their connection, who they are, and what their application says of them (JSON)."""

    client: str
    member: str
    info: bytes = b""

    def json(self) -> bytes:
        """As Centrifugo's protocol has it (ClientInfo)."""
        told = b',"chan_info":%b' % self.info if self.info else b""
        return b'{"user":%b,"client":%b%b}' % (msgspec.json.encode(self.member), msgspec.json.encode(self.client), told)


Gone = Callable[[str, Present], Awaitable[None]]
"""Tells a channel that somebody is not there any more."""


class Presence:
    """Who is where, over one store."""

    def __init__(self, group: GroupWriter, clock: Clock, node: str, settings: Callable[[], RealtimeSettings]) -> None:
        self._group = group
        self._clock = clock
        self._node = node
        self._settings = settings

    async def arrive(self, channel: str, present: Present) -> None:
        """Somebody joins. StoreError."""
        row = {"b_channel": channel, "b_client": present.client, "b_node": self._node, "b_member": present.member}
        await self._group.submit(records.arrive, row | {"v_info": present.info}, synced=False)

    async def leave(self, channel: str, client: str) -> bool:
        """Somebody leaves; False where they were gone already. StoreError."""
        asked = {"b_channel": channel, "b_client": client}
        return (await self._group.submit(records.leave, asked, synced=False)).rowcount > 0

    async def of(self, channel: str) -> list[Present]:
        """Who is there, through all nodes. StoreError."""
        return [Present(*row) for row in await self._group.ask(records.find_present, {"b_channel": channel, "b_at": self._since()})]

    async def beat(self) -> None:
        """This node is there. To be said every second or two. StoreError."""
        await self._group.submit(records.beat, {"b_node": self._node, "b_at": micros(self._clock)}, synced=False)

    async def begin(self) -> None:
        """This node has just begun: whoever was connected to it before is not any more. StoreError."""
        await self._group.submit(records.forget_present, {"b_node": self._node}, synced=False)
        await self.beat()

    async def bury(self, gone: Gone) -> None:
        """Have everybody gone who was connected to a node that is silent. One node does so. StoreError."""
        asked = {"b_at": self._since()}
        for (node,) in await self._group.ask(records.find_dead, asked):
            rows: Any = await self._group.ask(records.find_of_node, {"b_node": node})
            for channel, client, member, info in rows:
                if await self.leave(channel, client):
                    await gone(channel, Present(client, member, info))
            await self._group.submit(records.forget_node, asked | {"b_node": node}, synced=False)

    def _since(self) -> int:
        return micros(self._clock) - micros_in(self._settings().lost)
