"""Tables of segments: each row names a field, the element of a resource that it is, and the data type it is said in.

A table is read in both directions. What a message says and no row names is told of, down to the sub-component: nothing is silently
lost (S57).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.part import Part
from fiveways.methods.synchronous.transformation.v2.table import TEXT, Context, Kind, Resource, Table

NUMBERS_ITSELF = "it counts the segments of its kind"
"""Why a set id is ignored."""


@dataclass(slots=True)
class Coverage:
    """What became of a message's fields: `unmapped` are paths of values that no row names, `wrong` those that could not be said,
    with why; `mapped` counts the fields that were."""

    mapped: int = 0
    unmapped: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seam:
    """How a value and the resource that it belongs to come together, where a path cannot say it; and how they are parted again."""

    put: Callable[[Resource, Resource], None]
    members: Callable[[Resource], Iterator[Resource]]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field and the element that it is, said in a data type (a table) or as a single value (a kind).

    `many`: the element is a list, to which each repetition adds. `fixed` is put into each member that says nothing of its own
    there; where several fields add to one list, those members are written back here that say just that.
    """

    number: int
    path: str
    said: Table | Kind = TEXT
    many: bool = False
    fixed: dict[str, str] = field(default_factory=dict)
    seam: Seam | None = None

    def belongs(self, member: Any) -> bool:
        """Whether a member of the list comes from this field."""
        return all(element.get(member, path) == value for path, value in self.fixed.items())


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """A segment and the resource, or the element of one, that it is. `ignored` are fields that say nothing of their own: set ids,
    and what another part of the message says better; each is named with why."""

    name: str
    fhir: str
    rows: Sequence[FieldRow]
    ignored: dict[int, str] = field(default_factory=dict)

    def read(self, segment: Segment, into: Resource, context: Context, coverage: Coverage, where: str = "") -> None:
        """Put what a segment says; `where` is its path in the message: `NK1(2)`."""
        where = where or self.name
        rows = {row.number: row for row in self.rows}
        for number in range(1, len(segment.fields)):
            if number in self.ignored or not segment.fields[number]:
                continue
            row = rows.get(number)
            if row is None:
                coverage.unmapped.append(f"{where}-{number}")
            else:
                self._read_field(row, segment, into, context, coverage, f"{where}-{number}")

    def _read_field(
        self, row: FieldRow, segment: Segment, into: Resource, context: Context, coverage: Coverage, where: str
    ) -> None:
        for index, text in enumerate(segment.repetitions(row.number), start=1):
            at = where if index == 1 else f"{where}[{index}]"
            part = Part(text, segment.delimiters)
            if index > 1 and not row.many:
                coverage.unmapped.append(at)
                continue
            try:
                said = _read(row, part, context)
            except ValueError as error:
                coverage.wrong.append((at, str(error)))
                continue
            if said is not None:
                _put(row, into, said)
                coverage.mapped += 1
            coverage.unmapped += [_path(at, *place) for place in part.unread()]

    def write(self, resource: Resource, segment: Segment, context: Context) -> None:
        """Put what a resource says into a segment."""
        taken: set[int] = set()
        for row in sorted(self.rows, key=lambda row: not row.fixed):
            texts = [_written(row, member, context, segment) for member in _members(row, resource, taken)]
            texts = [text for text in texts if text]
            if texts:
                segment.set_field(row.number, segment.delimiters.repetition.join(texts))


def _read(row: FieldRow, part: Part, context: Context) -> Any:
    """What a repetition says: a FHIR value, or None where that is nothing."""
    if isinstance(row.said, Table):
        return row.said.read(part, context) or None
    text = part.get(1)
    if not text:
        return None
    made: Resource = {}
    row.said.read(text, made, "value", context)
    return made


def _put(row: FieldRow, into: Resource, said: Any) -> None:
    if not isinstance(row.said, Table):
        _, _, name = row.path.rpartition(".")
        holder = into if "." not in row.path else _holder(into, row.path.rpartition(".")[0])
        for made, value in said.items():
            holder[made.replace("value", name)] = value
        return
    for path, value in row.fixed.items():
        if element.get(said, path) is None:
            element.put(said, path, value)
    if row.seam is not None:
        row.seam.put(into, said)
    elif row.many:
        _list(into, row.path).append(said)
    else:
        element.put(into, row.path, said)


def _members(row: FieldRow, resource: Resource, taken: set[int]) -> Iterator[Any]:
    """The values of a resource that a row writes back: of a list that several rows add to, each member once."""
    if row.seam is not None:
        yield from row.seam.members(resource)
        return
    found = element.get(resource, row.path)
    if not row.many:
        if found is not None or not isinstance(row.said, Table):
            yield found if isinstance(row.said, Table) else resource
        return
    for member in found or ():
        if id(member) not in taken and row.belongs(member):
            taken.add(id(member))
            yield member


def _written(row: FieldRow, member: Any, context: Context, segment: Segment) -> str:
    part = Part("", segment.delimiters)
    if isinstance(row.said, Table):
        row.said.write(member, part, context)
    else:
        text = row.said.write(member, row.path, context)
        if text:
            part.set(text, 1)
    return part.text


def _list(into: Resource, path: str) -> list[Any]:
    before, _, name = path.rpartition(".")
    holder = _holder(into, before) if before else into
    members: list[Any] = holder.setdefault(name, [])
    return members


def _holder(into: Resource, path: str) -> Resource:
    found = element.get(into, path)
    if found is None:
        found = {}
        element.put(into, path, found)
    return found  # type: ignore[no-any-return]


def _path(where: str, component: int, subcomponent: int) -> str:
    return f"{where}.{component}" + (f".{subcomponent}" if subcomponent > 1 else "")
