"""What a feed says of its records: how a file is written, what each column holds, and which rules records must keep (B15, B16)."""

from __future__ import annotations

import codecs
import re
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fiveways.deployment.settings import Duration, Name, Percent, PythonName, Settings, Size
from fiveways.methods.bulk.quality.spelling import spelling

Format = Literal["csv", "fixed", "ndjson", "parquet", "fhir"]
ColumnType = Literal["text", "integer", "decimal", "date", "datetime", "boolean", "code", "nhs_number"]
Mask = Literal["hide", "length", "show"]
NUMERIC = frozenset(("integer", "decimal"))
TEXTUAL = frozenset(("text", "code", "nhs_number"))
WIDE = frozenset(("utf-16", "utf-16-le", "utf-16-be"))
"""Encodings that are read by way of UTF-8."""
_COMPARISON = re.compile(r"\s*(.+?)\s*(>=|<=|==|!=|>|<)\s*(.+?)\s*")
_STEP = re.compile(r"([A-Za-z_][\w-]*)(?:\[(?:(\d+)|([A-Za-z_]\w*)=([^\]]+))\])?")


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _keys(value: Any) -> Any:
    return tuple(_several(each) for each in _several(value)) if isinstance(value, str | list | tuple) else value


def _pattern(value: str) -> str:
    try:
        import polars as pl  # here, so that a deployment without such a feed need not have it
    except ImportError:
        raise ValueError("patterns need the extra: pip install 'fiveways[bulk]'") from None
    try:
        pl.select(pl.lit("").str.contains(full(value)))
    except pl.exceptions.ComputeError:
        raise ValueError("expected a regular expression that runs in linear time: no look-around, no back-references") from None
    return value


def full(pattern: str) -> str:
    """The pattern for the whole of a value."""
    return rf"^(?:{pattern})$"


Pattern = Annotated[str, Field(min_length=1, max_length=2000), BeforeValidator(_pattern)]
"""A regular expression for the whole of a value (RE2's syntax: no look-around, no back-references)."""


