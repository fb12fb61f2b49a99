"""The bus wakes those who wait: it says that there is something to look at, and nothing else hangs on it.

Everything it tells of is in the store, and whoever waits on it also looks there now and then; a wake-up lost costs time,
never data.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from fiveways.errors import StoreError


class Wakes:
    """Wake-ups for topics that begin with `prefix`. Those that come while nobody waits are kept as one."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._event = asyncio.Event()
        self._newest: tuple[str, bytes] | None = None

    def notify(self, topic: str, data: bytes) -> None:
        """Wake whoever waits."""
        self._newest = (topic, data)
        self._event.set()

    async def wait(self, timeout: float | None = None) -> tuple[str, bytes] | None:
        """The newest topic and data since the last time, waiting for one; None after `timeout` seconds without."""
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return None
        self._event.clear()
        newest, self._newest = self._newest, None
        return newest

    def __aiter__(self) -> Wakes:
        return self

    async def __anext__(self) -> tuple[str, bytes]:
        newest = await self.wait()
        assert newest is not None
        return newest


Heard = Callable[[str, bytes], None]
"""Is told a topic and what was published: at once, and must neither wait nor raise."""


class Bus(Protocol):
    """Publishes wake-ups to whoever subscribed, in this process or in all."""

    async def publish(self, topic: str, data: bytes = b"") -> None:
        """Wake the subscribers of `topic`, as far as they can be reached; never fails."""
        ...

    def subscribe(self, prefix: str) -> AbstractContextManager[Wakes]:
        """A context manager that gives `Wakes` for all topics that begin with `prefix`."""
        ...

    def hear(self, prefix: str, heard: Heard) -> AbstractContextManager[None]:
        """A context manager that has `heard` told everything that is published under topics that begin with `prefix`: each by
        itself, those of one node in the order in which it published them. What NATS loses is lost."""
        ...

    async def close(self) -> None:
        """Let go of the connection, if there is one."""
        ...


class LocalBus:
    """Wakes within this process."""

    def __init__(self) -> None:
        self._subscribers: list[Wakes] = []
        self._hearing: list[tuple[str, Heard]] = []

    async def publish(self, topic: str, data: bytes = b"") -> None:
        """Wake the subscribers of `topic` in this process."""
        self.deliver(topic, data)

    def deliver(self, topic: str, data: bytes) -> None:
        """Wake the subscribers of `topic` in this process."""
        for wakes in self._subscribers:
            if topic.startswith(wakes.prefix):
                wakes.notify(topic, data)
        for prefix, heard in self._hearing:
            if topic.startswith(prefix):
                heard(topic, data)

    @contextmanager
    def hear(self, prefix: str, heard: Heard) -> Iterator[None]:
        """Have `heard` told everything under topics that begin with `prefix`, until the block is left."""
        self._hearing.append((prefix, heard))
        try:
            yield
        finally:
            self._hearing.remove((prefix, heard))

    @contextmanager
    def subscribe(self, prefix: str) -> Iterator[Wakes]:
        """`Wakes` for all topics that begin with `prefix`, until the block is left."""
        wakes = Wakes(prefix)
        self._subscribers.append(wakes)
        try:
            yield wakes
        finally:
            self._subscribers.remove(wakes)

    async def close(self) -> None:
        """Nothing to let go of."""


async def open_bus(url: str = "local") -> Bus:
    """The bus at `local`, or `nats://host:port`. Raises StoreError where it cannot be had."""
    if url == "local":
        return LocalBus()
    if url.startswith(("nats://", "tls://")):
        from fiveways.store.bus_nats import NatsBus  # noqa: PLC0415, RUF100 - an extra

        return await NatsBus.connect(url)
    raise StoreError("no such bus: expected local or nats://host:port")
