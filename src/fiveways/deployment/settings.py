"""The values of a deployment file: what every component's settings model is made of.

A settings model derives from `Settings`; its fields take these types, so that a duration is written the same way everywhere.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


class Settings(BaseModel):
    """A part of the deployment file: immutable, and nothing unknown passes."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=False,
        defer_build=True,  # one build of the whole, when a file is read, and none of each part at every start
    )


class Unsayable(ValueError):
    """A value is wrong that could be a secret written in place: whoever is told of the mistake is not shown the value."""


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DAY = timedelta(days=1)
_DURATION_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
"""In microseconds."""


def parse_duration(value: Any) -> timedelta:
    """A timedelta from '250ms', '3s', '10m', '24h', '5d' or a sum of them ('1h30m')."""
    if isinstance(value, timedelta):
        return value
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or "".join(n + u for n, u in parts) != value:
        raise ValueError("expected a duration such as 250ms, 3s, 10m, 24h or 5d")
    try:
        return timedelta(microseconds=int(sum(Decimal(n) * _DURATION_UNITS[u] for n, u in parts)))
    except OverflowError:
        raise ValueError("expected a duration of less than a thousand million days") from None


def format_duration(value: timedelta) -> str:
    """The shortest spelling of a duration that `parse_duration` reads back."""
    for unit, size in (("d", _DAY), ("h", _DAY // 24), ("m", _DAY // 1440)):
        if value >= size and value % size == timedelta(0):
            return f"{value // size}{unit}"
    unit, digits = ("s", 6) if value >= timedelta(seconds=1) else ("ms", 3)
    written = f"{Decimal(value // timedelta(microseconds=1)).scaleb(-digits):.{digits}f}"
    return written.rstrip("0").rstrip(".") + unit


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    Field(
        json_schema_extra={
            "type": "string",
            "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$",
            "format": "",
            "examples": ["3s", "10m"],
        }
    ),
]
"""A length of time: 250ms, 3s, 10m, 24h, 5d."""

_SIZE_UNITS = {"": 1, "B": 1, "kB": 1000, "KB": 1000, "KiB": 1024, "MB": 10**6, "MiB": 2**20, "GB": 10**9, "GiB": 2**30}


def parse_size(value: Any) -> int:
    """Bytes from an integer or '64KiB', '10MiB', '2GiB'."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"(\d+) ?([kKMG]i?B|B|)", value) if isinstance(value, str) else None
    if match is None or match[2] not in _SIZE_UNITS:
        raise ValueError("expected a size such as 64KiB, 10MiB or 2GiB")
    return int(match[1]) * _SIZE_UNITS[match[2]]


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    Field(json_schema_extra={"type": ["integer", "string"], "pattern": r"^\d+ ?([kKMG]i?B|B)?$", "examples": ["64KiB"]}),
]
"""A number of bytes: 64KiB, 10MiB, 2GiB."""


def parse_percent(value: Any) -> float:
    """A share between 0 and 1 from '2%' or '99.9%'."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", value) if isinstance(value, str) else None
    if match is None or Decimal(match[1]) > 100:
        raise ValueError("expected a percentage such as 2% or 99.9%")
    return float(Decimal(match[1]) / 100)  # in floats, 99.9 / 100 is not 0.999


def format_percent(share: float) -> str:
    """The shortest spelling of a share that `parse_percent` reads back."""
    return f"{(Decimal(repr(share)) * 100).normalize():f}%"


Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    PlainSerializer(format_percent, return_type=str),
    Field(json_schema_extra={"type": "string", "pattern": r"^\d+(\.\d+)?%$", "examples": ["99.9%"]}),
]
"""A share, written as a percentage: 99.9%."""

_PERIODS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class Rate(NamedTuple):
    """So many in so long: `limit` per `period` seconds. Written 5/s, 300/min, 1000/h or 10000/d."""

    limit: int
    period: int

    def __str__(self) -> str:
        return f"{self.limit}/{next(name for name, seconds in _PERIODS.items() if seconds == self.period)}"

    @classmethod
    def parse(cls, value: Any) -> Rate:
        """A rate from its spelling in the deployment file."""
        if isinstance(value, Rate):
            return value
        match = re.fullmatch(r"([1-9]\d{0,11})/(s|min|h|d)", value) if isinstance(value, str) else None
        if match is None:
            raise ValueError("expected a rate such as 5/s, 300/min, 1000/h or 10000/d")
        return cls(int(match[1]), _PERIODS[match[2]])

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^[1-9]\d*/(s|min|h|d)$", "examples": ["5/s", "300/min"]}


class Reference(str):
    """Where a value is kept that does not belong in the file: `env:NAME` or `file:PATH` (relative to the deployment file).

    Its text is the reference, never the value, so that it can be printed and logged. `resolve` reads the value.
    """

    __slots__ = ()

    @classmethod
    def parse(cls, value: Any) -> Reference:
        """A reference from its spelling; a value written out in place is refused."""
        if isinstance(value, str) and re.fullmatch(r"env:[A-Za-z_][A-Za-z0-9_]*|file:.+", value):
            return cls(value)
        raise Unsayable("expected env:NAME or file:PATH (secrets are never written in the deployment file)")

    def path(self, base: Path) -> Path:
        """The path of a `file:` reference, relative ones below `base` (the deployment file's folder)."""
        return base / self.removeprefix("file:")

    def resolve(self, base: Path) -> bytes:
        """The value, without a trailing newline; KeyError or OSError where there is none."""
        if self.startswith("env:"):
            return os.environ[self.removeprefix("env:")].encode()
        return self.path(base).read_bytes().removesuffix(b"\n")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(cls.parse, serialization=core_schema.to_string_ser_schema())

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$",
            "examples": ["env:SECRET", "file:tls/key.pem"],
        }


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
"""An id inside the deployment: letters, digits, dot, hyphen, underscore."""

PythonName = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", examples=["northshire.policies:office_hours"])]
"""What Python calls something of yours: module, colon, name. Modules beside the deployment file are found."""

OdsCode = Annotated[str, Field(pattern=r"^[A-Z0-9]{3,12}$")]
"""An Organisation Data Service code: A81001, RXN."""

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
"""An absolute http or https URL without user information, query or fragment."""
