"""SFTP version 3 (draft-ietf-secsh-filexfer-02) as bytes: frames out of a stream, fields out of a packet, answers.

A packet is a length of 4 bytes, a type of 1, a request's number of 4, and the rest. Whatever is wrong with one raises `Malformed`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from struct import Struct
from typing import Final, NamedTuple

from fiveways.methods.bulk.tree import Entry

INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT, OPENDIR, READDIR, REMOVE = range(1, 14)
MKDIR, RMDIR, REALPATH, STAT, RENAME, READLINK, SYMLINK = range(14, 21)
STATUS, HANDLE, DATA, NAME, ATTRS = range(101, 106)
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = range(6)
OP_UNSUPPORTED = 8

FLAG_READ, FLAG_WRITE, FLAG_APPEND, FLAG_CREATE, FLAG_TRUNCATE, FLAG_EXCLUSIVE = 1, 2, 4, 8, 16, 32
HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_EXTENDED = 1, 2, 4, 8, 0x80000000

LONGEST_PACKET: Final = 256 * 1024
"""Bytes of a packet without its length: what OpenSSH's client takes at most too."""
LONGEST_DATA: Final = LONGEST_PACKET - 1024
"""Bytes of data in one READ or WRITE."""
_LONGEST_HANDLE: Final = 256
_FRONT: Final = 4 + 1 + 4 + 4 + _LONGEST_HANDLE + 8 + 4
"""Bytes of a WRITE before its data, at most."""

_HEAD: Final = Struct(">IBI")
_DATA_HEAD: Final = Struct(">IBII")
_ATTRS: Final = Struct(">IQIII")
_ATTRS_SHORT: Final = Struct(">IQI")
_STATVFS: Final = Struct(">11Q")


class Malformed(Exception):
    """What came is not SFTP."""


class Packet(NamedTuple):
    """A request. `number` is its own (of INIT: the version); `body` what follows; of a WRITE, `data` is apart."""

    kind: int
    number: int
    body: memoryview
    data: bytes = b""


class Frames:
    """Packets out of the pieces of a stream; what a WRITE brings is copied once."""

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.need = 0
        """Bytes of the next packet, once its length is known."""
        self.held = 0
        """Bytes that are in hand."""

    def add(self, piece: bytes | memoryview) -> None:
        """Take in what has come. It must not change afterwards."""
        self._pieces.append(memoryview(piece))
        self.held += len(piece)

    def next(self) -> Packet | None:
        """The next packet, if it is here. Raises Malformed, after which nothing more can be told apart."""
        if not self.need:
            if self.held < 4:
                return None
            length = int.from_bytes(self._peek(), "big")
            if not 5 <= length <= LONGEST_PACKET:
                raise Malformed(f"a packet of {length} bytes; from 5 to {LONGEST_PACKET} are taken")
            self.need = 4 + length
        if self.held < self.need:
            return None
        parts, self.need = self._take(self.need), 0
        first = parts[0]
        if len(parts) > 1 and (len(first) < _FRONT or first[4] != WRITE):
            parts = [first := memoryview(b"".join(parts))]
        kind, number = first[4], int.from_bytes(first[5:9], "big")
        if kind != WRITE:
            return Packet(kind, number, first[9:])
        front = 25 + int.from_bytes(first[9:13], "big")
        if front > min(len(first), _FRONT):  # for whoever reads the fields to find out
            return Packet(kind, number, memoryview(b"".join(parts))[9:])
        parts[0] = first[front:]
        return Packet(kind, number, first[9:front], b"".join(parts))

    def _peek(self) -> bytes:
        first = self._pieces[0]
        if len(first) >= 4:
            return bytes(first[:4])
        gathered = b"".join(self._take(4))
        self._pieces.appendleft(memoryview(gathered))
        self.held += 4
        return gathered

    def _take(self, size: int) -> list[memoryview]:
        self.held -= size
        parts = []
        while size:
            piece = self._pieces[0]
            if len(piece) > size:
                self._pieces[0] = piece[size:]
                piece = piece[:size]
            else:
                self._pieces.popleft()
            parts.append(piece)
            size -= len(piece)
        return parts


