"""Write-behind and read-ahead, for a store that is some milliseconds away: who asks for one thing after another, as SFTP does,
would otherwise wait for it each time. Both are bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from fiveways.correlation import new_id
from fiveways.errors import StoreError

BEHIND: Final = 32 * 2**20
"""Bytes of one payload that are held at most until the store takes them."""
WINDOW: Final = 2 * 2**20
"""Bytes that are asked for at once."""
AHEAD: Final = 6
"""Windows that are asked for beyond the one that is being read."""


class WriteBehind:
    """A payload whose pieces are taken at once and stored meanwhile (`payloads.Incoming`)."""

    def __init__(self, put: Callable[[str, AsyncIterator[bytes]], Awaitable[object]]) -> None:
        """`put` keeps a payload under a reference."""
        self.ref = new_id()
        self._held: deque[bytes] = deque()
        self._size = 0
        self._over = False
        self._unwanted = False
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._task = asyncio.ensure_future(put(self.ref, self._pieces()))

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Take the next bytes; to be waited for where as much is held as may be. Raises StoreError."""
        self._held.append(data)
        self._size += len(data)
        self._more.set()
        if self._task.done():
            return self._stored()
        return None if self._size < BEHIND else self._roomy()

    async def finish(self) -> None:
        """There is no more; durable on return. Raises StoreError."""
        self._over = True
        self._more.set()
        await self._task

    async def discard(self) -> None:
        """It is not wanted: nothing stays."""
        self._task.cancel()
        with suppress(asyncio.CancelledError, StoreError):
            await self._task
        self._unwanted = True  # what asks for pieces may be a task of its own, which nobody has cancelled
        self._more.set()

    async def _roomy(self) -> None:
        while self._size >= BEHIND:
            self._room.clear()
            waiting = asyncio.ensure_future(self._room.wait())
            try:
                await asyncio.wait((waiting, self._task), return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
            if self._task.done():
                await self._stored()

    async def _stored(self) -> None:
        """It cannot be, before its end: the store has failed."""
        await self._task
        raise StoreError("the payload was closed before its end")

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            while self._held:
                piece = self._held.popleft()
                self._size -= len(piece)
                self._room.set()
                yield piece
            if self._over:
                return
            if self._unwanted:
                raise StoreError("the payload is not wanted any more")  # and not an end, of which an object would be made
            self._more.clear()
            await self._more.wait()


class ReadAhead:
    """A payload that is read from any place, mostly from front to back (`payloads.View`)."""

    def __init__(self, fetch: Callable[[int, int], Awaitable[bytes]], size: int) -> None:
        """`fetch` reads a range, from its start up to but not including its end; `size`: bytes of the payload."""
        self._fetch = fetch
        self._size = size
        self._windows: dict[int, asyncio.Future[bytes]] = {}
        self._last = -1

    def read(self, start: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `start`, fewer only at the end."""
        end = min(start + size, self._size)
        if start >= end:
            return b""
        first, last = start // WINDOW, (end - 1) // WINDOW
        self._ask(first, last)
        window = self._windows[first]
        if first == last and window.done() and not window.cancelled() and window.exception() is None:
            return window.result()[start - first * WINDOW : end - first * WINDOW]
        return self._joined(first, last, start, end)

    def _ask(self, first: int, last: int) -> None:
        """Have windows fetched that are wanted, and those that follow where one is read after another."""
        following = first in (self._last, self._last + 1) or self._last < 0
        self._last = last
        wanted = range(first, min(last + (AHEAD if following else 0), (self._size - 1) // WINDOW) + 1)
        for number in [number for number in self._windows if number not in wanted]:
            self._windows.pop(number).cancel()
        for number in wanted:
            if number not in self._windows:
                begin = number * WINDOW
                window = asyncio.ensure_future(self._fetch(begin, min(begin + WINDOW, self._size)))
                window.add_done_callback(_seen)
                self._windows[number] = window

    async def _joined(self, first: int, last: int, start: int, end: int) -> bytes:
        asked = [self._windows[number] for number in range(first, last + 1)]
        try:
            data = b"".join([await asyncio.shield(window) for window in asked])
        except (StoreError, KeyError):
            self._windows.clear()  # and ask anew, where it is read again
            raise
        return data[start - first * WINDOW : end - first * WINDOW]

    async def close(self) -> None:
        """No more is read."""
        asked = list(self._windows.values())
        self._windows.clear()
        for window in asked:
            window.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _seen(window: asyncio.Future[bytes]) -> None:
    """Whoever reads there is told of a failure; a window that nobody comes to read need not be."""
    if not window.cancelled():
        window.exception()
