"""Who did what happened, when and why: EVN."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation.v2.codes.general import EVENT_REASON
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.segments.contained import referred
from fiveways.methods.synchronous.transformation.v2.tables.segment import FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Resource, Row, Table

_FACILITY = Table("HD", "Location", (Row(1, "name"),))


def _put_operator(into: Resource, said: Resource) -> None:
    agent: Resource = {}
    _PRACTITIONER.put(into, said)
    agent["who"] = into.pop("who")
    into.setdefault("agent", []).append(agent)


def _operators(resource: Resource) -> Iterator[Resource]:
    for agent in resource.get("agent") or ():
        yield from _PRACTITIONER.members({**resource, "who": agent.get("who")})


_PRACTITIONER = referred("who", "Practitioner")

EVN = SegmentTable(
    "EVN",
    "Provenance",
    (
        FieldRow(2, "recorded", INSTANT),
        FieldRow(4, "reason", CWE, many=True, table=EVENT_REASON),
        FieldRow(5, "agent.who", XCN, many=True, seam=Seam(_put_operator, _operators)),
        FieldRow(6, "occurredDateTime", MOMENT),
        FieldRow(7, "location", _FACILITY, seam=referred("location", "Location")),
    ),
    ignored={1: "MSH-9 says what happened"},
)
"""What is recorded to the day only has the time that the message was made at."""
EVN_BARE = SegmentTable("EVN", "Provenance", (), ignored={1: "MSH-9 says what happened", 2: "the message was made then, MSH-7"})
"""For one that says no more than the header does."""
