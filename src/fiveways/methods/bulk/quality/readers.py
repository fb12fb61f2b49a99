"""Which reader reads a feed's files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fiveways.methods.bulk.quality import lines
from fiveways.methods.bulk.quality.chunks import Reader
from fiveways.methods.bulk.quality.delimited import Delimited
from fiveways.methods.bulk.quality.fixed import FixedWidth
from fiveways.methods.bulk.quality.json_lines import JsonLines
from fiveways.methods.bulk.quality.lines import LineSource, recoded
from fiveways.methods.bulk.quality.parquet import ParquetTable
from fiveways.methods.bulk.quality.settings import QualitySettings


def reader_of(
    content: Iterable[bytes],
    settings: QualitySettings,
    *,
    scratch: Path | None = None,
    header: bytes = b"",
    block: int | None = None,
) -> Reader:
    """A reader of content that is not compressed. `header`: the line that names a CSV file's columns, of content that has none.
    `block`: bytes that are read before records are looked for."""
    columns = settings.columns
    if settings.format == "parquet":
        return ParquetTable(content, settings, columns, scratch)
    source = LineSource(
        recoded(content, settings.encoding), settings.limits.line, hold=settings.trailer is not None, block=block or lines.BLOCK
    )
    if settings.format == "csv":
        return Delimited(source, settings, columns, header)
    if settings.format == "fixed":
        return FixedWidth(source, settings, columns)
    return JsonLines(source, settings, columns)


def shortest(settings: QualitySettings) -> int:
    """Bytes that a good record has at least, with its line end; 0 where it is not known."""
    if settings.encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        return 0
    match settings.format:
        case "csv":
            return max(2, len(settings.columns))
        case "fixed":
            return max((each.start or 1) + (each.width or 1) for each in settings.columns.values())
        case "ndjson" | "fhir":
            return 3
    return 0
