"""One repetition of a field, taken apart where somebody looks: what nobody looked at is known, and can be told of."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.hl7v2.delimiters import STANDARD, Delimiters
from fiveways.hl7v2.escapes import escape, unescape
from fiveways.hl7v2.message import NULL


class Part:
    """The components of a value, each with its sub-components; numbers begin at 1."""

    __slots__ = ("_components", "_delimiters", "_looked")

    def __init__(self, text: str = "", delimiters: Delimiters = STANDARD) -> None:
        self._delimiters = delimiters
        marks = delimiters
        components = text.split(marks.component) if text else []
        self._components = [each.split(marks.subcomponent) if marks.subcomponent else [each] for each in components]
        self._looked: set[tuple[int, int]] = set()

    def get(self, component: int, subcomponent: int = 1) -> str:
        """A value, unescaped; '' where there is none, or is said to be none. It has been looked at from now on."""
        self._looked.add((component, subcomponent))
        if component > len(self._components):
            return ""
        parts = self._components[component - 1]
        text = parts[subcomponent - 1] if subcomponent <= len(parts) else ""
        return unescape(text, self._delimiters) if text != NULL else ""

    def set(self, value: str, component: int, subcomponent: int = 1) -> None:
        """Put a value, which is escaped."""
        while len(self._components) < component:
            self._components.append([""])
        parts = self._components[component - 1]
        parts += [""] * (subcomponent - len(parts))
        parts[subcomponent - 1] = escape(value, self._delimiters)

    @property
    def text(self) -> str:
        """As it stands in a message; nothing stands at its end for what is not there."""
        marks = self._delimiters
        components = [marks.subcomponent.join(_trimmed(parts)) for parts in self._components]
        return marks.component.join(_trimmed(components))

    def unread(self) -> Iterator[tuple[int, int]]:
        """Where there are values that nobody looked at."""
        for component, parts in enumerate(self._components, start=1):
            for subcomponent, text in enumerate(parts, start=1):
                if text and (component, subcomponent) not in self._looked:
                    yield component, subcomponent


def _trimmed(parts: list[str]) -> list[str]:
    end = len(parts)
    while end and not parts[end - 1]:
        end -= 1
    return parts[:end]
