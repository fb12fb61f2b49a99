"""What has been looked at, on either side, and what has not: it is told of, as paths without values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.xml.document import Element
from fiveways.methods.synchronous.transformation.xml.paths import Found, Path

MOST: Final = 1000
"""Paths that are told of one document."""
_LOCATIONS: Final = "{http://www.w3.org/2001/XMLSchema-instance}"


class Nodes:
    """Of an XML element: which texts and attributes were looked at."""

    def __init__(self, coverage: Coverage, top: Element) -> None:
        """Paths begin at `top`."""
        self.coverage = coverage
        self._top = top
        self._seen: set[tuple[Element, str]] = set()
        self._ignored: set[Element] = set()
        self._names: dict[Element, str] = {}

    def look(self, path: Path | None, found: Found) -> None:
        """What was found has been taken up, and what the XPath said of the way to it."""
        if found.element is None:
            return
        if path is None:
            self._seen.add((found.element, found.attribute))
        else:
            self._seen.update(path.looked_at(found.element, found.attribute))

    def pass_through(self, path: Path, child: Element) -> None:
        """What the XPath said of the way to an element has been taken up; not its text."""
        self._seen.update(each for each in path.looked_at(child) if each != (child, ""))

    def ignore(self, path: Path, found: Found, *, told: bool) -> None:
        """It, and what is in it, says nothing of its own."""
        if told and found.element is not None and len(self.coverage.ignored) < MOST:
            self.coverage.ignored.append(self._where(found))
        if found.element is not None and not found.attribute:
            self._ignored.add(found.element)
        self.look(path, found)

    def wrong(self, found: Found, why: str) -> None:
        """What was found could not be said."""
        if len(self.coverage.wrong) < MOST:
            self.coverage.wrong.append((self._where(found), why))

    def rest(self, node: Element) -> None:
        """Tell of what nobody has looked at, in the element and below."""
        unmapped, stack = self.coverage.unmapped, [node]
        while stack and len(unmapped) < MOST:
            at = stack.pop()
            if at in self._ignored:
                continue
            if (at, "") not in self._seen and (at.text or "").strip():
                unmapped.append(self._place(at))
            unmapped += [
                f"{self._place(at)}/@{_local(name)}"
                for name in map(str, at.attrib)
                if (at, name) not in self._seen and not name.startswith(_LOCATIONS)
            ]
            children = list(at)
            unmapped += [f"{self._place(child)}/following-text()" for child in children if (child.tail or "").strip()]
            stack.extend(reversed(children))

    def _where(self, found: Found) -> str:
        where = self._place(found.element) if found.element is not None else ""
        return where + (f"/@{_local(found.attribute)}" if found.attribute else "")

    def _place(self, node: Element) -> str:
        """Where an element is, by names: 'Patient/Address[2]/Line'."""
        names = []
        at: Element | None = node
        while at is not None:
            parent = at.getparent() if at is not self._top else None
            if parent is None:
                names.append(_local(str(at.tag)))
            else:
                if at not in self._names:
                    self._name(parent)
                names.append(self._names[at])
            at = parent
        return "/".join(reversed(names))

    def _name(self, parent: Element) -> None:
        """Name the elements of one: with their numbers, where there are several of a name."""
        several, numbers = Counter(child.tag for child in parent), Counter[Any]()
        for child in parent:
            numbers[child.tag] += 1
            number = f"[{numbers[child.tag]}]" if several[child.tag] > 1 else ""
            self._names[child] = f"{_local(str(child.tag))}{number}"


class Leaves:
    """Of a resource: which values were looked at."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self._seen: set[str] = set()
        self._mapped = 0
        self._mine: dict[int, list[tuple[int, Any]]] = {}

    def look(self, *paths: str) -> None:
        """They have been taken up."""
        self._seen.update(paths)
        self._mapped += bool(paths)
        self.coverage.mapped += bool(paths)

    def count(self) -> int:
        """How often something was taken up so far."""
        return self._mapped

    def wrong(self, path: str, why: str) -> None:
        """What is at a path could not be said."""
        self.coverage.wrong.append((path, why))
        self._seen.add(path)

    def divide(self, resource: Any, adding: Iterable[tuple[object, str, Mapping[str, str]]]) -> None:
        """Say which member of a list is whose: `adding` are rows, with the list that each adds to and what it fixes in its members.
        A member is the first row's whose fixed values it says, those that fix most before others."""
        taken: set[tuple[str, int]] = set()
        for row, path, fixed in sorted(adding, key=lambda each: -len(each[2])):
            mine = self._mine[id(row)] = []
            found = element.get(resource, path)
            for index, member in enumerate(found if isinstance(found, list) else ()):
                if (path, index) not in taken and belongs(member, fixed):
                    taken.add((path, index))
                    mine.append((index, member))

    def mine(self, row: object) -> list[tuple[int, Any]]:
        """The members of a list that are a row's, with their numbers."""
        return self._mine.get(id(row), [])

    def rest(self, resource: Any) -> None:
        """Tell of the values that nobody has looked at."""
        for path in leaves(resource):
            if len(self.coverage.unmapped) >= MOST:
                return
            if not self._looked_at(path):
                self.coverage.unmapped.append(path)

    def _looked_at(self, path: str) -> bool:
        at = path
        while at:
            if at in self._seen:
                return True
            at = at[: max(at.rfind("."), at.rfind("["), 0)]
        return False


def belongs(member: Any, fixed: Mapping[str, str]) -> bool:
    """Whether it says all that is fixed."""
    return all(element.get(member, path) == value for path, value in fixed.items())


def leaves(value: Any, at: str = "") -> Iterator[str]:
    """The paths of the values of a resource."""
    if isinstance(value, dict):
        for name, each in value.items():
            yield from leaves(each, f"{at}.{name}" if at else name)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from leaves(each, f"{at}[{index}]")
    elif value is not None:
        yield at


def _local(name: str) -> str:
    return name.rpartition("}")[2]
