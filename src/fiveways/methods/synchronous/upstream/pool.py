"""The connections to one back end: the last used is used first, the longest waiting request is served first."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from fiveways.clock import Clock
from fiveways.methods.synchronous.upstream.connection import Connection
from fiveways.methods.synchronous.upstream.dial import Attempt, Dialer
from fiveways.methods.synchronous.upstream.faults import UpstreamBusy, UpstreamTimeout
from fiveways.methods.synchronous.upstream.settings import Target

TICK: Final = 0.03
"""Seconds between two looks at the time while an exchange is going on: the precision of time-outs."""


class Pool:
    """Owner of a target's connections."""

    def __init__(self, target: Target, dialer: Dialer, clock: Clock) -> None:
        self._dialer = dialer
        self._clock = clock
        self._most = target.connections
        self._connect = target.timeout.connect.total_seconds()
        self._rest = max(TICK, min(5.0, target.idle.total_seconds() / 4))
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._reserved = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False
        self._closing = False
        self._empty: asyncio.Future[None] | None = None

    # --- taking ---------------------------------------------------------------------------------------------------------

    def take(self, *, certain: bool) -> Connection | None:
        """The idle connection used last, if any. `certain`: only one on which no close is waiting to be noticed."""
        while self._idle:
            connection = self._idle.pop()
            if not certain or connection.quiet():
                if not self._busy:
                    self._hurry()
                return connection
            connection.abort()
        return None

    async def acquire(self) -> Connection:
        """A new connection, or one that is released meanwhile, within the time-out for connecting."""
        attempt = Attempt()
        try:
            async with asyncio.timeout(self._connect):
                while True:
                    connection = None
                    if self._closing or len(self._open) + self._reserved >= self._most:
                        connection = await self._wait()
                    else:
                        self._reserved += 1
                    if connection is None:
                        connection = await self._dial(attempt)
                    if not connection.closed:
                        break
        except TimeoutError:
            if attempt.phase == "pool":
                raise UpstreamBusy("All connections to the back end are in use.", phase="pool", reached=False) from None
            raise UpstreamTimeout("Connecting to the back end took too long.", phase=attempt.phase, reached=False) from None
        if not self._busy:
            self._hurry()
        return connection

    async def _wait(self) -> Connection | None:
        """A released connection, or None with a place reserved for a new one."""
        if self._closing:
            raise UpstreamBusy("The connections to the back end are being closed.", phase="pool", reached=False)
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.done() or waiter.cancelled():
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
            elif waiter.exception() is None:
                granted = waiter.result()
                if granted is None:
                    self._reserved -= 1
                    self._place_free()
                elif not granted.closed:
                    self.released(granted)
            raise

    async def _dial(self, attempt: Attempt) -> Connection:
        try:
            connection = await self._dialer.open(self, attempt)
        except BaseException:
            self._reserved -= 1
            self._place_free()
            raise
        self._reserved -= 1
        self._open.add(connection)
        return connection

    # --- giving back ----------------------------------------------------------------------------------------------------

    def released(self, connection: Connection) -> None:
        """An exchange is over: the connection goes to who waits longest, or rests."""
        if self._closing or connection.generation != self._dialer.generation:
            connection.close()
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._place_free()

    def _place_free(self) -> None:
        while self._waiters and len(self._open) + self._reserved < self._most:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._reserved += 1
                waiter.set_result(None)
        if self._empty is not None and not self._empty.done() and not self._open and not self._reserved:
            self._empty.set_result(None)

    # --- time and closing -----------------------------------------------------------------------------------------------

    def _hurry(self) -> None:
        self._busy = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(TICK, self._sweep)

    def _sweep(self) -> None:
        """End what has taken too long, on every connection."""
        now = self._clock.monotonic()
        active = [connection.check(now) for connection in tuple(self._open)]
        self._busy = any(active)
        self._timer = None
        if self._open:
            delay = TICK if self._busy else self._rest
            self._timer = asyncio.get_running_loop().call_later(delay, self._sweep)

    def drop_idle(self) -> None:
        """Close the connections that rest."""
        for connection in tuple(self._idle):
            connection.close()

    async def close(self) -> None:
        """Take no more requests, and wait for those under way: their own time-outs bound it."""
        self._closing = True
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(UpstreamBusy("The connections to the back end are being closed.", phase="pool", reached=False))
        self.drop_idle()
        if self._open or self._reserved:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
