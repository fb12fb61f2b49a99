"""Numbers with their units: NM, SN, NR and CQ, and the units of OBX-6. Digits stay as they are written: 72.50 is not 72.5."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Own, Resource, Table

UCUM = "http://unitsofmeasure.org"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)")
_COMPARATORS = frozenset(("<", "<=", ">=", ">"))
_COMPARED = re.compile(r"(<=|>=|<|>)?\s*(.*)", re.DOTALL)
_LOW_AND_HIGH = re.compile(r"([+-]?[\d.]+)\s*-\s*([+-]?[\d.]+)")
_ONE_SIDED = re.compile(r"(<=|>=|<|>)\s*([+-]?[\d.]+)")


def number(text: str) -> Decimal:
    """The number that a text is, with all its digits; ValueError where it is none."""
    said = text.strip()
    if _NUMBER.fullmatch(said) is None:
        raise ValueError("expected a number")
    return Decimal(said)


def digits(value: Any) -> str:
    """A number as HL7 v2 writes it: without an exponent; '' for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return ""
    return format(value if isinstance(value, Decimal) else Decimal(repr(value)), "f")


class Number:
    """A decimal."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the number."""
        into[path] = number(text)

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The number."""
        return digits(resource.get(path))


def unit(code: str, text: str, system: str, context: Context) -> Resource:
    """The unit of a Quantity: a code where its system is said, a text else."""
    if code and system:
        return {"unit": text or code, "system": context.system(system), "code": code}
    return {"unit": code or text} if code or text else {}


def _read_unit(part: Part, into: Resource, context: Context) -> None:
    code, system = part.get(1), part.get(3)
    into.update(unit(code, part.get(2) if system or not code else "", system, context))


def _write_unit(resource: Resource, part: Part, context: Context) -> None:
    for component, text in _unit_written(resource, context):
        part.set(text, component)


def _unit_written(resource: Resource, context: Context) -> list[tuple[int, str]]:
    code, text, system = (resource.get(name) or "" for name in ("code", "unit", "system"))
    if not (code and system):
        return [(1, text or code)] if text or code else []
    written = [(1, code), (2, text), (3, context.coding_system(system))]
    return [written[0], written[2]] if text in ("", code) else written


UNIT = Table(
    "CWE",
    "Quantity",
    (Own((1, 2, 3), "The unit: its code and system where both are said, and what it is called.", _read_unit, _write_unit),),
)


def _read_cq(part: Part, into: Resource, context: Context) -> None:
    if text := part.get(1):
        into["value"] = number(text)
    code, system = part.get(2), part.get(2, 3)
    into.update(unit(code, part.get(2, 2) if system or not code else "", system, context))


def _write_cq(resource: Resource, part: Part, context: Context) -> None:
    part.set(digits(resource.get("value")), 1)
    for subcomponent, text in _unit_written(resource, context):
        part.set(text, 2, subcomponent)


CQ = Table(
    "CQ",
    "Quantity",
    (Own((1, 2), "A quantity: the number and its unit.", _read_cq, _write_cq, subcomponents={2: (1, 2, 3)}),),
)


def _read_nm(part: Part, into: Resource, context: Context) -> None:
    if text := part.get(1):
        comparator, rest = _COMPARED.fullmatch(text.strip()).groups()  # type: ignore[union-attr]
        into["valueQuantity"] = {**({"comparator": comparator} if comparator else {}), "value": number(rest)}


def _write_nm(resource: Resource, part: Part, context: Context) -> None:
    quantity = resource.get("valueQuantity") or {"value": resource.get("valueInteger")}
    part.set(digits(quantity.get("value")), 1)


NM = Table(
    "NM", "Quantity", (Own((1,), "A number. One that a comparator stands before is read for what it says.", _read_nm, _write_nm),)
)


def _read_sn(part: Part, into: Resource, context: Context) -> None:
    comparator, first, separator, second = (part.get(component).strip() for component in (1, 2, 3, 4))
    compared: Resource = {"comparator": comparator} if comparator in _COMPARATORS else {}
    known = compared or comparator in ("", "=")
    if known and first and not separator and not second:
        into["valueQuantity"] = {**compared, "value": number(first)}
    elif known and first and second and separator in (":", "/"):
        into["valueRatio"] = {"numerator": {**compared, "value": number(first)}, "denominator": {"value": number(second)}}
    elif known and not compared and first and second and separator == "-":
        into["valueRange"] = {"low": {"value": number(first)}, "high": {"value": number(second)}}
    elif said := "".join((comparator, first, separator, second)):
        into["valueString"] = said


def _write_sn(resource: Resource, part: Part, context: Context) -> None:
    first: Resource = resource.get("valueQuantity") or {}
    second: Resource = {}
    separator = ""
    if ratio := resource.get("valueRatio"):
        first, separator, second = ratio.get("numerator") or {}, ":", ratio.get("denominator") or {}
    elif between := resource.get("valueRange"):
        first, separator, second = between.get("low") or {}, "-", between.get("high") or {}
    for component, text in (
        (1, first.get("comparator") or ""), (2, digits(first.get("value"))), (3, separator), (4, digits(second.get("value"))),
    ):  # fmt: skip
        if text:
            part.set(text, component)


SN = Table(
    "SN",
    "Quantity",
    (
        Own(
            (1, 2, 3, 4),
            "A number with its comparator, a range (-), or a ratio (: and /); what is none of these is a text.",
            _read_sn,
            _write_sn,
        ),
    ),
)


def _read_nr(part: Part, into: Resource, context: Context) -> None:
    ends = {name: {"value": number(text)} for name, text in (("low", part.get(1)), ("high", part.get(2))) if text}
    if ends:
        into["valueRange"] = ends


def _write_nr(resource: Resource, part: Part, context: Context) -> None:
    between = resource.get("valueRange") or {}
    for component, name in ((1, "low"), (2, "high")):
        if text := digits((between.get(name) or {}).get("value")):
            part.set(text, component)


NR = Table(
    "NR",
    "Range",
    (Own((1, 2), "A range: its low and its high end.", _read_nr, _write_nr, moved={1: "SN.2", 2: "SN.4"}),),
)


def limits(text: str, of: Resource) -> Resource:
    """The low and high end that a reference range names, in the unit of the value; {} where it is but a text."""
    try:
        if match := _LOW_AND_HIGH.fullmatch(text.strip()):
            return {"low": {"value": number(match[1]), **of}, "high": {"value": number(match[2]), **of}}
        if match := _ONE_SIDED.fullmatch(text.strip()):
            return {"high" if match[1][0] == "<" else "low": {"value": number(match[2]), **of}}
    except ValueError:
        pass
    return {}


def ranged(reference: Resource) -> str:
    """A reference range as text."""
    if isinstance(reference.get("text"), str):
        return str(reference["text"])
    low, high = (digits((reference.get(name) or {}).get("value")) for name in ("low", "high"))
    if low and high:
        return f"{low}-{high}"
    return f">={low}" if low else f"<={high}" if high else ""
