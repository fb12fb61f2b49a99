"""Tables that say what becomes of what, and are read in both directions.

A row names a component of a value and the element of a FHIR type that it is; how the one is said in the other is a codec's. What
needs more than that is a row of its own kind, a pair of functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from functools import lru_cache
from typing import Any, Literal, Protocol
from urllib.parse import quote, unquote

from fiveways.hl7v2 import times
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import CODING_SYSTEMS, SYSTEM, UNREGISTERED, Codes
from fiveways.methods.synchronous.transformation.v2.tables.part import Part

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
"""FHIR's extension for what a code was called elsewhere."""
Resource = dict[str, Any]


_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
_CODE = re.compile(r"\S+(?:\s\S+)*")
_MOST_OFFSET = timedelta(hours=14)


@dataclass(frozen=True, slots=True)
class Context:
    """What a deployment says of a sender: `zone` of times that say none, `authorities` as identifiers' systems by the names that it
    gives assigning authorities (CX.4), `systems` as code systems by the names that it gives them (CWE.3). `profiles` are those that
    resources say they conform to, none where it is ''. `original`: whether the message is kept beside what it says, in a
    DocumentReference, or in a Binary that one leads to."""

    zone: tzinfo = UTC
    authorities: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)
    profiles: Literal["", "uk-core"] = "uk-core"
    original: Literal["", "document", "binary"] = ""

    def system(self, name: str) -> str:
        """FHIR's name of a code system; one that is not known keeps the name that it has, as a URN."""
        if known := self.systems.get(name) or CODING_SYSTEMS.get(name):
            return known
        if name.startswith("HL7") and name[3:].isdigit():
            return f"{SYSTEM}{name[3:].zfill(4)}"
        if is_oid(name):
            return f"urn:oid:{name}"
        return name if is_uri(name) else UNREGISTERED + quote(name)

    def coding_system(self, system: str) -> str:
        """HL7's name of a code system of FHIR's."""
        if system.startswith(SYSTEM):
            return f"HL7{system.removeprefix(SYSTEM)}"
        if system.startswith(UNREGISTERED):
            return unquote(system.removeprefix(UNREGISTERED))
        for known in (self.systems, CODING_SYSTEMS):
            for name, uri in known.items():
                if uri == system:
                    return name
        return system.removeprefix("urn:oid:")


@lru_cache(maxsize=1024)
def is_oid(text: str) -> bool:
    """Whether it is an object identifier."""
    return _OID.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def is_uri(text: str) -> bool:
    """Whether it is an absolute URI, as an identifier's system is."""
    return _URI.fullmatch(text) is not None


class Kind(Protocol):
    """How a value is said on either side."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put what `text` says at `path`; ValueError where it says nothing that can be said there."""
        ...

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """What is at `path`, as text; '' where nothing is."""
        ...


class Text:
    """The same on both sides."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the text."""
        element.put(into, path, text)

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The text."""
        value = element.get(resource, path)
        return value if isinstance(value, str) else ""


class Code(Text):
    """A code as FHIR wants it: no blanks before and after it, and one at a time within."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the code."""
        element.put(into, path, code(text))


class System(Text):
    """The name of a code system, on either side."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put FHIR's name of it."""
        element.put(into, path, context.system(text))

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """HL7's name of it."""
        return context.coding_system(super().write(resource, path, context))


def code(text: str) -> str:
    """A text that is a code in FHIR; ValueError where it is none."""
    if _CODE.fullmatch(text) is None:
        raise ValueError("expected a code, with no blanks around it")
    return text


@dataclass(frozen=True, slots=True)
class Time:
    """A moment; `day`: no more than the day of it."""

    day: bool = False

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put a date or a dateTime, as precise as it is said."""
        moment = moment_of(text, context)
        element.put(into, path, moment.date if self.day else moment.fhir)

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The moment in the sender's zone."""
        value = element.get(resource, path)
        return times.written(value, context.zone) if isinstance(value, str) else ""


