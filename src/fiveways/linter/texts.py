"""Every text that a deployment file says, and where: for what has to look at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from fiveways.deployment.document import Loc
from fiveways.platform.model import Deployment


def texts(deployment: Deployment) -> Iterator[tuple[Loc, str]]:
    """Texts that are said, the last first; defaults are not."""
    aliases: dict[type[BaseModel], dict[str, str]] = {}
    pending: list[tuple[Loc, Any]] = [((), deployment)]
    while pending:
        loc, value = pending.pop()
        if isinstance(value, str):
            yield loc, value
        elif isinstance(value, BaseModel):
            known = aliases.get(type(value))
            if known is None:
                fields = type(value).model_fields.items()
                known = aliases[type(value)] = {name: field.alias or name for name, field in fields}
            said = value.model_fields_set
            pending.extend(((*loc, known[name]), getattr(value, name)) for name in known if name in said)
        elif isinstance(value, dict):
            pending.extend(((*loc, key), each) for key, each in value.items())
        elif isinstance(value, tuple | list) and not hasattr(value, "_fields"):
            pending.extend(((*loc, index), each) for index, each in enumerate(value))
