"""What a client asks over one channel, answered from its `Tree`: SFTP version 3 with the extensions of OpenSSH that fit.

| A client's last word on an upload | What becomes of it |
|---|---|
| CLOSE | it is kept: answered once it is durable, and appears under its name |
| CLOSE after a write that failed | it is abandoned, and the answer is a failure: what is there is not what was sent |
| none: the connection, the channel or the server ended | it is abandoned; never kept |

Requests are answered one at a time, in their order. Whatever the store answers without waiting is answered here without waiting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Final

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.sftp.extensions import EXTENSIONS, Extensions
from fiveways.methods.bulk.sftp.handles import LARGEST, FolderHandle, ReadHandle, WriteHandle, next_page
from fiveways.methods.bulk.sftp.handles import close as close_handle
from fiveways.methods.bulk.sftp.names import absolute
from fiveways.methods.bulk.sftp.refusals import Unsupported, refusal, text_of
from fiveways.methods.bulk.sftp.wire import Attributes, Fields, Malformed, Packet
from fiveways.methods.bulk.tree import Reading, Refused, Tree

logger: Final = logging.getLogger(__name__)

Answer = tuple[bytes, ...]
"""Pieces of an answer that follow one another."""

_PAGE: Final = 64 * 1024
"""Bytes of entries in one answer to READDIR."""


class Conversation(Extensions):
    """The requests of one channel."""

    def __init__(self, tree: Tree, most_open: int) -> None:
        """`most_open`: handles at once."""
        super().__init__(tree, most_open)
        self._opened = 0
        self._begun = False
        self.accepting = True
        """Whether files may be opened; not any more while the server stops."""
        self.kept = 0
        """Uploads that were kept."""
        self.bytes_in = self.bytes_out = 0
        """Bytes of data, of writes taken and reads answered."""
        self.ended = asyncio.Event()
        """Whether all that was open is put away, after the client has gone."""

    @property
    def transferring(self) -> bool:
        """Whether files are open."""
        return bool(self._open)

    def take(self, packet: Packet) -> Answer | Coroutine[object, object, Answer]:
        """Answer a request; where the store has to be waited for, what waits is returned. Raises Malformed for what comes out of
        turn."""
        kind, number, body, data = packet
        if self._begun:
            try:
                if kind == wire.WRITE:
                    return self._write(number, body, data)
                if kind == wire.READ:
                    return self._read(number, body)
                if kind == wire.INIT:
                    raise Malformed("INIT comes once")
            except Exception as error:
                return (refusal(number, error),)
            return self._wait(kind, number, Fields(body))
        if kind != wire.INIT:
            raise Malformed("INIT comes first")
        if number < 3:
            raise Malformed(f"version {number}; 3 is spoken")
        self._begun = True
        pairs = b"".join(wire.string(name) + wire.string(value) for name, value in EXTENSIONS)
        return (wire.answer(wire.VERSION, 3, pairs),)

    async def abandon(self) -> None:
        """The client is gone: whatever is open is closed, and no upload is kept."""
        while self._open:
            _, opened = self._open.popitem()
            try:
                if isinstance(opened, WriteHandle):
                    await opened.writing.abandon()
                else:
                    await close_handle(opened)
            except Exception as error:
                logger.warning("a file could not be closed after its client had gone: %s", type(error).__name__)
        self.ended.set()

    # --- what is answered at once where the store allows it ------------------------------------------------------------------

    def _write(self, number: int, body: memoryview, data: bytes) -> Answer | Coroutine[object, object, Answer]:
        fields = Fields(body)
        opened = self._open.get(fields.string())
        offset = fields.long()
        if fields.number() != len(data):
            raise Malformed("the packet is not as long as its data")
        if not isinstance(opened, WriteHandle):
            raise Refused("There is no file open for writing under this handle")
        if opened.failed:
            raise Refused(opened.failed)
        if len(data) > wire.LONGEST_DATA:
            raise Refused(f"More than {wire.LONGEST_DATA} bytes in one write")
        if offset > LARGEST:
            raise Refused("The offset is too large")
        try:
            waiting = opened.writing.write(offset, data)
        except Exception as error:
            opened.failed = text_of(error)
            raise
        if waiting is not None:
            return self._written(number, opened, waiting, len(data))
        self.bytes_in += len(data)
        return (wire.done(number),)

    async def _written(self, number: int, opened: WriteHandle, waiting: Awaitable[None], size: int) -> Answer:
        try:
            await waiting
        except Exception as error:
            opened.failed = text_of(error)
            return (refusal(number, error),)
        self.bytes_in += size
        return (wire.done(number),)

    def _read(self, number: int, body: memoryview) -> Answer | Coroutine[object, object, Answer]:
        fields = Fields(body)
        opened = self._open.get(fields.string())
        offset, size = fields.long(), min(fields.number(), wire.LONGEST_DATA)
        fields.end()
        if not isinstance(opened, ReadHandle):
            if isinstance(opened, WriteHandle):
                raise PermissionError("What is being uploaded cannot be read")
            raise Refused("There is no file open for reading under this handle")
        if not size:
            return wire.data_head(number, 0), b""
        data = opened.reading.read(offset, size) if offset <= LARGEST else b""
        if isinstance(data, bytes) and (len(data) == size or offset + len(data) >= opened.reading.entry.size):
            return self._data(number, data)
        return self._gathered(number, opened.reading, offset, size, data)

    async def _gathered(self, number: int, reading: Reading, offset: int, size: int, data: bytes | Awaitable[bytes]) -> Answer:
        """Read what is asked for where it has to be waited for, or comes in parts: OpenSSH's client takes an answer that is shorter
        than it asked for as the most that there is at once, and goes on in pieces of that size."""
        try:
            parts, have = [], 0
            while True:
                part = data if isinstance(data, bytes) else await data
                parts.append(part)
                have += len(part)
                if not part or have == size or offset + have >= reading.entry.size:
                    break
                data = reading.read(offset + have, size - have)
            return self._data(number, parts[0] if len(parts) == 1 else b"".join(parts))
        except Exception as error:
            return (refusal(number, error),)

    def _data(self, number: int, data: bytes) -> Answer:
        if not data:
            return (wire.status(number, wire.EOF, "The file ends here"),)
        self.bytes_out += len(data)
        return wire.data_head(number, len(data)), data

    # --- what waits ----------------------------------------------------------------------------------------------------------

    async def _wait(self, kind: int, number: int, fields: Fields) -> Answer:
        try:
            if kind == wire.EXTENDED:
                extension = _EXTENDED.get(fields.string())
                if extension is None:
                    raise Unsupported("The server does not know this extension")
                return (await extension(self, number, fields),)
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise Unsupported("The server does not know this request")
            return (await handler(self, number, fields),)
        except Exception as error:
            return (refusal(number, error),)

    def _keep_handle(self, number: int, opened: ReadHandle | WriteHandle | FolderHandle) -> bytes:
        self._opened += 1
        handle = self._opened.to_bytes(8, "big")
        self._open[handle] = opened
        return wire.answer(wire.HANDLE, number, wire.string(handle))

    def _room(self) -> None:
        if not self.accepting:
            raise Refused("The server is about to stop: come again in a minute")
        if len(self._open) >= self._most_open:
            raise Refused(f"{self._most_open} files and folders are open already: close one first")

    async def open_file(self, number: int, fields: Fields) -> bytes:
        """OPEN (§6.3)."""
        path, flags = absolute(fields.string()), fields.number()
        fields.attributes()
        fields.end()
        self._room()
        if flags & (wire.FLAG_WRITE | wire.FLAG_APPEND):
            writing = await self._tree.write(
                path,
                create=bool(flags & wire.FLAG_CREATE),
                truncate=bool(flags & wire.FLAG_TRUNCATE),
                exclusive=flags & (wire.FLAG_CREATE | wire.FLAG_EXCLUSIVE) == wire.FLAG_CREATE | wire.FLAG_EXCLUSIVE,
                append=bool(flags & wire.FLAG_APPEND),
            )
            return self._keep_handle(number, WriteHandle(path, writing))
        if not flags & wire.FLAG_READ:
            raise Malformed("a file is opened neither to be read nor to be written")
        return self._keep_handle(number, ReadHandle(path, await self._tree.read(path)))

    async def close(self, number: int, fields: Fields) -> bytes:
        """CLOSE (§6.3): of an upload, the client's word that it is whole."""
        handle = fields.string()
        fields.end()
        opened = self._open.pop(handle, None)
        if opened is None:
            raise Refused("There is nothing open under this handle")
        if not isinstance(opened, WriteHandle):
            await close_handle(opened)
            return wire.done(number)
        if opened.failed:
            await opened.writing.abandon()
            raise Refused(f"It was not kept: {opened.failed}")
        await opened.writing.keep()
        self.kept += 1
        if opened.modified is not None:
            with suppress(Exception):  # it is kept; somebody may have taken it away already
                await self._tree.touch(opened.path, opened.modified)
        return wire.done(number)

    async def stat(self, number: int, fields: Fields) -> bytes:
        """STAT and LSTAT (§6.8): there are no links."""
        path = absolute(fields.string())
        fields.end()
        return wire.answer(wire.ATTRS, number, wire.attributes(await self._tree.stat(path)))

    async def stat_handle(self, number: int, fields: Fields) -> bytes:
        """FSTAT (§6.8)."""
        opened = self._of(fields)
        fields.end()
        if isinstance(opened, FolderHandle):
            raise Refused("This is the handle of a folder")
        entry = opened.reading.entry if isinstance(opened, ReadHandle) else opened.writing.entry
        return wire.answer(wire.ATTRS, number, wire.attributes(entry))

    async def set_stat(self, number: int, fields: Fields) -> bytes:
        """SETSTAT (§6.9): the size and the time of the last change; who may do what is not the client's to say, and passes by."""
        path, wanted = absolute(fields.string()), fields.attributes()
        fields.end()
        if wanted.size is not None:
            writing = await self._tree.write(path, create=False, truncate=False, exclusive=False, append=False)
            try:
                await writing.truncate(_size(wanted))
            except BaseException:
                await writing.abandon()
                raise
            await writing.keep()
        if wanted.modified is not None:
            await self._tree.touch(path, wanted.modified)
        if wanted == Attributes():
            await self._tree.stat(path)
        return wire.done(number)

    async def set_stat_handle(self, number: int, fields: Fields) -> bytes:
        """FSETSTAT (§6.9)."""
        opened, wanted = self._of(fields), fields.attributes()
        fields.end()
        if wanted == Attributes():
            return wire.done(number)
        if not isinstance(opened, WriteHandle):
            raise PermissionError("The file is not open for writing")
        if wanted.size is not None:
            if opened.failed:
                raise Refused(opened.failed)
            try:
                await opened.writing.truncate(_size(wanted))
            except Exception as error:
                opened.failed = text_of(error)
                raise
        if wanted.modified is not None:
            opened.modified = wanted.modified
        return wire.done(number)

    async def open_folder(self, number: int, fields: Fields) -> bytes:
        """OPENDIR (§6.7). The first page is read here, so that a folder that is none is told of now."""
        path = absolute(fields.string())
        fields.end()
        self._room()
        folder = FolderHandle(self._tree.list(path))
        await next_page(folder)
        return self._keep_handle(number, folder)

    async def read_folder(self, number: int, fields: Fields) -> bytes:
        """READDIR (§6.7): so many entries as go into a packet of 64 KiB."""
        opened = self._of(fields)
        fields.end()
        if not isinstance(opened, FolderHandle):
            raise Refused("This is not the handle of a folder")
        told: list[bytes] = []
        size = 0
        while size < _PAGE:
            if not opened.left and (told or not await next_page(opened)):
                break
            told.append(opened.left.pop())
            size += len(told[-1])
        return wire.names(number, told) if told else wire.status(number, wire.EOF, "The folder ends here")

    async def remove(self, number: int, fields: Fields) -> bytes:
        """REMOVE (§6.5)."""
        path = absolute(fields.string())
        fields.end()
        await self._tree.remove(path)
        return wire.done(number)

    async def make_folder(self, number: int, fields: Fields) -> bytes:
        """MKDIR (§6.6)."""
        path = absolute(fields.string())
        fields.attributes()
        fields.end()
        if path == "/":
            raise FileExistsError
        await self._tree.make_folder(path)
        return wire.done(number)

    async def remove_folder(self, number: int, fields: Fields) -> bytes:
        """RMDIR (§6.6)."""
        path = absolute(fields.string())
        fields.end()
        if path == "/":
            raise PermissionError("The root stays")
        await self._tree.remove_folder(path)
        return wire.done(number)

    async def real_path(self, number: int, fields: Fields) -> bytes:
        """REALPATH (§6.11): where a path leads, whether or not there is anything."""
        path = absolute(fields.string())
        fields.end()
        return wire.names(number, (wire.place(path),))

    async def rename(self, number: int, fields: Fields) -> bytes:
        """RENAME (§6.5): what has the new name already stays."""
        return await self._rename(number, fields, replace=False)

    async def replace(self, number: int, fields: Fields) -> bytes:
        """posix-rename@openssh.com: what has the new name goes."""
        return await self._rename(number, fields, replace=True)

    async def _rename(self, number: int, fields: Fields, *, replace: bool) -> bytes:
        old, new = absolute(fields.string()), absolute(fields.string())
        fields.end()
        if "/" in (old, new):
            raise PermissionError("The root stays")
        if new.startswith(f"{old}/"):
            raise Refused("A folder cannot be moved into itself")
        await self._tree.rename(old, new, replace=replace)
        return wire.done(number)

    async def link(self, number: int, fields: Fields) -> bytes:
        """READLINK, SYMLINK and hardlink@openssh.com: there are no links."""
        raise Unsupported("There are no links on this server")


