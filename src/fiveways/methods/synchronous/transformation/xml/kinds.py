"""How a value is said in XML and in FHIR: text, a day, a moment, a code, a number, a yes or no."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, Protocol

from fiveways.hl7v2 import times
from fiveways.methods.synchronous.transformation import element

ALTERNATE_CODES = "http://hl7.org/fhir/StructureDefinition/alternate-codes"
"""FHIR's extension for what a code was called elsewhere."""
Resource = dict[str, Any]
_DAY = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?")
_NUMBER = re.compile(r"-?(0|[1-9]\d{0,17})(\.\d{1,17})?")


class Kind(Protocol):
    """How a value is said on either side."""

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put what `text` says at `path`; ValueError where it says nothing that can be said there."""
        ...

    def write(self, resource: Resource, path: str) -> str:
        """What is at `path`, as text; '' where nothing is. ValueError where it cannot be said."""
        ...


class Text:
    """The same on both sides."""

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put the text."""
        element.put(into, path, text)

    def write(self, resource: Resource, path: str) -> str:
        """The text."""
        value = element.get(resource, path)
        if value is None or isinstance(value, str):
            return value or ""
        raise ValueError("expected a text")


@dataclass(frozen=True, slots=True)
class Day:
    """A day, written as `pattern` (strftime); '' : as FHIR does, whole or not: 1980, 1980-01, 1980-01-02."""

    pattern: str = ""

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put a date."""
        if self.pattern:
            element.put(into, path, datetime.strptime(text, self.pattern).date().isoformat())  # noqa: DTZ007 (only its day)
            return
        day = text.partition("T")[0]
        if not _DAY.fullmatch(day):
            raise ValueError("expected a day such as 1980-01-02")
        datetime.fromisoformat(f"{day}-01-01"[:10])
        element.put(into, path, day)

    def write(self, resource: Resource, path: str) -> str:
        """The day."""
        value = element.get(resource, path)
        if not isinstance(value, str) or not self.pattern:
            return value[:10] if isinstance(value, str) else ""
        if len(value) < 10:
            raise ValueError("it is not a whole day")
        return _formatted(datetime.fromisoformat(value[:10]), self.pattern)


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment as HL7 writes it (YYYYMMDDHHMMSS+ZZZZ), as precise as it is said, in `zone` where it says none. `day`: no more than
    the day of it."""

    zone: tzinfo = UTC
    day: bool = False

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put a date or a dateTime."""
        moment = times.parse(text, self.zone)
        element.put(into, path, moment.date if self.day else moment.fhir)

    def write(self, resource: Resource, path: str) -> str:
        """The moment."""
        value = element.get(resource, path)
        if not isinstance(value, str):
            return ""
        return times.written(value[:10] if self.day else value, self.zone)


@dataclass(frozen=True, slots=True)
class Time:
    """A moment, written as `pattern` (strftime), '' : as XML and FHIR both do; in `zone` where it says none."""

    zone: tzinfo = UTC
    pattern: str = ""

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put a dateTime."""
        at = datetime.strptime(text, self.pattern) if self.pattern else datetime.fromisoformat(text)  # noqa: DTZ007 (next line)
        at = at if at.tzinfo is not None else at.replace(tzinfo=self.zone)
        element.put(into, path, at.isoformat(timespec="milliseconds" if at.microsecond else "seconds"))

    def write(self, resource: Resource, path: str) -> str:
        """The moment, in the zone."""
        value = element.get(resource, path)
        if not isinstance(value, str):
            return ""
        if "T" not in value:
            raise ValueError("it has no time of day")
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("it has no zone")
        return _formatted(at.astimezone(self.zone), self.pattern) if self.pattern else value


@dataclass(frozen=True, slots=True)
class Coded:
    """A code of FHIR's for one of another's. `system` names those: one that is not known, or not the first that means what it
    means, is kept beside what it means; where there is no such name, one that is not known cannot be said."""

    meanings: Mapping[str, str]
    system: str = ""
    written: Mapping[str, str] = field(init=False)
    """Codes by FHIR's: the first of those that mean it."""

    def __post_init__(self) -> None:
        written: dict[str, str] = {}
        for code, meaning in self.meanings.items():
            written.setdefault(meaning, code)
        object.__setattr__(self, "written", written)

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put the code that it means; keep the one that was said where that cannot be told from it."""
        meaning = self.meanings.get(text)
        if meaning is None and not self.system:
            raise ValueError("it is a code that is not known")
        if meaning is not None:
            element.put(into, path, meaning)
        if self.system and (meaning is None or self.written[meaning] != text):
            concept = {"coding": [{"system": self.system, "code": text}]}
            element.put(into, f"{beside(path)}.extension", [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}])

    def write(self, resource: Resource, path: str) -> str:
        """The code that was said, where it is kept; else the first that means it."""
        for extension in element.get(resource, f"{beside(path)}.extension") or ():
            coding = element.get(extension, "valueCodeableConcept.coding[0]") or {}
            if self.system and coding.get("system") == self.system and isinstance(coding.get("code"), str):
                return str(coding["code"])
        value = element.get(resource, path)
        if value is None:
            return ""
        if not isinstance(value, str) or value not in self.written:
            raise ValueError("there is no code for it")
        return self.written[value]


class Number:
    """A number, with the digits that it is written with."""

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put the number."""
        if not _NUMBER.fullmatch(text):
            raise ValueError("expected a number")
        element.put(into, path, Decimal(text) if "." in text else int(text))

    def write(self, resource: Resource, path: str) -> str:
        """Its digits."""
        value = element.get(resource, path)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError("expected a number")
        return str(value)


@dataclass(frozen=True, slots=True)
class Flag:
    """Yes or no, in the words of the other side."""

    words: Mapping[str, bool] = field(default_factory=lambda: {"true": True, "false": False, "1": True, "0": False})

    def read(self, text: str, into: Resource, path: str) -> None:
        """Put true or false."""
        if text not in self.words:
            raise ValueError("it says neither yes nor no")
        element.put(into, path, self.words[text])

    def write(self, resource: Resource, path: str) -> str:
        """The first word for it."""
        value = element.get(resource, path)
        if value is None:
            return ""
        for word, meaning in self.words.items():
            if meaning is value:
                return word
        raise ValueError("there is no word for it")


TEXT = Text()


def _formatted(at: datetime, pattern: str) -> str:
    """As strftime, with years of four digits on every system."""
    return at.strftime(pattern.replace("%Y", f"{at.year:04}"))


def beside(path: str) -> str:
    """Where a primitive element has its extensions."""
    before, dot, name = path.rpartition(".")
    return f"{before}{dot}_{name}"
