"""What OpenSSH and others have added to version 3, as far as it fits (EXTENDED, draft-ietf-secsh-filexfer-02 §8)."""

from __future__ import annotations

from typing import Final

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.sftp.handles import LARGEST, FolderHandle, ReadHandle, WriteHandle
from fiveways.methods.bulk.sftp.names import LONGEST_NAME, absolute
from fiveways.methods.bulk.sftp.refusals import Unsupported, text_of
from fiveways.methods.bulk.sftp.wire import Fields
from fiveways.methods.bulk.tree import Refused, Space, Tree

EXTENSIONS: Final = (
    (b"posix-rename@openssh.com", b"1"), (b"statvfs@openssh.com", b"2"), (b"fstatvfs@openssh.com", b"2"),
    (b"fsync@openssh.com", b"1"), (b"limits@openssh.com", b"1"), (b"copy-data", b"1"),
    (b"check-file", b"sha256,sha512,blake3,sha1,md5"),
)  # fmt: skip
"""What VERSION tells of."""
_BLOCK: Final = 4096
"""Bytes of a block of statvfs."""
_ENDLESS: Final = 2**50
"""Bytes, or files, where there is no limit: clients reckon with what is free."""
_MOST_BLOCKS: Final = 4096
"""Digests in one answer to check-file: what is asked for more is asked for in parts."""


class Extensions:
    """Those of one channel."""

    def __init__(self, tree: Tree, most_open: int) -> None:
        """`most_open`: handles at once."""
        self._tree = tree
        self._most_open = most_open
        self._open: dict[bytes, ReadHandle | WriteHandle | FolderHandle] = {}

    def _of(self, fields: Fields) -> ReadHandle | WriteHandle | FolderHandle:
        opened = self._open.get(fields.string())
        if opened is None:
            raise Refused("There is nothing open under this handle")
        return opened

    async def sync(self, number: int, fields: Fields) -> bytes:
        """fsync@openssh.com."""
        opened = self._of(fields)
        fields.end()
        if isinstance(opened, WriteHandle):
            if opened.failed:
                raise Refused(opened.failed)
            await opened.writing.sync()
        return wire.done(number)

    async def space(self, number: int, fields: Fields) -> bytes:
        """statvfs@openssh.com and fstatvfs@openssh.com: the partner's quota is the size of the disk."""
        fields.string()
        fields.end()
        return wire.answer(wire.EXTENDED_REPLY, number, _statvfs(await self._tree.space()))

    async def limits(self, number: int, fields: Fields) -> bytes:
        """limits@openssh.com."""
        told = (wire.LONGEST_PACKET, wire.LONGEST_DATA, wire.LONGEST_DATA, self._most_open)
        return wire.answer(wire.EXTENDED_REPLY, number, b"".join(each.to_bytes(8, "big") for each in told))

    async def copy(self, number: int, fields: Fields) -> bytes:
        """copy-data (draft-ietf-secsh-filexfer-extensions-00 §7): from one open file into another; no length is to the end."""
        source, offset, length, target, at = self._of(fields), fields.long(), fields.long(), self._of(fields), fields.long()
        fields.end()
        if not isinstance(source, ReadHandle) or not isinstance(target, WriteHandle):
            raise PermissionError("It is copied from a file that is open for reading to one that is open for writing")
        if target.failed:
            raise Refused(target.failed)
        if max(offset, length, at) > LARGEST:
            raise Refused("An offset or the length is too large")
        left = length or LARGEST
        try:
            while left:
                data = source.reading.read(offset, min(left, wire.LONGEST_DATA))
                data = data if isinstance(data, bytes) else await data
                if not data:
                    break
                waiting = target.writing.write(at, data)
                if waiting is not None:
                    await waiting
                offset, at, left = offset + len(data), at + len(data), left - len(data)
        except Exception as error:
            target.failed = text_of(error)
            raise
        return wire.done(number)

    async def check_handle(self, number: int, fields: Fields) -> bytes:
        """check-file-handle (draft-ietf-secsh-filexfer-13 §9.1.2)."""
        return wire.answer(wire.EXTENDED_REPLY, number, await self._check(self._path_of(fields), fields))

    async def check_name(self, number: int, fields: Fields) -> bytes:
        """check-file-name (draft-ietf-secsh-filexfer-13 §9.1.2)."""
        return wire.answer(wire.EXTENDED_REPLY, number, await self._check(absolute(fields.string()), fields))

    async def check(self, number: int, fields: Fields) -> bytes:
        """check-file, as paramiko has it from an earlier draft: by handle, and its answer says its name first."""
        told = await self._check(self._path_of(fields), fields)
        return wire.answer(wire.EXTENDED_REPLY, number, wire.string(b"check-file") + told)

    def _path_of(self, fields: Fields) -> str:
        opened = self._of(fields)
        if isinstance(opened, WriteHandle):
            raise Refused("What is being uploaded has no digest before it is closed")
        if isinstance(opened, FolderHandle):
            raise IsADirectoryError
        return opened.path

    async def _check(self, path: str, fields: Fields) -> bytes:
        wanted, start, length, block = fields.string(), fields.long(), fields.long(), fields.number()
        fields.end()
        if 0 < block < 256:
            raise Refused("A block has 256 bytes at least")
        if max(start, length) > LARGEST:
            raise Refused("An offset or the length is too large")
        known = dict(EXTENSIONS)[b"check-file"].split(b",")
        algorithm = next((each for each in wanted.split(b",") if each in known), None)
        if algorithm is None:
            raise Unsupported("None of the algorithms is known; those are: " + ", ".join(each.decode() for each in known))
        if block:
            end = (await self._tree.stat(path)).size
            if (min(length or end, max(end - start, 0)) + block - 1) // block > _MOST_BLOCKS:
                raise Refused(f"More than {_MOST_BLOCKS} blocks at once: ask for larger ones, or for a part")
        return wire.string(algorithm) + b"".join(await self._tree.digest(path, algorithm.decode(), start, length, block))


def _statvfs(space: Space) -> bytes:
    most = space.bytes_limit if space.bytes_limit is not None else _ENDLESS
    most_files = space.files_limit if space.files_limit is not None else _ENDLESS
    free, files_free = max(most - space.bytes_used, 0), max(most_files - space.files_used, 0)
    return wire.space(most // _BLOCK, free // _BLOCK, most_files, files_free, _BLOCK, LONGEST_NAME)
