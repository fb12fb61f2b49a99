"""Fixed width: every record is a line, and every column a stretch of it. A line that is shorter than its columns is malformed, and
one that is longer, unless blanks follow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl

from fiveways.methods.bulk.quality.chunks import TextChunk, text_array
from fiveways.methods.bulk.quality.findings import Breach, Trailer
from fiveways.methods.bulk.quality.lines import LineSource
from fiveways.methods.bulk.quality.plain import Ending, faulty_lines
from fiveways.methods.bulk.quality.settings import Column, QualitySettings


class FixedWidth:
    """A fixed-width file's records."""

    header = b""

    def __init__(self, source: LineSource, settings: QualitySettings, columns: Mapping[str, Column]) -> None:
        self.columns = columns
        self.encoding = settings.encoding
        self._source = source
        self._settings = settings
        self._ending = Ending(settings.trailer)
        self._width = max((each.start or 1) + (each.width or 1) - 1 for each in columns.values())
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
            self._columns_of(chunk)
            self._number += chunk.records
            yield chunk

    def _columns_of(self, chunk: TextChunk) -> None:
        sound = np.ones(chunk.records, np.bool_)
        sound[list(chunk.malformed)] = False
        rows = np.flatnonzero(sound)
        text = pl.Series("line", text_array(chunk.data, chunk.starts[rows], chunk.ends[rows])).cast(pl.String)
        text = text.str.strip_chars_end("\r\n")
        lengths, trimmed = text.str.len_chars(), text.str.strip_chars_end(" ").str.len_chars()
        wrong = ((lengths < self._width) | (trimmed > self._width)).to_numpy()
        for at in np.flatnonzero(wrong).tolist():
            note = f"{lengths[at]} characters instead of {self._width}"
            chunk.malformed[int(rows[at])] = Breach("columns", note=note)
        chunk.rows = rows[~wrong]
        values = [
            pl.col("line").str.slice((each.start or 1) - 1, each.width).str.strip_chars(" ").alias(name)
            for name, each in self.columns.items()
        ]
        frame = pl.DataFrame({"line": text.filter(pl.Series(~wrong))}).select(values)
        nulls = list(self._settings.nulls)
        chunk.frame = frame.select(pl.when(pl.all().is_in(nulls)).then(None).otherwise(pl.all()).name.keep())
