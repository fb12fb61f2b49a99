"""What goes in order: the key of a request, by what the deployment says of it.

A key may be a patient's number: it is kept, and shown to people, as a hash. The hash is the same on every node.
"""

from __future__ import annotations

import hashlib
from typing import Any

from fiveways.errors import MissingValue
from fiveways.methods.synchronous.api import template
from fiveways.methods.synchronous.promise.settings import OrderSettings
from fiveways.types import Interaction


class Order:
    """Finds keys."""

    def __init__(self, settings: OrderSettings | None) -> None:
        self._settings = settings
        self._path = template(settings.path, "key") if settings is not None and settings.path is not None else None

    def key(self, interaction: Interaction, document: Any) -> str | None:
        """The key of a request, hashed; None for one that has nothing to wait for. `document`: its JSON body, read.

        Raises MissingValue where the deployment says that there is one, and there is none.
        """
        value = self._value(interaction, document)
        if value is None:
            return None
        return hashlib.sha256(value).hexdigest()[:32]

    def _value(self, interaction: Interaction, document: Any) -> bytes | None:
        settings = self._settings
        if settings is None:
            return interaction.below.rstrip(b"/") if interaction.method != "POST" else None
        if settings.header is not None:
            name = settings.header.lower().encode()
            for known, value in interaction.headers:
                if known == name and value:
                    return value
        if settings.body is not None and (found := pointed(document, settings.body)) is not None:
            return found
        if self._path is not None and (match := self._path.fullmatch(interaction.below)) is not None:
            return match["key"]
        places = [f"{place}: {said}" for place, said in settings.model_dump(exclude_none=True).items()]
        raise MissingValue(f"Requests are delivered in order, and this one does not say of what ({' or '.join(places)})")


def pointed(document: Any, pointer: str) -> bytes | None:
    """The string or number that a JSON Pointer (RFC 6901) leads to; None where there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isascii() and name.isdigit() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    if isinstance(document, bool) or not isinstance(document, str | int) or document == "":
        return None
    return str(document).encode("utf-8", "surrogatepass")
