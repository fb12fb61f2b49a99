"""Wake-ups across nodes over NATS (core NATS: nothing is stored there, and nothing needs to be)."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import AbstractContextManager, suppress
from typing import Any

from fiveways.errors import StoreError
from fiveways.store.bus import Heard, LocalBus, Wakes

try:
    import nats.errors
    from nats.aio.client import Client
except ImportError:
    raise StoreError("the NATS bus needs its client: pip install fiveways[nats]") from None

log = logging.getLogger(__name__)
_PATIENCE = 3
"""Seconds for the first connection, and for the end of one."""
_ROOT = "fiveways.wake"
_TOKEN = re.compile(r"[^A-Za-z0-9_.:-]")


class NatsBus:
    """One subscription to all wake-ups, handed on to subscribers in this process. While NATS is away only these are woken."""

    def __init__(self) -> None:
        self._local = LocalBus()
        self._client = Client()

    @classmethod
    async def connect(cls, url: str) -> NatsBus:
        """A bus over the NATS server at `url`; it reconnects by itself for ever once it was connected."""
        bus = cls()
        client = bus._client
        try:
            async with asyncio.timeout(_PATIENCE):
                await client.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=1, error_cb=_note, no_echo=True)
                await client.subscribe(f"{_ROOT}.>", cb=bus._received)
                for _ in range(2):  # the first question may overtake the subscription, which waits in the client; the second cannot
                    await client.flush(timeout=_PATIENCE)
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await client.close()
            raise StoreError(f"NATS cannot be reached: {type(error).__name__}") from None
        return bus

    async def publish(self, topic: str, data: bytes = b"") -> None:
        """Wake the subscribers of `topic` everywhere."""
        self._local.deliver(topic, data)
        try:
            await self._client.publish(f"{_ROOT}.{_TOKEN.sub('_', topic)}", data, headers={"topic": topic})
        except nats.errors.Error as error:
            log.warning("a wake-up was not sent", extra={"topic": topic, "reason": type(error).__name__})

    def subscribe(self, prefix: str) -> AbstractContextManager[Wakes]:
        """`Wakes` for all topics that begin with `prefix`, until the block is left."""
        return self._local.subscribe(prefix)

    def hear(self, prefix: str, heard: Heard) -> AbstractContextManager[None]:
        """Have `heard` told everything under topics that begin with `prefix`, until the block is left."""
        return self._local.hear(prefix, heard)

    async def close(self) -> None:
        """Close the connection; one that does not end is let go of, as nothing is lost with it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._client.close()

    async def _received(self, message: Any) -> None:
        topic = (message.headers or {}).get("topic") or message.subject.removeprefix(f"{_ROOT}.")
        self._local.deliver(topic, message.data)


async def _note(error: Exception) -> None:
    log.warning("the connection to NATS has a fault", extra={"reason": type(error).__name__})
