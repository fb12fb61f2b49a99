"""What stands in paths and queries, within the bounds that MESH gives. Raises InvalidRequest for all else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs

from fiveways.methods.messaging.mesh.faults import InvalidRequest
from fiveways.types import Interaction

_NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"


def query(interaction: Interaction) -> dict[str, str]:
    """The parameters of a query, the last of each name."""
    try:
        return {name: values[-1] for name, values in parse_qs(interaction.query.decode(), True, max_num_fields=50).items()}
    except ValueError:
        raise InvalidRequest([mistake("value_error", "query", "Query is not well-formed")]) from None


def bounded(asked: dict[str, str], name: str, least: int, most: int, default: int) -> int:
    """A whole number within bounds."""
    value = asked.get(name)
    if value is None:
        return default
    if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value, re.ASCII) is None:
        raise InvalidRequest([mistake("int_parsing", name, _NO_INTEGER, value)])
    if int(value) < least:
        raise InvalidRequest([_at_least(name, value, least)])
    if int(value) > most:
        message = f"Input should be less than or equal to {most}"
        raise InvalidRequest([mistake("less_than_equal", name, message, value, ctx={"le": most})])
    return int(value)


def sized(asked: dict[str, str], name: str, least: int, most: int) -> str:
    """A text of a length within bounds, or '' where there is none."""
    value = asked.get(name)
    if value is None:
        return ""
    if len(value) < least:
        message = f"String should have at least {least} character{'s' if least > 1 else ''}"
        raise InvalidRequest([mistake("string_too_short", name, message, value, ctx={"min_length": least})])
    if len(value) > most:
        raise InvalidRequest([too_long(name, value, most)])
    return value


def moment(asked: dict[str, str], name: str, default: datetime) -> datetime:
    """A moment in ISO 8601; UTC where it has no time zone."""
    value = asked.get(name)
    if value is None:
        return default
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest([mistake("datetime_parsing", name, "Input should be a valid datetime", value)]) from None


def chunk_number(part: str, least: int = 1) -> int:
    """A chunk's number in a path."""
    if re.fullmatch(r"[+-]?[0-9]{1,9}", part, re.ASCII) is None:
        raise InvalidRequest([mistake("int_parsing", "chunk_number", _NO_INTEGER, part, where="path")])
    if int(part) < least:
        raise InvalidRequest([_at_least("chunk_number", part, least, where="path")])
    return int(part)


def mistake(
    kind: str, name: str, message: str, value: str | None = None, *, where: str = "query", **besides: object
) -> dict[str, object]:
    """What is said of a value that is not as it must be; `where` it stands."""
    said = {} if value is None else {"input": value}
    return {"type": kind, "loc": [where, name], "msg": message, **said, **besides}


def too_long(name: str, value: str, most: int, *, where: str = "query") -> dict[str, object]:
    """What is said of a text over its length."""
    message = f"String should have at most {most} characters"
    return mistake("string_too_long", name, message, value, where=where, ctx={"max_length": most})


def _at_least(name: str, value: str, least: int, where: str = "query") -> dict[str, object]:
    message = f"Input should be greater than or equal to {least}"
    return mistake("greater_than_equal", name, message, value, where=where, ctx={"ge": least})
