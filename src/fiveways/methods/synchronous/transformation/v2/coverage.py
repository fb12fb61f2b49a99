"""What a type of message has in FHIR, field by field, and what of it comes back: as the tables say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fiveways.methods.synchronous.transformation.v2.messages import READ, UnsupportedMessage
from fiveways.methods.synchronous.transformation.v2.tables.segment import FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Inner, Own, Row, Table

IGNORED = "ignored"
"""What stands for the element of a field that says nothing of its own."""
UNSAID = "not mapped"
"""What stands for the element of a field that FHIR R4 has no place for."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field, or a component of one, by its path (PID-5.2, PID-5.1.3), and the element that it is. `back`: whether it comes back
    where it was; `why` it does not."""

    path: str
    element: str
    back: bool = True
    why: str = ""


def fields(kind: str) -> list[Field]:
    """What is read of a type and event (`ADT^A01`), in the order of its segments. Raises UnsupportedMessage for another type."""
    family = READ.get(kind)
    if family is None:
        raise UnsupportedMessage(f"{kind} is not read here; what is: {', '.join(sorted(READ))}")
    found: list[Field] = []
    for table in family.tables.get(kind.partition("^")[2], ()):
        found += _of_segment(table)
    return found


def _of_segment(table: SegmentTable) -> Iterator[Field]:
    rows = {row.number: row for row in table.rows}
    for number in sorted({*rows, *table.ignored, *table.unsaid}):
        if number in rows:
            yield from _of_field(rows[number], f"{table.name}-{number}", f"{table.fhir}.{rows[number].path}")
        elif number in table.ignored:
            yield Field(f"{table.name}-{number}", IGNORED, back=False, why=table.ignored[number])
        else:
            yield Field(f"{table.name}-{number}", UNSAID, back=False, why=table.unsaid[number])


def _of_field(row: FieldRow, path: str, element: str) -> Iterator[Field]:
    if not isinstance(row.said, Table):
        yield Field(path, element, not row.moved, row.moved)
        return
    for places, within, why in _of_table(row.said):
        why = row.moved or why
        yield Field(f"{path}.{places}", f"{element}.{within}" if within else element, not why, why)


def _of_table(table: Table) -> Iterator[tuple[str, str, str]]:
    """Each component of a data type, or sub-component, with its element and why it does not come back."""
    for row in table.rows:
        match row:
            case Row():
                yield _place(row.component, row.subcomponent, row.subcomponent > 1), row.path, ""
            case Own():
                for component in row.components:
                    subcomponents: Sequence[int] = row.subcomponents.get(component, (1,))
                    for subcomponent in subcomponents:
                        place = _place(component, subcomponent, len(subcomponents) > 1)
                        yield place, row.path, row.moved.get(component, "")
            case Inner():
                for place, within, why in _of_table(row.table):
                    if not (row.moved and _is_said_by_another(place, row, table)):
                        yield place, f"{row.path}.{within}", row.moved or why


def _is_said_by_another(place: str, row: Inner, table: Table) -> bool:
    """Whether a component is also one of another value within the same, which is written back."""
    others = (each for each in table.rows if isinstance(each, Inner) and each is not row)
    return any(place == each for other in others for each, _, _ in _of_table(other.table))


def _place(component: int, subcomponent: int, deep: bool) -> str:
    return f"{component}.{subcomponent}" if deep else str(component)
