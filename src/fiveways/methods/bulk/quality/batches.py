"""Good records as files: one file of all, or mini-batches (B10), each a file of the feed's own format.

A mini-batch ends at a record's end: after so many records, before so many bytes, or so long after it was begun. Where time decides,
a repeat would cut elsewhere: what was cut before is given to it as `cuts`, and it cuts there again.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from fiveways.clock import Clock
from fiveways.methods.bulk.quality.chunks import GoodBatch, TableBatch
from fiveways.methods.bulk.quality.settings import CutSettings


class GoodRecords(NamedTuple):
    """Some good records of a file, in its order."""

    first: int
    """How many good records come before."""
    batch: GoodBatch
    """The records."""
    header: bytes
    """The line that names the columns, in UTF-8; b'' where there is none."""
    encoding: str
    """The encoding of the file."""

    @property
    def records(self) -> int:
        """How many."""
        return self.batch.records


class Part:
    """A file of good records that is being put together: its bytes are what `add` and `end` return, one after another."""

    def __init__(self, header: bytes = b"", encoding: str = "utf-8") -> None:
        self._header: bytes | None = header
        self._encoding = codecs.lookup(encoding).name
        self._sink = io.BytesIO()
        self._writer: pq.ParquetWriter | None = None
        self._sent = 0

    def add(self, batch: GoodBatch, start: int = 0, stop: int | None = None) -> bytes:
        """Records of a batch from `start` up to `stop`, from 0."""
        stop = batch.records if stop is None else stop
        if isinstance(batch, TableBatch):
            return self._table(batch, start, stop)
        return self._encoded(batch.body(start, stop))

    def end(self) -> bytes:
        """There are no more."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            return self._more()
        return self._encoded(b"") if self._sent == 0 else b""

    def _encoded(self, body: bytes) -> bytes:
        if self._header:
            body = self._header + body
        if self._encoding != "utf-8":
            text = body.decode()
            body = text.encode(self._encoding)
            if self._encoding == "utf-16" and self._header is None:
                body = body[2:]  # the byte order mark stands at the beginning, once
        self._header = None
        self._sent += len(body)
        return body

    def _table(self, batch: TableBatch, start: int, stop: int) -> bytes:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, batch.table.schema, compression="zstd")
        self._writer.write_table(batch.table.slice(start, stop - start))
        return self._more()

    def _more(self) -> bytes:
        """What has been written since. The writer counts its own bytes: what is taken from the sink is not missed there."""
        data = self._sink.getvalue()[self._sent :]
        self._sent += len(data)
        return data


class MiniBatch(NamedTuple):
    """A mini-batch that is whole."""

    number: int
    """Which of the file's, from 1."""
    first: int
    """How many good records come before."""
    records: int
    """How many it has."""
    size: int
    """Bytes."""
    why: Literal["records", "bytes", "seconds", "given", "end"]
    """What ended it."""


class Cutter:
    """Cuts good records into mini-batches. `begin`, `write` and `end` are called in this order for each.

    `cuts`: after how many good records each mini-batch ended that an earlier attempt made, in order.
    """

    def __init__(
        self,
        settings: CutSettings,
        clock: Clock,
        *,
        begin: Callable[[int], None],
        write: Callable[[bytes], None],
        end: Callable[[MiniBatch], None],
        cuts: Sequence[int] = (),
    ) -> None:
        self._settings, self._clock = settings, clock
        self._begin, self._write, self._end = begin, write, end
        self._cuts = list(cuts)
        self._part: Part | None = None
        self._number = self._first = self._records = self._size = self._measured = 0
        self._since = 0.0

    def add(self, good: GoodRecords) -> None:
        """Take in records, which follow those before."""
        self.tick()
        start = 0
        sizes = np.cumsum(good.batch.sizes()) if self._settings.bytes is not None else None
        while start < good.records:
            if self._part is None:
                self._open(good)
            stop, why = self._reach(start, good.records, sizes)
            if stop > start and self._part is not None:
                self._put(self._part.add(good.batch, start, stop))
                self._records += stop - start
                if sizes is not None:
                    self._measured += int(sizes[stop - 1]) - (int(sizes[start - 1]) if start else 0)
            start = stop
            if why is not None:
                self._close(why)

    def tick(self) -> None:
        """Time has passed."""
        wait = self._settings.seconds
        over = wait is not None and self._clock.monotonic() - self._since >= wait.total_seconds()
        if self._part is not None and self._records and over and not self._given():
            self._close("seconds")

    def finish(self) -> None:
        """There are no more."""
        if self._part is not None:
            self._close("end")

    def _given(self) -> bool:
        """Whether an earlier attempt has said where this one ends."""
        return self._number <= len(self._cuts)

    def _open(self, good: GoodRecords) -> None:
        self._part = Part(good.header, good.encoding)
        self._number += 1
        self._records = self._size = 0
        self._measured = len(good.header)
        self._since = self._clock.monotonic()
        self._begin(self._number)

    def _reach(
        self, start: int, total: int, sizes: np.ndarray[tuple[int], np.dtype[np.int64]] | None
    ) -> tuple[int, Literal["records", "bytes", "given"] | None]:
        """How far the mini-batch goes into this batch, and why it ends there."""
        if self._given():
            left = self._cuts[self._number - 1] - self._first - self._records
            return (start + left, "given") if start + left <= total else (total, None)
        stop = total
        why: Literal["records", "bytes"] | None = None
        most = self._settings.records
        if most is not None and start + most - self._records <= stop:
            stop, why = start + most - self._records, "records"
        if self._settings.bytes is not None and sizes is not None:
            room = self._settings.bytes - self._measured + (int(sizes[start - 1]) if start else 0)
            fits = int(np.searchsorted(sizes, room, "right"))
            if not self._records:
                fits = max(fits, start + 1)
            if fits < stop:
                stop, why = max(fits, start), "bytes"
        return stop, why

    def _put(self, data: bytes) -> None:
        self._size += len(data)
        if data:
            self._write(data)

    def _close(self, why: Literal["records", "bytes", "seconds", "given", "end"]) -> None:
        assert self._part is not None
        self._put(self._part.end())
        self._part = None
        self._end(MiniBatch(self._number, self._first, self._records, self._size, why))
        self._first += self._records
