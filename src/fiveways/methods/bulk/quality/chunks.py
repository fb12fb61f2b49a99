"""What readers make of a file: some records at a time, each as it came, and those that are well-formed as columns too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from fiveways.methods.bulk.quality.findings import Breach, Trailer
from fiveways.methods.bulk.quality.lines import Places
from fiveways.methods.bulk.quality.settings import Column


@dataclass(slots=True)
class TextBatch:
    """Good records as they came, one after another, each with its line end."""

    data: bytes
    """All of them."""
    ends: Places
    """Where in it each ends."""

    @property
    def records(self) -> int:
        """How many."""
        return len(self.ends)

    def sizes(self) -> Places:
        """Bytes of each."""
        return np.diff(self.ends, prepend=0)

    def body(self, start: int, stop: int) -> bytes:
        """The records from `start` up to `stop`, from 0."""
        if start >= stop:
            return b""
        return self.data[int(self.ends[start - 1]) if start else 0 : int(self.ends[stop - 1])]


@dataclass(slots=True)
class TableBatch:
    """Good records of a Parquet file."""

    table: pa.Table
    """All of them, with all columns that the file has."""

    @property
    def records(self) -> int:
        """How many."""
        return int(self.table.num_rows)

    def sizes(self) -> Places:
        """Bytes of each in memory, on average: how many it becomes in a file is known when it is written."""
        each = max(1, self.table.nbytes // max(1, self.table.num_rows))
        return np.full(self.table.num_rows, each, np.int64)


GoodBatch = TextBatch | TableBatch


class Chunk(Protocol):
    """Some records, in the file's order."""

    first: int
    """The number of the first, from 1."""
    frame: pl.DataFrame
    """Those that are well-formed; empty values are null. Columns of text, or of what the format has."""
    rows: Places
    """Which record each row of the frame is, from 0."""
    malformed: dict[int, Breach]
    """What is wrong with the others, by which they are, from 0."""
    mistyped: dict[str, list[int]]
    """Rows of the frame whose value in a column has a type of the format that it may not have; null in the frame."""
    blank: int
    """Blank lines among them, which are no records."""

    @property
    def records(self) -> int:
        """How many."""
        ...

    def line(self, index: int) -> int | None:
        """The line on which one begins, from 1."""
        ...

    def offset(self, index: int) -> int:
        """Bytes of content before one."""
        ...

    def raw(self, index: int) -> tuple[bytes, int]:
        """One as it came, and how many bytes of it are missing."""
        ...

    def good(self, bad: Sequence[int]) -> GoodBatch:
        """All but those."""
        ...


class Reader(Protocol):
    """A file's records. Iterating over it raises Unreadable."""

    header: bytes
    """The line that names the columns, once it is read; b'' where there is none."""
    columns: Mapping[str, Column]
    """The columns that its frames have."""
    encoding: str
    """The file's."""

    @property
    def trailer(self) -> Trailer | None:
        """The last line, where it is no record, once it is read."""
        ...

    def __iter__(self) -> Iterator[Chunk]: ...


@dataclass(slots=True)
class TextChunk:
    """Records of a format that has lines."""

    first: int
    data: bytes
    starts: Places
    ends: Places
    numbers: Places
    """The line on which each begins, from 1."""
    at: int
    """Bytes of content before `data`."""
    frame: pl.DataFrame
    rows: Places
    eol: bytes
    longest: int
    """Bytes of a record that are kept at most, of a bad one."""
    malformed: dict[int, Breach] = field(default_factory=dict)
    mistyped: dict[str, list[int]] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)
    blank: int = 0

    @property
    def records(self) -> int:
        """How many."""
        return len(self.starts)

    def line(self, index: int) -> int | None:
        """The line on which one begins, from 1."""
        return int(self.numbers[index])

    def offset(self, index: int) -> int:
        """Bytes of content before one."""
        return self.at + int(self.starts[index])

    def raw(self, index: int) -> tuple[bytes, int]:
        """One as it came, and how many bytes of it are missing."""
        start, end = int(self.starts[index]), int(self.ends[index])
        stop = min(end, start + self.longest)
        return self.data[start:stop], self.missing.get(index, 0) + end - stop

    def good(self, bad: Sequence[int]) -> TextBatch:
        """All but those. What comes last gets a line end if it has none."""
        keep = np.ones(len(self.starts), np.bool_)
        keep[list(bad)] = False
        starts, ends = self.starts[keep], self.ends[keep]
        if not len(starts):
            return TextBatch(b"", np.zeros(0, np.int64))
        breaks = np.flatnonzero(starts[1:] != ends[:-1])
        begins = starts[np.concatenate(([0], breaks + 1))].tolist()
        stops = ends[np.concatenate((breaks, [len(ends) - 1]))].tolist()
        data = b"".join([self.data[begin:stop] for begin, stop in zip(begins, stops, strict=True)])
        places = np.cumsum(ends - starts)
        if not data.endswith(self.eol[-1:]):
            data += self.eol
            places[-1] += len(self.eol)
        return TextBatch(data, places)


@dataclass(slots=True)
class TableChunk:
    """Records of a Parquet file."""

    first: int
    table: pa.Table
    frame: pl.DataFrame
    rows: Places
    malformed: dict[int, Breach] = field(default_factory=dict)
    mistyped: dict[str, list[int]] = field(default_factory=dict)
    blank: int = 0

    @property
    def records(self) -> int:
        """How many."""
        return int(self.table.num_rows)

    def line(self, index: int) -> int | None:
        """There are no lines."""
        return None

    def offset(self, index: int) -> int:
        """Not known."""
        return 0

    def raw(self, index: int) -> tuple[bytes, int]:
        """One as a JSON object; what JSON has no type for is text."""
        (row,) = self.table.slice(index, 1).to_pylist()
        return json.dumps(row, default=str, ensure_ascii=False).encode() + b"\n", 0

    def good(self, bad: Sequence[int]) -> TableBatch:
        """All but those."""
        if not bad:
            return TableBatch(self.table)
        keep = np.ones(self.table.num_rows, np.bool_)
        keep[list(bad)] = False
        return TableBatch(self.table.filter(pa.array(keep)))


def text_array(data: bytes, starts: Places, ends: Places) -> pa.LargeBinaryArray:
    """The pieces of `data`, as an array without a copy where they follow one another."""
    if len(starts) and not np.array_equal(starts[1:], ends[:-1]):
        return pa.array([data[begin:end] for begin, end in zip(starts.tolist(), ends.tolist(), strict=True)], pa.large_binary())
    offsets = np.append(starts, ends[-1:]) if len(starts) else np.zeros(1, np.int64)
    return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
