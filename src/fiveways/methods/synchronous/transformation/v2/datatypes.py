"""Data types of HL7 v2 as FHIR R4 has them (v2-to-FHIR data type maps), each way.

What a table does not name is not lost: whoever reads a part asks it what nobody looked at.
"""

from __future__ import annotations

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes import (
    ADDRESS_TYPE,
    ADDRESS_USE,
    NAME_USE,
    SYSTEM,
    TELECOM_SYSTEM,
    TELECOM_USE,
)
from fiveways.methods.synchronous.transformation.v2.part import Part
from fiveways.methods.synchronous.transformation.v2.table import MOMENT, Coded, Context, Own, Resource, Row, Table

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
NHS_AUTHORITIES = frozenset(("NHS", "NHSNO", "NHSNMBR", "2.16.840.1.113883.2.1.4.1"))
"""How senders name the authority that gives NHS numbers."""


def _read_authority(part: Part, into: Resource, context: Context, component: int = 4) -> None:
    name, universal, kind = (part.get(component, number) for number in (1, 2, 3))
    if not name and not universal:
        return
    known = context.authorities.get(name) or context.authorities.get(universal)
    if known is None and (name.upper() in NHS_AUTHORITIES or universal in NHS_AUTHORITIES):
        known = NHS_NUMBER
    if known is not None:
        into["system"] = known
    elif universal and kind in ("ISO", ""):
        into["system"] = universal if ":" in universal else f"urn:oid:{universal}"
    elif universal and kind in ("UUID", "GUID"):
        into["system"] = f"urn:uuid:{universal}"
    elif universal:
        into["system"] = universal
    if name and (known is None or known != NHS_NUMBER):
        into["assigner"] = {"display": name}


def _write_authority(resource: Resource, part: Part, context: Context, component: int = 4) -> None:
    system, name = resource.get("system", ""), element.get(resource, "assigner.display") or ""
    declared = next((each for each, uri in context.authorities.items() if uri == system), "")
    if system == NHS_NUMBER:
        part.set(declared or "NHS", component)
        return
    if name or declared:
        part.set(name or declared, component)
    for prefix, kind in (("urn:oid:", "ISO"), ("urn:uuid:", "UUID")):
        if system.startswith(prefix):
            part.set(system.removeprefix(prefix), component, 2)
            part.set(kind, component, 3)
            return
    if system and not declared:
        part.set(system, component, 2)
        part.set("URI", component, 3)


CX = Table(
    "CX",
    "Identifier",
    (
        Row(1, "value"),
        Own((4,), "The assigning authority is the system; one that is not known by a name or an OID is the assigner.",
            _read_authority, _write_authority),
        Row(5, "type.coding[0].code", fixed={"type.coding[0].system": f"{SYSTEM}0203"}),
        Row(7, "period.start", MOMENT),
        Row(8, "period.end", MOMENT),
    ),
)  # fmt: skip


def _read_suffixes(part: Part, into: Resource, context: Context) -> None:
    said = [part.get(number) for number in (4, 6, 14)]
    if any(said):
        into["suffix"] = [each for each in said if each]


def _write_suffixes(resource: Resource, part: Part, context: Context) -> None:
    for number, suffix in zip((4, 6, 14), resource.get("suffix") or (), strict=False):
        part.set(suffix, number)


def _read_given(part: Part, into: Resource, context: Context) -> None:
    given = [each for each in (part.get(2), *part.get(3).split()) if each]
    if given:
        into["given"] = given


def _write_given(resource: Resource, part: Part, context: Context) -> None:
    first, *further = resource.get("given") or [""]
    if first:
        part.set(first, 2)
    if further:
        part.set(" ".join(further), 3)


XPN = Table(
    "XPN",
    "HumanName",
    (
        Row(1, "family"),
        Own((2, 3), "Given names; those of XPN.3 are parted by blanks.", _read_given, _write_given),
        Own((4, 6, 14), "Suffix, degree and professional suffix, in this order.", _read_suffixes, _write_suffixes),
        Row(5, "prefix[0]"),
        Row(7, "use", Coded(NAME_USE)),
        Row(12, "period.start", MOMENT),
        Row(13, "period.end", MOMENT),
    ),
)


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
        Own((1, 2, 19), "Lines: the street with its parts, other designation, addressee.", _read_lines, _write_lines),
        Row(3, "city"),
        Row(4, "state"),
        Row(5, "postalCode"),
        Row(6, "country"),
        Own((7,), "What the address is for: its type where it is postal, its use else.", _read_purpose, _write_purpose),
        Row(9, "district"),
        Row(13, "period.start", MOMENT),
        Row(14, "period.end", MOMENT),
    ),
)


def _read_number(part: Part, into: Resource, context: Context) -> None:
    unformatted, address, whole = part.get(1), part.get(4), part.get(12)
    country, area, local, extension = (part.get(number) for number in (5, 6, 7, 8))
    if address:
        into["value"] = address
        into.setdefault("system", "email")
    elif whole or unformatted:
        into["value"] = whole or unformatted
    elif local:
        number = " ".join(each for each in (f"+{country}" if country else "", area, local) if each)
        into["value"] = f"{number} x{extension}" if extension else number
    if "value" in into:
        into.setdefault("system", "phone")


