"""The SFTP client's side of version 3 (draft-ietf-secsh-filexfer-02), with OpenSSH's extensions, over a channel of asyncssh's.

Every answer has a time limit and a size, as the server is a stranger's: no answer may be larger than OpenSSH's own client takes,
and what is no answer at all ends the session. Requests may be under way side by side; whoever makes them bounds how many.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from fiveways.methods.bulk.errands.failures import FileFailed, FileRefused, LineLost

LONGEST: Final = 256 * 1024
"""Bytes of an answer (OpenSSH's SFTP_MAX_MSG_LENGTH)."""
SAFE: Final = 32 * 1024
"""Bytes that may be read or written at once where the server does not say (§6.4)."""
MOST: Final = 255 * 1024
"""Bytes that we ever read or write at once: with what goes around them, an answer's."""
_VERSION: Final = 3
_EXTENSIONS: Final = 64
_REGULAR, _TYPES = 0o100000, 0o170000


class Kind(IntEnum):
    """Kinds of packet (§3)."""

    INIT, VERSION, OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 1, 2, 3, 4, 5, 6, 7, 8
    OPENDIR, READDIR, REMOVE, MKDIR, RENAME = 11, 12, 13, 14, 18
    STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
    EXTENDED, EXTENDED_REPLY = 200, 201


class Code(IntEnum):
    """Statuses (§7) that mean something of their own here."""

    OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = 0, 1, 2, 3, 4, 5
    NO_CONNECTION, CONNECTION_LOST, UNSUPPORTED = 6, 7, 8
    NO_SUCH_PATH, NO_SPACE, QUOTA_EXCEEDED = 10, 14, 15


READ: Final = 0x01
WRITE: Final = 0x02
CREATE: Final = 0x08
TRUNCATE: Final = 0x10


class Unsupported(FileFailed):
    """The server does not know what was asked of it."""


class Attributes(NamedTuple):
    """What a server says of a file; None where it does not."""

    size: int | None
    modified: int | None
    """Seconds since the Unix epoch."""
    mode: int | None

    @property
    def is_file(self) -> bool:
        """Whether it is an ordinary file, as far as the server says what it is: no folder, no link, no device."""
        return self.mode is None or self.mode & _TYPES in (_REGULAR, 0)


class Reader(Protocol):
    """What comes of a channel."""

    async def readexactly(self, n: int) -> bytes:
        """So many bytes; asyncio.IncompleteReadError where no more come."""
        ...


class Writer(Protocol):
    """What goes into a channel."""

    def write(self, data: bytes) -> None:
        """Send bytes."""
        ...


class Answer:
    """An answer that is being read. Raises LineLost where it is not what it must be."""

    __slots__ = ("_at", "_data", "kind")

    def __init__(self, kind: int, data: bytes, at: int) -> None:
        self.kind = kind
        self._data = data
        self._at = at

    def number(self, form: str = ">I") -> int:
        """A number, of 32 bits, or 64 (`>Q`)."""
        try:
            found: int = struct.unpack_from(form, self._data, self._at)[0]
        except struct.error:
            raise _garbled() from None
        self._at += struct.calcsize(form)
        return found

    def string(self) -> bytes:
        """A string with its length before it."""
        length, start = self.number(), self._at
        if start + length > len(self._data):
            raise _garbled()
        self._at += length
        return self._data[start : self._at]

    def rest(self) -> bytes:
        """All that is left."""
        start, self._at = self._at, len(self._data)
        return self._data[start:]

    @property
    def over(self) -> bool:
        """Whether nothing is left."""
        return self._at >= len(self._data)

    def attributes(self) -> Attributes:
        """What is said of a file (§5)."""
        flags = self.number()
        size = self.number(">Q") if flags & 0x01 else None
        if flags & 0x02:
            self.number(">Q")
        mode = self.number() if flags & 0x04 else None
        modified = self.number(">Q") & 0xFFFFFFFF if flags & 0x08 else None
        if flags & 0x80000000:
            for _ in range(min(self.number(), LONGEST)):
                self.string()
                self.string()
        return Attributes(size, modified, mode)


class Wire:
    """A session. Use `begin`; every method raises LineLost, and then the session is over."""

    def __init__(self, reader: Reader, writer: Writer, idle: float) -> None:
        """`idle`: seconds within which an answer comes."""
        self._reader = reader
        self._writer = writer
        self._idle = idle
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._next = 0
        self._receiving: asyncio.Task[None] | None = None
        self._lost: str = ""
        self.extensions: Mapping[str, bytes] = {}
        """What the server says that it can do besides, and what it says of that."""
        self.most = SAFE
        """Bytes that may be read or written at once."""

    async def begin(self) -> None:
        """Agree on the version, and hear of extensions and limits."""
        self._writer.write(struct.pack(">IBI", 5, Kind.INIT, _VERSION))
        try:
            async with asyncio.timeout(self._idle):
                kind, data = await self._packet()
        except TimeoutError:
            raise LineLost("the server does not begin SFTP") from None
        answer = Answer(kind, data, 1)
        if kind != Kind.VERSION or answer.number() != _VERSION:
            raise LineLost("the server does not speak SFTP version 3")
        extensions: dict[str, bytes] = {}
        while not answer.over and len(extensions) < _EXTENSIONS:
            name = answer.string().decode("ascii", "replace")
            extensions[name] = answer.string()
        self.extensions = extensions
        self._receiving = asyncio.create_task(self._receive())
        if "limits@openssh.com" in extensions:
            said = await self.expect(Kind.EXTENDED_REPLY, self.extended("limits@openssh.com"))
            said.number(">Q")
            limits = [each for each in (said.number(">Q"), said.number(">Q")) if each]
            self.most = max(512, min((*limits, MOST)))

    async def close(self) -> None:
        """Wait for nothing more."""
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        self._fail("the session was closed")

    # --- requests -----------------------------------------------------------------------------------------------------------

    def request(self, kind: Kind, *parts: bytes) -> asyncio.Future[Answer]:
        """Send a request; its answer is waited for with `expect`."""
        if self._lost:
            raise LineLost(self._lost)
        number, self._next = self._next, (self._next + 1) & 0xFFFFFFFF
        size = 5 + sum(map(len, parts))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._writer.write(b"".join((struct.pack(">IBI", size, kind, number), *parts)))
        except Exception as error:
            self._fail("the line was cut")
            raise LineLost("the line was cut") from error
        return future

    def extended(self, name: str, *parts: bytes) -> asyncio.Future[Answer]:
        """Send a request of an extension."""
        return self.request(Kind.EXTENDED, string(name.encode()), *parts)

    def leave(self, handle: bytes) -> None:
        """Close what a handle (as `string`) stands for, without waiting."""
        with suppress(LineLost):
            self.request(Kind.CLOSE, handle)

    async def expect(self, kind: Kind, future: asyncio.Future[Answer], *, patience: float = 0.0) -> Answer:
        """The answer to a request, which is of a kind; STATUS means that it succeeded. `patience`: seconds for what takes longer.

        Raises EOFError where it says that nothing is left, FileNotFoundError, FileRefused, Unsupported and FileFailed.
        """
        try:
            async with asyncio.timeout(max(self._idle, patience)):
                answer = await future
        except TimeoutError:
            text = f"no answer within {max(self._idle, patience):g} s"
            self._fail(text)
            raise LineLost(text) from None
        if answer.kind == Kind.STATUS:
            code = answer.number()
            if code == Code.OK and kind == Kind.STATUS:
                return answer
            raise _failure(code)
        if answer.kind != kind:
            text = "the server's answer is to something else"
            self._fail(text)
            raise LineLost(text)
        return answer

    # --- what comes -----------------------------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        try:
            while True:
                kind, data = await self._packet()
                answer = Answer(kind, data, 1)
                future = self._waiting.pop(answer.number(), None)
                if future is None:
                    raise LineLost("the server answers what was not asked")
                if not future.done():
                    future.set_result(answer)
        except LineLost as error:
            self._fail(str(error))

    async def _packet(self) -> tuple[int, bytes]:
        try:
            size = int.from_bytes(await self._reader.readexactly(4), "big")
            if not 5 <= size <= LONGEST:
                raise LineLost(f"the server's answer is of {size} bytes")
            data = await self._reader.readexactly(size)
        except LineLost:
            raise
        except (EOFError, OSError):
            raise LineLost("the line was cut") from None
        except Exception as error:  # whatever asyncssh says of a channel that has failed
            raise LineLost(f"the line was cut ({type(error).__name__})") from None
        return data[0], data

    def _fail(self, why: str) -> None:
        self._lost = self._lost or why
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(LineLost(self._lost))
                future.exception()  # it may be that nobody waits for it any more


def string(data: bytes) -> bytes:
    """A string with its length before it."""
    return struct.pack(">I", len(data)) + data


def _garbled() -> LineLost:
    return LineLost("the server's answer is shorter than it says")


def _failure(code: int) -> Exception:
    match code:
        case Code.OK:
            return LineLost("the server says yes to a question")
        case Code.EOF:
            return EOFError()
        case Code.NO_SUCH_FILE | Code.NO_SUCH_PATH:
            return FileNotFoundError()
        case Code.PERMISSION_DENIED:
            return FileRefused("the server denies permission")
        case Code.NO_SPACE | Code.QUOTA_EXCEEDED:
            return FileFailed("the server has no room")
        case Code.UNSUPPORTED:
            return Unsupported("the server does not know what was asked of it")
        case Code.NO_CONNECTION | Code.CONNECTION_LOST:
            return LineLost("the server has lost its connection")
        case _:
            return FileFailed(f"the server says that it failed (status {code})")
