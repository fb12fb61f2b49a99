"""Data types of HL7 v2 as FHIR R4 has them (v2-to-FHIR data type maps), each way.

What a table does not name is not lost: whoever reads a part asks it what nobody looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import (
    ADDRESS_TYPE,
    ADDRESS_USE,
    NAME_USE,
    SYSTEM,
    TELECOM_SYSTEM,
    TELECOM_USE,
    unshown,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import NHS_AUTHORITIES, NHS_NUMBER, authority, identifier
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import (
    MOMENT,
    Beside,
    Coded,
    Context,
    Inner,
    Own,
    Resource,
    Row,
    Table,
    code,
    is_oid,
    is_uri,
)

CX = Table("CX", "Identifier", identifier(1, authority(4), kind=5, start=7, end=8), needs=1)
_OWN_PREFIX, _OWN_NAME, _PARTNER_PREFIX, _PARTNER_NAME = (
    Beside(f"http://hl7.org/fhir/StructureDefinition/humanname-{name}")
    for name in ("own-prefix", "own-name", "partner-prefix", "partner-name")
)


def _suffixes(components: Sequence[int]) -> Own:
    def read(part: Part, into: Resource, context: Context) -> None:
        said = [text for number in components if (text := part.get(number))]
        if said:
            into["suffix"] = said

    def write(resource: Resource, part: Part, context: Context) -> None:
        for number, suffix in zip(components, resource.get("suffix") or (), strict=False):
            part.set(suffix, number)

    return Own(components, "Suffix, degree and professional suffix, in this order.", read, write, "suffix")


def _given(first: int, further: int) -> Own:
    def read(part: Part, into: Resource, context: Context) -> None:
        given = [each for each in (part.get(first), *part.get(further).split()) if each]
        if given:
            into["given"] = given

    def write(resource: Resource, part: Part, context: Context) -> None:
        names = resource.get("given") or ()
        if names:
            part.set(names[0], first)
        if len(names) > 1:
            part.set(" ".join(names[1:]), further)

    return Own((first, further), "Given names; those of the second are parted by blanks.", read, write, "given")


def _name(family: int, suffixes: Sequence[int], use: int, start: int, end: int) -> Sequence[Row | Own]:
    """The rows of a name: XPN begins with the family name, XCN has it second."""
    return (
        Row(family, "family"),
        Row(family, "family", _OWN_PREFIX, subcomponent=2),
        Row(family, "family", _OWN_NAME, subcomponent=3),
        Row(family, "family", _PARTNER_PREFIX, subcomponent=4),
        Row(family, "family", _PARTNER_NAME, subcomponent=5),
        _given(family + 1, family + 2),
        _suffixes(suffixes),
        Row(family + 4, "prefix[0]"),
        Row(use, "use", Coded(NAME_USE)),
        Row(start, "period.start", MOMENT),
        Row(end, "period.end", MOMENT),
    )


XPN = Table("XPN", "HumanName", _name(1, (4, 6, 14), 7, 12, 13))


_LINES = {
    1: ((1, 1),),
    2: ((1, 1), (2, 1)),
    3: ((1, 1), (2, 1), (19, 1)),
    4: ((1, 1), (1, 2), (2, 1), (19, 1)),
    5: ((1, 1), (1, 2), (1, 3), (2, 1), (19, 1)),
}
"""Where so many lines of an address are put: they come back in this order."""


def _read_lines(part: Part, into: Resource, context: Context) -> None:
    said = [part.get(1), part.get(1, 2), part.get(1, 3), part.get(2), part.get(19)]
    if any(said):
        into["line"] = [each for each in said if each]


def _write_lines(resource: Resource, part: Part, context: Context) -> None:
    lines = list(resource.get("line") or ())
    most = len(_LINES)
    if len(lines) > most:
        lines = [*lines[: most - 1], ", ".join(lines[most - 1 :])]
    for (component, subcomponent), line in zip(_LINES[len(lines)] if lines else (), lines, strict=True):
        part.set(line, component, subcomponent)


def _read_purpose(part: Part, into: Resource, context: Context) -> None:
    code = part.get(7)
    if code:
        Coded(ADDRESS_TYPE if code in ADDRESS_TYPE.meanings else ADDRESS_USE).read(
            code, into, "type" if code in ADDRESS_TYPE.meanings else "use", context
        )


def _write_purpose(resource: Resource, part: Part, context: Context) -> None:
    code = Coded(ADDRESS_USE).write(resource, "use", context) or Coded(ADDRESS_TYPE).write(resource, "type", context)
    if code:
        part.set(code, 7)


XAD = Table(
    "XAD",
    "Address",
    (
        Own(
            (1, 2, 19),
            "Lines: the street with its parts, other designation, addressee.",
            _read_lines,
            _write_lines,
            "line",
            {1: (1, 2, 3)},
        ),
        Row(3, "city"),
        Row(4, "state"),
        Row(5, "postalCode"),
        Row(6, "country"),
        Own((7,), "What the address is for: its type where it is postal, its use else.", _read_purpose, _write_purpose, "use"),
        Row(9, "district"),
        Row(13, "period.start", MOMENT),
        Row(14, "period.end", MOMENT),
    ),
)


_PIECES = ((5, "country"), (6, "area"), (7, "local"), (8, "extension"))
"""Pieces of a number, and the extensions that FHIR has for them."""
_PIECE = "http://hl7.org/fhir/StructureDefinition/contactpoint-"


def _read_number(part: Part, into: Resource, context: Context) -> None:
    whole = next((number for number in ((4,) if part.peek(4) else (12, 1)) if part.peek(number)), 0)
    if whole:
        into["value"] = part.get(whole)
        into.setdefault("system", "email" if whole == 4 else "phone")
    if whole != 4 and (part.peek(7) or whole):
        said = {name: text for number, name in _PIECES if (text := part.get(number))}
        if said:
            into["extension"] = [{"url": _PIECE + name, "valueString": text} for name, text in said.items()]
        if said and not whole:
            country = f"+{said['country']}" if "country" in said else ""
            text = " ".join(each for each in (country, said.get("area", ""), said["local"]) if each)
            into["value"] = f"{text} x{said['extension']}" if "extension" in said else text
            into.setdefault("system", "phone")


def _write_number(resource: Resource, part: Part, context: Context) -> None:
    said = {extension.get("url"): extension.get("valueString") for extension in resource.get("extension") or ()}
    pieces = [(number, said[_PIECE + name]) for number, name in _PIECES if isinstance(said.get(_PIECE + name), str)]
    for number, text in pieces:
        part.set(text, number)
    value = resource.get("value")
    if isinstance(value, str) and (not pieces or value != _read_back(part, context)):
        part.set(value, 4 if resource.get("system") == "email" else 1)


def _read_back(part: Part, context: Context) -> str:
    again: Resource = {}
    _read_number(Part(part.text), again, context)
    return str(again.get("value", ""))


XTN = Table(
    "XTN",
    "ContactPoint",
    (
        Row(2, "use", Coded(TELECOM_USE)),
        Row(3, "system", Coded(TELECOM_SYSTEM)),
        Own(
            (1, 4, 5, 6, 7, 8, 12), "The number, or the address: as one text, or put together.", _read_number, _write_number,
            "value", moved={12: "the number is written as XTN.1"},
        ),
        Row(13, "period.start", MOMENT),
        Row(14, "period.end", MOMENT),
        Row(18, "rank", POSITIVE),
    ),
)  # fmt: skip

_CODINGS = ((1, 2, 3, 7), (4, 5, 6, 8), (10, 11, 12, 13))
"""Code, text, system and version of each coding of a CWE."""


def _read_codings(part: Part, into: Resource, context: Context) -> None:
    codings = []
    most = len(part)
    for component, display, system, version in _CODINGS:
        if component > most:
            break
        if part.peek(component):
            try:
                coding = {"code": code(part.get(component))}
            except ValueError as error:
                part.refuse(component, 1, str(error))
                continue
            if text := part.get(display):
                coding["display"] = text
            if text := part.get(system):
                coding["system"] = context.system(text)
            if text := part.get(version):
                coding["version"] = text
            codings.append(coding)
        elif "text" not in into and not part.peek(9) and (text := part.get(display)):
            into["text"] = text
    if codings:
        into["coding"] = codings
    if text := part.get(9):
        into["text"] = text
    elif codings:
        unshown(into)


def _write_codings(resource: Resource, part: Part, context: Context) -> None:
    for coding, (number_of, display, system, version) in zip(resource.get("coding") or (), _CODINGS, strict=False):
        for name, number in (("code", number_of), ("display", display), ("version", version)):
            if isinstance(coding.get(name), str):
                part.set(coding[name], number)
        if isinstance(coding.get("system"), str):
            part.set(context.coding_system(coding["system"]), system)
    if isinstance(resource.get("text"), str):
        part.set(resource["text"], 9 if _has_words(resource) else 2)


def _has_words(concept: Resource) -> bool:
    """Whether a concept has words beside its text: those of its first code, which a code of HL7's tables has not."""
    first = element.get(concept, "coding[0]") or {}
    return bool(first) and ("display" in first or not str(first.get("system", "")).startswith(SYSTEM))


