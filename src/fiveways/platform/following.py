"""What happens elsewhere is published in channels that follow it (`follow:`): messages that arrive, jobs that are done, files that
are released, and the platform's own figures.

Each is looked for in its method's own rows, from a little before the channel's newest one, and published under an id of its own:
once, whoever looks, and after a crash too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import TextClause, text

from fiveways.clock import micros
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.service import Channel, Channels, Draft
from fiveways.methods.realtime.settings import ChannelSettings, Follow

SENDER: Final = "platform:fiveways"
_OVERLAP: Final = 10_000_000
"""Microseconds that clocks of nodes may be apart, and a transaction may take."""
_SEEN: Final = 10_000

_QUERIES: Final[Mapping[str, TextClause]] = {
    "message": text(
        "SELECT m.id, 'arrived', m.at, m.correlation, m.sender, m.workflow FROM inbox i JOIN messages m ON m.id = i.message "
        "WHERE i.mailbox = :what AND m.at > :since ORDER BY m.at LIMIT 1000"
    ),
    "job": text(
        "SELECT j.id, e.state, e.at, j.correlation, j.application, j.status FROM job_events e JOIN jobs j ON j.id = e.job "
        "WHERE j.api = :what AND e.at > :since AND e.happening IN ('complete', 'fail', 'cancel', 'expire') ORDER BY e.at LIMIT 1000"
    ),
    "transfer": text(
        "SELECT t.id, e.state, e.at, t.correlation, t.accepted, t.set_aside FROM bulk_transfer_events e "
        "JOIN bulk_transfers t ON t.id = e.transfer WHERE t.feed = :what AND e.at > :since "
        "AND e.state IN ('released', 'part-released', 'rejected') ORDER BY e.at LIMIT 1000"
    ),
}
_NAMES: Final = {
    "message": ("sender", "workflow"), "job": ("application", "status"), "transfer": ("accepted", "set_aside"),
}  # fmt: skip


class Happened(NamedTuple):
    """Something that has happened: what to whom, and when (microseconds)."""

    id: str
    state: str
    at: int
    correlation: str
    facts: Mapping[str, Any]


class Following:
    """Publishes what happens."""

    def __init__(self, channels: Channels, kinds: Callable[[], Mapping[str, ChannelSettings]], figures: Callable[[], Any]) -> None:
        """`figures`: the platform's own, as a JSON object."""
        self._channels = channels
        self._kinds = kinds
        self._figures = figures
        self._seen: dict[str, None] = {}
        self._told: dict[str, float] = {}
        self._began = micros(channels.clock)

    async def look(self) -> None:
        """Publish what has happened since. StoreError where the store fails."""
        for kind, settings in self._kinds().items():
            channel = Channel(settings.name, kind, settings)
            for follow in settings.follow:
                if follow.metrics is not None:
                    await self._measure(channel, follow.metrics.total_seconds())
                else:
                    await self._look(channel, follow)

    async def _measure(self, channel: Channel, every: float) -> None:
        now = self._channels.clock.monotonic()
        if now - self._told.get(channel.name, -every) >= every:
            self._told[channel.name] = now
            await self._channels.publish(channel, Draft(SENDER, msgspec.json.encode(self._figures())))

    async def _look(self, channel: Channel, follow: Follow) -> None:
        what, name = next((what, getattr(follow, what)) for what in _QUERIES if getattr(follow, what) is not None)
        async for each in self._happened(channel, what, name):
            key = f"{what}:{each.id}:{each.state}"
            if key in self._seen:
                continue
            data = msgspec.json.encode({"what": what, "of": name, "id": each.id, "state": each.state, **each.facts})
            await self._channels.publish(channel, Draft(SENDER, data, key, correlation=each.correlation))
            self._seen[key] = None
            if len(self._seen) > _SEEN:
                del self._seen[next(iter(self._seen))]

    async def _happened(self, channel: Channel, what: str, name: str) -> AsyncIterator[Happened]:
        since = await self._since(channel.name, what)
        async with self._channels.group.database.read() as connection:
            rows = (await connection.execute(_QUERIES[what], {"what": name, "since": since})).all()
        for id_, state, at, correlation, *facts in rows:
            yield Happened(id_, state, at, correlation, dict(zip(_NAMES[what], facts, strict=True)))

    async def _since(self, name: str, what: str) -> int:
        """From when on something may not have been published yet."""
        newest = next((each.at for each in _ours(await self._channels.before(name, 0, 100), what)), self._began)
        return min(newest, self._began) - _OVERLAP if not self._seen else newest - _OVERLAP


def _ours(messages: Iterable[Message], what: str) -> Iterable[Message]:
    return (each for each in messages if each.client_id.startswith(f"{what}:"))
