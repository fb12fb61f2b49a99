"""Tables that say what becomes of what, and are read in both directions.

A row names a component of a value and the element of a FHIR type that it is; how the one is said in the other is a codec's. What
needs more than that is a row of its own kind, a pair of functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, Protocol

from fiveways.hl7v2 import times
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes import CODING_SYSTEMS, Codes
from fiveways.methods.synchronous.transformation.v2.part import Part

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
"""FHIR's extension for what a code was called elsewhere."""
Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Context:
    """What a deployment says of a sender: `zone` of times that say none, `authorities` as identifiers' systems by the names that it
    gives assigning authorities (CX.4), `systems` as code systems by the names that it gives them (CWE.3)."""

    zone: tzinfo = UTC
    authorities: Mapping[str, str] = field(default_factory=dict)
    systems: Mapping[str, str] = field(default_factory=dict)

    def system(self, name: str) -> str:
        """FHIR's name of a code system; one that is not known keeps the name that it has."""
        if name.startswith("HL7") and name[3:].isdigit():
            return f"http://terminology.hl7.org/CodeSystem/v2-{name[3:].zfill(4)}"
        return self.systems.get(name) or CODING_SYSTEMS.get(name) or name

    def coding_system(self, system: str) -> str:
        """HL7's name of a code system of FHIR's."""
        prefix = "http://terminology.hl7.org/CodeSystem/v2-"
        if system.startswith(prefix):
            return f"HL7{system.removeprefix(prefix)}"
        for known in (self.systems, CODING_SYSTEMS):
            for name, uri in known.items():
                if uri == system:
                    return name
        return system


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


@dataclass(frozen=True, slots=True)
class Time:
    """A moment; `day`: no more than the day of it."""

    day: bool = False

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put a date or a dateTime, as precise as it is said."""
        moment = times.parse(text, context.zone)
        element.put(into, path, moment.date if self.day else moment.fhir)

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The moment in the sender's zone."""
        value = element.get(resource, path)
        return times.written(value, context.zone) if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of FHIR's for one of HL7's. One that is not known, or not the first that means what it means, is kept beside it."""

    codes: Codes

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the code that it means; keep the one that was said where that cannot be told from it."""
        meaning = self.codes.meanings.get(text)
        if meaning is not None:
            element.put(into, path, meaning)
        if meaning is None or self.codes.written[meaning] != text:
            concept = {"coding": [{"system": self.codes.system, "code": text}]}
            element.put(into, _beside(path), [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}])

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The code that was said, where it is kept; else the first that means it."""
        for extension in element.get(resource, _beside(path)) or ():
            code = element.get(extension, "valueCodeableConcept.coding[0].code")
            system = element.get(extension, "valueCodeableConcept.coding[0].system")
            if extension.get("url") == ALTERNATE_CODES and system == self.codes.system and isinstance(code, str):
                return code
        value = element.get(resource, path)
        return self.codes.written.get(value, "") if isinstance(value, str) else ""


def _beside(path: str) -> str:
    """Where the extensions of a primitive element are."""
    before, dot, name = path.rpartition(".")
    return f"{before}{dot}_{name}.extension"


TEXT, DAY, MOMENT = Text(), Time(day=True), Time()


@dataclass(frozen=True, slots=True)
class Row:
    """A component (and sub-component) of a value, and the element that it is. `fixed` are elements that go with it."""

    component: int
    path: str
    kind: Kind = TEXT
    subcomponent: int = 1
    fixed: Mapping[str, str] = field(default_factory=dict)

    def read(self, part: Part, into: Resource, context: Context) -> None:
        """Put what the component says."""
        text = part.get(self.component, self.subcomponent)
        if text:
            self.kind.read(text, into, self.path, context)
            for path, value in self.fixed.items():
                element.put(into, path, value)

    def write(self, resource: Resource, part: Part, context: Context) -> None:
        """Put what the element says."""
        text = self.kind.write(resource, self.path, context)
        if text:
            part.set(text, self.component, self.subcomponent)


@dataclass(frozen=True, slots=True)
class Own:
    """What a row cannot say: `components` are those that `read` looks at and `write` puts."""

    components: Sequence[int]
    says: str
    read: Callable[[Part, Resource, Context], None]
    write: Callable[[Resource, Part, Context], None]


@dataclass(frozen=True, slots=True)
class Table:
    """A data type of HL7 v2 and the FHIR type that it is."""

    name: str
    fhir: str
    rows: Sequence[Row | Own]

    def read(self, part: Part, context: Context) -> Resource:
        """The FHIR value of a part, {} where it says nothing. ValueError where it says what cannot be."""
        made: Resource = {}
        for row in self.rows:
            row.read(part, made, context)
        return made

    def write(self, resource: Resource, part: Part, context: Context) -> None:
        """Put the FHIR value into a part."""
        for row in self.rows:
            row.write(resource, part, context)