class Listed(Settings):
    """Values that stand in a list somewhere: exactly one of these."""

    values: tuple[str, ...] = ()
    """The values themselves."""
    file: str | None = None
    """A CSV file in UTF-8 with a header, relative to the deployment file."""
    feed: Name | None = None
    """Another feed, whose released values are meant."""
    column: str | None = None
    """The column of the file or feed. Default: the file's first; the feed's of the same name."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (bool(self.values), self.file is not None, self.feed is not None).count(True) != 1:
            raise ValueError("expected one of values, file and feed")
        return self


def _listed(value: Any) -> Any:
    return {"values": value} if isinstance(value, list | tuple) else value


Values = Annotated[Listed, BeforeValidator(_listed, json_schema_input_type=Listed | tuple[str, ...])]
"""A list of values, or where it is."""


class Column(Settings):
    """What one column holds. An empty value is none: only `required` speaks of it."""

    type: ColumnType = "text"
    """What a value is. In text, `integer` has up to 19 digits, `boolean` is true, false, 1, 0, Y or N, `nhs_number` ten digits with
    the right check digit; in JSON a number is a number and a boolean a boolean, and all else a string."""
    required: bool = False
    """Whether there must be a value."""
    format: str | None = Field(default=None, min_length=2, max_length=64)
    """How a `date` or `datetime` is written in text, as in strftime. Default: ISO 8601, `%Y-%m-%d` or with `T` and an offset or
    not."""
    pattern: Pattern | None = None
    """What the whole of a value looks like."""
    min_length: int | None = Field(default=None, ge=0)
    """Fewest characters."""
    max_length: int | None = Field(default=None, ge=0)
    """Most characters."""
    min: int | float | datetime | date | str | None = None
    """Least value of an integer, decimal, date or datetime; `today` is the day on which the file came."""
    max: int | float | datetime | date | str | None = None
    """Greatest value, in the same way."""
    codes: Values | None = None
    """The values that there may be."""
    references: Values | None = None
    """Values of another file or feed, among which this one must be."""
    mask: Mask | None = None
    """How a value may be shown in reports and quarantine lists. Default: `nhs_number` and `text` are hidden; of others the length
    is shown where a value is not of the column's type or not in its list (it may have slipped there from another column), and the
    value where it is out of range."""
    formulas: bool = False
    """Whether a value may begin as a spreadsheet's formula does (see `formula_cells`)."""
    start: int | None = Field(default=None, ge=1)
    """Fixed width: the first character's place, from 1."""
    width: int | None = Field(default=None, ge=1)
    """Fixed width: characters; blanks at both ends are not part of the value."""
    path: str | None = Field(default=None, max_length=500)
    """JSON: where the value is, such as `name[0].family` or `identifier[system=https://fhir.nhs.uk/Id/nhs-number].value`; of a list
    without brackets, its first. Default: the column's name."""
    resource: str | None = Field(default=None, pattern=r"^[A-Z][A-Za-z]+$")
    """FHIR: the type of resource that has this column. Default: all."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.format is not None:
            if self.type not in ("date", "datetime"):
                raise ValueError("format: is for date and datetime")
            spelling(self.format)
        if self.type == "code" and self.codes is None:
            raise ValueError("a code needs codes:")
        if self.path is not None:
            steps(self.path)
        for bound in (self.min, self.max):
            if bound is not None and not _is_bound(self.type, bound):
                raise ValueError(f"min and max: expected what a column of type {self.type} can be compared with")
        return self


def _is_bound(type_: ColumnType, bound: object) -> bool:
    if type_ in NUMERIC:
        return isinstance(bound, int | float) and not isinstance(bound, bool)
    if type_ not in ("date", "datetime"):
        return False
    if isinstance(bound, str):
        try:
            return bound == "today" or bool(datetime.fromisoformat(bound))
        except ValueError:
            return False
    return isinstance(bound, date)


def steps(path: str) -> list[tuple[str, int | tuple[str, str] | None]]:
    """A JSON path, taken apart: name, and which of a list (its place, or what a field of it is). ValueError where it is none."""
    found: list[tuple[str, int | tuple[str, str] | None]] = []
    at = 0
    while True:
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError("expected a path such as name[0].family or identifier[system=…].value")
        name, place, field, value = match.groups()
        found.append((name, int(place) if place else (field, value) if field else None))
        at = match.end()
        if at == len(path):
            return found
        if path[at] != ".":
            raise ValueError("expected a path such as name[0].family or identifier[system=…].value")
        at += 1


class Rule(Settings):
    """What columns of one record have to do with each other: exactly one of compare, require and check."""

    compare: str | None = None
    """`end >= start`: two columns, or a column and a number, an ISO date or 'a text'. Kept where either is empty."""
    require: str | None = None
    """A column that must have a value, where `when` says."""
    when: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """With `require`: columns and the values that they have then; no values: any."""
    check: PythonName | None = None
    """A function of your own. It must not depend on anything but the record."""
    of: Literal["batch", "row"] = "batch"
    """What it gets: a Polars DataFrame of typed columns, for which it returns as many booleans (true: kept); or a dict of one
    record, for which it returns true or None (kept), or false or a text (broken; the text is shown, and holds no value)."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.compare, self.require, self.check).count(None) != 2:
            raise ValueError("expected one of compare, require and check")
        if bool(self.when) != bool(self.require):
            raise ValueError("require: and when: belong together")
        if self.compare is not None:
            self.comparison()
        return self

    def comparison(self) -> tuple[str, str, str]:
        """`compare`, taken apart: left, operator, right. ValueError where it is no comparison."""
        match = _COMPARISON.fullmatch(self.compare or "")
        if match is None:
            raise ValueError("expected a comparison such as end >= start")
        return match[1], match[2], match[3]


class Bounds(Settings):
    """What is too much. A record over a limit is bad; a file over one is rejected."""

    line: Size = Field(default=2**20, ge=64, le=2**28)
    """Longest record, in bytes."""
    columns: int = Field(default=1000, ge=1, le=100_000)
    """Most columns of a file."""
    expansion: int = Field(default=250, ge=1)
    """How many times larger a compressed file may become; the first MiB is free."""
    expanded: Size = Field(default=200 * 2**30, ge=1)
    """How many bytes a compressed file may become."""
    row_group: Size = Field(default=2**30, ge=1)
    """Parquet: bytes, not compressed, of one row group."""


class StopPolicy(Settings):
    """What bad records do to their file (B16)."""

    policy: Literal["set-aside", "reject-file", "stop-at"] = "set-aside"
    """Bad records are set aside and the others go on; the first rejects the file; or more than `percent` of them do."""
    percent: Percent = 0.02
    """With `stop-at`: the share of bad records over which the file is rejected: at the end, or as soon as it is certain."""


class CutSettings(Settings):
    """How large a mini-batch is: whichever of these comes first."""

    records: int | None = Field(default=None, ge=1)
    """Most records."""
    bytes: Size | None = Field(default=None, ge=1)
    """Most bytes with the header, in UTF-8; of Parquet, in memory. One record that is larger goes alone."""
    seconds: Duration | None = Field(default=None, gt=timedelta(0))
    """How long records are gathered for at most."""


