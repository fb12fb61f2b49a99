"""Moments where FHIR wants more than a date, or two of them in their order."""

from __future__ import annotations

from datetime import datetime

from fiveways.hl7v2 import times
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Context, Resource


class Instant:
    """A moment to the second, as FHIR's instant has it."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the moment; ValueError where no time of the day is said."""
        moment = times.parse(text, context.zone)
        if moment.precision in ("year", "month", "day"):
            raise ValueError("expected a time of the day")
        element.put(into, path, moment.fhir)

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The moment in the sender's zone."""
        return MOMENT.write(resource, path, context)


INSTANT = Instant()


def in_order(start: str, end: str) -> bool:
    """Whether a period does not end before it begins, as far as both say."""
    if "T" in start and "T" in end:
        return datetime.fromisoformat(start) <= datetime.fromisoformat(end)
    said = min(len(start.partition("T")[0]), len(end.partition("T")[0]))
    return start[:said] <= end[:said]
