"""Content on its way in: pieces of a bounded size, decompressed and checked for being whole, into a file.

mesh-client's own reader takes gzip that breaks off for whole, reads the first of several members only, and copies all that is
left of a block at each read; so its responses are read here.
"""

from __future__ import annotations

import io
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from fiveways.client.errors import Garbled

IN_MEMORY = 1024 * 1024
"""Content up to this many bytes is kept in memory."""
PIECE = 256 * 1024


def pieces(source: IO[bytes]) -> Iterator[bytes]:
    """What is left in `source`, piece by piece."""
    while piece := source.read(PIECE):
        yield piece


def decompressed(content: Iterable[bytes]) -> Iterator[bytes]:
    """What is in gzip members one after another (RFC 1952 §2.2). Raises Garbled for what is not gzip, or breaks off."""
    engine, begun = zlib.decompressobj(31), False
    for piece in content:
        data, full = piece, False
        while data or full:
            try:
                out = engine.decompress(data, PIECE)
            except zlib.error as error:
                raise Garbled("the content is not gzip, as its sender said it was") from error
            if out:
                yield out
            data, full, begun = engine.unconsumed_tail, len(out) == PIECE, True
            if engine.eof:
                data, full, engine, begun = engine.unused_data, False, zlib.decompressobj(31), False
    if begun:
        raise Garbled("the content breaks off in the middle of gzip")


def spooled(content: Iterable[bytes]) -> tuple[IO[bytes], int]:
    """A file of `content`, at its beginning, and its size; in memory while it is small, otherwise on disk and nameless."""
    file: IO[bytes] = io.BytesIO()
    size = 0
    try:
        for piece in content:
            if size <= IN_MEMORY < size + len(piece):
                small, file = file, tempfile.TemporaryFile()  # noqa: SIM115 (whoever is given it closes it)
                small.seek(0)
                file.write(small.read())
            file.write(piece)
            size += len(piece)
        file.flush()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file, size


class Slice:
    """The bytes of a file from `start` on, `size` of them or as many as there are, as mesh-client and its like read a chunk.

    It leaves the file open (mesh-client closes what it has read to its end).
    """

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self._left = max(0, min(size, file.seek(0, os.SEEK_END) - start))
        self._file = file
        file.seek(start)

    def __len__(self) -> int:
        return self._left

    def read(self, size: int | None = None) -> bytes:
        """Up to `size` bytes more, or all; none at the end."""
        piece = self._file.read(self._left if size is None or size < 0 else min(size, self._left))
        self._left -= len(piece)
        return piece

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(PIECE):
            yield piece
