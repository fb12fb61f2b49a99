"""Parquet: read a row group's part at a time. The file's table of contents is at its end: it is spooled to the scratch folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from fiveways.methods.bulk.quality.chunks import TableChunk
from fiveways.methods.bulk.quality.findings import FileFault, Trailer, Unreadable
from fiveways.methods.bulk.quality.settings import TEXTUAL, Column, QualitySettings

_ROWS = 2**15
"""Records that are looked at at once."""


class ParquetTable:
    """A Parquet file's records."""

    header = b""
    trailer: Trailer | None = None
    encoding = "utf-8"

    def __init__(
        self, content: Iterable[bytes], settings: QualitySettings, columns: Mapping[str, Column], scratch: Path | None
    ) -> None:
        self.columns = columns
        self._content = content
        self._settings = settings
        self._scratch = scratch
        self.schema: pa.Schema | None = None
        """The file's columns, once they are read."""

    def __iter__(self) -> Iterator[TableChunk]:
        with tempfile.NamedTemporaryFile(dir=self._scratch) as spool:
            for piece in self._content:
                spool.write(piece)
            spool.flush()
            if not spool.tell():
                raise Unreadable(FileFault("empty", "The file is empty"))
            try:
                yield from self._chunks(spool.name)
            except (pa.ArrowException, OSError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise Unreadable(FileFault("parquet", "It is no Parquet file, or a damaged one")) from None

    def _chunks(self, path: str) -> Iterator[TableChunk]:
        with pq.ParquetFile(path, memory_map=False, buffer_size=2**20, pre_buffer=False) as file:
            self._check(file)
            number = 1
            for batch in file.iter_batches(batch_size=_ROWS, use_threads=False):
                table = pa.Table.from_batches([batch])
                yield table_chunk(table, number, self.columns)
                number += table.num_rows

    def _check(self, file: pq.ParquetFile) -> None:
        """Raise Unreadable where the file's columns are not those that are expected, or it is too large to be read safely."""
        self.schema = file.schema_arrow
        schema, metadata, limits = file.schema_arrow, file.metadata, self._settings.limits
        if len(schema.names) > limits.columns:
            raise Unreadable(FileFault("columns", f"The file has more than {limits.columns} columns"))
        if len(set(schema.names)) != len(schema.names):
            raise Unreadable(FileFault("columns", "The file has two columns of one name"))
        missing = [each for each in self.columns if each not in schema.names]
        if missing:
            raise Unreadable(FileFault("columns", f"The file has no column {', '.join(missing[:20])}"))
        if self._settings.extra_columns == "refuse" and len(schema.names) > len(self.columns):
            text = f"The file has {len(schema.names) - len(self.columns)} columns that are not expected"
            raise Unreadable(FileFault("columns", text))
        wrong = [name for name, each in self.columns.items() if not _may_be(schema.field(name).type, each.type)]
        if wrong:
            raise Unreadable(FileFault("columns", f"Of another type than expected: {', '.join(wrong[:20])}"))
        groups = [metadata.row_group(at).total_byte_size for at in range(metadata.num_row_groups)]
        if max(groups, default=0) > limits.row_group:
            raise Unreadable(FileFault("expansion", f"A row group of more than {limits.row_group} bytes"))
        if sum(groups) > limits.expanded:
            raise Unreadable(FileFault("expansion", f"It becomes more than {limits.expanded} bytes when it is decompressed"))


def table_chunk(table: pa.Table, first: int, columns: Mapping[str, Column]) -> TableChunk:
    """Rows of a table as records."""
    frame = pl.from_arrow(table.select(list(columns)))
    assert isinstance(frame, pl.DataFrame)
    text = pl.selectors.string()
    frame = frame.with_columns(pl.when(text == "").then(None).otherwise(text).name.keep())
    return TableChunk(first=first, table=table, frame=frame, rows=np.arange(table.num_rows))


def _may_be(found: pa.DataType, expected: str) -> bool:
    """Whether a column of a Parquet type can hold what is expected."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found) or pa.types.is_null(found):
        return True
    if expected in TEXTUAL:
        return False
    fits = {
        "integer": pa.types.is_integer(found),
        "decimal": pa.types.is_floating(found) or pa.types.is_decimal(found) or pa.types.is_integer(found),
        "date": pa.types.is_date(found),
        "datetime": pa.types.is_timestamp(found),
        "boolean": pa.types.is_boolean(found),
    }
    return bool(fits[expected])
