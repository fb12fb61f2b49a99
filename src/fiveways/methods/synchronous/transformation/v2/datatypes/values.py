"""The value of an observation (OBX-5), by the type that OBX-2 says it is of.

A table reads a value into the element that FHIR has for it (`valueQuantity`, …), and documents into `attachment`. A type that no
table reads is kept as its text.
"""

from __future__ import annotations

import re

from fiveways.methods.synchronous.transformation.v2.datatypes.attachments import ED, RP
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import NM, NR, SN
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Context, Own, Resource, Row, Table

_TIME = re.compile(r"(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,9})?)?)?")
_LONG = 200
"""Characters of a text that is written as one (TX), and not as a string (ST)."""


class _TimeOfDay:
    """A time without its day; FHIR's has seconds, and no zone."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the time."""
        match = _TIME.fullmatch(text.strip())
        if match is None or int(match[1]) > 23 or int(match[2] or 0) > 59 or int(match[3] or 0) > 59:
            raise ValueError("expected HH[MM[SS[.S]]], and no zone")
        into[path] = f"{match[1]}:{match[2] or '00'}:{match[3] or '00'}{match[4] or ''}"

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The time."""
        return str(resource.get(path) or "").replace(":", "")


TIME_OF_DAY = _TimeOfDay()


def _read_concept(part: Part, into: Resource, context: Context) -> None:
    if concept := CWE.read(part, context):
        into["valueCodeableConcept"] = concept


def _write_concept(resource: Resource, part: Part, context: Context) -> None:
    CWE.write(resource.get("valueCodeableConcept") or {}, part, context)


def _read_any(part: Part, into: Resource, context: Context) -> None:
    grid: dict[int, dict[int, str]] = {}
    for component, subcomponent in list(part.unread()):
        if text := part.get(component, subcomponent):
            grid.setdefault(component, {})[subcomponent] = text
    said = "^".join(
        "&".join(grid[component].get(each, "") for each in range(1, max(grid[component]) + 1)) if component in grid else ""
        for component in range(1, max(grid, default=0) + 1)
    )
    if said:
        into["valueString"] = said


def _write_any(resource: Resource, part: Part, context: Context) -> None:
    part.set(str(resource.get("valueString") or ""), 1)


CODED = Table(
    "CWE",
    "CodeableConcept",
    (Own(tuple(range(1, 14)), "A concept, as CWE has it.", _read_concept, _write_concept),),
)
STRING = Table("TX", "string", (Row(1, "valueString"),))
TIMESTAMP = Table("TS", "dateTime", (Row(1, "valueDateTime", MOMENT),))
PERIOD = Table("DR", "Period", (Row(1, "valuePeriod.start", MOMENT), Row(2, "valuePeriod.end", MOMENT)))
TIME = Table("TM", "time", (Row(1, "valueTime", TIME_OF_DAY),))
ANY = Table("*", "string", (Own((1, 2), "The value as it is written, with its components.", _read_any, _write_any),))
"""What a type that no table reads is read by."""

VALUES = {
    "NM": NM, "SN": SN, "NR": NR, "ST": STRING, "TX": STRING, "FT": STRING, "": STRING, "CE": CODED, "CWE": CODED, "CNE": CODED,
    "CF": CODED, "IS": CODED, "ID": CODED, "DT": TIMESTAMP, "TS": TIMESTAMP, "DTM": TIMESTAMP, "TM": TIME, "DR": PERIOD, "ED": ED,
    "RP": RP,
}  # fmt: skip
"""The tables by OBX-2."""
LINES = frozenset(("TX", "FT"))
"""Types of text whose repetitions, and whose segments in a row, are lines of one text."""


def type_of(value: Resource) -> str:
    """OBX-2 of a value that is written; '' where there is none."""
    match value:
        case {"valueQuantity": {"comparator": str()}} | {"valueRange": _} | {"valueRatio": _}:
            return "SN"
        case {"valueQuantity": _} | {"valueInteger": _}:
            return "NM"
        case {"valueCodeableConcept": _}:
            return "CWE"
        case {"valueString": str(text)}:
            return "TX" if "\n" in text or len(text) > _LONG else "ST"
        case {"valueDateTime": str(moment)}:
            return "TS" if "T" in moment else "DT"
        case {"valueTime": _}:
            return "TM"
        case {"valuePeriod": _}:
            return "DR"
        case {"attachment": {"url": str()}}:
            return "RP"
        case {"attachment": _}:
            return "ED"
    return ""
