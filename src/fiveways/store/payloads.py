"""Bodies too large for a row: streamed in, durable when `put` returns, streamed out; never changed, only removed.

A payload's reference is a UUIDv7, so that payloads of one day lie together. It is made here and never by a caller, and what is not
such a reference is not looked up: no path can be smuggled in.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from fiveways.errors import PayloadTooLarge, StoreError

_REFERENCE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
CHUNK = 256 * 1024
"""Bytes that reading hands out at a time."""
IN_ROW = 64 * 1024
"""Bytes of content that are kept in a row; a payload of its own is for more."""


class Payload(NamedTuple):
    """What was put: where it is, its length in bytes, and its SHA-256 in hexadecimal."""

    ref: str
    size: int
    sha256: str


class Incoming(Protocol):
    """A payload that is being written piece by piece, by whoever cannot hand over an iterator of it. Raises StoreError."""

    ref: str
    """What it is going to be called."""

    def write(self, data: bytes) -> Awaitable[None] | None:
        """Take the next bytes. To be waited for only where more is coming than the store takes."""
        ...

    async def finish(self) -> None:
        """There is no more; durable on return."""
        ...

    async def discard(self) -> None:
        """It is not wanted: nothing stays."""
        ...


class View(Protocol):
    """A payload that is open, to be read from any place. Raises StoreError."""

    def read(self, start: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `start`, fewer only at the end. To be waited for only where the store is."""
        ...

    async def close(self) -> None:
        """No more is read."""
        ...


class Payloads(Protocol):
    """A store of payloads. Every method raises StoreError where the store fails."""

    async def put(self, content: AsyncIterable[bytes] | bytes, *, limit: int | None = None, digest: bool = True) -> Payload:
        """Keep `content`; durable on return. Raises PayloadTooLarge over `limit` bytes; then, and on any failure, nothing stays.

        `digest`: whether its SHA-256 is worked out; '' where it is not.
        """
        ...

    async def begin(self) -> Incoming:
        """A payload to be written piece by piece."""
        ...

    async def view(self, ref: str) -> View:
        """A payload to be read from any place. Raises KeyError for what is not there."""
        ...

    def open(self, ref: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to but not including `end`. Raises KeyError for what is not there."""
        ...

    async def size(self, ref: str) -> int:
        """The length in bytes. Raises KeyError for what is not there."""
        ...

    async def exists(self, ref: str) -> bool:
        """Whether there is such a payload."""
        ...

    async def delete(self, ref: str) -> None:
        """Remove a payload; one that is not there is no error."""
        ...

    def list(self) -> AsyncIterator[str]:
        """Every reference."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


def open_payloads(url: str) -> Payloads:
    """The store at `file:///folder`, `memory://`, or `s3://bucket/prefix?endpoint=…&region=…`.

    S3 credentials come from the environment (`AWS_ACCESS_KEY_ID`, …) or the machine's role, never from the URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.path and not parts.netloc:
        from fiveways.store.payloads_folder import FolderPayloads  # noqa: PLC0415, RUF100

        return FolderPayloads.at(Path(parts.path))
    if parts.scheme in ("memory", "s3"):
        from fiveways.store.payloads_object import ObjectPayloads  # noqa: PLC0415, RUF100

        return ObjectPayloads.at(url)
    raise StoreError("no such payload store: expected file:///folder, memory:// or s3://bucket/prefix?endpoint=…")


async def keep(payloads: Payloads, content: AsyncIterable[bytes] | bytes, *, limit: int | None = None) -> bytes | Payload:
    """Small content as it is, to be kept in a row; larger content put into `payloads`, durable on return.

    Raises PayloadTooLarge over `limit` bytes.
    """
    start = bytearray(content if isinstance(content, bytes) else b"")
    rest = None if isinstance(content, bytes) else aiter(content)
    if rest is not None:
        async for piece in rest:
            start += piece
            if len(start) > IN_ROW:
                break
    if limit is not None and len(start) > limit:
        raise PayloadTooLarge(f"the content is over {limit} bytes")
    if len(start) <= IN_ROW:
        return bytes(start)
    return await payloads.put(bytes(start) if rest is None else _joined(bytes(start), rest), limit=limit)


async def hashing(content: AsyncIterable[bytes], digest: hashlib._Hash) -> AsyncGenerator[bytes, None]:
    """`content`, each piece of which `digest` has been fed with when it is handed out."""
    async for piece in content:
        digest.update(piece)
        yield piece


async def verified(content: AsyncIterable[bytes], sha256: str) -> AsyncGenerator[bytes, None]:
    """`content`, whose last piece is only handed out once all of it has been found to have this SHA-256 (hexadecimal).

    Raises StoreError otherwise: what a disk or an object store has damaged is never taken for whole.
    """
    digest, held = hashlib.sha256(), b""
    async for piece in content:
        digest.update(piece)
        if held and piece:
            yield held
        held = piece or held
    if digest.hexdigest() != sha256:
        raise StoreError("a payload is not what was put into the store")
    if held:
        yield held


async def _joined(start: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield start
    async for piece in rest:
        yield piece


def checked(ref: str) -> str:
    """`ref` if it is a reference. Raises KeyError otherwise."""
    if not _REFERENCE.fullmatch(ref):
        raise KeyError(ref)
    return ref


def put_at(ref: str) -> datetime:
    """When a payload was begun: its reference says so, to the millisecond (RFC 9562 §5.7). Raises KeyError for no reference."""
    try:
        return datetime.fromtimestamp(int(checked(ref)[:8] + ref[9:13], 16) / 1000, UTC)
    except ValueError:  # of a year that no calendar has
        raise KeyError(ref) from None


class Meter:
    """Counts and digests what passes, and refuses what is too much."""

    def __init__(self, limit: int | None, *, digest: bool = True) -> None:
        self.size = 0
        self._limit = limit
        self._sha256 = hashlib.sha256() if digest else None

    def add(self, chunk: bytes) -> None:
        """Take note of a chunk. Raises PayloadTooLarge."""
        self.size += len(chunk)
        if self._limit is not None and self.size > self._limit:
            raise PayloadTooLarge(f"the payload is over {self._limit} bytes")
        if self._sha256 is not None:
            self._sha256.update(chunk)

    def payload(self, ref: str) -> Payload:
        """What has passed, as kept under `ref`."""
        return Payload(ref, self.size, self._sha256.hexdigest() if self._sha256 is not None else "")


async def pieces(content: AsyncIterable[bytes] | bytes) -> AsyncIterator[bytes]:
    """The content in chunks that are not small: writing each to a thread has its price."""
    if isinstance(content, bytes):
        for start in range(0, len(content), CHUNK):
            yield content[start : start + CHUNK]
        return
    held: list[bytes] = []
    size = 0
    async for chunk in content:
        held.append(chunk)
        size += len(chunk)
        if size >= CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