def moment_of(text: str, context: Context) -> times.Moment:
    """A moment; ValueError where it is none, or none that FHIR can say: zones are of whole minutes, up to fourteen hours."""
    moment = times.parse(text, context.zone)
    offset = moment.at.utcoffset()
    if offset and (abs(offset) > _MOST_OFFSET or offset.seconds % 60) and moment.precision not in ("year", "month", "day"):
        raise ValueError("expected a zone from -1400 to +1400")
    return moment


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of FHIR's for one of HL7's. One that is not known, or not the first that means what it means, is kept beside it."""

    codes: Codes

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the code that it means; keep the one that was said where that cannot be told from it."""
        meaning = self.codes.meanings.get(code(text))
        if meaning is not None:
            element.put(into, path, meaning)
        if meaning is None or self.codes.written[meaning] != text:
            concept = {"coding": [self.codes.coding(text)]}
            element.put(into, _beside(path), [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}])

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The code that was said, where it is kept; else the first that means it."""
        for extension in element.get(resource, _beside(path)) or ():
            said = element.get(extension, "valueCodeableConcept.coding[0].code")
            system = element.get(extension, "valueCodeableConcept.coding[0].system")
            if extension.get("url") == ALTERNATE_CODES and system in (self.codes.system, None) and isinstance(said, str):
                return said
        value = element.get(resource, path)
        return self.codes.written.get(value, "") if isinstance(value, str) else ""


def _beside(path: str) -> str:
    """Where the extensions of a primitive element are."""
    before, dot, name = path.rpartition(".")
    return f"{before}{dot}_{name}.extension"


@dataclass(frozen=True, slots=True)
class Beside:
    """A text that FHIR has in an extension of a primitive element: the path is the element's."""

    url: str

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the extension, after those that are there."""
        at = _beside(path)
        element.put(into, at, [*(element.get(into, at) or ()), {"url": self.url, "valueString": text}])

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The text of the extension."""
        return next(
            (each.get("valueString", "") for each in element.get(resource, _beside(path)) or () if each.get("url") == self.url), ""
        )


TEXT, CODE, SYSTEM_OF, DAY, MOMENT = Text(), Code(), System(), Time(day=True), Time()


@dataclass(frozen=True, slots=True)
class Row:
    """A component (and sub-component) of a value, and the element that it is. `fixed` are elements that go with it."""

    component: int
    path: str
    kind: Kind = TEXT
    subcomponent: int = 1
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def components(self) -> Sequence[int]:
        """The one component."""
        return (self.component,)

    def read(self, part: Part, into: Resource, context: Context) -> None:
        """Put what the component says."""
        text = part.get(self.component, self.subcomponent)
        if not text:
            return
        try:
            self.kind.read(text, into, self.path, context)
        except ValueError as error:
            part.refuse(self.component, self.subcomponent, str(error))
            return
        for path, value in self.fixed.items():
            element.put(into, path, value)

    def write(self, resource: Resource, part: Part, context: Context) -> None:
        """Put what the element says."""
        text = self.kind.write(resource, self.path, context)
        if text:
            part.set(text, self.component, self.subcomponent)


@dataclass(frozen=True, slots=True)
class Own:
    """What a row cannot say: `components` are those that `read` looks at and `write` puts. `subcomponents` are those of a component
    that has more than one; `moved` says of components what they are written back as, where that is not themselves."""

    components: Sequence[int]
    says: str
    read: Callable[[Part, Resource, Context], None]
    write: Callable[[Resource, Part, Context], None]
    path: str = ""
    subcomponents: Mapping[int, Sequence[int]] = field(default_factory=dict)
    moved: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inner:
    """Components that are a value of their own within the value: a table of the same part, at a path. `needs` is the component that
    it says nothing without, `unless` one that says it better. `moved`: what it is written back as, where that is not itself."""

    path: str
    table: Table
    needs: int
    unless: int = 0
    moved: str = ""

    @property
    def components(self) -> Sequence[int]:
        """Those of the table."""
        return tuple(component for row in self.table.rows for component in row.components)

    def read(self, part: Part, into: Resource, context: Context) -> None:
        """Put the value."""
        if part.peek(self.needs) and not (self.unless and part.peek(self.unless)) and (said := self.table.read(part, context)):
            element.put(into, self.path, said)

    def write(self, resource: Resource, part: Part, context: Context) -> None:
        """Put its components."""
        found = element.get(resource, self.path)
        if isinstance(found, dict) and not self.moved:
            self.table.write(found, part, context)


@dataclass(frozen=True, slots=True)
class Table:
    """A data type of HL7 v2 and the FHIR type that it is. `needs` is the component that it says nothing without, where there is
    one."""

    name: str
    fhir: str
    rows: Sequence[Row | Own | Inner]
    needs: int = 0
    _plan: Sequence[tuple[int, bool, bool, Row | Own | Inner]] = field(init=False, repr=False, compare=False)
    """Each row with the first component that it looks at, whether it looks at no other, and whether it looks at a sub-component."""

    def __post_init__(self) -> None:
        plan = ((min(row.components), len(row.components) == 1, getattr(row, "subcomponent", 1) > 1, row) for row in self.rows)
        object.__setattr__(self, "_plan", tuple(plan))

    def read(self, part: Part, context: Context) -> Resource:
        """The FHIR value of a part, {} where it says nothing. ValueError where it says what cannot be, and the part is not
        tolerant."""
        made: Resource = {}
        if self.needs and not part.peek(self.needs):
            return made
        present, plain = part.present, part.plain
        most = len(present)
        for least, alone, deep, row in self._plan:
            if least <= most and (present[least - 1] or not alone) and not (deep and plain):
                row.read(part, made, context)
        return made

    def write(self, resource: Resource, part: Part, context: Context) -> None:
        """Put the FHIR value into a part."""
        for row in self.rows:
            row.write(resource, part, context)
