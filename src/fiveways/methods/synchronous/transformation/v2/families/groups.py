"""Which segments belong together: patients, their orders, and what is observed of each.

HL7's grammars say the same of ORU, ORM, OML and MDM: ORC or OBR begins an order, and what follows is of it; what stands before the
first is of the patient. Groups are told from the order of the segments alone, so that a message that leaves one out, or has one
too many, is still read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fiveways.hl7v2.message import Message, Segment
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading


@dataclass(slots=True)
class Observed:
    """An OBX, with the notes on it."""

    segment: Segment
    notes: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Sample:
    """An SPM, with what is observed of it."""

    segment: Segment
    observed: list[Observed] = field(default_factory=list)
    notes: list[Segment] = field(default_factory=list)


@dataclass(slots=True)
class Order:
    """An ORC, an OBR, or both, and what belongs to them."""

    common: Segment | None = None
    request: Segment | None = None
    notes: list[Segment] = field(default_factory=list)
    timings: list[Segment] = field(default_factory=list)
    diagnoses: list[Segment] = field(default_factory=list)
    observed: list[Observed] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


@dataclass(slots=True)
class Subject:
    """A patient: `segments` say who and where they are. `described`: there is a PID."""

    segments: list[Segment] = field(default_factory=list)
    observed: list[Observed] = field(default_factory=list)
    diagnoses: list[Segment] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    described: bool = False


class _Grouping:
    def __init__(self) -> None:
        self.subjects = [Subject()]
        self.order: Order | None = None
        self.sample: Sample | None = None
        self.notes: list[Segment] | None = None

    def take(self, segment: Segment) -> None:
        subject = self.subjects[-1]
        match segment.name:
            case "PID":
                self.subjects.append(Subject([segment], described=True))
                self.order = self.sample = self.notes = None
            case "ORC" | "OBR":
                self._begin(segment)
            case "NTE":
                if self.notes is not None:
                    self.notes.append(segment)
            case "OBX":
                observed = Observed(segment)
                (self.sample or self.order or subject).observed.append(observed)
                self.notes = observed.notes
            case "DG1":
                (self.order or subject).diagnoses.append(segment)
                self.notes = None
            case "TQ1" if self.order is not None:
                self.order.timings.append(segment)
            case "SPM" if self.order is not None:
                self.sample = Sample(segment)
                self.order.samples.append(self.sample)
                self.notes = self.sample.notes
            case "PRT" | "CTD":
                pass  # who takes part in what stands before: notes after it are still of that
            case _:
                self.notes = None
                if self.order is None:
                    subject.segments.append(segment)

    def _begin(self, segment: Segment) -> None:
        order = self.order
        if segment.name == "ORC" or order is None or order.request is not None:
            order = self.order = Order()
            self.subjects[-1].orders.append(order)
        if segment.name == "ORC":
            order.common = segment
        else:
            order.request = segment
        self.notes = order.notes
        self.sample = None


def subjects(message: Message) -> list[Subject]:
    """The patients of a message, each with what is of them. What no PID stands before is of nobody who is named."""
    grouping = _Grouping()
    for segment in message.segments[1:]:
        grouping.take(segment)
    first, *named = grouping.subjects
    if first.orders or first.observed or not named:
        return [first, *named]
    return named


@contextmanager
def only(reading: Reading, segments: list[Segment]) -> Iterator[None]:
    """Read no segments but these, and the header, for as long as it lasts."""
    whole = reading.message
    reading.message = Message([whole.segments[0], *segments], whole.delimiters)
    try:
        yield
    finally:
        reading.message = whole
