"""A class of pydantic or msgspec as a feed's columns: its fields are the columns, its types and constraints the rules.

What a type cannot say is said beside it, `Annotated[str, As(type="nhs_number", mask="length")]`, or in the feed's `columns`.
"""

from __future__ import annotations

import enum
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from fiveways.deployment.callables import load_callable
from fiveways.methods.bulk.quality.findings import FileFault, Unreadable
from fiveways.methods.bulk.quality.settings import Column, QualitySettings

_TYPES: dict[Any, str] = {
    str: "text",
    int: "integer",
    float: "decimal",
    Decimal: "decimal",
    datetime: "datetime",
    date: "date",
    bool: "boolean",
}
_CONSTRAINTS = {"ge": "min", "le": "max", "min_length": "min_length", "max_length": "max_length", "pattern": "pattern"}


class As:
    """Stands in a field's `Annotated`, and says of its column what its type does not. Takes the settings of a `Column`."""

    def __init__(self, **said: Any) -> None:
        Column.model_validate(said)
        self.said = said


def resolved(settings: QualitySettings, base: Path) -> QualitySettings:
    """The settings, with the columns that their model says. Raises Unreadable where it cannot be had or says what columns
    cannot."""
    if settings.model is None:
        return settings
    try:
        columns = columns_of(load_callable(settings.model, base))
        said = settings.model_dump(exclude_unset=True)
        said.pop("model")
        said["columns"] = {
            **{name: each.model_dump(exclude_unset=True) for name, each in columns.items()},
            **said.get("columns", {}),
        }
        return QualitySettings.model_validate(said)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise Unreadable(FileFault("check", f"The model {settings.model} cannot be used: {error}")) from None


def columns_of(model: Any) -> dict[str, Column]:
    """The columns of a class. TypeError for what is neither a pydantic model nor a msgspec Struct, or for a type that no column
    has."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return {each.alias or name: _of_pydantic(name, each) for name, each in model.model_fields.items()}
    if isinstance(model, type) and issubclass(model, msgspec.Struct):
        hints = typing.get_type_hints(model, include_extras=True)
        return {
            each.encode_name: _column(each.name, hints[each.name], (), required=each.required)
            for each in msgspec.structs.fields(model)
        }
    raise TypeError("expected a pydantic model or a msgspec Struct")


def _of_pydantic(name: str, field: FieldInfo) -> Column:
    return _column(name, field.annotation, tuple(field.metadata), required=field.is_required())


def _column(name: str, annotation: Any, metadata: tuple[Any, ...], *, required: bool) -> Column:
    said: dict[str, Any] = {}
    while True:
        origin = typing.get_origin(annotation)
        if origin is typing.Annotated:
            annotation, *more = typing.get_args(annotation)
            metadata += tuple(more)
        elif origin in (typing.Union, types.UnionType):
            given = typing.get_args(annotation)
            parts = [each for each in given if each is not type(None)]
            if len(parts) != 1:
                raise TypeError(f"{name}: a column has one type")
            required = required and len(parts) == len(given)
            annotation = parts[0]
        else:
            break
    if origin is typing.Literal:
        said = {"type": "code", "codes": {"values": tuple(str(each) for each in typing.get_args(annotation))}}
    elif isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        said = {"type": "code", "codes": {"values": tuple(str(each.value) for each in annotation)}}
    elif annotation in _TYPES:
        said = {"type": _TYPES[annotation]}
    else:
        raise TypeError(f"{name}: no column has the type {annotation}")
    said["required"] = required
    for each in metadata:
        said.update(_constraints(name, each))
    return Column.model_validate(said)


def _constraints(name: str, said: Any) -> Mapping[str, Any]:
    """What one piece of metadata asks."""
    if isinstance(said, As):
        return said.said
    if isinstance(said, FieldInfo):
        return {key: value for each in said.metadata for key, value in _constraints(name, each).items()}
    for other in ("gt", "lt", "multiple_of"):
        if getattr(said, other, None) is not None:
            raise TypeError(f"{name}: {other} is not known here; say ge or le, or a rule")
    found = {ours: getattr(said, theirs) for theirs, ours in _CONSTRAINTS.items() if getattr(said, theirs, None) is not None}
    return {
        key: str(value) if isinstance(value, date) else float(value) if isinstance(value, Decimal) else value
        for key, value in found.items()
    }
