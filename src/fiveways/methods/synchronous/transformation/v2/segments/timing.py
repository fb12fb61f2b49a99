"""When something is to be done, and how often: TQ1, and the timing of older versions (TQ).

What is but a time, or a period, is one in FHIR; a pattern makes it a Timing, which the period bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.orders import PRIORITY
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import CQ
from fiveways.methods.synchronous.transformation.v2.datatypes.repeats import DURATION, RPT, minutes_of
from fiveways.methods.synchronous.transformation.v2.datatypes.values import TIME_OF_DAY
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, TEXT, Coded, Resource, Row, Table

_REPEAT = "ServiceRequest.timing.repeat"
TQ = Table(
    "TQ",
    "ServiceRequest",
    (
        Row(4, "occurrencePeriod.start", MOMENT),
        Row(5, "occurrencePeriod.end", MOMENT),
        Row(6, "priority", Coded(PRIORITY)),
    ),
)
"""When, and how urgently."""


def _put_time(into: Resource, said: Resource) -> None:
    if element.get(into, f"{_REPEAT}.when"):
        raise ValueError("TQ1-3.8 names an event, and FHIR has one of both")
    times = element.get(into, f"{_REPEAT}.timeOfDay")
    element.put(into, f"{_REPEAT}.timeOfDay", [*(times or ()), said["value"]])


def _times(resource: Resource) -> Iterator[Resource]:
    for each in element.get(resource, f"{_REPEAT}.timeOfDay") or ():
        yield {"value": each}


def _put_offset(into: Resource, said: Resource) -> None:
    if not element.get(into, f"{_REPEAT}.when"):
        raise ValueError("TQ1-3.8 names no event that it would be relative to")
    if element.get(into, f"{_REPEAT}.offset") is not None:
        raise ValueError("TQ1-3.9 says it")
    element.put(into, f"{_REPEAT}.offset", minutes_of(said))


def _put_lasting(into: Resource, said: Resource) -> None:
    element.put(into, f"{_REPEAT}.duration", said["value"])
    element.put(into, f"{_REPEAT}.durationUnit", said["code"])


def _lasting(resource: Resource) -> Iterator[Resource]:
    said = element.get(resource, _REPEAT) or {}
    if "duration" in said and "durationUnit" in said:
        yield {"value": said["duration"], "code": said["durationUnit"]}


def _put_words(into: Resource, said: Resource) -> None:
    element.put(into, "ServiceRequest.timing.code.text", said["value"])


def _words(resource: Resource) -> Iterator[Resource]:
    if text := element.get(resource, "ServiceRequest.timing.code.text"):
        yield {"value": text}


TQ1 = SegmentTable(
    "TQ1",
    "Bundle",
    (
        FieldRow(2, "ServiceRequest.quantityQuantity", CQ),
        FieldRow(3, "ServiceRequest.timing", RPT),
        FieldRow(4, f"{_REPEAT}.timeOfDay", TIME_OF_DAY, many=True, seam=Seam(_put_time, _times)),
        FieldRow(
            5,
            f"{_REPEAT}.offset",
            CQ,
            seam=Seam(_put_offset, lambda resource: iter(())),
            moved="it is written as TQ1-3.9, in minutes",
        ),
        FieldRow(6, f"{_REPEAT}.boundsDuration", DURATION),
        FieldRow(7, "ServiceRequest.occurrencePeriod.start", MOMENT),
        FieldRow(8, "ServiceRequest.occurrencePeriod.end", MOMENT),
        FieldRow(9, "ServiceRequest.priority", Coded(PRIORITY)),
        FieldRow(10, "ServiceRequest.asNeededCodeableConcept.text", TEXT),
        FieldRow(11, "ServiceRequest.timing.code.text", TEXT, seam=Seam(_put_words, _words)),
        FieldRow(13, f"{_REPEAT}.duration", DURATION, seam=Seam(_put_lasting, _lasting)),
        FieldRow(14, f"{_REPEAT}.count", POSITIVE),
    ),
    ignored={1: NUMBERS_ITSELF},
    unsaid={12: "FHIR R4 has one timing of an order, and does not join several"},
)
"""`timing` is the occurrence once all is read: with it a period is what bounds it."""
