"""Identifiers of orders, results and documents, and organisations with theirs: EI, EIP and XON, said as CX says them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import SYSTEM
from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import authority, authority_from, identifier
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import Context, Inner, Own, Resource, Row, Table

_TYPES = f"{SYSTEM}0203"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
_ODS_OID = "2.16.840.1.113883.2.1.4.3"
PLACER = {"type.coding[0].system": _TYPES, "type.coding[0].code": "PLAC"}
"""What the identifier that whoever orders gives is."""
FILLER = {"type.coding[0].system": _TYPES, "type.coding[0].code": "FILL"}
"""What the identifier that whoever carries out an order gives is."""


EI = Table("EI", "Identifier", identifier(1, authority_from(2)), needs=1)


def _read_eip(part: Part, into: Resource, context: Context) -> None:
    for component, name, fixed in ((1, "placer", PLACER), (2, "filler", FILLER)):
        own = Part()
        for subcomponent in (1, 2, 3, 4):
            if text := part.get(component, subcomponent):
                own.set(text, subcomponent)
        if said := EI.read(own, context):
            for path, code in fixed.items():
                element.put(said, path, code)
            into[name] = said


def _write_eip(resource: Resource, part: Part, context: Context) -> None:
    for component, name in ((1, "placer"), (2, "filler")):
        if resource.get(name):
            own = Part()
            EI.write(resource[name], own, context)
            written = Part(own.text)
            for subcomponent in (1, 2, 3, 4):
                if text := written.get(subcomponent):
                    part.set(text, component, subcomponent)


_SUBCOMPONENTS = {1: (1, 2, 3, 4), 2: (1, 2, 3, 4)}
EIP = Table(
    "EIP",
    "Identifier",
    (
        Own(
            (1, 2),
            "Two identifiers: the placer's and the filler's.",
            _read_eip,
            _write_eip,
            "identifier",
            _SUBCOMPONENTS,
        ),
    ),
)


def placed(identifiers: Iterable[Any]) -> Resource:
    """The placer's identifier and the filler's, as EIP has them: the first of each."""
    codes = {"PLAC": "placer", "FILL": "filler"}
    found: Resource = {}
    for each in identifiers:
        name = codes.get(element.get(each, "type.coding[0].code") or "")
        if name is not None:
            found.setdefault(name, each)
    return found


_GIVEN_BY = authority(6)


def _read_given_by(part: Part, into: Resource, context: Context) -> None:
    name, universal, kind = (part.peek(6, subcomponent) for subcomponent in (1, 2, 3))
    if (universal, kind) != (_ODS_OID, "ISO") and (name, universal, kind) != ("NHS", "", ""):
        _GIVEN_BY.read(part, into, context)
        return
    for subcomponent in (1, 2, 3):
        part.get(6, subcomponent)
    into["system"] = ODS
    if name not in ("", "NHS"):
        into["assigner"] = {"display": name}


def _write_given_by(resource: Resource, part: Part, context: Context) -> None:
    if resource.get("system") != ODS:
        _GIVEN_BY.write(resource, part, context)
        return
    name = element.get(resource, "assigner.display") or "NHS"
    for subcomponent, text in enumerate((name, _ODS_OID, "ISO"), start=1):
        part.set(text, 6, subcomponent)


_AUTHORITY = Own(
    (6,),
    "As CX has it; what the NHS gives to an organisation is its ODS code.",
    _read_given_by,
    _write_given_by,
    "system",
    {6: (1, 2, 3)},
)
XON = Table(
    "XON",
    "Organization",
    (
        Row(1, "name"),
        Inner("identifier[0]", Table("CX", "Identifier", identifier(10, _AUTHORITY, kind=7)), needs=10),
        Inner("identifier[0]", Table("CX", "Identifier", identifier(3, _AUTHORITY, kind=7)), needs=3, unless=10, moved="XON-10"),
    ),
)
"""What an organisation is called, and its identifier, as CX has it."""


def _read_producer(part: Part, into: Resource, context: Context) -> None:
    code, name, system = (part.get(component) for component in (1, 2, 3))
    if code:
        into["identifier"] = [{**({"system": context.system(system)} if system else {}), "value": code}]
    if name:
        into["name"] = name


def _write_producer(resource: Resource, part: Part, context: Context) -> None:
    for own in (resource.get("identifier") or ())[:1]:
        part.set(own.get("value") or "", 1)
        if own.get("system"):
            part.set(context.coding_system(own["system"]), 3)
    part.set(resource.get("name") or "", 2)


PRODUCER = Table(
    "CWE",
    "Organization",
    (Own((1, 2, 3), "An organisation by its code, and what it is called.", _read_producer, _write_producer),),
)
