"""What every format of lines looks for: lines that are no text, or are too long, and a last line that is no record. And a format in
which each line is a record."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from fiveways.methods.bulk.quality.chunks import TextChunk
from fiveways.methods.bulk.quality.findings import Breach, FileFault, Trailer, Unreadable
from fiveways.methods.bulk.quality.lines import Lines, LineSource, Places
from fiveways.methods.bulk.quality.settings import Column, QualitySettings

_NUL = Breach("nul", note="It has a NUL character")
_ENCODING = Breach("encoding", note="It has bytes that are no text in the file's encoding")


def faulty_lines(lines: Lines, record: np.ndarray[tuple[int], np.dtype[np.bool_]], longest: int) -> dict[int, Breach]:
    """Lines that cannot be looked into, by their place: too long, with a NUL, or with bytes that are no text."""
    found: dict[int, Breach] = {}
    try:
        lines.data.decode()
    except UnicodeDecodeError:
        high = np.flatnonzero(np.frombuffer(lines.data, np.uint8) >= 128)
        for at in np.unique(np.searchsorted(lines.ends, high, "right")).tolist():
            if not _is_text(lines.data[int(lines.starts[at]) : int(lines.ends[at])]):
                found[at] = _ENCODING
    if b"\0" in lines.data:
        places = np.flatnonzero(np.frombuffer(lines.data, np.uint8) == 0)
        found.update(dict.fromkeys(np.unique(np.searchsorted(lines.ends, places, "right")).tolist(), _NUL))
    long = np.flatnonzero(lines.stops - lines.starts > longest).tolist()
    too_long = Breach("too-long", note=f"It has more than {longest} bytes")
    found.update(dict.fromkeys([*long, *lines.missing], too_long))
    return {at: breach for at, breach in found.items() if record[at]}


def _is_text(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


class Ending:
    """The last line, where it is no record but says how many there are."""

    def __init__(self, pattern: str | None) -> None:
        self._pattern = pattern
        self._groups = list(re.findall(r"\(\?P?<([A-Za-z_]\w*)>", pattern or ""))
        self.trailer: Trailer | None = None

    def look(self, lines: Lines, record: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        """Take the file's last line that is not blank for no record, where it is the trailer."""
        if self._pattern is None or not lines.last or not record.any():
            return
        at = len(record) - 1 - int(np.argmax(record[::-1]))
        line = lines.data[int(lines.starts[at]) : int(lines.stops[at])]
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return
        whole = f"^(?:{self._pattern})$"
        if not pl.select(pl.lit(text).str.contains(whole)).item():
            return
        matched = pl.select(pl.lit(text).str.extract_groups(whole)).item() if self._groups else {}
        values = {name: value for name, value in matched.items() if name in self._groups and value is not None}
        count = values.get("count", "").strip()
        if count and not (count.isascii() and count.isdigit() and len(count) < 19):
            raise Unreadable(FileFault("header", "The trailer's count is no number"))
        self.trailer = Trailer(lines.first + at, int(count) if count else None, values)
        record[at] = False


class LineRecords(ABC):
    """The records of a file in which each line is one that is not blank."""

    header = b""

    def __init__(self, source: LineSource, settings: QualitySettings, columns: Mapping[str, Column]) -> None:
        self.columns = columns
        self.encoding = settings.encoding
        self._source = source
        self._settings = settings
        self._ending = Ending(settings.trailer)
        self._number = 1

    @property
    def trailer(self) -> Trailer | None:
        """The last line, where it is no record."""
        return self._ending.trailer

    def __iter__(self) -> Iterator[TextChunk]:
        while (lines := self._source.take()) is not None:
            record = lines.stops > lines.starts
            blank = len(record) - int(np.count_nonzero(record))
            self._ending.look(lines, record)
            faults = faulty_lines(lines, record, self._settings.limits.line)
            chosen = np.flatnonzero(record)
            chunk = TextChunk(
                first=self._number,
                data=lines.data,
                starts=lines.starts[chosen],
                ends=lines.ends[chosen],
                numbers=chosen + lines.first,
                at=lines.offset,
                frame=pl.DataFrame(),
                rows=chosen[:0],
                eol=self._source.eol,
                longest=self._settings.limits.line,
                malformed={int(np.searchsorted(chosen, at)): breach for at, breach in faults.items()},
                missing={int(np.searchsorted(chosen, at)): size for at, size in lines.missing.items()},
                blank=blank,
            )
            self._columns_of(chunk, lines.stops[chosen])
            self._number += chunk.records
            yield chunk

    @abstractmethod
    def _columns_of(self, chunk: TextChunk, stops: Places) -> None:
        """Take the records apart, where they are not malformed already; `stops`: where each ends without its line end."""
