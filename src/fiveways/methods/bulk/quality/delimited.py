"""CSV: records of values with a delimiter between them.

A record is a line; with `lines: n` a quoted value may hold line ends, and a record up to n lines. What is well-formed is
well-formed strictly: a quote stands at a value's ends or doubled inside. A quote that opens a value and does not close is stray:
where what follows does not make one well-formed record, or where a line that it would swallow is a whole record by itself (of three
columns or more), the line with the quote is bad, alone, and reading goes on with the line after it. So no line is lost to a quote
that stands in another.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as arrow_csv  # type: ignore[import-untyped]

from fiveways.methods.bulk.quality.chunks import TextChunk, text_array
from fiveways.methods.bulk.quality.findings import Breach, FileFault, Trailer, Unreadable
from fiveways.methods.bulk.quality.lines import Lines, LineSource, Places
from fiveways.methods.bulk.quality.plain import Ending, faulty_lines
from fiveways.methods.bulk.quality.settings import Column, QualitySettings

_STRAY = Breach("quote", note="A quote is not closed, or stands inside a value, or text follows a closing quote")
_CARRIAGE = Breach("line-end", note="A carriage return stands inside the line, outside quotes")


class Delimited:
    """A CSV file's records."""

    def __init__(self, source: LineSource, settings: QualitySettings, columns: Mapping[str, Column], header: bytes = b"") -> None:
        self.columns = columns
        self.encoding = settings.encoding
        self.header = b""
        self._source = source
        self._settings = settings
        self._ending = Ending(settings.trailer)
        self._names: list[str] = [] if settings.header else list(columns)
        self._grammar = _Grammar(settings)
        self._number = 1
        if header:
            self._head(header)

    @property
    def trailer(self) -> Trailer | None:
        """The last line, where it is no record."""
        return self._ending.trailer

    def __iter__(self) -> Iterator[TextChunk]:
        unread = 0
        while (lines := self._source.take(unread)) is not None:
            chunk, unread = self._chunk(lines)
            self._number += chunk.records
            yield chunk
        if not self._names:
            raise Unreadable(FileFault("header", "The file has no line that names its columns"))

    def _chunk(self, lines: Lines) -> tuple[TextChunk, int]:
        starts, stops, ends = lines.starts, lines.stops, lines.ends
        record = stops > starts
        if not self._names and record.any():
            begin = int(np.argmax(record))
            self._first(lines, begin)
            record[: begin + 1] = False
        self._ending.look(lines, record)
        faults = faulty_lines(lines, record, self._settings.limits.line)
        records = self._records(lines, record, faults)
        chosen = records.begins
        chunk = TextChunk(
            first=self._number,
            data=lines.data,
            starts=starts[chosen],
            ends=ends[records.finishes],
            numbers=chosen + lines.first,
            at=lines.offset,
            frame=pl.DataFrame(),
            rows=np.zeros(0, np.int64),
            eol=self._source.eol,
            longest=self._settings.limits.line,
            malformed=records.malformed,
            missing={int(np.searchsorted(chosen, at)): size for at, size in lines.missing.items() if at in chosen},
            blank=records.blank,
        )
        self._columns_of(chunk, multiline=records.multiline)
        return chunk, records.unread

    # --- the header --------------------------------------------------------------------------------------------------

    def _first(self, lines: Lines, index: int) -> None:
        line = lines.data[int(lines.starts[index]) : int(lines.ends[index])]
        self._head(line if line.endswith(self._source.eol) else line + self._source.eol)

    def _head(self, line: bytes) -> None:
        """Take in the line that names the columns. The faults name columns that are expected, and none that there are: a file
        without a header has a patient there."""
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Unreadable(FileFault("header", f"The first line is not {self.encoding}")) from None
        names = self._grammar.values(text)
        if names is None or "\0" in text:
            raise Unreadable(FileFault("header", "The first line is no well-formed list of columns"))
        names = [each.strip() for each in names]
        if len(names) > self._settings.limits.columns:
            raise Unreadable(FileFault("columns", f"The file has more than {self._settings.limits.columns} columns"))
        missing = [each for each in self.columns if each not in names]
        if missing:
            raise Unreadable(FileFault("header", f"The first line does not name {', '.join(missing[:20])}"))
        if len(set(names)) != len(names):
            raise Unreadable(FileFault("header", "The first line names a column twice"))
        extra = len(names) - len(self.columns)
        if extra and self._settings.extra_columns == "refuse":
            raise Unreadable(FileFault("columns", f"The first line names {extra} columns that are not expected"))
        self._names = names
        self.header = line

    # --- records -----------------------------------------------------------------------------------------------------

    def _records(self, lines: Lines, record: NDArrayBool, faults: dict[int, Breach]) -> _Records:
        """Which lines make a record each, or several of them one."""
        begins = np.flatnonzero(record)
        special = self._grammar.special(lines, record)
        stray = [at for at in special.tolist() if at not in faults]
        if stray:
            stray = self._grammar.ill_formed(lines, stray)
        if not stray or self._settings.lines == 1:
            broken = {**dict.fromkeys(stray, _STRAY), **faults}
            malformed = {int(np.searchsorted(begins, at)): breach for at, breach in broken.items()}
            return _Records(begins, begins, malformed, int(np.count_nonzero(lines.starts == lines.stops)))
        return self._joined(lines, record, faults, stray)

    def _joined(self, lines: Lines, record: NDArrayBool, faults: dict[int, Breach], stray: list[int]) -> _Records:
        """The same where a record may have several lines."""
        joins: dict[int, int] = {}
        alone: list[int] = []
        total, free, unread = len(lines.starts), 0, 0
        for at in stray:
            if at < free:
                continue
            end = self._closes(lines, at, faults)
            if end == total and lines.more:
                unread = total - at
                break
            if end is None or end == total:
                alone.append(at)
            else:
                joins[at] = end
                free = end + 1
        keep = record.copy()
        keep[total - unread :] = False
        for at, end in joins.items():
            keep[at + 1 : end + 1] = False
        begins = np.flatnonzero(keep)
        finishes = begins.copy()
        for at, end in joins.items():
            finishes[np.searchsorted(begins, at)] = end
        broken = {**dict.fromkeys(alone, _STRAY), **faults}
        found = {int(np.searchsorted(begins, at)): breach for at, breach in broken.items() if keep[at]}
        empty = lines.starts == lines.stops
        empty[total - unread :] = False
        for at, end in joins.items():
            empty[at : end + 1] = False
        return _Records(begins, finishes, found, int(np.count_nonzero(empty)), bool(joins), unread)

    def _closes(self, lines: Lines, at: int, faults: dict[int, Breach]) -> int | None:
        """The line on which a record that begins here closes; None where it does not; their number where more are needed to
        tell."""
        begin, total, expected = int(lines.starts[at]), len(lines.starts), len(self._names)
        most, looked, size = at + self._settings.lines, at + 1, 2
        while True:  # a few lines at a time: most stray quotes show themselves on the next line
            stop = min(total, most, at + size)
            for line in range(looked, stop):
                if line in faults or int(lines.stops[line]) - begin > self._settings.limits.line:
                    stop = most = line
                    break
            length, values = self._grammar.extent(lines.data[begin : int(lines.ends[stop - 1])].decode())
            end = int(np.searchsorted(lines.ends, begin + length)) if length else stop - 1
            if any(self._whole(lines, line) for line in range(looked, end + 1)):
                return None
            if length:
                return end if values == expected else None
            if not values or stop == most:
                return None
            if stop == total:
                return total
            looked, size = stop, size * 2

    def _whole(self, lines: Lines, at: int) -> bool:
        """Whether a line is a record by itself, of as many columns as the file has."""
        line = lines.data[int(lines.starts[at]) : int(lines.stops[at])].decode()
        return len(self._names) >= 3 and len(self._grammar.values(line) or ()) == len(self._names)

    # --- columns -----------------------------------------------------------------------------------------------------

    def _columns_of(self, chunk: TextChunk, *, multiline: bool) -> None:
        """Take the records apart; one with too few values or too many is malformed."""
        sound = np.ones(chunk.records, np.bool_)
        sound[list(chunk.malformed)] = False
        rows = np.flatnonzero(sound)
        batch = chunk.good(list(chunk.malformed))
        invalid: dict[int, int] = {}
        table = self._parse(batch.data, invalid, multiline) if len(rows) else None
        if table is None or table.num_rows + len(invalid) != len(rows):
            table, invalid = self._one_by_one(chunk, rows)
        expected = len(self._names)
        for at, values in invalid.items():
            note = f"{values} values instead of {expected}" if values >= 0 else "It cannot be taken apart"
            chunk.malformed[int(rows[at])] = Breach("columns", note=note)
        chunk.rows = np.delete(rows, list(invalid)) if invalid else rows
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        chunk.frame = frame

    def _parse(self, data: bytes, invalid: dict[int, int], multiline: bool) -> pa.Table | None:
        settings = self._settings

        def skip(row: arrow_csv.InvalidRow) -> str:
            invalid[row.number - 1] = row.actual_columns
            return "skip"

        try:
            return arrow_csv.read_csv(
                io.BytesIO(data) if not data else pa.BufferReader(data),
                read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=self._names),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=settings.delimiter,
                    quote_char=settings.quote or False,
                    escape_char=settings.escape or False,
                    newlines_in_values=multiline or b"\r" in data,
                    ignore_empty_lines=False,
                    invalid_row_handler=skip,
                ),
                convert_options=self._conversion(),
            )
        except pa.ArrowInvalid:
            return None

    def _conversion(self) -> arrow_csv.ConvertOptions:
        names = list(self.columns)
        return arrow_csv.ConvertOptions(
            check_utf8=False,
            column_types={name: pa.large_string() for name in names},
            include_columns=names,
            null_values=list(self._settings.nulls),
            strings_can_be_null=True,
        )

    def _one_by_one(self, chunk: TextChunk, rows: Places) -> tuple[pa.Table, dict[int, int]]:
        """The same, slowly, so that no record can cost another."""
        tables = [pa.table({name: pa.array([], pa.large_string()) for name in self.columns})]
        refused: dict[int, int] = {}
        for at, row in enumerate(rows.tolist()):
            invalid: dict[int, int] = {}
            table = self._parse(chunk.raw(row)[0], invalid, multiline=True)
            if table is not None and table.num_rows == 1:
                tables.append(table)
            else:
                refused[at] = invalid.get(0, -1)
        return pa.concat_tables(tables).combine_chunks(), refused


