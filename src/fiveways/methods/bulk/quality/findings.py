"""What quality control finds: bad records and what they broke, faults of the file, and what its columns are like.

All but the raw record holds values only as the column's mask allows. All can be written as JSON and read again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from fiveways.errors import FivewaysError

HIDDEN = "(hidden)"
MALFORMED = frozenset(("columns", "quote", "encoding", "nul", "too-long", "line-end", "json", "resource"))
"""Rules that speak of a record's form: one that breaks them has no fields, and no other rule is looked at."""


class Breach(msgspec.Struct, frozen=True):
    """A rule that a record broke."""

    rule: str
    """Which: required, type, pattern, length, range, code, check-digit, formula, reference, unique, columns, quote, encoding, nul,
    too-long, line-end, json, resource; or the name of one of the feed's own."""
    column: str | None = None
    """The column; None of a rule about the whole record. Of a key, its columns with ` + ` between."""
    value: str | None = None
    """The value, as it may be shown."""
    note: str = ""
    """What is wrong, for a person."""


class BadRecord(msgspec.Struct, frozen=True):
    """A record that is set aside."""

    number: int
    """Which record of the file, from 1; header, trailer and blank lines are not counted."""
    line: int | None
    """The line that it begins on, from 1; None where the format has no lines."""
    offset: int
    """Bytes before it, in the content as it is when it is not compressed; of Parquet 0."""
    raw: bytes
    """The record as it came, with its line end; of UTF-16 in UTF-8, of Parquet as JSON. It holds patients' data."""
    breaches: tuple[Breach, ...]
    """Every rule that it broke."""
    cut: int = 0
    """Bytes that are missing at the end of `raw`, of a record over the longest."""


class FileFault(msgspec.Struct, frozen=True):
    """Why a file could not be read, or not to its end. Nothing of it may be released."""

    code: Literal["empty", "header", "columns", "compression", "expansion", "archive", "parquet", "check", "list"]
    """Stable."""
    text: str
    """For a person; it holds no value of a record."""


class Unreadable(FivewaysError):
    """A file cannot be read, or not to its end."""

    def __init__(self, fault: FileFault) -> None:
        super().__init__(fault.text)
        self.fault = fault


class Progress(msgspec.Struct, frozen=True):
    """How far an examination is."""

    read: int
    """Bytes of the source."""
    expanded: int
    """Bytes of content."""
    records: int
    """Records looked at."""
    bad: int
    """Of these, bad."""


class Trailer(msgspec.Struct, frozen=True):
    """The last line, where it is no record."""

    line: int
    """Which line, from 1."""
    count: int | None
    """How many records it says that there are."""
    values: Mapping[str, str]
    """What its pattern's named groups matched."""


class ColumnProfile(msgspec.Struct, frozen=True):
    """What the values of a column are like, over all well-formed records, good and bad."""

    type: str
    """As in the settings."""
    records: int
    """Records that could have a value."""
    nulls: int
    """Records that have none."""
    distinct: int
    """How many different values, up to 1,024 exactly, then within some 3% (a bottom-k sketch)."""
    least: str | None = None
    """The least value; of text None, and of any that may not be shown."""
    greatest: str | None = None
    """The greatest value, in the same way: of dates the newest (B13)."""
    shortest: int | None = None
    """Characters of the shortest value; None of what is no text."""
    longest: int | None = None
    """Characters of the longest."""


class Tally(msgspec.Struct, frozen=True):
    """How often a rule was broken."""

    rule: str
    """Which, as in Breach."""
    column: str | None
    """Where."""
    records: int
    """How many records broke it."""
    first: tuple[int, ...]
    """The numbers of the first of them, up to ten."""
    places: tuple[int, ...]
    """How many of them in each stretch of the file (see Examination.stretch)."""


class Examination(msgspec.Struct, frozen=True):
    """What was found of a file. `records` is `good` and `bad` together; where it was broken off, of what was looked at until
    then."""

    verdict: Literal["good", "part", "rejected"]
    """All records are good; bad ones are set aside; or nothing may be released."""
    fault: FileFault | None
    """Why it could not be read."""
    stopped: str | None
    """What the stop policy found, of a file that it rejected."""
    complete: bool
    """Whether the file was read to its end; where it was not, `read` and `expanded` are further on than what was looked at."""
    compression: str
    """gzip, zstd, zip or none."""
    read: int
    """Bytes of the source that were read."""
    expanded: int
    """Bytes of content."""
    records: int
    """Records looked at (B21)."""
    good: int
    """Records that broke no rule."""
    bad: int
    """Records that broke one."""
    malformed: int
    """Of these, those that could not be taken apart."""
    blank: int
    """Blank lines, which are no records."""
    header: bytes
    """The line that names the columns, with its line end; b'' where there is none. Mended records are checked under it."""
    trailer: Trailer | None
    """The last line, where it is no record."""
    columns: dict[str, ColumnProfile]
    """What the columns are like."""
    tallies: tuple[Tally, ...]
    """How often each rule was broken, most often first."""
    stretch: int
    """How many records a stretch has, in `places`."""
    places: tuple[int, ...]
    """How many bad records each stretch of the file has."""
    resources: dict[str, int] = {}
    """FHIR: how many well-formed resources of each type."""


_decode = msgspec.json.Decoder(Examination).decode


def packed(examination: Examination) -> bytes:
    """An examination, as it is kept."""
    return zlib.compress(msgspec.json.encode(examination))


def unpacked(kept: bytes) -> Examination:
    """An examination that was kept."""
    return _decode(zlib.decompress(kept))


def shown(value: object, length_only: bool) -> str:
    """A value for people: as it is, up to 80 characters, or only how long it is."""
    text = str(value)
    if length_only:
        return f"({len(text)} characters)"
    text = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in text[:81])
    return text if len(text) <= 80 else text[:80] + "…"
