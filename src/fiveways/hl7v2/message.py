"""A message: segments, each taken apart only where somebody looks.

Reading it changes nothing: what was not set is written back as it came, with its own delimiters, escapes and line ends. A value
that is set takes its segment with it and no other.
"""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.hl7v2.delimiters import STANDARD, Delimiters
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.escapes import escape, unescape
from fiveways.hl7v2.path import Path

NULL = '""'
"""A value that says that there is to be none (HL7 v2.9 §2.5.3); one that is not there says nothing."""
MOST_SEGMENTS = 10_000
MOST_FIELDS = 1_000
"""Fields of one segment, repetitions of one field, and so on."""


class Segment:
    """One segment. `fields[0]` is its name, and the rest are as the standard numbers them, so that in MSH, FHS and BHS `fields[1]`
    is the delimiter that stands before `fields[2]`. All are as they are in the message: escaped."""

    __slots__ = ("_fields", "delimiters", "name", "text")

    def __init__(self, text: str, delimiters: Delimiters) -> None:
        self.text = text
        self.name = text[:3]
        self.delimiters = delimiters
        self._fields: list[str] | None = None

    @property
    def is_header(self) -> bool:
        """Whether it says the delimiters."""
        return self.name in ("MSH", "FHS", "BHS")

    @property
    def fields(self) -> list[str]:
        """Its fields; changing the list changes nothing (`set_field`)."""
        known = self._fields
        if known is None:
            known = self.text.split(self.delimiters.field)
            if len(known) > MOST_FIELDS:
                raise MalformedMessage(f"a {self.name} segment has more than {MOST_FIELDS} fields")
            if self.is_header:
                known.insert(1, self.delimiters.field)
            self._fields = known
        return known

    def field(self, number: int) -> str:
        """A field as it is in the message; '' where there is none."""
        fields = self.fields
        return fields[number] if number < len(fields) else ""

    def repetitions(self, number: int) -> list[str]:
        """The repetitions of a field, as they are in the message; none of a field that is empty."""
        field = self.field(number)
        if not field:
            return []
        if self.is_header and number <= 2:
            return [field]
        return _split(field, self.delimiters.repetition)

    def value(self, number: int, repetition: int = 1, component: int = 1, subcomponent: int = 1) -> str:
        """One value, unescaped; '' where there is none. What is not taken apart further is its own first component: whoever
        expects less structure than there is reads the first part (HL7 v2.9 §2.8.2)."""
        fields = self.fields
        if number >= len(fields):
            return ""
        text = fields[number]
        marks = self.delimiters
        if number <= 2 and self.is_header:
            return text if repetition == component == subcomponent == 1 else ""
        text = _part(text, marks.repetition, repetition)
        text = _part(text, marks.component, component)
        text = _part(text, marks.subcomponent, subcomponent)
        return unescape(text, marks) if marks.escape and marks.escape in text else text

    def set_field(self, number: int, text: str) -> None:
        """Put a field, as it is to be in the message; ValueError where it would break out of it."""
        if not 1 <= number <= MOST_FIELDS or (self.is_header and number <= 2):
            raise ValueError(f"{self.name}-{number} cannot be set")
        if self.delimiters.field in text or "\r" in text or "\n" in text:
            raise ValueError(f"{self.name}-{number} would hold a delimiter of fields or segments")
        fields = self.fields
        fields += [""] * (number + 1 - len(fields))
        fields[number] = text
        written = [fields[0], *fields[2:]] if self.is_header else fields
        self.text = self.delimiters.field.join(written)

    def set(self, value: str, number: int, repetition: int = 1, component: int = 1, subcomponent: int = 1) -> None:
        """Put one value, escaped; what stands beside it stays."""
        marks = self.delimiters
        whole = self.field(number)
        repetitions = _split(whole, marks.repetition)
        components = _split(_grown(repetitions, repetition), marks.component)
        subcomponents = _split(_grown(components, component), marks.subcomponent)
        _grown(subcomponents, subcomponent)
        subcomponents[subcomponent - 1] = value if value == NULL else escape(value, marks)
        components[component - 1] = _joined(subcomponents, marks.subcomponent)
        repetitions[repetition - 1] = _joined(components, marks.component)
        self.set_field(number, _joined(repetitions, marks.repetition))

    def __repr__(self) -> str:
        return f"Segment({self.name})"


