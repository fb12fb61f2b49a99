"""What stands in paths and queries, within the bounds that MESH gives. Raises InvalidRequest for all else."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from fiveways.methods.messaging.mesh.faults import InvalidRequest
from fiveways.types import Interaction

_NO_INTEGER = "Input should be a valid integer, unable to parse string as an integer"


def query(interaction: Interaction) -> dict[str, str]:
    """The parameters of a query, the last of each name."""
    try:
        return {name: values[-1] for name, values in parse_qs(interaction.query.decode(), max_num_fields=50).items()}
    except ValueError:
        raise InvalidRequest([mistake("value_error", "query", "Query is not well-formed")]) from None


def bounded(asked: dict[str, str], name: str, least: int, most: int, default: int) -> int:
    """A whole number within bounds."""
    value = asked.get(name)
    if value is None:
        return default
    if re.fullmatch(r"\s*[+-]?[0-9]{1,18}\s*", value, re.ASCII) is None:
        raise InvalidRequest([mistake("int_parsing", name, _NO_INTEGER)])
    if int(value) < least:
        raise InvalidRequest([mistake("greater_than_equal", name, f"Input should be greater than or equal to {least}")])
    if int(value) > most:
        raise InvalidRequest([mistake("less_than_equal", name, f"Input should be less than or equal to {most}")])
    return int(value)


def sized(asked: dict[str, str], name: str, least: int, most: int) -> str:
    """A text of a length within bounds, or '' where there is none."""
    value = asked.get(name, "")
    if value and len(value) < least:
        raise InvalidRequest([mistake("string_too_short", name, f"String should have at least {least} characters")])
    if len(value) > most:
        raise InvalidRequest([mistake("string_too_long", name, f"String should have at most {most} characters")])
    return value


def chunk_number(part: str, least: int = 1) -> int:
    """A chunk's number in a path."""
    if re.fullmatch(r"[+-]?[0-9]{1,9}", part, re.ASCII) is None:
        raise InvalidRequest([mistake("int_parsing", "chunk_number", _NO_INTEGER, where="path")])
    if int(part) < least:
        message = f"Input should be greater than or equal to {least}"
        raise InvalidRequest([mistake("greater_than_equal", "chunk_number", message, where="path")])
    return int(part)


def mistake(kind: str, name: str, message: str, where: str = "query") -> dict[str, object]:
    """What is said of a value that is not as it must be; `where` it stands."""
    return {"type": kind, "loc": [where, name], "msg": message}
