"""What values are, by a column's type: expressions that make a text the value that it stands for, and null where it stands for
none."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

import polars as pl

from fiveways.methods.bulk.quality.settings import Column
from fiveways.methods.bulk.quality.spelling import spelling

DATE = "%Y-%m-%d"
_ISO = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]{1,9})?)?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?$"
_TRUE, _FALSE = ["true", "1", "y"], ["false", "0", "n"]


def typed(name: str, column: Column, dtype: pl.DataType) -> pl.Expr:
    """The column's values as what they are; null where they are none of its type, or there is none."""
    value = pl.col(name)
    if dtype == pl.Categorical or dtype == pl.Enum:
        value, dtype = value.cast(pl.String), pl.String()
    if dtype == pl.Null:
        return value.cast(pl.String)
    if dtype != pl.String:
        wanted: Any = {"integer": pl.Int64, "decimal": pl.Float64, "date": pl.Date, "datetime": pl.Datetime("us")}.get(column.type)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return value if wanted is None else value.cast(wanted, strict=False)
    match column.type:
        case "integer":
            return value.cast(pl.Int64, strict=False)
        case "decimal":
            number = value.cast(pl.Float64, strict=False)
            return pl.when(number.is_finite()).then(number)
        case "date":
            return pl.when(value.str.contains(spelling(column.format or DATE))).then(
                value.str.to_date(column.format or DATE, strict=False)
            )
        case "datetime" if column.format is not None:
            moment = value.str.to_datetime(column.format, strict=False, time_unit="us")
            return pl.when(value.str.contains(spelling(column.format))).then(moment)
        case "datetime":
            return pl.when(value.str.contains(_ISO)).then(_moment(value))
        case "boolean":
            lower = value.str.to_lowercase()
            return pl.when(lower.is_in(_TRUE)).then(statement=True).when(lower.is_in(_FALSE)).then(statement=False)
    return value


def _moment(value: pl.Expr) -> pl.Expr:
    """An ISO 8601 moment in UTC; one without an offset is taken as it is."""
    whole = value.str.slice(0, 19).str.to_datetime("%Y-%m-%dT%H:%M:%S", strict=False, time_unit="us")
    short = value.str.slice(0, 16).str.to_datetime("%Y-%m-%dT%H:%M", strict=False, time_unit="us")
    fraction = value.str.extract("[.]([0-9]{1,6})").str.pad_end(6, "0").cast(pl.Int64).fill_null(0)
    offset = value.str.extract("([+-][0-9]{2}:[0-9]{2})$")
    minutes = offset.str.slice(1, 2).cast(pl.Int64) * 60 + offset.str.slice(4, 2).cast(pl.Int64)
    signed = pl.when(offset.str.starts_with("-")).then(-minutes).otherwise(minutes).fill_null(0)
    local = pl.when(value.str.slice(16, 1) == ":").then(whole).otherwise(short)
    return local + pl.duration(microseconds=fraction) - pl.duration(minutes=signed)


def bound(column: Column, said: Any, today: date) -> pl.Expr:
    """What a column's values are compared with."""
    if column.type in ("integer", "decimal"):
        return pl.lit(said)
    if said == "today":
        said = today
    elif isinstance(said, str):
        said = datetime.fromisoformat(said)
    if isinstance(said, datetime):
        if said.tzinfo is not None:
            offset = said.utcoffset()
            said = said.replace(tzinfo=None) - offset if offset is not None else said
        return pl.lit(said.date() if column.type == "date" else said)
    return pl.lit(said if column.type == "date" else datetime.combine(said, time.min))
