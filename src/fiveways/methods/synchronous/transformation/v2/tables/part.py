"""One repetition of a field, taken apart where somebody looks: what nobody looked at is known, and can be told of."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.hl7v2.delimiters import STANDARD, Delimiters
from fiveways.hl7v2.escapes import escape, unescape
from fiveways.hl7v2.message import NULL

_MOST = 1_000
"""Sub-components of one component, as the parser has it."""


class Part:
    """The components of a value, each with its sub-components; numbers begin at 1. `present` are the components as they stand in
    the message, '' for those that are not there; `plain`: none of them has sub-components or escapes.

    `wrong` are the places of values that could not be said, with why; a part that is not `tolerant` has none, since the first such
    value is a ValueError.
    """

    __slots__ = ("_delimiters", "_looked", "_tolerant", "plain", "present", "wrong")

    def __init__(self, text: str = "", delimiters: Delimiters = STANDARD, *, tolerant: bool = False) -> None:
        self._delimiters = delimiters
        self.plain = not _marked(text, delimiters)
        self.present: list[str] = text.split(delimiters.component) if text else []
        self._looked: set[int] = set()
        self._tolerant = tolerant
        self.wrong: list[tuple[int, int, str]] = []

    def __len__(self) -> int:
        """How many components there are, empty ones among them."""
        return len(self.present)

    def get(self, component: int, subcomponent: int = 1) -> str:
        """A value, unescaped; '' where there is none, or is said to be none. It has been looked at from now on."""
        present = self.present
        if component > len(present) or not (text := present[component - 1]):
            return ""
        if not self.plain:
            self._looked.add(component * _MOST + subcomponent)
            return self.peek(component, subcomponent)
        if subcomponent > 1:
            return ""
        self._looked.add(component * _MOST + 1)
        return text if text != NULL and not text.isspace() else ""

    def peek(self, component: int, subcomponent: int = 1) -> str:
        """A value that is not looked at by this: whoever takes it up says so with `get`."""
        present = self.present
        if component > len(present) or not (text := present[component - 1]):
            return ""
        marks = self._delimiters
        mark = marks.subcomponent
        if mark and mark in text:
            parts = text.split(mark)
            text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        elif subcomponent > 1:
            return ""
        if text == NULL or text.isspace():
            return ""
        mark = marks.escape
        return unescape(text, marks) if mark and mark in text else text

    def refuse(self, component: int, subcomponent: int, reason: str) -> None:
        """A value cannot be said, and why. Raises ValueError where nobody asks for `wrong`."""
        if not self._tolerant:
            raise ValueError(reason)
        self.wrong.append((component, subcomponent, reason))

    def set(self, value: str, component: int, subcomponent: int = 1) -> None:
        """Put a value, which is escaped."""
        self.plain = False
        self.present += [""] * (component - len(self.present))
        mark = self._delimiters.subcomponent
        parts = self.present[component - 1].split(mark) if mark else [self.present[component - 1]]
        parts += [""] * (subcomponent - len(parts))
        parts[subcomponent - 1] = escape(value, self._delimiters)
        self.present[component - 1] = mark.join(_trimmed(parts))

    @property
    def text(self) -> str:
        """As it stands in a message; nothing stands at its end for what is not there."""
        return self._delimiters.component.join(_trimmed(self.present))

    def unread(self) -> Iterator[tuple[int, int]]:
        """Where there are values that nobody looked at."""
        return iter(self.account()[1])

    def account(self) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        """What became of the values: how many were looked at and are not wrong, where those are that nobody looked at, and where
        somebody looked and it is said that there is none."""
        said, unread, none = -len(self.wrong), [], []
        for component, subcomponent, text, looked in self._values():
            if not looked:
                unread.append((component, subcomponent))
            elif text == NULL or text.isspace():
                none.append((component, subcomponent))
            else:
                said += 1
        return said, unread, none

    def _values(self) -> Iterator[tuple[int, int, str, bool]]:
        mark, known = self._delimiters.subcomponent, self._looked
        for component, text in enumerate(self.present, start=1):
            if not text:
                continue
            if not mark or mark not in text:
                yield component, 1, text, component * _MOST + 1 in known
                continue
            for subcomponent, part in enumerate(text.split(mark), start=1):
                if part:
                    yield component, subcomponent, part, component * _MOST + subcomponent in known


def _marked(text: str, delimiters: Delimiters) -> bool:
    """Whether there is anything in a text but components."""
    mark, escape = delimiters.subcomponent, delimiters.escape
    return (mark in text if mark else False) or (escape in text if escape else False)


def _trimmed(parts: list[str]) -> list[str]:
    end = len(parts)
    while end and not parts[end - 1]:
        end -= 1
    return parts[:end]
