"""What was asked, as values by their names: of a FHIR request, those in its path and its query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from fiveways.errors import InvalidValue, MissingValue
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.xml.kinds import Resource

_VARIABLE = re.compile(r"\{([A-Za-z_][\w.\[\]]*)\}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


class Template:
    """A path with names in it: `/Patient/{id}`."""

    def __init__(self, text: str) -> None:
        """ValueError where a name in it is none."""
        self._pieces = _VARIABLE.split(text)
        if any("{" in piece or "}" in piece for piece in self._pieces[::2]):
            raise ValueError(f"found {text!r}, expected a path with names such as /Patient/{{id}}")
        self.names = self._pieces[1::2]
        for name in self.names:
            element.steps(name)
        pattern = "".join("([^/]+)" if number % 2 else re.escape(piece) for number, piece in enumerate(self._pieces))
        self._pattern = re.compile(pattern.rstrip("/") + "/?")

    def match(self, path: str) -> dict[str, str] | None:
        """The values in a path by their names; None where it is another path."""
        match = self._pattern.fullmatch(path)
        return {name: unquote(value) for name, value in zip(self.names, match.groups(), strict=True)} if match else None

    def filled(self, said: Resource) -> str:
        """The path with values in it; MissingValue where one is not said."""
        pieces = list(self._pieces)
        for number in range(1, len(pieces), 2):
            value = text_of(element.get(said, pieces[number]))
            if not value or value in (".", ".."):
                raise MissingValue(f"{pieces[number]} is missing")
            pieces[number] = quote(value, safe="")
        return "".join(pieces)


def parameters(found: Mapping[str, str], query: Mapping[str, str]) -> Resource:
    """What a request without a body says. A name has `_` where there is no letter or digit in it; of a token `system|value`, both
    are there on their own too: `identifier_system`, `identifier_value`."""
    said: dict[str, Any] = dict(found)
    for name, value in query.items():
        plain = plain_name(name)
        if not plain or plain[0].isdigit() or plain in said:
            raise InvalidValue("The query has a parameter that is not known or comes twice")
        if not value:
            continue
        said[plain] = value
        system, bar, code = value.rpartition("|")
        if bar:
            said[f"{plain}_system"], said[f"{plain}_value"] = system, code
        else:
            said[f"{plain}_value"] = value
    return said


def plain_name(name: str) -> str:
    """The name that a parameter has among what was asked."""
    return _NOT_IN_NAMES.sub("_", name)


def given(names: Mapping[str, str], said: Resource) -> dict[str, str]:
    """A query: the values at their paths in what was asked."""
    found = {name: text_of(element.get(said, path)) for name, path in names.items()}
    return {name: value for name, value in found.items() if value}


def text_of(value: Any) -> str:
    """A value as a path or a query says it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (str, int, float)) or hasattr(value, "as_tuple") else ""
