"""Records that a person has mended, looked at once more: by the same rules, and beside the good records of their file (B16).

A record is given as it stood in quarantine (`BadRecord.raw`), mended: a line of the file's format in UTF-8, of Parquet a JSON
object.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]

from fiveways.methods.bulk.quality.batches import GoodRecords
from fiveways.methods.bulk.quality.chunks import Chunk, Reader
from fiveways.methods.bulk.quality.decompression import Content
from fiveways.methods.bulk.quality.findings import HIDDEN, Breach, Unreadable
from fiveways.methods.bulk.quality.judging import Judge, key_hashes
from fiveways.methods.bulk.quality.lists import Feeds, no_feeds
from fiveways.methods.bulk.quality.models import resolved
from fiveways.methods.bulk.quality.parquet import ParquetTable, table_chunk
from fiveways.methods.bulk.quality.readers import reader_of
from fiveways.methods.bulk.quality.rules import Rules
from fiveways.methods.bulk.quality.settings import Key, QualitySettings

MOST = 100_000
"""Records that are looked at in one go."""
_NOT_ONE = Breach("columns", note="It is not one record")
_NO_TEXT = Breach("encoding", note="It has characters that the file's encoding does not have")


class Rechecked(NamedTuple):
    """What was found of mended records."""

    breaches: tuple[tuple[Breach, ...], ...]
    """What each still breaks, in the order given; () of a good one."""
    good: GoodRecords | None
    """Those that are good now, to be handed on; None where there is none."""


def recheck(
    records: Sequence[bytes],
    settings: QualitySettings,
    good: Iterable[bytes],
    *,
    today: date,
    header: bytes = b"",
    base: Path = Path(),
    scratch: Path | None = None,
    feeds: Feeds = no_feeds,
) -> Rechecked:
    """Look at mended records.

    `good`: the file of good records, to which they are to be added; it is read once, for keys and a Parquet file's types. `today`:
    the day on which the file came. `header`: the line that named its columns (`Examination.header`). Raises Unreadable where the
    good file cannot be read, and ValueError for more than 100,000 records.
    """
    if len(records) > MOST:
        raise ValueError(f"at most {MOST} records at once")
    settings = resolved(settings, base)
    rules = Rules(settings, settings.columns, today=today, base=base, feeds=feeds)
    settings = settings.model_copy(update={"trailer": None})
    content = Content(good, settings.compression, settings.limits, scratch)
    reader = reader_of(content, settings, scratch=scratch)
    with contextlib.closing(_released(reader, content)) as released:
        first = next(released, None)
        header = header or reader.header
        mended = _rows(records, settings, reader.schema) if isinstance(reader, ParquetTable) else _lines(records, settings, header)
        broken = dict(mended.refused)
        handed: GoodRecords | None = None
        if mended.chunk is not None:
            with contextlib.closing(Judge(settings, rules, scratch)) as judge:
                bad, _ = judge.judge(mended.chunk)
            frames = itertools.chain(() if first is None else (first,), released)
            for key, row in _repeats(mended.chunk.frame, settings.unique, frames):
                index = int(mended.chunk.rows[row])
                repeated = Breach("unique", " + ".join(key), None, "The same as of a record that is good")
                bad[index] = (*bad.get(index, ()), repeated)
            broken.update({mended.which[index]: breaches for index, breaches in bad.items()})
            if len(bad) < mended.chunk.records:
                handed = GoodRecords(0, mended.chunk.good(sorted(bad)), header, settings.encoding)
    return Rechecked(tuple(broken.get(at, ()) for at in range(len(records))), handed)


class _Mended(NamedTuple):
    """Mended records that are one record each, which of those given they are, and what is wrong with the others."""

    chunk: Chunk | None
    which: list[int]
    refused: dict[int, tuple[Breach, ...]]


def _released(reader: Reader, content: Content) -> Generator[pl.DataFrame]:
    """The columns of the good file; none where it is empty."""
    try:
        for chunk in reader:
            yield chunk.frame
    except Unreadable:
        if content.expanded:
            raise


def _repeats(mended: pl.DataFrame, keys: tuple[Key, ...], released: Iterable[pl.DataFrame]) -> Iterator[tuple[Key, int]]:
    """The rows of mended records whose key a released one has."""
    if not keys or not mended.height:
        return
    wanted = {key: key_hashes(mended, key) for key in keys}
    met: set[tuple[Key, int]] = set()
    for frame in released:
        for key, (rows, first, second) in wanted.items():
            _, *theirs = key_hashes(frame, key)
            near = np.isin(theirs[0], first)
            known = set(zip(theirs[0][near].tolist(), theirs[1][near].tolist(), strict=True))
            for row, *hashes in zip(rows.tolist(), first.tolist(), second.tolist(), strict=True):
                if known and tuple(hashes) in known:
                    met.add((key, row))
    yield from sorted(met)


# --- lines ----------------------------------------------------------------------------------------------------------------


def _lines(records: Sequence[bytes], settings: QualitySettings, header: bytes) -> _Mended:
    refused: dict[int, tuple[Breach, ...]] = {}
    texts = {}
    for at, record in enumerate(records):
        text = record.rstrip(b"\r\n") + b"\n"
        if text == b"\n":
            refused[at] = (_NOT_ONE,)
        elif not _encodes(text, settings.encoding):
            refused[at] = (_NO_TEXT,)
        else:
            texts[at] = text
    chunk = _chunk(texts.values(), settings, header)
    if settings.lines > 1 or (chunk is not None and chunk.records != len(texts)):
        for at, text in list(texts.items()):  # one of them is several, or takes others in
            alone = _chunk((text,), settings, header)
            if alone is None or alone.records != 1 or alone.malformed:
                one = alone is not None and alone.records == 1
                refused[at] = (alone.malformed[0] if alone is not None and one else _NOT_ONE,)
                del texts[at]
        chunk = _chunk(texts.values(), settings, header)
    return _Mended(chunk, list(texts), refused)


def _chunk(texts: Iterable[bytes], settings: QualitySettings, header: bytes) -> Chunk | None:
    """The records as one chunk."""
    data = b"".join(texts)
    plain = settings.model_copy(update={"encoding": "utf-8"})
    return next(iter(reader_of((data,), plain, header=header, block=len(data) + 1)), None) if data else None


def _encodes(text: bytes, encoding: str) -> bool:
    try:
        text.decode().encode(encoding)
    except UnicodeDecodeError:
        return True  # the rule on encodings says so
    except UnicodeEncodeError:
        return False
    return True


# --- rows -----------------------------------------------------------------------------------------------------------------


def _rows(records: Sequence[bytes], settings: QualitySettings, schema: pa.Schema | None) -> _Mended:
    """Records of a Parquet file, from JSON objects, in the types that the file has."""
    if schema is None:
        schema = pa.schema([(name, _ARROW.get(each.type, pa.string())) for name, each in settings.columns.items()])
    refused: dict[int, tuple[Breach, ...]] = {}
    taken: dict[int, list[Any]] = {}
    for at, record in enumerate(records):
        try:
            said = msgspec.json.decode(record, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError):
            refused[at] = (Breach("json", note="It is no JSON object"),)
            continue
        if said.keys() - set(schema.names):
            refused[at] = (Breach("columns", note="It has columns that the file has not"),)
            continue
        values, wrong = _row(said, schema)
        if wrong:
            note = "It is not of the type that the column has in the file"
            refused[at] = tuple(Breach("type", name, HIDDEN, note) for name in wrong)
        else:
            taken[at] = values
    if not taken:
        return _Mended(None, [], refused)
    columns = [pa.concat_arrays([row[place] for row in taken.values()]) for place in range(len(schema))]
    table = pa.Table.from_arrays(columns, schema=schema)
    return _Mended(table_chunk(table, 1, settings.columns), list(taken), refused)


_ARROW = {
    "integer": pa.int64(),
    "decimal": pa.float64(),
    "date": pa.date32(),
    "datetime": pa.timestamp("us"),
    "boolean": pa.bool_(),
}


def _row(said: dict[str, Any], schema: pa.Schema) -> tuple[list[Any], list[str]]:
    """A record's values as arrays of one, and the columns whose value is none of theirs."""
    values, wrong = [], []
    for field in schema:
        value = said.get(field.name)
        text = str(value).lower() if isinstance(value, bool) else value if value is None else str(value)
        try:
            nested = pa.types.is_nested(field.type)
            values.append(pa.array([value], field.type) if nested else pa.array([text], pa.string()).cast(field.type))
        except (pa.ArrowException, ValueError, TypeError):
            wrong.append(field.name)
    return values, wrong
