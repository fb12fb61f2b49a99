"""Who is there: a row for each subscriber, of the node that has them. A node that is silent for too long has nobody any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import msgspec

from fiveways.clock import Clock, micros, micros_in
from fiveways.errors import StoreError
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


Told = Callable[[str, Present], Awaitable[None]]
"""Tells a channel that somebody has come, or is not there any more."""
Here = dict[tuple[str, str], Present]
"""Who is where, by channel and connection."""

_PAUSE: Final = 3_000_000
"""Microseconds for which a node may be silent, however soon others count as gone, and go on judging them."""


class Presence:
    """Who is where, over one store."""

    def __init__(self, group: GroupWriter, clock: Clock, node: str, settings: Callable[[], RealtimeSettings]) -> None:
        self._group = group
        self._clock = clock
        self._node = node
        self._settings = settings
        self._beaten = 0
        """When this node was last heard of (microseconds)."""
        self._steady = 0
        """Since when it was heard of without a pause."""
        self.unsure = False
        """Whether its rows may not be of those who are here: one could not be written, or others took this node for gone."""

    async def arrive(self, channel: str, present: Present) -> bool:
        """Somebody joins; False where they were there already. StoreError, and then `settle` does so later."""
        row = {"b_channel": channel, "b_client": present.client, "b_node": self._node, "b_member": present.member}
        try:
            if not self._beaten:  # a node that was never heard of has nobody
                await self.beat()
            return (await self._group.submit(records.arrive, row | {"v_info": present.info}, synced=False)).rowcount > 0
        except StoreError:
            self.unsure = True
            raise

    async def leave(self, channel: str, client: str) -> bool:
        """Somebody leaves; False where they were gone already. StoreError, and then `settle` does so later."""
        asked = {"b_channel": channel, "b_client": client}
        try:
            return (await self._group.submit(records.leave, asked, synced=False)).rowcount > 0
        except StoreError:
            self.unsure = True
            raise

    async def of(self, channel: str) -> list[Present]:
        """Who is there, through all nodes. StoreError."""
        return [Present(*row) for row in await self._group.ask(records.find_present, {"b_channel": channel, "b_at": self._since()})]

    async def beat(self) -> None:
        """This node is there. To be said every second or two. StoreError."""
        now = micros(self._clock)
        row = {"b_node": self._node, "b_at": now}
        if not (await self._group.submit(records.beat, row, synced=False)).rowcount:  # new, or the others took it for gone
            await self._group.submit(records.begin_node, row, synced=False)
            self.unsure = True
        if now - self._beaten > max(self._lost() // 2, _PAUSE):
            self._steady = now
        self._beaten = now

    async def settle(self, here: Callable[[], Here], came: Told, gone: Told) -> None:
        """Where it is unsure, have the rows of this node be of those who are here. StoreError."""
        if not self.unsure:
            return
        self.unsure = False
        try:
            rows = await self._group.ask(records.find_of_node, {"b_node": self._node})
            written = {(channel, client): Present(client, member, info) for channel, client, member, info in rows}
            missing = {at: present for at, present in here().items() if at not in written}
            new = await asyncio.gather(*(self.arrive(channel, present) for (channel, _), present in missing.items()))
            now = here()  # some may have gone meanwhile
            for (at, present), is_new in zip(missing.items(), new, strict=True):
                if at not in now:
                    await self.leave(*at)
                elif is_new:
                    await came(at[0], present)
            for at, present in written.items():
                if at not in now and await self.leave(*at):
                    await gone(at[0], present)
        except StoreError:
            self.unsure = True
            raise

    async def bury(self, gone: Told) -> None:
        """Have everybody gone who was connected to a node that is silent. One node does so, and none that was silent itself just
        now: it may be that the store was away, and the others were as well. StoreError."""
        if micros(self._clock) - self._steady < self._lost():
            return
        asked = {"b_at": self._since()}
        for (node,) in await self._group.ask(records.find_dead, asked):
            if node == self._node:
                continue
            of_it = {"b_node": node}
            results = await self._group.transact(
                (records.forget_node, asked | of_it), (records.forget_present, of_it), guarded=1, synced=False
            )
            if len(results) > 1:
                for channel, client, member, info in results[1].rows:
                    await gone(channel, Present(client, member, info))

    def _since(self) -> int:
        return micros(self._clock) - self._lost()

    def _lost(self) -> int:
        return micros_in(self._settings().lost)
