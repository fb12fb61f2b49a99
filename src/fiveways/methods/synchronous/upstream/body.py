"""An answer's body on its way from the connection to its reader, holding the connection back when the reader is slow."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol, Self

HIGH_WATER = 256 * 1024
LOW_WATER = 64 * 1024


class Source(Protocol):
    """What feeds a body: it can be told to wait, to go on, and to stop for good."""

    def pause_reading(self) -> None:
        """Feed no more for now."""
        ...

    def resume_reading(self) -> None:
        """Feed on."""
        ...

    def abort(self) -> None:
        """Never feed again."""
        ...


class StreamedBody:
    """The reader's end is the async iterator and `aclose`; the connection's end is `feed`, `end` and `fail`.

    At most about HIGH_WATER bytes and one read are held. What arrived before a failure is handed over before the failure is.
    """

    __slots__ = ("_ended", "_failure", "_held", "_paused", "_pieces", "_source", "_waiter")

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._paused = False
        self._ended = False
        self._failure: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, piece: bytes) -> None:
        """Hand over bytes that have arrived."""
        if not piece or self._ended:
            return
        self._pieces.append(piece)
        self._held += len(piece)
        if self._held > HIGH_WATER and not self._paused:
            self._paused = True
            self._source.pause_reading()
        self._wake()

    def end(self) -> None:
        """Say that the body is complete."""
        self._ended = True
        self._wake()

    def fail(self, failure: BaseException) -> None:
        """Say that the rest will not come, and why."""
        if not self._ended:
            self._failure = failure
            self.end()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next bytes, as they came from the network."""
        while not self._pieces:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            except asyncio.CancelledError:
                await self.aclose()
                raise
            finally:
                self._waiter = None
        piece = self._pieces.popleft()
        self._held -= len(piece)
        if self._paused and self._held <= LOW_WATER and not self._ended:
            self._paused = False
            self._source.resume_reading()
        return piece

    async def aclose(self) -> None:
        """Stop reading; where the body is not complete, the connection is broken off at once."""
        self._pieces.clear()
        self._held = 0
        if not self._ended:
            self._ended = True
            self._source.abort()
        self._wake()