_Handler = Callable[[Conversation, int, Fields], Awaitable[bytes]]
_HANDLERS: Final[dict[int, _Handler]] = {
    wire.OPEN: Conversation.open_file, wire.CLOSE: Conversation.close, wire.LSTAT: Conversation.stat, wire.STAT: Conversation.stat,
    wire.FSTAT: Conversation.stat_handle, wire.SETSTAT: Conversation.set_stat, wire.FSETSTAT: Conversation.set_stat_handle,
    wire.OPENDIR: Conversation.open_folder, wire.READDIR: Conversation.read_folder, wire.REMOVE: Conversation.remove,
    wire.MKDIR: Conversation.make_folder, wire.RMDIR: Conversation.remove_folder, wire.REALPATH: Conversation.real_path,
    wire.RENAME: Conversation.rename, wire.READLINK: Conversation.link, wire.SYMLINK: Conversation.link,
}  # fmt: skip
_EXTENDED: Final[dict[bytes, _Handler]] = {
    b"posix-rename@openssh.com": Conversation.replace, b"statvfs@openssh.com": Conversation.space,
    b"fstatvfs@openssh.com": Conversation.space, b"fsync@openssh.com": Conversation.sync,
    b"limits@openssh.com": Conversation.limits, b"copy-data": Conversation.copy, b"hardlink@openssh.com": Conversation.link,
    b"check-file-handle": Conversation.check_handle, b"check-file-name": Conversation.check_name, b"check-file": Conversation.check,
}  # fmt: skip


def _size(wanted: Attributes) -> int:
    assert wanted.size is not None
    if wanted.size > LARGEST:
        raise Refused("The size is too large")
    return wanted.size
