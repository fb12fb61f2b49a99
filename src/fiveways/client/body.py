"""A request's body: bytes, text, a file, something that is made into JSON, or pieces that come one after another."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from fiveways.client.content import PIECE
from fiveways.client.errors import ClientError

JSON = "application/json"
FHIR = "application/fhir+json"


class Body:
    """What is sent. `kind` is its media type, '' where nobody can tell; `once` says that it cannot be sent a second time.

    Text is sent as it is, in UTF-8; a file is read while it is sent; anything else is JSON, or ClientError. None is no body.
    """

    __slots__ = ("_content", "kind", "once")

    def __init__(self, content: Any) -> None:
        self.kind = ""
        self.once = isinstance(content, AsyncIterable)
        if isinstance(content, str):
            content = content.encode()
        elif not (content is None or self.once or isinstance(content, (bytes, bytearray, memoryview, Path))):
            self.kind = FHIR if isinstance(content, dict) and "resourceType" in content else JSON
            content = _json(content)
        self._content: bytes | bytearray | memoryview | Path | AsyncIterable[bytes] | None = content

    @property
    def empty(self) -> bool:
        """Whether there is none."""
        return self._content is None

    def whole(self) -> bytes | None:
        """All of it, where it is in memory."""
        return bytes(self._content) if isinstance(self._content, (bytes, bytearray, memoryview)) else None

    def size(self) -> int | None:
        """Its bytes, where that is known. Raises ClientError for a file that cannot be read."""
        if isinstance(self._content, Path):
            return _size(self._content)
        content = self.whole()
        return len(content) if content is not None else None

    async def pieces(self) -> AsyncIterator[bytes]:
        """It, piece by piece."""
        if isinstance(self._content, Path):
            with await asyncio.to_thread(self._content.open, "rb") as file:
                while piece := await asyncio.to_thread(file.read, PIECE):
                    yield piece
        elif isinstance(self._content, AsyncIterable):
            async for piece in self._content:
                yield piece
        elif (content := self.whole()) is not None:
            yield content

    async def digest(self, *besides: str) -> str:
        """SHA-256 of what is said `besides` and of it, in hexadecimal; of pieces that come once, without them."""
        digest = hashlib.sha256("\0".join((*besides, "")).encode())
        if not self.once:
            async for piece in self.pieces():
                digest.update(piece)
        return digest.hexdigest()


def _json(content: Any) -> bytes:
    try:
        return msgspec.json.encode(content)
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise ClientError(f"this is no body: {error}") from None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ClientError(str(error)) from error
