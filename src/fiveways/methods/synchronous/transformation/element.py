"""Elements of a resource by their paths: `name.given[1]`, `_gender.extension[0].url`."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_STEP = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[(\d{1,3})\])?")


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[tuple[str, int | None], ...]:
    """A path as names, each with the index in its list or None; ValueError where it is none."""
    found = []
    for text in path.split("."):
        match = _STEP.fullmatch(text)
        if match is None:
            raise ValueError(f"found {path!r}, expected a path such as name.given[1]")
        found.append((match[1], int(match[2]) if match[2] is not None else None))
    return tuple(found)


def get(resource: Any, path: str) -> Any:
    """What is at a path; None where nothing is."""
    if path.isidentifier():
        return resource.get(path) if isinstance(resource, dict) else None
    at = resource
    for name, index in steps(path):
        at = at.get(name) if isinstance(at, dict) else None
        if index is not None:
            at = at[index] if isinstance(at, list) and index < len(at) else None
        if at is None:
            return None
    return at


def put(resource: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path; objects and lists on the way are made. A list is filled from its beginning: an index that leaves a
    gap is the next one."""
    if path.isidentifier():
        resource[path] = value
        return
    at: Any = resource
    way = steps(path)
    last = len(way) - 1
    for number, (name, index) in enumerate(way):
        if index is None:
            if number == last:
                at[name] = value
            else:
                at = at.setdefault(name, {})
            continue
        members = at.setdefault(name, [])
        if index < len(members) and number != last:
            at = members[index]
            continue
        made = value if number == last else {}
        if index < len(members):
            members[index] = made
        else:
            members.append(made)
        at = made
