"""Fixed width: every record is a line, and every column a stretch of it. A line that is shorter than its columns is malformed, and
one that is longer, unless blanks follow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from fiveways.methods.bulk.quality.chunks import TextChunk, text_array
from fiveways.methods.bulk.quality.findings import Breach
from fiveways.methods.bulk.quality.lines import LineSource, Places
from fiveways.methods.bulk.quality.plain import LineRecords
from fiveways.methods.bulk.quality.settings import Column, QualitySettings


class FixedWidth(LineRecords):
    """A fixed-width file's records."""

    def __init__(self, source: LineSource, settings: QualitySettings, columns: Mapping[str, Column]) -> None:
        super().__init__(source, settings, columns)
        self._width = max((each.start or 1) + (each.width or 1) - 1 for each in columns.values())

    def _columns_of(self, chunk: TextChunk, stops: Places) -> None:
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
