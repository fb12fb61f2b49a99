"""Payloads in a folder, on the disk when `put` returns: the file is synced, linked into place under
its own name, and every folder touched is synced.

`2026-03-07/0195…` : the day comes from the reference itself (RFC 9562 §5.7), so that a folder does not grow for ever.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, TypeVar

from fiveways.correlation import new_id
from fiveways.errors import StoreError
from fiveways.store.payloads import CHUNK, Meter, Payload, checked, pieces, put_at
from fiveways.store.syncing import sync_folder

T = TypeVar("T")


class FolderPayloads:
    """A folder of payloads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"

    @classmethod
    def at(cls, folder: Path) -> FolderPayloads:
        """The payloads in `folder`, which is made if it is not there. Raises StoreError."""
        store = cls(folder)
        try:
            store._incoming.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(store._folder)
            sync_folder(store._folder.parent)
        except OSError as error:
            raise StoreError(f"the payload folder cannot be used: {error.strerror}") from None
        return store

    async def put(self, content: AsyncIterable[bytes] | bytes, *, limit: int | None = None, digest: bool = True) -> Payload:
        """Keep `content`; durable on return. Raises PayloadTooLarge over `limit` bytes; then nothing stays."""
        ref, meter = new_id(), Meter(limit, digest=digest)
        temporary = self._incoming / ref
        file = await _in_thread(_create, temporary)
        try:
            async for chunk in pieces(content):
                meter.add(chunk)
                await _in_thread(file.write, chunk)
            await _in_thread(self._finish, file, temporary, self._path(ref))
        except BaseException:
            await asyncio.shield(asyncio.to_thread(_discard, file, temporary))
            raise
        return meter.payload(ref)

    async def begin(self) -> IncomingFile:
        """A payload to be written piece by piece."""
        ref = new_id()
        temporary = self._incoming / ref
        return IncomingFile(ref, await _in_thread(_create, temporary), temporary, self._finish, self._path(ref))

    async def view(self, ref: str) -> FileView:
        """A payload to be read from any place. Raises KeyError for what is not there."""
        return FileView(await _in_thread(_open, self._path(checked(ref)), missing=ref))

    async def open(self, ref: str, *, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from `start` up to but not including `end`. Raises KeyError for what is not there."""
        file = await _in_thread(_open, self._path(checked(ref)), missing=ref)
        try:
            await _in_thread(file.seek, start)
            left = end - start if end is not None else None
            while left is None or left > 0:
                chunk = await _in_thread(file.read, CHUNK if left is None else min(CHUNK, left))
                if not chunk:
                    return
                if left is not None:
                    left -= len(chunk)
                yield chunk
        finally:
            file.close()

    async def size(self, ref: str) -> int:
        """The length in bytes. Raises KeyError for what is not there."""
        return (await _in_thread(self._path(checked(ref)).stat, missing=ref)).st_size

    async def exists(self, ref: str) -> bool:
        """Whether there is such a payload."""
        try:
            return await _in_thread(self._path(checked(ref)).is_file)
        except KeyError:
            return False

    async def delete(self, ref: str) -> None:
        """Remove a payload, durably; one that is not there is no error."""
        with suppress(KeyError):
            await _in_thread(_remove, self._path(checked(ref)))

    async def list(self) -> AsyncIterator[str]:
        """Every reference, day by day."""
        for day in await _in_thread(_names, self._folder):
            if day != "incoming":
                for ref in await _in_thread(_names, self._folder / day):
                    yield ref

    async def purge(self, now: datetime) -> int:
        """Remove what killed processes left half-written more than a day ago; how many."""
        return await _in_thread(self._purge, (now - timedelta(days=1)).timestamp())

    async def close(self) -> None:
        """Nothing is held open."""

    def _purge(self, before: float) -> int:
        old = [path for path in self._incoming.iterdir() if path.stat().st_mtime < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _path(self, ref: str) -> Path:
        return self._folder / put_at(ref).date().isoformat() / ref

    def _finish(self, file: BinaryIO, temporary: Path, path: Path) -> None:
        file.flush()
        os.fsync(file.fileno())
        file.close()
        while True:
            try:
                os.link(temporary, path)  # unlike a rename, never over another payload
                break
            except FileNotFoundError:  # the first payload of its day
                if not temporary.exists():  # a purge has taken what came in too slowly
                    raise
                path.parent.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._folder)
        temporary.unlink()
        sync_folder(path.parent)


class IncomingFile:
    """A payload that is written into its folder piece by piece: to the page cache at once, and to the disk in the end."""

    def __init__(
        self, ref: str, file: BinaryIO, temporary: Path, finish: Callable[[BinaryIO, Path, Path], None], path: Path
    ) -> None:
        self.ref = ref
        self._file = file
        self._temporary = temporary
        self._finish = finish
        self._path = path

    def write(self, data: bytes) -> None:
        """Take the next bytes. Raises StoreError."""
        try:
            written = os.write(self._file.fileno(), data)
            while written < len(data):
                written += os.write(self._file.fileno(), memoryview(data)[written:])
        except OSError as error:
            raise StoreError(f"the payload folder failed: {error.strerror}") from None

    async def finish(self) -> None:
        """There is no more; durable on return."""
        await _in_thread(self._finish, self._file, self._temporary, self._path)

    async def discard(self) -> None:
        """It is not wanted: nothing stays."""
        await asyncio.shield(asyncio.to_thread(_discard, self._file, self._temporary))


class FileView:
    """A payload that is open: what the page cache has is read at once, and what has to come from the disk in a thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._descriptor = file.fileno()
        self._read: Callable[[int, int, int], bytes] = _read_cached if hasattr(os, "RWF_NOWAIT") else os.pread  # macOS has none

    def read(self, start: int, size: int) -> bytes | Awaitable[bytes]:
        """Up to `size` bytes from `start`, fewer only at the end."""
        try:
            data = self._read(self._descriptor, size, start)
        except BlockingIOError:
            data = b""
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise StoreError(f"the payload folder failed: {error.strerror}") from None
            self._read = os.pread  # a file system in memory, and others that do not say what they have at hand
            data = self._read(self._descriptor, size, start)
        return data if len(data) == size else self._rest(data, start, size)

    async def _rest(self, data: bytes, start: int, size: int) -> bytes:
        return data + await _in_thread(os.pread, self._descriptor, size - len(data), start + len(data))

    async def close(self) -> None:
        """No more is read."""
        self._file.close()


def _read_cached(descriptor: int, size: int, start: int) -> bytes:
    """What is in the page cache of a range; BlockingIOError where nothing is."""
    buffer = bytearray(size)
    got = os.preadv(descriptor, [buffer], start, os.RWF_NOWAIT)
    return bytes(buffer) if got == size else bytes(buffer[:got])


async def _in_thread(function: Callable[..., T], *arguments: object, missing: str | None = None) -> T:
    """Blocking work in a thread; what the disk says is a StoreError, or KeyError(missing) for a file that is not there."""
    try:
        return await asyncio.to_thread(function, *arguments)
    except OSError as error:
        if missing is not None and isinstance(error, FileNotFoundError):
            raise KeyError(missing) from None
        raise StoreError(f"the payload folder failed: {error.strerror}") from None


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _discard(file: BinaryIO, path: Path) -> None:
    with suppress(OSError):
        file.close()
    with suppress(OSError):
        path.unlink()


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
        sync_folder(path.parent)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in os.scandir(folder))
