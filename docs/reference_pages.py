"""The reference of the deployment file and of the command line, from the settings models and the commands themselves."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import typer
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from fiveways.cli import cli
from fiveways.deployment import settings
from fiveways.methods.synchronous.settings import BasePath
from fiveways.platform.listeners import HostPort
from fiveways.platform.model import Deployment
from fiveways.security.settings import ApiKeyHash, JwksLocation
from fiveways.store.settings import DatabaseUrl

_KINDS: dict[str, tuple[Any, str]] = {
    "duration": (settings.Duration, "`250ms`, `3s`, `10m`, `24h`, `5d`"),
    "size": (settings.Size, "`64KiB`, `10MiB`, `2GiB`, or a number of bytes"),
    "percentage": (settings.Percent, "`2%`, `99.9%`"),
    "rate": (settings.Rate, "`5/s`, `300/min`, `1000/h`, `10000/d`"),
    "reference": (settings.Reference, "`env:NAME` or `file:PATH` (relative to the deployment file): where a secret is kept"),
    "name": (settings.Name, "letters, digits, dot, hyphen, underscore; at most 63"),
    "ODS code": (settings.OdsCode, "`A81001`, `RXN`"),
    "URL": (settings.HttpUrl, "`http://…` or `https://…`, without user information, query or fragment"),
    "address": (HostPort, "`127.0.0.1:8080`, `[::1]:8080`"),
    "base path": (BasePath, "`/demographics/FHIR/R4`"),
    "Python name": (settings.PythonName, "`package.module:name`"),
    "key hash": (ApiKeyHash, "`sha256:` and 64 hexadecimal digits, from `fiveways key new`"),
    "key set": (JwksLocation, "`file:PATH`, or a URL"),
    "database URL": (DatabaseUrl, "`sqlite:///relative.db`, `sqlite:////absolute.db`, `postgresql://user@host:port/name`"),
}
"""The kinds of value that settings are made of: what a reader calls them, and how they are written."""

_BY_PATTERN = {TypeAdapter(kind).json_schema()["pattern"]: name for name, (kind, _) in _KINDS.items()}


def kinds_of_value() -> str:
    """A table of the kinds of value that the other tables name."""
    return _table(("Value", "Written"), ((f"**{name}**", written) for name, (_, written) in _KINDS.items()))


def deployment_reference() -> str:
    """Every setting of the deployment file: a section per model, in the order in which the file has them."""
    sections = []
    for model, path in models().items():
        title = f"`{path}`" if path else "The file"
        schema = _properties(model)
        rows = [_row(model, name, field, schema[field.alias or name]) for name, field in model.model_fields.items()]
        table = stacked(("Setting", "Value", "Default", "Meaning"), rows)
        sections.append(f"## {title} {{ #{_anchor(model)} }}\n\n{document(model)}\n\n{table}")
    return "\n\n".join(sections)


def models() -> dict[type[BaseModel], str]:
    """Every settings model, with the first place in the file where it stands."""
    found: dict[type[BaseModel], str] = {}

    def visit(model: type[BaseModel], path: str) -> None:
        if model in found:
            return
        found[model] = path
        for name, field in model.model_fields.items():
            below = f"{path}.{field.alias or name}".lstrip(".")
            for inner, suffix in _models_in(field.annotation):
                visit(inner, below + suffix)

    visit(Deployment, "")
    return found


def document(model: type[BaseModel]) -> str:
    """A model's own documentation; LookupError where it has none."""
    if not model.__doc__ or model.__doc__ is BaseModel.__doc__:
        raise LookupError(f"{model.__module__}.{model.__name__} has no docstring")
    return " ".join(model.__doc__.split())


def describe(model: type[BaseModel], name: str) -> str:
    """A setting's documentation; LookupError where it has none."""
    text = model.model_fields[name].description
    if not text or not text.strip():
        raise LookupError(f"{model.__module__}.{model.__name__}.{name} has no documentation")
    return " ".join(text.split())


