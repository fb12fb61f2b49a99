"""Tables of XPaths: each row names what is somewhere in an XML element, the element of a resource that it is, and how it is said.

A table is read in both directions, and whoever reads it tells what no row has named: of the XML, elements with text and attributes;
of the resource, its values. Nothing is silently lost (S57). A row whose XPath cannot be made goes one way only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.xml.coverage import Leaves, Nodes, belongs
from fiveways.methods.synchronous.transformation.xml.document import Element
from fiveways.methods.synchronous.transformation.xml.kinds import TEXT, Kind, Resource, beside
from fiveways.methods.synchronous.transformation.xml.paths import Found, Path

MALFORMED: Final = (TypeError, AttributeError, KeyError)
"""What comes of a resource in which a list stands for a text, or the like: whoever sends it is told, and nothing breaks."""
NOT_FHIR: Final = "it is not of the form that FHIR gives it"


class Row(Protocol):
    """What a table is made of."""

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """Put what is in the XML into a resource."""
        ...

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Put what is in the resource into the XML. `at` is where the resource is in the whole, with its dot: 'name[0].'."""
        ...


@dataclass(frozen=True, slots=True)
class Value:
    """An attribute, or the text of an element, and the element of a resource that it is.

    `fixed` are elements that go with it: they are put with it, and where one says something else, it is not written. `each`: what
    is there several times is there each time, as a member of a list, and `path` (may be '') is in the member.
    """

    xpath: Path
    path: str
    kind: Kind = TEXT
    fixed: Mapping[str, str] = field(default_factory=dict)
    each: str = ""

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """Put what it says; the first of several, if it is no list."""
        said = [found for found in self.xpath.find(node) if found.text]
        for found in said if self.each else said[:1]:
            seen.look(self.xpath, found)
            member: Resource = {} if self.each else into
            try:
                self.kind.read(found.text, member, self.path or "value")
                if not self.path and self.each and "value" not in member:
                    raise ValueError("a list cannot say that it is not known")
            except ValueError as error:
                seen.wrong(found, str(error))
                continue
            _fix(member, self.fixed)
            if self.each:
                members(into, self.each).append(member if self.path else member["value"])
            seen.coverage.mapped += 1

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Put what it is."""
        if self.each:
            for index, member in seen.mine(self):
                where = f"{at}{self.each}[{index}]"
                if isinstance(member, dict) == bool(self.path):
                    self._write(member if self.path else {"value": member}, node, f"{where}." if self.path else where, seen)
        elif belongs(resource, self.fixed):
            self._write(resource, node, at, seen)

    def _write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        path = self.path or "value"
        where = f"{at}{self.path}"
        try:
            text = self.kind.write(resource, path)
            if text:
                self.xpath.put(self.xpath.add(node) if self.each and self.xpath.text != "." else self.xpath.reach(node), text)
        except ValueError as error:
            seen.wrong(where, str(error))
            return
        except MALFORMED:
            seen.wrong(where, NOT_FHIR)
            return
        if text:
            seen.look(where, beside(where), *(f"{at}{name}" for name in self.fixed))


@dataclass(frozen=True, slots=True)
class Part:
    """An element with a table of its own. `each`: `path` is a list, and each element is a member of it. Where `path` is '', what
    the element says is the resource's."""

    xpath: Path
    path: str
    table: Table
    fixed: Mapping[str, str] = field(default_factory=dict)
    each: bool = False
    only_read: bool = False
    """It is read, and another row writes what it says."""

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """Put what the elements say."""
        there = self.xpath.elements(node)
        for child in there if self.each else there[:1]:
            seen.pass_through(self.xpath, child)
            if not self.path:
                self.table.read(child, into, seen)
                continue
            there_already = None if self.each else element.get(into, self.path)
            made: Resource = there_already if isinstance(there_already, dict) else {}
            self.table.read(child, made, seen)
            if not made:
                continue
            _fix(made, self.fixed)
            if self.each:
                members(into, self.path).append(made)
            else:
                element.put(into, self.path, made)

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Put an element for what is there, and for each member of a list; none where nothing would be in it."""
        if self.only_read:
            return
        if self.each:
            there = [(f"{at}{self.path}[{index}].", member) for index, member in seen.mine(self)]
        else:
            found = element.get(resource, self.path) if self.path else resource
            there = (
                [(f"{at}{self.path}." if self.path else at, found)]
                if isinstance(found, dict) and belongs(found, self.fixed)
                else []
            )
        for where, member in there:
            if not isinstance(member, dict):
                continue
            before = self.xpath.elements(node)
            try:
                child = self.xpath.add(node) if self.each else self.xpath.reach(node)
            except ValueError as error:
                seen.wrong(where.rstrip("."), str(error))
                continue
            written = seen.count()
            self.table.write(member, child, where, seen)
            if seen.count() > written:
                seen.look(*(f"{where}{name}" for name in self.fixed))
            elif child not in before and (parent := child.getparent()) is not None:
                parent.remove(child)


@dataclass(frozen=True, slots=True)
class Constant:
    """What the XML always says; where it says something else, that is told of."""

    xpath: Path
    value: str

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """Nothing of a resource."""
        for found in self.xpath.find(node):
            if found.text == self.value:
                seen.look(self.xpath, found)

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Say it."""
        if not self.xpath.why_not:
            self.xpath.put(self.xpath.reach(node), self.value)


