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
from fiveways.methods.synchronous.transformation.transformer import Coverage
from fiveways.methods.synchronous.transformation.v2.codes.general import TableCodes
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import TEXT, Context, Kind, Resource, Table

NUMBERS_ITSELF = "it counts the segments of its kind"
"""Why a set id is ignored."""


class NotMapped(ValueError):
    """What a seam has no place for; the text says why. It is told of as not mapped, and not as wrong."""


@dataclass(frozen=True, slots=True)
class Seam:
    """How a value and the resource that it belongs to come together, where a path cannot say it; and how they are parted again.
    `put` raises ValueError where they cannot. What is said as a single value is its `value`."""

    put: Callable[[Resource, Resource], None]
    members: Callable[[Resource], Iterator[Resource]]


@dataclass(frozen=True, slots=True)
class FieldRow:
    """A field and the element that it is, said in a data type (a table) or as a single value (a kind).

    `many`: the element is a list, to which each repetition adds. `fixed` is put into each member that says nothing of its own
    there; where several fields add to one list, those members are written back here that say just that. `table` are the codes of
    HL7's own table: a code of them that names no system is of that one. `moved` says what a field is written back as, where that
    is another. `default` is put as `fixed` is, and members that say something else are written back here all the same.
    """

    number: int
    path: str
    said: Table | Kind = TEXT
    many: bool = False
    fixed: dict[str, str] = field(default_factory=dict)
    seam: Seam | None = None
    table: TableCodes | None = None
    moved: str = ""
    default: dict[str, str] = field(default_factory=dict)

    def belongs(self, member: Any) -> bool:
        """Whether a member of the list comes from this field."""
        return all(element.get(member, path) == value for path, value in self.fixed.items())


@dataclass(frozen=True, slots=True)
class SegmentTable:
    """A segment and the resource, or the element of one, that it is. `ignored` are fields that say nothing of their own: set ids,
    and what another part of the message says better; each is named with why. `unsaid` are those that FHIR R4 has no place for, each
    with why: they are told of as not mapped, as all are that no row names."""

    name: str
    fhir: str
    rows: Sequence[FieldRow]
    ignored: dict[int, str] = field(default_factory=dict)
    unsaid: dict[int, str] = field(default_factory=dict)
    _by_number: dict[int, FieldRow] = field(init=False, repr=False, compare=False)
    _written: Sequence[FieldRow] = field(init=False, repr=False, compare=False)
    """In the order that they are written in: what is fixed goes before what takes the rest of a list."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_number", {row.number: row for row in self.rows})
        written = sorted((row for row in self.rows if not row.moved), key=lambda row: not row.fixed)
        object.__setattr__(self, "_written", tuple(written))

    def read(self, segment: Segment, into: Resource, context: Context, coverage: Coverage, where: str = "") -> None:
        """Put what a segment says; `where` is its path in the message: `NK1(2)`."""
        where = where or self.name
        rows = self._by_number
        for number, text in enumerate(segment.fields):
            if not text or not number:
                continue
            row = rows.get(number)
            if row is not None:
                _read_field(row, text, segment, into, context, coverage, where)
            elif number in self.ignored:
                coverage.ignored.append(f"{where}-{number}")
            else:
                coverage.unmapped.append(f"{where}-{number}")

    def write(self, resource: Resource, segment: Segment, context: Context) -> None:
        """Put what a resource says into a segment."""
        taken: set[int] = set()
        for row in self._written:
            texts = [_said(row, member, context, segment) for member in _members(row, resource, taken)]
            texts = [text for text in texts if text]
            if texts:
                segment.set_field(row.number, segment.delimiters.repetition.join(texts))


def _read_field(
    row: FieldRow, text: str, segment: Segment, into: Resource, context: Context, coverage: Coverage, where: str
) -> None:
    where = f"{where}-{row.number}"
    mark = segment.delimiters.repetition
    if not mark or mark not in text:
        _read_repetition(row, Part(text, segment.delimiters, tolerant=True), into, context, coverage, where)
        return
    for index, each in enumerate(segment.repetitions(row.number), start=1):
        at = where if index == 1 else f"{where}[{index}]"
        if not each:
            continue
        if index > 1 and not row.many:
            coverage.unmapped.append(at)
        else:
            _read_repetition(row, Part(each, segment.delimiters, tolerant=True), into, context, coverage, at)


def _read_repetition(row: FieldRow, part: Part, into: Resource, context: Context, coverage: Coverage, where: str) -> None:
    """Put what a repetition says. What a table or a seam does not take as a whole is wrong as a whole."""
    try:
        made = _read(row, part, context)
        if made:
            _put(row, into, made)
        elif made is not None:
            coverage.ignored.append(where)
            return
    except NotMapped:
        coverage.unmapped.append(where)
        return
    except ValueError as error:
        coverage.wrong.append((where, str(error)))
        return
    said, unread, none = part.account()
    coverage.mapped += said
    if unread:
        coverage.unmapped += [_path(where, *place) for place in unread]
    if part.wrong:
        coverage.wrong += [(_path(where, component, subcomponent), why) for component, subcomponent, why in part.wrong]
    if none:
        coverage.ignored += [_path(where, *place) for place in none]


def _read(row: FieldRow, part: Part, context: Context) -> Any:
    """What a repetition says: a FHIR value, None where that is nothing, {} where it is nothing of its own."""
    if isinstance(row.said, Table):
        return row.said.read(part, context) or None
    text = part.get(1)
    if not text:
        return None
    made: Resource = {}
    try:
        row.said.read(text, made, "value", context)
    except ValueError as error:
        part.refuse(1, 1, str(error))
        return None
    return made


def _put(row: FieldRow, into: Resource, said: Any) -> None:
    if row.table is not None:
        row.table.name(said)
    if row.seam is not None:
        row.seam.put(into, said)
        return
    if not isinstance(row.said, Table):
        before, _, name = row.path.rpartition(".")
        holder = _holder(into, before) if before else into
        for made, value in said.items():
            holder[made.replace("value", name)] = value
        return
    for path, value in (row.fixed or row.default).items():
        if element.get(said, path) is None:
            element.put(said, path, value)
    if row.many:
        _list(into, row.path).append(said)
    else:
        element.put(into, row.path, said)


def _members(row: FieldRow, resource: Resource, taken: set[int]) -> Iterator[Any]:
    """The values of a resource that a row writes back: of a list that several rows add to, each member once."""
    if row.seam is not None:
        yield from row.seam.members(resource)
        return
    if not row.many:
        found = element.get(resource, row.path) if isinstance(row.said, Table) else resource
        if found is not None:
            yield found
        return
    for member in element.get(resource, row.path) or ():
        if id(member) not in taken and row.belongs(member):
            taken.add(id(member))
            yield member


def _said(row: FieldRow, member: Any, context: Context, segment: Segment) -> str:
    part = Part("", segment.delimiters)
    if isinstance(row.said, Table):
        row.said.write(member if row.table is None else row.table.bare(member), part, context)
    else:
        text = row.said.write(member, "value" if row.seam is not None else row.path, context)
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