def _write_number(resource: Resource, part: Part, context: Context) -> None:
    value = resource.get("value")
    if isinstance(value, str):
        part.set(value, 4 if resource.get("system") == "email" else 1)


XTN = Table(
    "XTN",
    "ContactPoint",
    (
        Row(2, "use", Coded(TELECOM_USE)),
        Row(3, "system", Coded(TELECOM_SYSTEM)),
        Own((1, 4, 5, 6, 7, 8, 12), "The number, or the address: as one text, or put together.", _read_number, _write_number),
        Row(13, "period.start", MOMENT),
        Row(14, "period.end", MOMENT),
    ),
)

_CODINGS = ((1, 2, 3, 7), (4, 5, 6, 8), (10, 11, 12, 13))
"""Code, text, system and version of each coding of a CWE."""


def _read_codings(part: Part, into: Resource, context: Context) -> None:
    codings = []
    for code, display, system, version in _CODINGS:
        coding = {
            "system": context.system(name) if (name := part.get(system)) else "",
            "version": part.get(version),
            "code": part.get(code),
            "display": part.get(display),
        }
        coding = {name: value for name, value in coding.items() if value}
        if "code" in coding:
            codings.append(coding)
        elif "display" in coding:
            into.setdefault("text", coding["display"])
    if codings:
        into["coding"] = codings
    if original := part.get(9):
        into["text"] = original


def _write_codings(resource: Resource, part: Part, context: Context) -> None:
    for coding, (code, display, system, version) in zip(resource.get("coding") or (), _CODINGS, strict=False):
        for name, number in (("code", code), ("display", display), ("version", version)):
            if isinstance(coding.get(name), str):
                part.set(coding[name], number)
        if isinstance(coding.get("system"), str):
            part.set(context.coding_system(coding["system"]), system)
    if isinstance(resource.get("text"), str):
        part.set(resource["text"], 9 if resource.get("coding") else 2)


CWE = Table(
    "CWE",
    "CodeableConcept",
    (
        Own(
            (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
            "Up to three codings, each with its system, version and text; and what was meant, in words.",
            _read_codings,
            _write_codings,
        ),
    ),
)

_NAME_OF = ((2, 1), (3, 2), (4, 3), (5, 4), (6, 5), (7, 6), (10, 7), (19, 12), (20, 13), (21, 14))
"""Where in an XCN each component of an XPN is."""


def _read_practitioner(part: Part, into: Resource, context: Context) -> None:
    identifier: Resource = {"value": part.get(1)} if part.get(1) else {}
    _read_authority(part, identifier, context, 9)
    if code := part.get(13):
        element.put(identifier, "type.coding[0]", {"system": f"{SYSTEM}0203", "code": code})
    if "value" in identifier:
        into["identifier"] = [identifier]
    name = Part()
    for here, there in _NAME_OF:
        if text := part.get(here):
            name.set(text, there)
    if said := XPN.read(name, context):
        into["name"] = [said]


def _write_practitioner(resource: Resource, part: Part, context: Context) -> None:
    for identifier in (resource.get("identifier") or ())[:1]:
        part.set(identifier.get("value", ""), 1)
        _write_authority(identifier, part, context, 9)
        part.set(element.get(identifier, "type.coding[0].code") or "", 13)
    for said in (resource.get("name") or ())[:1]:
        name = Part()
        XPN.write(said, name, context)
        written = Part(name.text)
        for here, there in _NAME_OF:
            if text := written.get(there):
                part.set(text, here)


XCN = Table(
    "XCN",
    "Practitioner",
    (
        Own(
            (1, 2, 3, 4, 5, 6, 7, 9, 10, 13, 19, 20, 21),
            "An identifier, as CX has it, and a name, as XPN has it.",
            _read_practitioner,
            _write_practitioner,
        ),
    ),
)

PHYSICAL_TYPE = "http://terminology.hl7.org/CodeSystem/location-physical-type"
LEVELS = ((3, "bd"), (2, "ro"), (1, "wa"), (8, "lvl"), (7, "bu"), (4, "si"))
"""What a PL names, from the smallest to the largest, as FHIR's physical types: bed, room, ward, level, building, site."""


def _read_place(part: Part, into: Resource, context: Context) -> None:
    at = into
    for component, kind in LEVELS:
        name = part.get(component)
        if not name:
            continue
        if "name" in at:
            at["partOf"] = at = {}
        at["name"] = name
        at["physicalType"] = {"coding": [{"system": PHYSICAL_TYPE, "code": kind}]}
    if description := part.get(9):
        into["description"] = description


def _write_place(resource: Resource, part: Part, context: Context) -> None:
    components = {kind: component for component, kind in LEVELS}
    at: Resource | None = resource
    while at:
        component = components.get(element.get(at, "physicalType.coding[0].code") or "")
        if component is not None and at.get("name"):
            part.set(at["name"], component)
        at = at.get("partOf")
    if resource.get("description"):
        part.set(resource["description"], 9)


PL = Table(
    "PL",
    "Location",
    (
        Own(
            (1, 2, 3, 4, 7, 8, 9),
            "A place in a place: bed, room, ward, level, building, site, each part of the next that is named.",
            _read_place,
            _write_place,
        ),
    ),
)

DATA_TYPES = {table.name: table for table in (CX, XPN, XAD, XTN, CWE, XCN, PL)}
"""The data types by their names in HL7 v2. CE and CNE are read as CWE, of which they are the beginning."""