class Message:
    """One message. `segments` may be changed; `text` is the message as it is now."""

    __slots__ = ("_ends", "delimiters", "segments")

    def __init__(self, segments: list[Segment], delimiters: Delimiters, ends: list[str] | None = None) -> None:
        self.segments = segments
        self.delimiters = delimiters
        self._ends = ends

    @classmethod
    def parse(cls, text: str) -> Message:
        """The message in `text`, which begins with MSH (a byte order mark, or line ends, may stand before it). Segments end with a
        carriage return; line feeds, and both, are taken too. MalformedMessage where it is none."""
        start = text.find("MSH")
        if start < 0 or text[:start].strip("\ufeff\r\n"):
            raise MalformedMessage("a message begins with MSH")
        delimiters = Delimiters.of(text[start : start + 20])
        pieces = text[start:].replace("\r\n", "\n").replace("\r", "\n").split("\n") if "\n" in text else text[start:].split("\r")
        if len(pieces) > 2 * MOST_SEGMENTS:
            raise MalformedMessage(f"a message has more than {MOST_SEGMENTS} segments")
        segments, ends = _assembled(text, start, pieces, delimiters)
        return cls(segments, delimiters, ends)

    @classmethod
    def new(cls, delimiters: Delimiters = STANDARD) -> Message:
        """A message with an MSH that says its delimiters and nothing else."""
        return cls([Segment(f"MSH{delimiters.field}{delimiters.encoding_characters}", delimiters)], delimiters)

    @property
    def text(self) -> str:
        """As it is written: to the byte as it came where nothing was set, with carriage returns where it was made here."""
        ends = self._ends
        if ends is None or len(ends) != len(self.segments) + 1:
            return "".join(f"{segment.text}\r" for segment in self.segments)
        return ends[0] + "".join(segment.text + end for segment, end in zip(self.segments, ends[1:], strict=True))

    def get(self, path: str) -> str:
        """The value at a path, unescaped; '' where there is none: `get("PID-5.1")`."""
        _, occurrence, field, repetition, component, subcomponent = where = Path.parse(path)
        segment = self.segment(where.segment, occurrence)
        if segment is None:
            return ""
        return segment.value(field or 0, repetition, component or 1, subcomponent or 1)

    def set(self, path: str, value: str) -> None:
        """Put a value; the segment is added at the end where it is not there."""
        where = Path.parse(path)
        while (segment := self.segment(where.segment, where.occurrence)) is None:
            self.add(where.segment)
        segment.set(value, where.field, where.repetition, where.component or 1, where.subcomponent or 1)

    def add(self, name: str) -> Segment:
        """A new segment at the end."""
        segment = Segment(name, self.delimiters)
        self.segments.append(segment)
        return segment

    def segment(self, name: str, occurrence: int = 1) -> Segment | None:
        """The segment of a name, by its count among those of that name."""
        for segment in self.segments:
            if segment.name == name:
                occurrence -= 1
                if occurrence == 0:
                    return segment
        return None

    def all(self, name: str) -> Iterator[Segment]:
        """The segments of a name, in order."""
        return (segment for segment in self.segments if segment.name == name)

    @property
    def code(self) -> str:
        """What it is: ADT."""
        return self.get("MSH-9.1")

    @property
    def event(self) -> str:
        """What happened: A01."""
        return self.get("MSH-9.2")

    @property
    def control_id(self) -> str:
        """MSH-10, by which it is acknowledged."""
        return self.get("MSH-10")

    def __repr__(self) -> str:
        return f"Message({self.code}^{self.event}, {len(self.segments)} segments)"


def _assembled(text: str, start: int, pieces: list[str], delimiters: Delimiters) -> tuple[list[Segment], list[str]]:
    """Segments, and what stands before the first and after each. A line that begins no segment goes on with the one before: there
    are senders whose values have line ends in them."""
    segments: list[Segment] = []
    ends = [text[:start]]
    at = start
    for piece in pieces:
        after = at + len(piece)
        stop = after + (2 if text.startswith("\r\n", after) else 1 if after < len(text) else 0)
        if _begins_segment(piece, delimiters):
            segments.append(Segment(piece, delimiters))
            ends.append(text[after:stop])
        elif piece.strip() and not piece.isspace():
            segments[-1].text += ends[-1] + piece
            ends[-1] = text[after:stop]
        else:
            ends[-1] += text[at:stop]
        at = stop
    if len(segments) > MOST_SEGMENTS:
        raise MalformedMessage(f"a message has more than {MOST_SEGMENTS} segments")
    return segments, ends


def _begins_segment(piece: str, delimiters: Delimiters) -> bool:
    name = piece[:3]
    return (
        len(name) == 3
        and name.isascii()
        and name[0].isalpha()
        and name.isalnum()
        and name.isupper()
        and piece[3:4] in ("", delimiters.field)
    )


def _part(text: str, mark: str, number: int) -> str:
    if not mark or mark not in text:
        return text if number == 1 else ""
    parts = text.split(mark)
    return parts[number - 1] if number <= len(parts) else ""


def _split(text: str, mark: str) -> list[str]:
    parts = text.split(mark) if mark else [text]
    if len(parts) > MOST_FIELDS:
        raise MalformedMessage(f"a field has more than {MOST_FIELDS} parts")
    return parts


def _grown(parts: list[str], number: int) -> str:
    if not 1 <= number <= MOST_FIELDS:
        raise ValueError(f"there is no part {number}")
    parts += [""] * (number - len(parts))
    return parts[number - 1]


def _joined(parts: list[str], mark: str) -> str:
    if not mark and len(parts) > 1:
        raise ValueError("the message names no delimiter for this")
    while len(parts) > 1 and not parts[-1]:
        parts = parts[:-1]
    return mark.join(parts)