def command_reference() -> str:
    """Every command with its arguments and options."""
    return "\n\n".join(_command(path, command) for path, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its full name, as the parser has it."""
    yield from _below("fiveways", typer.main.get_command(cli))


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    names = command.list_commands(None) if hasattr(command, "list_commands") else []
    if not names:
        yield path, command
    for name in names:
        yield from _below(f"{path} {name}", command.get_command(None, name))


def _command(path: str, command: Any) -> str:
    shown = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [p for p in shown if p.param_type_name == "argument"]
    usage = " ".join([path, *(p.metavar if p.required else f"[{p.metavar}]" for p in arguments), "[OPTIONS]"])
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
    parts = [f"## `{path}`", text, f"```console\n$ {usage}\n```"]
    rows = [(f"`{_spelling(p)}`", _meaning(p), _given(p)) for p in shown if p.name != "help"]
    if rows:
        parts.append(_table(("Argument or option", "Meaning", "Default"), rows))
    return "\n\n".join(parts)


def _spelling(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar)
    names, kind = ", ".join(parameter.opts), parameter.type_descriptor.annotation
    metavar = parameter.metavar or {Path: "PATH", int: "NUMBER"}.get(kind, "TEXT")
    return names if kind is bool else f"{names} {metavar}"


def _meaning(parameter: Any) -> str:
    variable = getattr(parameter, "envvar", None)
    return _escape(parameter.help or "") + (f" Environment: `{variable}`." if variable else "")


def _given(parameter: Any) -> str:
    """A parameter's default, where there is one worth naming."""
    if parameter.required:
        return "**required**"
    value = parameter.default
    written = isinstance(value, str | Path | int) and not isinstance(value, bool) and value != ""
    return f"`{value}`" if written else ""


def _properties(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    properties: dict[str, Any] = (schema if "properties" in schema else schema["$defs"][model.__name__])["properties"]
    return properties


def _row(model: type[BaseModel], name: str, field: FieldInfo, schema: dict[str, Any]) -> tuple[str, str, str, str]:
    return f"`{field.alias or name}`", _value(schema), _default(field, schema), _escape(describe(model, name))


def _value(schema: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
        return f"[{words}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_value(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if schema.get("pattern") in _BY_PATTERN:
        return _BY_PATTERN[schema["pattern"]]
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_value(schema['items'])}"
    if kind == "object":
        patterned: dict[str, Any] = schema.get("patternProperties", {})
        inner: Any = schema.get("additionalProperties") or next(iter(patterned.values()), {})
        return f"mapping of {_value(inner)}" if isinstance(inner, dict) and inner else "mapping"
    if kind in ("integer", "number"):
        low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
        bounds = f", {low} to {high}" if high is not None else f", from {low}" if low is not None else ""
        return f"number{bounds}"
    return {"boolean": "`true`, `false`", "string": "text"}.get(str(kind), str(schema.get("format", kind)))


def _default(field: FieldInfo, schema: dict[str, Any]) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True) if not field.default_factory else None
    if value is PydanticUndefined or value is None or value in ((), {}, ""):
        return "none"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, dict):
        return "; ".join(f"`{key}: {_plain(each)}`" for key, each in value.items())
    return f"`{_plain(value, _value(schema))}`"


def _plain(value: Any, kind: str = "") -> str:
    """A default as it would be written in the file."""
    if isinstance(value, BaseModel):
        return "{" + ", ".join(f"{k}: {_plain(v)}" for k, v in value.model_dump(exclude_defaults=True).items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return settings.format_duration(value)
    if isinstance(value, tuple) and not isinstance(value, settings.Rate):
        return "[" + ", ".join(_plain(each) for each in value) + "]"
    if kind == "percentage":
        return f"{value * 100:g}%"
    if kind == "size":
        return size(value)
    return str(value)


def size(count: int) -> str:
    """A number of bytes as people write it."""
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= bytes_ and count % bytes_ == 0:
            return f"{count // bytes_} {unit}".replace(" ", "")
    return str(count)


def _models_in(annotation: Any, suffix: str = "") -> Iterator[tuple[type[BaseModel], str]]:
    """The settings models that an annotation mentions, with what of the path leads to them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, suffix
        return
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is dict:
        yield from _models_in(arguments[1], f"{suffix}.NAME")
    elif origin in (tuple, list):
        yield from _models_in(arguments[0], f"{suffix}[]")
    elif origin in (Union, types.UnionType):
        for argument in arguments:
            yield from _models_in(argument, suffix)
    elif arguments:
        yield from _models_in(arguments[0], suffix)


def _anchor(model: type[BaseModel]) -> str:
    return model.__name__.lower()


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def stacked(head: tuple[str, ...], rows: Any) -> str:
    """A table that on a narrow screen becomes a list, in which every cell between the first and the last has its column's name."""
    names = "; ".join(f"--column-{number}: '{name}: '" for number, name in enumerate(head[1:-1], start=2))
    return f'<div class="stacked" style="{names}" markdown>\n\n{_table(head, rows)}\n\n</div>'


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


table = _table