@dataclass(frozen=True, slots=True)
class Ignored:
    """What says nothing of its own, with why. `told`: it is counted as ignored."""

    xpath: Path
    why: str
    told: bool = True

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """It, and what is in it, need not be told of."""
        for found in self.xpath.find(node):
            seen.ignore(self.xpath, found, told=self.told)

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Own:
    """What a row cannot say, as a pair of functions: each puts what it finds, and returns what it has taken up."""

    says: str
    reads: Callable[[Element, Resource], Sequence[Found]]
    writes: Callable[[Resource, Element], Sequence[str]]

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """Put what it says; ValueError is told of."""
        try:
            for found in self.reads(node, into):
                seen.look(None, found)
                seen.coverage.mapped += 1
        except ValueError as error:
            seen.wrong(Found(node, "", ""), str(error))

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Put what it is."""
        try:
            taken = self.writes(resource, node)
        except ValueError as error:
            seen.wrong(at.rstrip("."), str(error))
            return
        except MALFORMED:
            seen.wrong(at.rstrip("."), NOT_FHIR)
            return
        seen.look(*(f"{at}{path}" for path in taken))


@dataclass(frozen=True, slots=True)
class Table:
    """An element, and the resource or the element of one that it is. `fixed`: what such a resource always says."""

    name: str
    rows: Sequence[Row]
    fixed: Mapping[str, str] = field(default_factory=dict)

    def read(self, node: Element, into: Resource, seen: Nodes) -> None:
        """Put what an element says; where that is anything, what is fixed as well."""
        for row in self.rows:
            row.read(node, into, seen)
        if into:
            _fix(into, self.fixed)

    def write(self, resource: Resource, node: Element, at: str, seen: Leaves) -> None:
        """Put what a resource says, in the order of the rows."""
        seen.divide(resource, [(row, *_list_of(row)) for row in self.rows if _list_of(row)[0]])
        seen.look(*(f"{at}{name}" for name, value in self.fixed.items() if element.get(resource, name) == value))
        for row in self.rows:
            row.write(resource, node, at, seen)

    @property
    def one_way(self) -> list[tuple[str, str]]:
        """XPaths that can only be read, with why."""
        return [(row.xpath.text, row.xpath.why_not) for row in self.rows if isinstance(row, Value | Part) and row.xpath.why_not]

    def resource(self, node: Element, coverage: Coverage) -> Resource:
        """What an element says, as a whole: what no row has named is in `coverage`."""
        made: Resource = {}
        seen = Nodes(coverage, node)
        self.read(node, made, seen)
        seen.rest(node)
        return made

    def element(self, resource: Resource, node: Element, coverage: Coverage) -> Element:
        """Put a resource into an element, as a whole: what no row has named is in `coverage`."""
        seen = Leaves(coverage)
        self.write(resource, node, "", seen)
        seen.rest(resource)
        return node


def members(into: Resource, path: str) -> list[Any]:
    """The list at a path; an empty one is made."""
    found = element.get(into, path)
    if not isinstance(found, list):
        found = []
        element.put(into, path, found)
    return found


def _fix(into: Resource, fixed: Mapping[str, str]) -> None:
    for path, value in fixed.items():
        if element.get(into, path) is None:
            element.put(into, path, value)


def _list_of(row: Row) -> tuple[str, Mapping[str, str]]:
    """The list that a row adds to, '' where it is none, and what its members say."""
    if isinstance(row, Value):
        return row.each, row.fixed
    if isinstance(row, Part) and row.each and not row.only_read:
        return row.path, row.fixed
    return "", {}
