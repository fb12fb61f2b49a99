"""A Bundle on its way into a message: its resources by their references, and the message that is being made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fiveways.errors import FivewaysError
from fiveways.hl7v2.message import Message, Segment
from fiveways.methods.synchronous.transformation.v2.bundles.gathering import by_type_and_id, gathered
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Resource


class Unsayable(FivewaysError):
    """What is asked for cannot be said in HL7 v2; the text says what is missing, or too much."""


class Writing:
    """One message, being written. `event` is its trigger event: `A01`."""

    def __init__(self, resources: dict[str, Resource], event: str, context: Context, message: Message) -> None:
        """`resources` by their full URLs, in order; practitioners and places that they refer to are contained in them from now
        on."""
        self.resources = gathered(resources)
        self._known = {**by_type_and_id(self.resources), **self.resources}
        self.event = event
        self.context = context
        self.message = message

    def all(self, kind: str) -> Iterator[Resource]:
        """The resources of a type, in order."""
        return (each for each in self.resources.values() if each.get("resourceType") == kind)

    def one(self, kind: str) -> Resource:
        """The first resource of a type. Raises Unsayable where there is none."""
        found = next(self.all(kind), None)
        if found is None:
            raise Unsayable(f"a {kind} is needed for this message, and there is none")
        return found

    def resolve(self, reference: Any) -> Resource | None:
        """The resource that a Reference leads to within the Bundle; None where it leads elsewhere."""
        text = reference.get("reference") if isinstance(reference, dict) else None
        return self._known.get(text) if isinstance(text, str) else None

    def write(self, table: SegmentTable, resource: Resource, number: int = 0) -> Segment:
        """Add a segment that says what a resource does. `number`: its set id (field 1), where it has one."""
        segment = self.message.add(table.name)
        try:
            table.write(resource, segment, self.context)
        except ValueError as error:
            raise Unsayable(f"{table.name} cannot say what is in the {table.fhir}: {error}") from error
        if number:
            segment.set(str(number), 1)
        return segment

    def write_what_is_said(self, table: SegmentTable, resource: Resource) -> None:
        """Add a segment that says what a resource does, where that is anything."""
        segment = self.write(table, resource)
        if segment.text == table.name:
            self.message.segments.remove(segment)
