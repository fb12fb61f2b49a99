"""A deployment file as text with positions: whatever is found wrong is named with its line, its path, and what was expected."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fiveways.deployment.reading import Loc, Mistake, Reader, shown
from fiveways.deployment.settings import Unsayable
from fiveways.errors import DeploymentError

__all__ = ["Document", "Loc", "Mistake", "parse", "path", "read", "validate"]

Model = TypeVar("Model", bound=BaseModel)

MAX_BYTES = 16 * 2**20


class Document:
    """A parsed YAML file: its data, and for every path in it the line and column where it stands (both from 1)."""

    def __init__(self, source: str, data: Any, positions: Mapping[Loc, tuple[int, int]]) -> None:
        self.source = source
        self.data = data
        self._positions = positions

    def position(self, loc: Loc) -> tuple[int, int]:
        """Line and column of a path, or of the nearest thing around it."""
        while loc not in self._positions and loc:
            loc = loc[:-1]
        return self._positions.get(loc, (1, 1))

    def describe(self, mistakes: Iterable[Mistake]) -> str:
        """The mistakes as text, a line each, in the order of the file."""
        placed = sorted(((self.position(m.loc), m) for m in mistakes), key=lambda pair: pair[0])
        return "\n".join(
            f"{self.source}:{line}:{column}: {path(m.loc) or '(the file)'}: {m.message}" for (line, column), m in placed
        )

    def refuse(self, mistakes: Iterable[Mistake]) -> DeploymentError:
        """The error that names all of `mistakes`."""
        return DeploymentError(self.describe(mistakes))


def path(loc: Loc) -> str:
    """A path as people write it: apis.patients.security[0]."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def read(file: Path) -> Document:
    """The document in a file; DeploymentError where it can't be read or is no YAML mapping."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise DeploymentError(f"{file}: larger than {MAX_BYTES} bytes; a deployment file never is")
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentError(f"{file}: cannot be read: {error}") from error
    return parse(text, str(file))


def parse(text: str, source: str = "deployment.yaml") -> Document:
    """The document in a text. Duplicate keys are refused, and so are tags: it is data, nothing else."""
    reader = Reader(source)
    try:
        data = reader.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise DeploymentError(f"{source}:{line}:{column}: not YAML: {error.problem or error}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DeploymentError(f"{source}:{line}:1: not YAML: {error.reason}") from error
    document = Document(source, data, reader.positions)
    if not isinstance(data, dict):
        reader.mistakes.append(Mistake((), f"found {shown(data)}, expected a mapping such as 'apis: …'"))
    if reader.mistakes:
        raise document.refuse(reader.mistakes)
    return document


def validate(document: Document, model: type[Model], context: Any = None) -> Model:
    """The document as `model`; DeploymentError with every mistake at once where it isn't."""
    try:
        return model.model_validate(document.data, context=context)
    except ValidationError as error:
        mistakes = {(m.loc, m.message): m for m in (_mistake(e, model) for e in _of_their_own(error.errors()))}
        raise document.refuse(mistakes.values()) from None


_PHRASES = {
    "missing": "is missing, and required",
    "literal_error": "expected {expected}",
    "enum": "expected {expected}",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "string_type": "expected text (quote it)",
    "dict_type": "expected a mapping",
    "model_type": "expected a mapping",
    "list_type": "expected a list",
    "too_short": "expected at least {min_length}",
    "string_pattern_mismatch": "expected text that matches {pattern}",
    "date_from_datetime_parsing": "expected a date such as 2027-09-30",
    "date_type": "expected a date such as 2027-09-30",
}


def _of_their_own(errors: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Without those that follow from others: a list is not too short because what is in it is wrong."""
    for error in errors:
        loc = error["loc"]
        if error["type"] != "too_short" or not any(e["loc"][: len(loc)] == loc and e["loc"] != loc for e in errors):
            yield error


def _mistake(error: ErrorDetails, model: type[BaseModel]) -> Mistake:
    kind, context = error["type"], error.get("ctx", {})
    loc = tuple(
        step for step in error["loc"] if not (isinstance(step, str) and step.startswith(("function-", "literal", "tagged")))
    )
    if kind == "missing":
        return Mistake(loc, _PHRASES[kind])
    if kind == "extra_forbidden":
        known = sorted(_fields_at(model, loc[:-1]))
        close = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of: {', '.join(known)}" if known else "no such key"
        return Mistake(loc, f"unknown key; {hint}")
    if isinstance(context.get("error"), Unsayable):
        return Mistake(loc, str(context["error"]))
    if kind == "value_error":
        expected = str(context.get("error", error["msg"]))
    else:
        expected = _PHRASES.get(kind, error["msg"][:1].lower() + error["msg"][1:]).format_map(
            {"expected": "", "pattern": "", **context}
        )
    return Mistake(loc, f"found {shown(error['input'])}, {expected}")


def _fields_at(annotation: Any, loc: Loc) -> set[str]:
    """The keys a settings model takes at a path below it: walks models, mappings, lists and unions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            return {field.alias or name for name, field in annotation.model_fields.items()}
        for name, field in annotation.model_fields.items():
            if (field.alias or name) == loc[0]:
                return _fields_at(field.annotation, loc[1:])
        return _fields_at(annotation, loc[1:]) if isinstance(loc[0], str) and loc[0] == annotation.__name__ else set()
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return set().union(*(_fields_at(argument, loc) for argument in arguments))
    if origin in (dict, list, tuple) and loc and arguments:
        return _fields_at(arguments[1 if origin is dict else 0], loc[1:])
    if arguments and origin is not None:
        return _fields_at(arguments[0], loc)
    return set()
