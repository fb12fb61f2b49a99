"""How often something is done, and for how long: RPT, and CQ where it is a time."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import UCUM, digits, number
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Own, Resource, Row, Table
from fiveways.methods.synchronous.transformation.v2.tables.table import code as code_of

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), "s"),
    **dict.fromkeys(("min", "minute", "minutes"), "min"),
    **dict.fromkeys(("h", "hr", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
    **dict.fromkeys(("wk", "week", "weeks"), "wk"),
    **dict.fromkeys(("mo", "month", "months"), "mo"),
    **dict.fromkeys(("a", "yr", "year", "years"), "a"),
}
"""UCUM's units of time by what senders call them."""
_MINUTES = {"min": 1, "h": 60, "d": 1_440, "wk": 10_080}
_EVENTS = {
    "HS": "HS", "AC": "AC", "ACM": "ACM", "ACD": "ACD", "ACV": "ACV", "IC": "C", "ICM": "CM", "ICD": "CD", "ICV": "CV", "PC": "PC",
    "PCM": "PCM", "PCD": "PCD", "PCV": "PCV",
}  # fmt: skip
"""FHIR's events of the day by HL7's (table 0528)."""
_HL7_EVENTS = {known: code for code, known in _EVENTS.items()}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_AT_MEALS = frozenset(("C", "CM", "CD", "CV"))


def unit_of_time(text: str) -> str:
    """UCUM's unit of time; ValueError where it is none."""
    found = _UNITS.get(text) or _UNITS.get(text.lower())
    if found is None:
        raise ValueError(f"expected a unit of time: {', '.join(sorted(set(_UNITS.values())))}")
    return found


def minutes_of(said: Resource) -> int:
    """The whole minutes of a quantity; ValueError where it is none of such."""
    unit = unit_of_time(str(said.get("code") or said.get("unit") or "min"))
    value: Any = said.get("value")
    if not isinstance(value, Decimal) or unit not in _MINUTES or value < 0 or value * _MINUTES[unit] % 1:
        raise ValueError("expected a number of whole minutes")
    return int(value * _MINUTES[unit])


def _not_negative(text: str) -> Decimal:
    found = number(text)
    if found < 0:
        raise ValueError("expected a number from 0 on")
    return found


def _refuse(part: Part, components: Sequence[int], error: ValueError) -> None:
    """Say of each of these components that is there that it cannot be said."""
    for component in components:
        if part.peek(component):
            part.refuse(component, 1, str(error))


def _read_duration(part: Part, into: Resource, context: Context) -> None:
    text, unit = part.get(1), part.get(2)
    if text:
        known = unit_of_time(unit or part.get(2, 2))
        into.update({"value": _not_negative(text), "unit": known, "system": UCUM, "code": known})


def _write_duration(resource: Resource, part: Part, context: Context) -> None:
    part.set(digits(resource.get("value")), 1)
    part.set(str(resource.get("code") or resource.get("unit") or ""), 2)


DURATION = Table(
    "CQ", "Duration", (Own((1, 2), "How long: the number and its unit, as UCUM has it.", _read_duration, _write_duration),)
)


def _read_pattern(part: Part, into: Resource, context: Context) -> None:
    coding = {"code": code_of(part.get(1))} if part.get(1) else {}
    if coding and (text := part.get(1, 2)):
        coding["display"] = text
    if coding and (text := part.get(1, 3)):
        coding["system"] = context.system(text)
    if coding:
        element.put(into, "code.coding", [coding])


def _write_pattern(resource: Resource, part: Part, context: Context) -> None:
    coding = element.get(resource, "code.coding[0]") or {}
    for subcomponent, text in enumerate((coding.get("code"), coding.get("display"), coding.get("system")), start=1):
        if text:
            part.set(context.coding_system(text) if subcomponent == 3 else text, 1, subcomponent)


def _read_days(part: Part, into: Resource, context: Context) -> None:
    if part.peek(2) != "DW":
        return
    part.get(2)
    first, last = part.get(3), part.get(4) or part.get(3)
    if not (first in "1234567" and last in "1234567" and len(first) == len(last) == 1):
        _refuse(part, (2, 3, 4), ValueError("expected days from 1 to 7"))
        return
    start, end = int(first) - 1, int(last) - 1
    element.put(into, "repeat.dayOfWeek", [_DAYS[(start + day) % 7] for day in range((end - start) % 7 + 1)])


def _write_days(resource: Resource, part: Part, context: Context) -> None:
    days = element.get(resource, "repeat.dayOfWeek") or []
    start = _DAYS.index(days[0]) if days and days[0] in _DAYS else 0
    if days and days == [_DAYS[(start + day) % 7] for day in range(len(days))]:
        for component, text in ((2, "DW"), (3, str(start + 1)), (4, str((start + len(days) - 1) % 7 + 1) if days[1:] else "")):
            part.set(text, component)


def _read_period(part: Part, into: Resource, context: Context) -> None:
    text, unit = part.get(5), part.get(6)
    if not text and not unit:
        return
    try:
        each, known = _not_negative(text), unit_of_time(unit)
    except ValueError as error:
        _refuse(part, (5, 6), error)
        return
    element.put(into, "repeat.period", each)
    element.put(into, "repeat.periodUnit", known)


def _write_period(resource: Resource, part: Part, context: Context) -> None:
    said = resource.get("repeat") or {}
    if "period" in said and "periodUnit" in said:
        part.set(digits(said["period"]), 5)
        part.set(str(said["periodUnit"]), 6)


class _Event:
    """What of the day it is done at, before or after."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the event."""
        if text not in _EVENTS:
            raise ValueError(f"expected an event of table 0528: {', '.join(_EVENTS)}")
        element.put(into, path, [_EVENTS[text]])

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """HL7's code, where there is one event that it has."""
        events = element.get(resource, path) or []
        return _HL7_EVENTS.get(events[0], "") if len(events) == 1 else ""


def _read_offset(part: Part, into: Resource, context: Context) -> None:
    text, unit = part.get(9), part.get(10)
    if not text and not unit:
        return
    try:
        minutes = minutes_of({"value": number(text), "unit": unit})
        if (element.get(into, "repeat.when[0]") or "C") in _AT_MEALS:
            raise ValueError("RPT.8 names no event that something is before or after")
        element.put(into, "repeat.offset", minutes)
    except ValueError as error:
        _refuse(part, (9, 10), error)


def _write_offset(resource: Resource, part: Part, context: Context) -> None:
    offset = element.get(resource, "repeat.offset")
    if isinstance(offset, int):
        part.set(str(offset), 9)
        part.set("min", 10)


RPT = Table(
    "RPT",
    "Timing",
    (
        Own((1,), "The pattern by its code.", _read_pattern, _write_pattern, "code", {1: (1, 2, 3)}),
        Own((2, 3, 4), "Days of the week (DW), from the first to the last.", _read_days, _write_days, "repeat.dayOfWeek"),
        Own((5, 6), "How often: each so many units of time.", _read_period, _write_period, "repeat.period"),
        Row(8, "repeat.when", _Event()),
        Own((9, 10), "How long before or after the event, in minutes.", _read_offset, _write_offset, "repeat.offset"),
    ),
)
"""A pattern of repetition. A calendar alignment other than to the days of the week is not read."""