class Attributes(NamedTuple):
    """What a client wants set of a file: those that are not None."""

    size: int | None = None
    modified: int | None = None


class Fields:
    """The fields of a packet's body, one after another."""

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._at = 0

    def number(self) -> int:
        """uint32."""
        return int.from_bytes(self._next(4), "big")

    def long(self) -> int:
        """uint64."""
        return int.from_bytes(self._next(8), "big")

    def string(self) -> bytes:
        """string."""
        return bytes(self._next(self.number()))

    def attributes(self) -> Attributes:
        """ATTRS (§5): the size and the time of the last change; owner, group and mode are read over."""
        flags = self.number()
        size = self.long() if flags & HAS_SIZE else None
        if flags & HAS_OWNER:
            self.long()
        if flags & HAS_MODE:
            self.number()
        modified = self.long() & 0xFFFFFFFF if flags & HAS_TIMES else None
        if flags & HAS_EXTENDED:
            for _ in range(self.number()):
                self.string()
                self.string()
        return Attributes(size, modified)

    def end(self) -> None:
        """Nothing follows."""
        if self._at != len(self._body):
            raise Malformed("there is more in the packet than belongs there")

    def _next(self, size: int) -> memoryview:
        at = self._at
        if at + size > len(self._body):
            raise Malformed("the packet ends early")
        self._at = at + size
        return self._body[at : at + size]


def string(value: bytes) -> bytes:
    """A string as a field."""
    return len(value).to_bytes(4, "big") + value


def answer(kind: int, number: int, body: bytes) -> bytes:
    """A packet."""
    return _HEAD.pack(5 + len(body), kind, number) + body


def status(number: int, code: int, text: str = "") -> bytes:
    """STATUS (§7): what came of a request; the text is in English."""
    return answer(STATUS, number, code.to_bytes(4, "big") + string(text.encode()) + string(b"en"))


_DONE: Final = status(0, OK)


def done(number: int) -> bytes:
    """STATUS: it is done."""
    return _DONE[:5] + number.to_bytes(4, "big") + _DONE[9:]


def data_head(number: int, size: int) -> bytes:
    """DATA up to the data itself, which follows."""
    return _DATA_HEAD.pack(9 + size, DATA, number, size)


def attributes(entry: Entry) -> bytes:
    """ATTRS of a file or a folder."""
    mode = (0o040750 if entry.writable else 0o040550) if entry.folder else (0o100640 if entry.writable else 0o100440)
    if not entry.modified:
        return _ATTRS_SHORT.pack(HAS_SIZE | HAS_MODE, entry.size, mode)
    at = min(max(entry.modified, 0), 0xFFFFFFFF)
    return _ATTRS.pack(HAS_SIZE | HAS_MODE | HAS_TIMES, entry.size, mode, at, at)


def names(number: int, entries: Iterable[bytes]) -> bytes:
    """NAME of what `name` made."""
    listed = list(entries)
    return answer(NAME, number, len(listed).to_bytes(4, "big") + b"".join(listed))


def name(entry: Entry) -> bytes:
    """One entry of NAME: its name, a line as `ls -l` has it, and its attributes."""
    at = time.gmtime(entry.modified)
    mode = ("d" if entry.folder else "-") + ("rw" if entry.writable else "r-") + ("xr-x---" if entry.folder else "-r-----")
    line = f"{mode}    1 partner  partner  {entry.size:>12} {_MONTHS[at.tm_mon - 1]} {at.tm_mday:>2}  {at.tm_year} {entry.name}"
    return string(entry.name.encode()) + string(line.encode()) + attributes(entry)


_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # in any locale


def place(path: str) -> bytes:
    """One entry of NAME for a path that may lead nowhere (REALPATH)."""
    return string(path.encode()) * 2 + bytes(4)


def space(blocks: int, free: int, files: int, files_free: int, block: int, longest_name: int) -> bytes:
    """The answer to statvfs@openssh.com: blocks of `block` bytes."""
    return _STATVFS.pack(block, block, blocks, free, free, files, files_free, files_free, 0, 2, longest_name)
