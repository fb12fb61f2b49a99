"""NDJSON and FHIR NDJSON: a JSON object on every line.

A value has JSON's own type: integer and decimal columns take numbers, boolean ones booleans, and all others strings. What has
another type breaks the rule `type`, and no other. Of a name that an object has twice, the last counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
import numpy as np
import polars as pl

from fiveways.methods.bulk.quality.chunks import TextChunk
from fiveways.methods.bulk.quality.findings import Breach
from fiveways.methods.bulk.quality.lines import LineSource, Places
from fiveways.methods.bulk.quality.plain import LineRecords
from fiveways.methods.bulk.quality.settings import Column, QualitySettings, steps

RESOURCE: Final = "\0resource"
"""In a frame of FHIR resources, the column that says which type each has."""
_FIT = 2**63
_DTYPES: Final[dict[str, type[pl.DataType]]] = {"integer": pl.Int64, "decimal": pl.Float64, "boolean": pl.Boolean}
_JSON = Breach("json", note="It is no JSON object")

Get = Callable[[dict[str, Any]], Any]


def dtype_of(column: Column) -> type[pl.DataType]:
    """The type of a column in the frame."""
    return _DTYPES.get(column.type, pl.String)


class JsonLines(LineRecords):
    """An NDJSON file's records."""

    def __init__(self, source: LineSource, settings: QualitySettings, columns: Mapping[str, Column]) -> None:
        super().__init__(source, settings, columns)
        self._fhir = settings.format == "fhir"
        self._gets = {
            name: _getter(name if each.path is None else each.path, each.path is not None) for name, each in columns.items()
        }
        flat = not self._fhir and all(each.path is None for each in columns.values())
        self._strict = msgspec.json.Decoder(_struct(columns)) if flat else None
        self._loose = msgspec.json.Decoder(dict[str, Any])

    def _columns_of(self, chunk: TextChunk, stops: Places) -> None:
        if self._strict is not None:
            self._flat(chunk, stops, self._strict.decode)
        else:
            self._deep(chunk)

    def _flat(self, chunk: TextChunk, stops: Places, decode: Callable[[memoryview], Any]) -> None:
        """Columns that are fields of the objects, whose types are looked at while they are read."""
        malformed, data = chunk.malformed, memoryview(chunk.data)
        records: list[Any] = []
        rows: list[int] = []
        wrong: list[tuple[int, dict[str, Any]]] = []
        for index, (start, stop) in enumerate(zip(chunk.starts.tolist(), stops.tolist(), strict=True)):
            if index in malformed:
                continue
            try:
                records.append(decode(data[start:stop]))
            except (msgspec.MsgspecError, RecursionError):
                found = self._object(data[start:stop])
                if found is None:
                    malformed[index] = _JSON
                    continue
                wrong.append((len(rows), found))
                records.append(_NOTHING)
            rows.append(index)
        columns = {}
        corrected = {at: self._typed(chunk, at, found) for at, found in wrong}
        for place, (name, each) in enumerate(self.columns.items()):
            field = f"f{place}"
            values = (
                [getattr(record, field, None) for record in records] if wrong else [getattr(record, field) for record in records]
            )
            for at, row in corrected.items():
                values[at] = row[name]
            columns[name] = pl.Series(name, values, dtype_of(each), strict=True)
        chunk.frame, chunk.rows = _without_empty(pl.DataFrame(columns)), np.array(rows, np.int64)

    def _deep(self, chunk: TextChunk) -> None:
        """Columns that are somewhere inside the objects."""
        rows: list[int] = []
        records: list[dict[str, Any]] = []
        kinds: list[str] = []
        data = memoryview(chunk.data)
        for index, (start, end) in enumerate(zip(chunk.starts.tolist(), chunk.ends.tolist(), strict=True)):
            if index in chunk.malformed:
                continue
            found = self._object(data[start:end])
            if found is None:
                chunk.malformed[index] = _JSON
                continue
            if self._fhir:
                kind = found.get("resourceType")
                if not isinstance(kind, str) or (self._settings.resources and kind not in self._settings.resources):
                    chunk.malformed[index] = Breach("resource", note="It is no resource of a type that is expected")
                    continue
                kinds.append(kind)
            rows.append(index)
            records.append(found)
        typed = [self._typed(chunk, at, record, kinds[at] if kinds else None) for at, record in enumerate(records)]
        columns = {
            name: pl.Series(name, [row[name] for row in typed], dtype_of(each), strict=True) for name, each in self.columns.items()
        }
        if self._fhir:
            columns[RESOURCE] = pl.Series(RESOURCE, kinds, pl.String)
        chunk.frame, chunk.rows = _without_empty(pl.DataFrame(columns)), np.array(rows, np.int64)

    def _object(self, line: memoryview) -> dict[str, Any] | None:
        try:
            return self._loose.decode(line)
        except (msgspec.MsgspecError, RecursionError):
            return None

    def _typed(self, chunk: TextChunk, row: int, record: dict[str, Any], kind: str | None = None) -> dict[str, Any]:
        """The columns' values; None, and a mistype, where one has another type."""
        found: dict[str, Any] = {}
        for name, column in self.columns.items():
            if column.resource is not None and column.resource != kind:
                found[name] = None
                continue
            value = self._gets[name](record)
            if value is not None and not _is(value, column.type):
                chunk.mistyped.setdefault(name, []).append(row)
                value = None
            found[name] = value
        return found


def _is(value: object, type_: str) -> bool:
    if type_ == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and -_FIT <= value < _FIT
    if type_ == "decimal":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, bool if type_ == "boolean" else str)


def _without_empty(frame: pl.DataFrame) -> pl.DataFrame:
    """An empty string is no value."""
    text = pl.selectors.string()
    return frame.with_columns(pl.when(text == "").then(None).otherwise(text).name.keep())


def _struct(columns: Mapping[str, Column]) -> type[msgspec.Struct]:
    """What an object is: its fields are the columns, called f0, f1, …; it may have others."""
    whole = Annotated[int, msgspec.Meta(ge=-_FIT, le=_FIT - 1)]
    kinds: dict[str, Any] = {"integer": whole, "decimal": float, "boolean": bool}
    fields = [(f"f{place}", kinds.get(each.type, str) | None, None) for place, each in enumerate(columns.values())]
    names = {f"f{place}": name for place, name in enumerate(columns)}
    return msgspec.defstruct("Record", fields, rename=names, gc=False)


_NOTHING: Final = object()


def _getter(path: str, deep: bool) -> Get:
    """What takes the value at a path out of an object; None where there is none."""
    if not deep:
        return lambda record: record.get(path)
    parts = steps(path)

    def get(record: dict[str, Any]) -> Any:
        value: Any = record
        for name, which in parts:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
            if isinstance(value, list):
                value = _one(value, which)
            elif which not in (None, 0):
                return None
        return value

    return get


def _one(values: list[Any], which: int | tuple[str, str] | None) -> Any:
    if isinstance(which, tuple):
        field, text = which
        return next((each for each in values if isinstance(each, dict) and each.get(field) == text), None)
    place = which or 0
    return values[place] if place < len(values) else None