Key = tuple[str, ...]
Keys = Annotated[tuple[Key, ...], BeforeValidator(_keys, json_schema_input_type=str | tuple[str | tuple[str, ...], ...])]
"""Keys, each a column or a list of columns."""


class QualitySettings(Settings):
    """Quality control of a feed's records."""

    format: Format = "csv"
    """How files are written."""
    compression: Literal["auto", "gzip", "zstd", "zip", "none"] = "auto"
    """How they are compressed; `auto` looks at their first bytes. A zip file has one member, which is not encrypted."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    """CSV: what is between values: one ASCII character."""
    quote: str = Field(default='"', max_length=1)
    """CSV: what values are put in that hold a delimiter, doubled inside; '' for none."""
    escape: str = Field(default="", max_length=1)
    """CSV: what takes a quote's or delimiter's meaning away, where it is not doubled."""
    encoding: str = "utf-8"
    """Text: UTF-8, UTF-16, or an encoding of one byte a character that contains ASCII, such as cp1252. A byte order mark is left
    out."""
    header: bool = True
    """CSV: whether the first line names the columns. Without it they come in the order of `columns`."""
    extra_columns: Literal["refuse", "allow"] = "refuse"
    """CSV and Parquet: whether a file may have columns that are not named here. They go on as they are."""
    lines: int = Field(default=1, ge=1, le=1000)
    """CSV: most lines of one record: more than one where quoted values hold line ends. A quote that is not closed by then is stray,
    and makes its own line bad, and no other."""
    trailer: Pattern | None = None
    """Text: what the last line looks like where it is no record: a group `(?P<count>…)` is the number of records (B21)."""
    nulls: tuple[str, ...] = ("",)
    """Text: values that are none."""
    resources: tuple[str, ...] = ()
    """FHIR: the types of resource that there may be. Default: any."""
    columns: dict[str, Column] = Field(default_factory=dict)
    """The columns, by name, in order."""
    model: PythonName | None = None
    """A class of pydantic or msgspec that says the columns, in place of `columns`; what stands in `columns` too is taken from
    there."""
    rules: dict[Name, Rule] = Field(default_factory=dict)
    """What columns have to do with each other."""
    unique: Keys = ()
    """Keys that no two records share: every record but the first is bad. One with an empty part is not looked at."""
    formula_cells: bool = True
    """CSV: whether texts that a spreadsheet would take for a formula are bad: they begin with = + - @, a tab or a carriage
    return."""
    bad_records: StopPolicy = StopPolicy()
    """What bad records do to their file."""
    limits: Bounds = Bounds()
    """What is too much."""

    @model_validator(mode="after")
    def _csv(self) -> Self:
        marks = [self.delimiter, *filter(None, (self.quote, self.escape))]
        if len(set(marks)) != len(marks) or any(not mark.isascii() or mark in "\r\n\0" for mark in marks):
            raise ValueError("delimiter, quote and escape: expected different ASCII characters, and no line end")
        if not encodes(self.encoding):
            raise ValueError("encoding: expected utf-8, utf-16, or one of one byte a character that contains ASCII")
        return self

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.columns and self.model is None and self.format != "fhir":
            raise ValueError("expected columns: or model:")
        if self.format == "fixed" and any(each.start is None or each.width is None for each in self.columns.values()):
            raise ValueError("fixed: every column needs start: and width:")
        if self.trailer is not None and self.format == "parquet":
            raise ValueError("trailer: is for text")
        if self.model is None:
            self._named()
        return self

    def _named(self) -> None:
        """ValueError where something names a column that there is not."""
        for key in self.unique:
            self._known("unique", key)
        for name, rule in self.rules.items():
            self._known(f"rules: {name}", [*filter(None, [rule.require]), *rule.when])
            if rule.compare is not None:
                left, _, right = rule.comparison()
                if not ({left, right} & self.columns.keys()):
                    raise ValueError(f"rules: {name}: expected a column's name in the comparison")

    def _known(self, where: str, names: Any) -> None:
        for name in names:
            if name not in self.columns:
                raise ValueError(f"{where}: there is no column {name}")


def encodes(encoding: str) -> bool:
    """Whether text in it can be read line by line."""
    try:
        name = codecs.lookup(encoding).name
        if name in ("utf-8", *WIDE):
            return True
        ascii_ = bytes(range(128))
        return ascii_.decode(name) == ascii_.decode("ascii") and all(
            len(bytes((each, other)).decode(name, "replace")) == 2 for each in range(128, 256) for other in (64, 161)
        )
    except (LookupError, UnicodeError, ValueError):
        return False
