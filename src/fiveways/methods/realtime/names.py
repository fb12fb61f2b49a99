"""Channels' names: a pattern with names in braces says of which kind a channel is, and what its name has in their place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, Field

LONGEST: Final = 255
"""Characters of a name."""
_PART: Final = r"[A-Za-z0-9._~-]+"
_PATTERN: Final = re.compile(r"(?:[A-Za-z0-9._~:/-]|\{[a-z][a-z_]*\})+")
_HOLE: Final = re.compile(r"\{([a-z][a-z_]*)\}")


def _checked(pattern: str) -> str:
    holes = _HOLE.findall(pattern)
    if not _PATTERN.fullmatch(pattern):
        raise ValueError("expected letters, digits, any of . _ ~ : / - and names in braces")
    if len(holes) != len(set(holes)):
        raise ValueError("a name in braces comes once")
    if re.search(r"\}[A-Za-z0-9._~-]*\{", pattern):  # or it would be anybody's guess where the one ends and the other begins
        raise ValueError("a : or / stands between two names in braces")
    return pattern


Pattern = Annotated[str, Field(min_length=1, max_length=LONGEST, examples=["ward:{ward}:board"]), AfterValidator(_checked)]
"""Names of channels: ward:{ward}:board."""


class Named(NamedTuple):
    """What a name says: which of the kinds of the deployment file it is of, and what stands in its braces."""

    kind: str
    parts: Mapping[str, str]


class Names:
    """The names of a deployment's channels. The first pattern that a name has is the one it is of."""

    def __init__(self, patterns: Iterable[tuple[str, str]]) -> None:
        """`patterns`: of each kind its name and the pattern of its channels, in the order of the deployment file."""
        self._patterns = [(kind, re.compile(_expression(pattern))) for kind, pattern in patterns]

    def find(self, name: str) -> Named | None:
        """What a name says; None for one that no channel may have."""
        if len(name) > LONGEST:
            return None
        for kind, pattern in self._patterns:
            if (found := pattern.fullmatch(name)) is not None:
                return Named(kind, found.groupdict())
        return None


def filled(text: str, parts: Mapping[str, str]) -> str:
    """A text with what stands in the braces of a channel's name."""
    return _HOLE.sub(lambda found: parts.get(found[1], found[0]), text)


def holes(text: str) -> set[str]:
    """The names in braces of a text."""
    return set(_HOLE.findall(text))


def _expression(pattern: str) -> str:
    out, last = "", 0
    for hole in _HOLE.finditer(pattern):
        out += f"{re.escape(pattern[last : hole.start()])}(?P<{hole[1]}>{_PART})"
        last = hole.end()
    return out + re.escape(pattern[last:])
