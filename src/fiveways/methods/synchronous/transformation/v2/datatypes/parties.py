"""Organisations, persons, licences and other identifiers that are a data type of their own."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import authority as of
from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import identifier
from fiveways.methods.synchronous.transformation.v2.datatypes.general import XCN
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Context, Inner, Own, Resource, Row, Table

_NUMBER = Table("XON", "Identifier", identifier(10, of(6), kind=7))
_OLD_NUMBER = Table("XON", "Identifier", identifier(3, of(6), kind=7))
ORGANIZATION = Table(
    "XON",
    "Organization",
    (
        Row(1, "name"),
        Inner("identifier[0]", _NUMBER, needs=10),
        Inner("identifier[0]", _OLD_NUMBER, needs=3, unless=10, moved="the identifier is written as XON.10"),
    ),
)
"""An organisation by its name, and its identifier; one in the place that it had before version 2.5 is taken too."""
LICENCE = Table("DLN", "Identifier", (Row(1, "value"), Row(2, "assigner.display"), Row(3, "period.end", MOMENT)), needs=1)
"""A driver's licence: the number, and who gives it."""
FACILITY = Table("HD", "Organization", (Row(1, "name"), Row(2, "identifier[0].value"), Row(3, "identifier[0].type.text")), needs=1)
"""A facility: what it is called, and its universal id."""
NUMBER = Table("ST", "Identifier", (Row(1, "value"),))
"""An identifier that is but a number."""


_NDL = (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)


def _read_interpreter(part: Part, into: Resource, context: Context) -> None:
    person = Part()
    for number in (1, 2, 3, 4, 5, 6, 7):
        if text := part.get(1, number):
            person.set(text, number)
    for number, subcomponent in ((9, 1), (10, 2), (11, 3)):
        if text := part.get(1, number):
            person.set(text, 9, subcomponent)
    into.update(XCN.read(person, context))


def _write_interpreter(resource: Resource, part: Part, context: Context) -> None:
    person = Part()
    XCN.write(resource, person, context)
    written = Part(person.text)
    for number in (1, 2, 3, 4, 5, 6, 7):
        if text := written.get(number):
            part.set(text, 1, number)
    for number, subcomponent in ((9, 1), (10, 2), (11, 3)):
        if text := written.get(9, subcomponent):
            part.set(text, 1, number)


NDL = Table(
    "NDL", "Practitioner", (Own((1,), "Who: a name and a number.", _read_interpreter, _write_interpreter, subcomponents={1: _NDL}),)
)


_PPN = {1: (1,), 2: (1, 2, 3, 4, 5), **dict.fromkeys((3, 4, 5, 6, 7, 10, 13), (1,)), 9: (1, 2, 3)}


def _read_who(part: Part, into: Resource, context: Context) -> None:
    person = Part()
    for component, subcomponents in _PPN.items():
        for subcomponent in subcomponents:
            if text := part.get(component, subcomponent):
                person.set(text, component, subcomponent)
    into.update(XCN.read(person, context))


def _write_who(resource: Resource, part: Part, context: Context) -> None:
    person = Part()
    XCN.write(resource, person, context)
    written = Part(person.text)
    for component, subcomponents in _PPN.items():
        for subcomponent in subcomponents:
            if text := written.get(component, subcomponent):
                part.set(text, component, subcomponent)


PPN = Table(
    "PPN",
    "Practitioner",
    (
        Own(tuple(_PPN), "Who, as XCN has it.", _read_who, _write_who, "name", {2: _PPN[2], 9: _PPN[9]}),
        Row(15, "at", MOMENT),
    ),
)
"""Who did something, and when."""