NDArrayBool = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(slots=True)
class _Records:
    """Which lines records begin and finish on, which of the records are malformed, how many lines are
    blank, whether there is a record of several, and how many are left unread."""

    begins: Places
    finishes: Places
    malformed: dict[int, Breach]
    blank: int
    multiline: bool = False
    unread: int = 0


class _Grammar:
    """What a well-formed record is (RFC 4180 §2, with another delimiter, quote and escape)."""

    def __init__(self, settings: QualitySettings) -> None:
        delimiter, quote, escape = (re.escape(each) for each in (settings.delimiter, settings.quote, settings.escape))
        escaped = rf"|{escape}." if escape else ""
        plain = rf"(?:[^{quote}{delimiter}{escape}\r\n]{escaped})*"
        value = rf"(?:{quote}(?:[^{quote}{escape}]|{quote}{quote}{escaped})*{quote}|{plain})" if quote else plain
        self._line = rf"(?s)^{value}(?:{delimiter}{value})*(?:\r\n|\n|\r)?$"
        possessive = value.replace(")*", ")*+")
        self._value = re.compile(rf"({possessive})(?:({delimiter})|\r\n|\n|\r|\Z)", re.DOTALL)
        unclosed = rf"{quote}(?:[^{quote}{escape}]|{quote}{quote}{escaped})*+\Z"
        self._open = re.compile(unclosed, re.DOTALL) if quote else None
        self._quote, self._escape, self._delimiter = settings.quote, settings.escape, settings.delimiter
        self._marks = [each.encode() for each in (settings.quote, settings.escape, "\r") if each]

    def special(self, lines: Lines, record: NDArrayBool) -> Places:
        """Lines whose form has to be looked at: they have a quote, an escape, or a carriage return that is not a line end's."""
        found = np.zeros(len(record), np.bool_)
        octets = np.frombuffer(lines.data, np.uint8)
        for mark in self._marks:
            if mark not in lines.data:
                continue
            places = np.flatnonzero(octets == mark[0])
            at = np.searchsorted(lines.ends, places, "right")
            found[at[places < lines.stops[at]]] = True
        return np.flatnonzero(found & record)

    def ill_formed(self, lines: Lines, at: list[int]) -> list[int]:
        """Of these lines, those that are no whole record."""
        chosen = np.array(at)
        array = text_array(lines.data, lines.starts, lines.ends)
        series = pl.Series(array if len(at) == len(lines.starts) else array.take(pa.array(chosen))).cast(pl.String)
        return [int(each) for each in chosen[(~series.str.contains(self._line)).to_numpy()]]

    def values(self, text: str) -> list[str] | None:
        """The values of one record without its line end; None where it is none."""
        found, at = [], 0
        while True:
            match = self._value.match(text, at)
            if match is None:
                return None
            found.append(self._plain(match[1]))
            at = match.end()
            if match[2] is None:
                return found if at == len(text) else None

    def extent(self, text: str) -> tuple[int, int]:
        """How many bytes of the text its first record has, with its line end, and how many values; (0, 1) where a quote is open at
        the end of the text, (0, 0) where there is no well-formed record."""
        at, values = 0, 0
        while True:
            match = self._value.match(text, at)
            if match is None:
                return 0, int(self._open is not None and self._open.match(text, at) is not None)
            values += 1
            at = match.end()
            if match[2] is None:
                return len(text[:at].encode()), values

    def _plain(self, value: str) -> str:
        quote, escape = self._quote, self._escape
        if quote and value.startswith(quote):
            value = value[1:-1].replace(quote * 2, quote)
        return re.sub(rf"{re.escape(escape)}(.)", r"\1", value, flags=re.DOTALL) if escape else value
