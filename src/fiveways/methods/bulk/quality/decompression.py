"""Compressed files, opened as they come: what a file becomes is bounded in bytes and in proportion, whatever it says of itself.

A gzip file may have several members and a zstd file several frames. A zip file's table of contents is at its end: it is spooled to
the scratch folder, must have exactly one member, and is read from there.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import zstandard

from fiveways.methods.bulk.quality.findings import FileFault, Unreadable
from fiveways.methods.bulk.quality.settings import Bounds

PIECE = 2**18
"""Most bytes that are handed on at once."""
_FREE = 2**20
"""Bytes that a file may become whatever the ratio."""
_SIP = 2**10
"""Bytes that a zstd decompressor is given at once: it takes no limit, and four bytes may become 128 KiB."""
_WINDOW = 2**27
"""Most bytes of a zstd frame's window (RFC 8878 §3.1.1.1.2 asks for 8 MiB; `zstd --long` makes 128 MiB)."""
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip"}


class Content:
    """The bytes of a file, not compressed any more. Raises Unreadable while it is iterated over.

    `read` and `expanded` are how many bytes have been taken and given so far.
    """

    def __init__(self, source: Iterable[bytes], compression: str, limits: Bounds, scratch: Path | None = None) -> None:
        self.compression = compression
        self.read = self.expanded = 0
        self._source = iter(source)
        self._limits = limits
        self._scratch = scratch

    def __iter__(self) -> Iterator[bytes]:
        head = b""
        while len(head) < 4 and (piece := next(self._source, None)) is not None:
            head += piece
        if self.compression == "auto":
            self.compression = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), "none")
        taken = self._take(head)
        if self.compression == "none":
            yield from self._plain(taken)
            return
        opened = {"gzip": self._gzip, "zstd": self._zstd, "zip": self._zip}[self.compression](taken)
        limits = self._limits
        for piece in opened:
            self.expanded += len(piece)
            if self.expanded > limits.expanded:
                raise Unreadable(FileFault("expansion", f"It becomes more than {limits.expanded} bytes when it is decompressed"))
            if self.expanded > _FREE and self.expanded > limits.expansion * self.read:
                text = f"It becomes more than {limits.expansion} times as large when it is decompressed"
                raise Unreadable(FileFault("expansion", text))
            yield piece

    def _take(self, head: bytes) -> Iterator[bytes]:
        """The source's pieces, counted, none larger than what is handed on at once."""
        piece: bytes | None = head
        while piece is not None:
            for start in range(0, len(piece), PIECE):
                part = piece[start : start + PIECE]
                self.read += len(part)
                yield part
            piece = next(self._source, None)

    def _plain(self, taken: Iterator[bytes]) -> Iterator[bytes]:
        for piece in taken:
            self.expanded += len(piece)
            yield piece

    def _gzip(self, taken: Iterator[bytes]) -> Iterator[bytes]:
        """RFC 1952 §2.2: members one after another; zeros after the last are padding."""
        member = zlib.decompressobj(31)
        begun = members = False
        try:
            for piece in taken:
                rest = piece
                while rest:
                    if not begun:
                        rest = rest.lstrip(b"\0") if members else rest
                        begun = bool(rest)
                        continue
                    yield member.decompress(rest, PIECE)
                    while member.unconsumed_tail:
                        yield member.decompress(member.unconsumed_tail, PIECE)
                    rest = b""
                    if member.eof:
                        rest, member, begun, members = member.unused_data, zlib.decompressobj(31), False, True
        except zlib.error:
            raise Unreadable(_broken("gzip")) from None
        if begun or not members:
            raise Unreadable(_ends_early("gzip"))

    def _zstd(self, taken: Iterator[bytes]) -> Iterator[bytes]:
        """RFC 8878 §3.1: frames one after another."""
        opener = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        frame, begun, frames = opener.decompressobj(), False, False
        try:
            for piece in taken:
                for start in range(0, len(piece), _SIP):
                    rest = piece[start : start + _SIP]
                    while rest:
                        begun = True
                        content = frame.decompress(rest)
                        for at in range(0, len(content), PIECE):
                            yield content[at : at + PIECE]
                        rest = b""
                        if frame.eof:
                            rest, frame, begun, frames = frame.unused_data, opener.decompressobj(), False, True
        except zstandard.ZstdError:
            raise Unreadable(_broken("zstd")) from None
        if begun or not frames:
            raise Unreadable(_ends_early("zstd"))

    def _zip(self, taken: Iterator[bytes]) -> Iterator[bytes]:
        """One member, stored, deflated or otherwise compressed as the standard library knows it."""
        with tempfile.TemporaryFile(dir=self._scratch) as spool:
            for piece in taken:
                spool.write(piece)
            try:
                with zipfile.ZipFile(spool) as archive:
                    yield from _member(archive)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise Unreadable(_broken("zip")) from None


def _member(archive: zipfile.ZipFile) -> Iterator[bytes]:
    members = archive.infolist()
    if len(members) != 1 or members[0].is_dir():
        raise Unreadable(FileFault("archive", f"A zip file of {len(members)} members: expected one, a file"))
    if members[0].flag_bits & 0x1:
        raise Unreadable(FileFault("archive", "A zip file with a password cannot be read"))
    with archive.open(members[0]) as member:
        while piece := member.read(PIECE):
            yield piece


def _broken(name: str) -> FileFault:
    return FileFault("compression", f"It is no {name} file, or a damaged one")


def _ends_early(name: str) -> FileFault:
    return FileFault("compression", f"It ends inside its {name} stream")
