"""XPaths of a table: what is at them is found, and where they are simple, it is put there.

A simple XPath goes down by names: `Patient/Address[@use='H']/Line[2]`, `Number/@value`, `.`; a predicate says what an attribute or
a child is, or counts. What else XPath can say is found, but cannot be made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lxml import etree

from fiveways.methods.synchronous.transformation.xml.document import Element

_NAME = r"(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*"
_BRACKETS = r"\[(?:'[^']*'|\"[^\"]*\"|[^\[\]'\"])*\]"
_STEP = re.compile(rf"(?P<name>{_NAME})(?P<predicates>(?:{_BRACKETS})*)")
_PREDICATE = re.compile(
    r"\[\s*(?:(?P<count>[1-9]\d{0,3})|(?P<path>[^\s=\]]+)\s*=\s*(?:'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\"))\s*\]"
)
_ATTRIBUTE = re.compile(rf"@({_NAME})")
_PART = re.compile(rf"(?:{_BRACKETS}|[^/\[\]])+")
"""What is between two slashes, those in predicates not counted."""


class Found(NamedTuple):
    """Something that an XPath leads to: an element's text (`attribute` is ''), or an attribute of it. `element` is None where it
    was computed, so that nobody can say where it stood."""

    element: Element | None
    attribute: str
    text: str


@dataclass(frozen=True, slots=True)
class _Condition:
    path: Path
    value: str


@dataclass(frozen=True, slots=True)
class _Step:
    tag: str
    conditions: tuple[_Condition, ...]
    count: int


class Path:
    """An XPath, from an element on."""

    def __init__(self, text: str, namespaces: Mapping[str, str]) -> None:
        """`namespaces` by their prefixes. ValueError where it is no XPath, or has a prefix that is none of them."""
        self.text = text
        self.why_not = ""
        """Why it can only be read; '' where it can be written."""
        try:
            self._find = etree.XPath(text, namespaces=dict(namespaces), regexp=False, smart_strings=True)
        except etree.XPathSyntaxError:
            raise ValueError(f"found {text!r}, expected an XPath") from None
        for prefix in re.findall(r"([A-Za-z_][\w.-]*):(?!:)[A-Za-z_*]", re.sub(r"'[^']*'|\"[^\"]*\"", "", text)):
            if prefix not in namespaces:
                raise ValueError(f"found the prefix {prefix} in {text!r}, expected one of namespaces")
        self._steps: tuple[_Step, ...] = ()
        self._attribute = ""
        try:
            self._read(text, namespaces)
        except ValueError as error:
            self.why_not = str(error)

    def __repr__(self) -> str:
        return f"Path({self.text!r})"

    def find(self, element: Element) -> list[Found]:
        """What it leads to, in the document's order."""
        result = self._find(element)
        if isinstance(result, bool):
            return [Found(None, "", "true" if result else "false")]
        if isinstance(result, float):
            return [Found(None, "", f"{result:g}")]
        if isinstance(result, str):
            return [_found(result)]
        return [Found(each, "", _text(each)) if isinstance(each, Element) else _found(each) for each in result]

    def elements(self, element: Element) -> list[Element]:
        """The elements that it leads to."""
        result = self._find(element)
        return [each for each in result if isinstance(each, Element)] if isinstance(result, list) else []

    def looked_at(self, found: Element, attribute: str = "") -> Iterator[tuple[Element, str]]:
        """What has been read with what was found: the value, and what the predicates on the way to it say."""
        yield found, attribute
        at: Element | None = found
        for step in reversed(self._steps):
            if at is None:
                return
            for condition in step.conditions:
                for each in condition.path.find(at):
                    if each.text == condition.value and each.element is not None:
                        yield from condition.path.looked_at(each.element, each.attribute)
            at = at.getparent()

    def reach(self, element: Element) -> Element:
        """The element it leads to, or whose attribute; what is missing on the way is made. ValueError where it only can be read."""
        if self.why_not:
            raise ValueError(self.why_not)
        for step in self._steps:
            element = _reached(element, step)
        return element

    def add(self, element: Element) -> Element:
        """Another element where it leads to, however many there are. ValueError where it only can be read, or is the element."""
        if self.why_not or not self._steps:
            raise ValueError(self.why_not or "it is the element itself")
        for step in self._steps[:-1]:
            element = _reached(element, step)
        return _made(element, self._steps[-1])

    def put(self, element: Element, text: str) -> None:
        """Say `text` there; `element` is what `reach` or `add` gave. ValueError where XML cannot say it."""
        if self._attribute:
            element.set(self._attribute, text)
        else:
            element.text = text

    def _read(self, text: str, namespaces: Mapping[str, str]) -> None:
        steps = []
        parts = _PART.findall(text)
        if "/".join(parts) != text:
            raise ValueError(f"{text} does not go down by names")
        last = parts[-1]
        if match := _ATTRIBUTE.fullmatch(last):
            self._attribute = _clark(match[1], namespaces)
            parts = parts[:-1]
        elif last == "text()":
            parts = parts[:-1]
        for part in parts:
            if part == "." and len(parts) == 1:
                continue
            match = _STEP.fullmatch(part)
            if match is None:
                raise ValueError(f"{part or '//'} is no step that can be made")
            steps.append(_step(match["name"], match["predicates"], namespaces))
        self._steps = tuple(steps)


def _step(name: str, predicates: str, namespaces: Mapping[str, str]) -> _Step:
    conditions, count, at = [], 1, 0
    while at < len(predicates):
        match = _PREDICATE.match(predicates, at)
        if match is None:
            raise ValueError(f"{predicates} is no predicate that can be made true")
        at = match.end()
        if match["count"]:
            count = int(match["count"])
            continue
        path = Path(match["path"], namespaces)
        if path.why_not:
            raise ValueError(path.why_not)
        conditions.append(_Condition(path, match["single"] if match["single"] is not None else match["double"]))
    return _Step(_clark(name, namespaces), tuple(conditions), count)


def _clark(name: str, namespaces: Mapping[str, str]) -> str:
    prefix, colon, local = name.rpartition(":")
    return f"{{{namespaces[prefix]}}}{local}" if colon else name


def _reached(element: Element, step: _Step) -> Element:
    there = [
        child for child in element.iterchildren(step.tag)
        if all(any(found.text == each.value for found in each.path.find(child)) for each in step.conditions)
    ]  # fmt: skip
    while len(there) < step.count:
        there.append(_made(element, step))
    return there[step.count - 1]


def _made(element: Element, step: _Step) -> Element:
    made = etree.SubElement(element, step.tag)
    for condition in step.conditions:
        condition.path.put(condition.path.reach(made), condition.value)
    return made


def _text(element: Element) -> str:
    return (element.text or "").strip()


def _found(result: Any) -> Found:
    parent = getattr(result, "getparent", lambda: None)()
    attribute = getattr(result, "attrname", None) or ""
    tail = bool(getattr(result, "is_tail", False))
    return Found(None if tail else parent, attribute, str(result).strip())