CWE = Table(
    "CWE",
    "CodeableConcept",
    (
        Own(
            (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
            "Up to three codings, each with its system, version and text; and what was meant, in words.",
            _read_codings,
            _write_codings,
            "coding",
        ),
    ),
)

XCN = Table(
    "XCN",
    "Practitioner",
    (
        Inner("identifier[0]", Table("CX", "Identifier", identifier(1, authority(9, patients=False), kind=13)), needs=1),
        Inner("name[0]", Table("XPN", "HumanName", _name(2, (5, 7, 21), 10, 19, 20)), needs=2),
    ),
)

PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
LEVELS = ((3, "bd"), (2, "ro"), (1, "wa"), (8, "lvl"), (7, "bu"), (4, "si"))
"""What a PL names, from the smallest to the largest, as FHIR's physical types: bed, room, ward, level, building, site."""


def _read_place(part: Part, into: Resource, context: Context) -> None:
    at = into
    for component, kind in LEVELS:
        if not part.peek(component):
            continue
        if "name" in at:
            at["partOf"] = at = {}
        at["name"] = part.get(component)
        at["physicalType"] = {"coding": [{"system": PHYSICAL_TYPE, "code": kind}]}
        if system := _read_system(part, component):
            at["identifier"] = [{"system": system, "value": at["name"]}]
    if description := part.get(9):
        into["description"] = description
    if said := _COMPREHENSIVE.read(part, context):
        into.setdefault("identifier", []).append(said)


def _read_system(part: Part, component: int) -> str:
    universal, kind = part.peek(component, 2), part.peek(component, 3)
    system = (
        universal if kind == "URI" and is_uri(universal) else f"urn:oid:{universal}" if kind == "ISO" and is_oid(universal) else ""
    )
    if system:
        part.get(component, 2)
        part.get(component, 3)
    return system


def _write_place(resource: Resource, part: Part, context: Context) -> None:
    components = {kind: component for component, kind in LEVELS}
    at: Resource | None = resource
    while at:
        component = components.get(element.get(at, "physicalType.coding[0].code") or "", 0 if at is not resource else 1)
        if component and at.get("name"):
            part.set(at["name"], component)
            _write_system(at, part, component)
        at = at.get("partOf")
    if resource.get("description"):
        part.set(resource["description"], 9)
    for each in resource.get("identifier") or ():
        if each.get("value") != resource.get("name"):
            _COMPREHENSIVE.write(each, part, context)


def _write_system(place: Resource, part: Part, component: int) -> None:
    for each in place.get("identifier") or ():
        system = each.get("system")
        if each.get("value") == place["name"] and isinstance(system, str):
            oid = system.startswith("urn:oid:")
            part.set(system.removeprefix("urn:oid:"), component, 2)
            part.set("ISO" if oid else "URI", component, 3)


_COMPREHENSIVE = Table("EI", "Identifier", identifier(10, authority(11, patients=False)), needs=10)
_HD = (1, 2, 3)
PL = Table(
    "PL",
    "Location",
    (
        Own(
            (1, 2, 3, 4, 7, 8, 9, 10, 11),
            "A place in a place: bed, room, ward, level, building, site, each part of the next that is named.",
            _read_place,
            _write_place,
            "name",
            dict.fromkeys((1, 2, 3, 4, 7, 8, 11), _HD),
        ),
    ),
)

DATA_TYPES = {table.name: table for table in (CX, XPN, XAD, XTN, CWE, XCN, PL)}
"""The data types by their names in HL7 v2. CE and CNE are read as CWE, of which they are the beginning."""

__all__ = [
    "CWE", "CX", "DATA_TYPES", "LEVELS", "NHS_AUTHORITIES", "NHS_NUMBER", "PHYSICAL_TYPE", "PL", "XAD", "XCN", "XPN", "XTN",
]  # fmt: skip
