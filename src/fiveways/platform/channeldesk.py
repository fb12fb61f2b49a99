"""The operator looks at channels, and says something in one, beside the running platform: through the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from fiveways.clock import Clock, SystemClock, micros
from fiveways.correlation import new_id
from fiveways.delivery.engine import Deliveries
from fiveways.errors import FivewaysError
from fiveways.ledger.audit import AuditEvent
from fiveways.methods.realtime import records
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.names import Names
from fiveways.methods.realtime.presence import Presence, Present
from fiveways.methods.realtime.service import Channel, Channels, Draft, Position, Published
from fiveways.platform.desk import Desk, account, desk
from fiveways.platform.foundation import node_name
from fiveways.store.bus import open_bus
from fiveways.store.payloads import open_payloads


class NoChannel(FivewaysError):
    """There is no such channel, or nothing can be said in it so."""


class ChannelDesk:
    """Channels of a deployment, in the name of the operator's account."""

    def __init__(self, at: Desk, deliveries: Deliveries) -> None:
        self._at = at
        self._deliveries = deliveries
        self._kinds = at.deployment.channels
        self._names = Names((kind, settings.name) for kind, settings in self._kinds.items())
        self._channels = Channels(deliveries, at.audit, lambda message: None)
        self._presence = Presence(at.group, deliveries.clock, deliveries.node, lambda: at.deployment.realtime)

    async def list(self, kind: str, most: int) -> Sequence[Any]:
        """Channels that are kept, by name: rows of `records.find_listed`."""
        async with self._at.database.read() as connection:
            return (await connection.execute(records.find_listed, {"b_last": "", "b_kind": kind, "b_most": most})).all()

    async def transcript(self, name: str) -> tuple[Position, Sequence[Message], Sequence[str]]:
        """All that was said in a channel, and who takes part; that it was read is in the audit. Raises NoChannel."""
        position = await self._channels.find(name)
        if position is None:
            raise NoChannel(f"nothing is kept of a channel {name}")
        details = {"by": "operator", "account": account()}
        event = AuditEvent(
            at=micros(self._deliveries.clock), kind="realtime.channel.read", id=new_id(), api=self._kind(name), details=details
        )
        await self._at.audit.durable(event)
        async with self._at.database.read() as connection:
            members = (await connection.execute(records.find_members, {"b_channel": name})).all()
        return position, [each async for each in self._channels.all(name)], [row[1] for row in members]

    async def present(self, name: str) -> Sequence[Present]:
        """Who is in a channel."""
        return await self._presence.of(name)

    async def publish(self, name: str, data: str, client_id: str) -> Published:
        """Publish JSON in a channel, as the operator. Raises NoChannel."""
        kind = self._kind(name)
        if not kind:
            raise NoChannel(f"no channel may be called {name}: its name fits no pattern of the deployment")
        try:
            said = msgspec.json.encode(msgspec.json.decode(data))
        except msgspec.MsgspecError:
            raise NoChannel('expected JSON: a text is written "so"') from None
        channel = Channel(name, kind, self._kinds[kind])
        if len(said) > channel.settings.limits.largest:
            raise NoChannel(f"a message in this channel has up to {channel.settings.limits.largest} bytes")
        return await self._channels.publish(channel, Draft(f"operator:{account()}", said, client_id, correlation=new_id()))

    def _kind(self, name: str) -> str:
        named = self._names.find(name)
        return named.kind if named is not None else ""


@asynccontextmanager
async def channel_desk(file: Path, data: Path, node: str = "", clock: Clock | None = None) -> AsyncIterator[ChannelDesk]:
    """The channels of a deployment that has run, whether or not it is running; FivewaysError where it has not.

    Who reads a channel that is kept has what is published here within a second or two.
    """
    clock = clock or SystemClock()
    async with desk(file, data, node, clock) as at:
        store = at.deployment.store
        payloads = open_payloads(store.payloads or f"file://{data / 'payloads'}")
        bus = await open_bus(store.bus)
        try:
            yield ChannelDesk(at, Deliveries(at.group, payloads, bus, clock, node_name(node)))
        finally:
            await bus.close()
            await payloads.close()
