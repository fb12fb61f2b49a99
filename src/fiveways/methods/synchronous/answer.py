"""An answer's body: watched, by whoever must know when it ended, and how; or read whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from fiveways.errors import Fault
from fiveways.types import Outcome

OnEnd = Callable[[int, BaseException | None], None]
"""Called once with the bytes that went by and what broke the body off (None where it is whole)."""


def when_over(outcome: Outcome, on_end: OnEnd) -> None:
    """Call `on_end` when the outcome's body has gone by: now, if it is there whole, otherwise when it ends or is closed."""
    body = outcome.body
    if isinstance(body, bytes):
        on_end(len(body), None)
    else:
        outcome.body = _Watched(body, on_end)


async def whole(body: bytes | AsyncIterator[bytes], most: int, otherwise: Fault) -> bytes:
    """A body, read to its end. Raises `otherwise` where it has more than `most` bytes, and what reading it raises."""
    if isinstance(body, bytes):
        return body
    found = bytearray()
    try:
        async for piece in body:
            found += piece
            if len(found) > most:
                raise otherwise
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
    return bytes(found)


class _Watched(AsyncIterator[bytes]):
    __slots__ = ("_body", "_on_end", "_passed")

    def __init__(self, body: AsyncIterator[bytes], on_end: OnEnd) -> None:
        self._body = body
        self._on_end: OnEnd | None = on_end
        self._passed = 0

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._body.__anext__()
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._passed += len(chunk)
        return chunk

    async def aclose(self) -> None:
        """Stop reading; what was not read yet is not wanted any more."""
        self._end(GeneratorExit())
        close = getattr(self._body, "aclose", None)
        if close is not None:
            await close()

    def _end(self, error: BaseException | None) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self._passed, error)
