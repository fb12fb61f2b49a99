"""A file's lines, some MiB at a time: the same bytes give the same chunks, however they come.

Lines end with LF or CRLF; with CR where the first block has no LF. A line over the longest is given as far as that, and the rest of
it is passed over without being kept.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fiveways.methods.bulk.quality.settings import WIDE

BLOCK = 2**22
"""Bytes that are read before lines are looked for."""
MOST = 2**16
"""Lines that are given at once: what is found of each takes more memory than a short line does."""
_BOM = b"\xef\xbb\xbf"

Places = NDArray[np.int64]


@dataclass(slots=True)
class Lines:
    """Some lines, one after another: line `i` is `data[starts[i]:ends[i]]`, and without its line end `data[starts[i]:stops[i]]`."""

    data: bytes
    starts: Places
    stops: Places
    ends: Places
    first: int
    """The number of the first, from 1."""
    offset: int
    """Bytes of content before `data`."""
    last: bool
    """Whether these are the file's last."""
    more: bool
    """Whether more may be had with them, by leaving some of them unread."""
    missing: dict[int, int] = field(default_factory=dict)
    """Of lines over the longest that are not here as a whole: how many bytes are not."""


class LineSource:
    """Lines of content in UTF-8. `hold`: the last line that is not blank comes with `last`, so that it can be told from the
    others."""

    def __init__(self, content: Iterable[bytes], longest: int, *, hold: bool, block: int) -> None:
        self._pieces = iter(content)
        self._longest = longest
        self._hold = hold
        self._size = block
        self._waiting = b""
        self._rest: bytes | None = None
        self._eol = b"\n"
        self._style: bytes | None = None
        self._line = 1
        self._offset = 0
        self._given: Lines | None = None
        self._ended = False

    @property
    def eol(self) -> bytes:
        """What a line ends with that came without a line end."""
        return self._style or self._eol

    def take(self, unread: int = 0) -> Lines | None:
        """The next lines, after the last `unread` of those before once more; None after the end."""
        held = 0
        if unread and self._given is not None:
            begin = int(self._given.starts[-unread])
            kept = self._given.data[begin:]
            held = len(kept)
            self._rest = kept + (self._rest or b"")
            self._line -= unread
            self._offset -= held
        elif self._ended and not self._rest:
            return None
        return self._next(held)

    def _next(self, held: int) -> Lines | None:
        data = self._begin() if self._rest is None else self._rest
        read = len(data) < self._size + held
        while True:
            if read and not self._ended:
                data += self._block()
            read = True
            cut = self._few(data, len(data) if self._ended else self._cut(data))
            if self._ended and cut == len(data):
                self._rest = b""
                return self._give(data, last=True, more=False) if data else None
            if cut > held:
                self._rest = data[cut:]
                return self._give(data[:cut], last=False, more=True)
            if len(data) - held > self._longest:
                if held:  # what is unread is followed by a line without an end: no more can be had with it
                    self._rest = data[held:]
                    return self._give(data[:held], last=False, more=False)
                if self._eol not in data:
                    return self._gigantic(data)
                cut = data.rfind(self._eol) + 1
                self._rest = data[cut:]
                return self._give(data[:cut], last=False, more=True)

    def _begin(self) -> bytes:
        data = self._block()
        if data.startswith(_BOM):
            data = data[3:]
            self._offset = 3
        if b"\n" not in data and b"\r" in data[:-1]:
            self._eol = b"\r"
        return data

    def _block(self) -> bytes:
        """As many bytes as are read at once; fewer only at the end."""
        pieces, size = [self._waiting], len(self._waiting)
        while size < self._size:
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
                break
            pieces.append(piece)
            size += len(piece)
        data = b"".join(pieces)
        self._waiting = data[self._size :]
        return data[: self._size]

    def _cut(self, data: bytes) -> int:
        """Where complete lines end; 0 where there is none."""
        end = len(data)
        if self._hold:
            end = len(data.rstrip(b"\r\n"))
            if len(data) - end > self._longest:
                end = len(data)
        return data.rfind(self._eol, 0, end) + 1

    def _few(self, data: bytes, cut: int) -> int:
        """As far as that, or as many lines as are given at once. Blank lines at the end stay with the line before them."""
        if data.count(self._eol, 0, cut) <= MOST:
            return cut
        ends = np.flatnonzero(np.frombuffer(data, np.uint8, cut) == self._eol[0])
        few = int(ends[MOST - 1]) + 1
        return few if data[few:cut].strip(b"\r\n") else cut

    def _gigantic(self, data: bytes) -> Lines:
        """One line over the longest, as far as it is kept."""
        kept, missing = data[: self._longest], len(data) - self._longest
        while not self._ended:
            block = self._block()
            end = block.find(self._eol) + 1
            missing += end or len(block)
            if end:
                self._rest = block[end:]
                break
        else:
            self._rest = b""
        given = self._give(kept, last=self._ended and not self._rest, more=False)
        given.missing[0] = missing
        self._offset += missing
        return given

    def _give(self, data: bytes, *, last: bool, more: bool) -> Lines:
        octets = np.frombuffer(data, np.uint8)
        stops = np.flatnonzero(octets == self._eol[0])
        ends = stops + 1
        if not data.endswith(self._eol):
            stops, ends = np.append(stops, len(data)), np.append(ends, len(data))
        starts = np.concatenate((np.zeros(1, np.int64), ends[:-1]))
        if self._style is None and data[: int(ends[0])].endswith(self._eol):
            self._style = b"\r\n" if data[: int(ends[0])].endswith(b"\r\n") else self._eol
        if self._eol == b"\n" and b"\r" in data:
            stops = stops - ((stops > starts) & (octets[stops - 1] == 13))
        given = Lines(data, starts, stops, ends, self._line, self._offset, last, more)
        self._line += len(starts)
        self._offset += len(data)
        self._given = given
        return given


def recoded(content: Iterable[bytes], encoding: str) -> Iterable[bytes]:
    """Text in UTF-8. What is none in its encoding becomes bytes that are none in UTF-8, so that it can be told where it stands."""
    name = codecs.lookup(encoding).name
    return content if name == "utf-8" else _recoded(content, name)


def _recoded(content: Iterable[bytes], name: str) -> Iterator[bytes]:
    errors = "surrogatepass" if name in WIDE else "surrogateescape"
    decoder = codecs.getincrementaldecoder(name)(errors)
    for piece in content:
        yield decoder.decode(piece).encode("utf-8", errors)
    try:
        yield decoder.decode(b"", final=True).encode("utf-8", errors)
    except UnicodeDecodeError:  # half a character
        yield b"\xff"
