"""Reads YAML into plain data, event by event, and notes where each part of it stands.

What a general loader does besides is left out: nodes in between, tags, merge keys, keys that are no text. A file is read once, and
its nesting costs no stack.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from fiveways.errors import DeploymentError

Loc = tuple[str | int, ...]
"""A path in a document: keys, and places in lists."""

_MAX_DEPTH: Final = 64
_MAX_PARTS: Final = 1_000_000
_TAG: Final = "tag:yaml.org,2002:"
_SCALARS: Final = frozenset(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "timestamp"))
_TEXT: Final = f"{_TAG}str"
_PLAIN: Final = {yaml.MappingStartEvent: (None, "!", f"{_TAG}map"), yaml.SequenceStartEvent: (None, "!", f"{_TAG}seq")}
_UNFINISHED: Final = object()


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with a file: where, and what to do about it."""

    loc: Loc
    message: str


def shown(value: Any) -> str:
    """A value as found, short enough for a line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…'"


class Reader:
    """Reads one document. `positions`: line and column (both from 1) of each path; `mistakes`: what is not plain data."""

    def __init__(self, source: str) -> None:
        self.positions: dict[Loc, tuple[int, int]] = {}
        self.mistakes: list[Mistake] = []
        self._source = source
        self._events: Iterator[Any] = iter(())
        self._scalars: Any = yaml.CSafeLoader("")
        self._known: dict[str, Any] = {}
        self._anchors: dict[str, tuple[Loc, Any]] = {}
        self._parts = 0

    def read(self, text: str) -> Any:
        """The data of a text, `{}` where it has none. YAMLError where it is no YAML; DeploymentError where it goes too deep."""
        self._events = yaml.parse(text, Loader=yaml.CSafeLoader)
        data: Any = {}
        documents = 0
        for event in self._events:
            if type(event) is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    again: Any = event.start_mark
                    raise yaml.composer.ComposerError(None, None, "expected one document, and found another", again)
                data = self._value(next(self._events), ())
        return data

    def _value(self, event: Any, loc: Loc) -> Any:
        """The data that begins with an event; what is wrong with it joins `mistakes`."""
        kind, mark = type(event), event.start_mark
        self.positions.setdefault(loc, (mark.line + 1, mark.column + 1))
        self._count(loc, event)
        if kind is yaml.AliasEvent:
            return self._alias(event, loc)
        if event.anchor is not None:
            self._anchor(event, loc)
        data: Any = None
        if kind is yaml.ScalarEvent:
            data = self._scalar(event, loc)
        elif len(loc) >= _MAX_DEPTH:
            raise self._endless(event)
        elif event.tag not in _PLAIN[kind]:
            self.mistakes.append(Mistake(loc, f"found the tag {event.tag}, expected plain data"))
            self._pass_over(event)
        elif kind is yaml.MappingStartEvent:
            data = self._mapping(loc)
        else:
            data = []
            while type(following := next(self._events)) is not yaml.SequenceEndEvent:
                data.append(self._value(following, (*loc, len(data))))
        if event.anchor is not None:
            self._anchors[event.anchor] = (loc, data)
        return data

    def _mapping(self, loc: Loc) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while type(event := next(self._events)) is not yaml.MappingEndEvent:
            at = event.start_mark.line + 1, event.start_mark.column + 1
            if type(event) is not yaml.ScalarEvent:
                raise DeploymentError(f"{self._source}:{at[0]}:{at[1]}: a key is text, and nothing else")
            key = event.value
            where = (*loc, key)
            if key in mapping:
                first = self.positions[where][0]
                self.positions[(*where, "#again")] = at
                self.mistakes.append(Mistake((*where, "#again"), f"the key {key!r} stands here again (first on line {first})"))
                self._pass_over(next(self._events))
                continue
            self.positions[where] = at
            if event.anchor is not None:
                self._anchor(event, where)
                self._anchors[event.anchor] = (where, self._scalar(event, where))
            mapping[key] = self._value(next(self._events), where)
        return mapping

    def _scalar(self, event: Any, loc: Loc) -> Any:
        text: str = event.value
        if event.tag is None and not event.implicit[0]:
            return text  # it stands in quotes, or in a block
        if event.tag is None and text in self._known:
            return self._known[text]
        tag = event.tag if event.tag not in (None, "!") else self._scalars.resolve(yaml.ScalarNode, text, event.implicit)
        if tag not in _SCALARS:
            self.mistakes.append(Mistake(loc, f"found the tag {tag}, expected plain data"))
            return None
        try:
            data = text if tag == _TEXT else self._scalars.construct_object(yaml.ScalarNode(tag, text))
        except (ValueError, LookupError, AttributeError) as error:
            reason = error if isinstance(error, ValueError) else f"this is no {tag.rpartition(':')[2]}"
            self.mistakes.append(Mistake(loc, f"found {shown(text)}: {reason}"))
            return None
        if event.tag is None:
            self._known[text] = data
        return data

    def _anchor(self, event: Any, loc: Loc) -> None:
        if event.anchor in self._anchors:
            raise yaml.composer.ComposerError(None, None, f"found duplicate anchor {event.anchor!r}", event.start_mark)
        self._anchors[event.anchor] = (loc, _UNFINISHED)

    def _alias(self, event: Any, loc: Loc) -> Any:
        if event.anchor not in self._anchors:
            raise yaml.composer.ComposerError(None, None, f"found undefined alias {event.anchor!r}", event.start_mark)
        at, data = self._anchors[event.anchor]
        if data is _UNFINISHED:
            raise self._endless(event)
        return self._copied(data, at, loc, event)

    def _copied(self, data: Any, at: Loc, loc: Loc, event: Any) -> Any:
        """What stands at `at`, once more, at `loc`: it is said to stand where it was written."""
        self._count(loc, event)
        self.positions.setdefault(loc, self.positions[at])
        if isinstance(data, dict):
            return {key: self._copied(each, (*at, key), (*loc, key), event) for key, each in data.items()}
        if isinstance(data, list):
            return [self._copied(each, (*at, index), (*loc, index), event) for index, each in enumerate(data)]
        return data

    def _count(self, loc: Loc, event: Any) -> None:
        self._parts += 1
        if len(loc) > _MAX_DEPTH or self._parts > _MAX_PARTS:
            raise self._endless(event)

    def _pass_over(self, event: Any) -> None:
        """Read on to the end of what begins with an event."""
        depth = 0
        while True:
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if not depth:
                return
            event = next(self._events)

    def _endless(self, event: Any) -> DeploymentError:
        mark = event.start_mark
        where = f"{self._source}:{mark.line + 1}:{mark.column + 1}"
        return DeploymentError(f"{where}: nested too deeply, or aliases that grow without end")
