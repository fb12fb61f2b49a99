"""Who gives an identifier: HD and its like, as the identifier's system where it is one, and as its assigner."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import IDENTIFIER_TYPE, SYSTEM
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Context, Own, Resource, Row, code, is_oid, is_uri

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
NHS_AUTHORITIES = frozenset(("NHS", "NHSNO", "NHSNMBR", "2.16.840.1.113883.2.1.4.1"))
"""How senders name the authority that gives NHS numbers."""
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_KINDS = (("urn:oid:", "ISO"), ("urn:uuid:", "UUID"))
_UNIVERSAL = f"{SYSTEM}0301"
_SAYS = "The assigning authority is the system; what does not follow from that is kept with the assigner."


def _uri(universal: str, kind: str) -> str:
    """A universal id as a URI; '' where it is none."""
    if kind in ("ISO", "") and is_oid(universal):
        return f"urn:oid:{universal}"
    if kind == "UUID" and _UUID.fullmatch(universal):
        return f"urn:uuid:{universal}"
    return universal if kind in ("URI", "") and is_uri(universal) and not universal.startswith("urn:") else ""


def authority(component: int, *, patients: bool = True) -> Own:
    """The row of an authority that is a component (HD): its name, its universal id, and what sort of id that is. `patients`:
    whether what it identifies may be a patient, so that an authority that is the NHS gives NHS numbers."""
    return _authority(((component, 1), (component, 2), (component, 3)), (component,), {component: (1, 2, 3)}, patients)


def authority_from(component: int) -> Own:
    """The row of an authority that is three components (EI), from this one on."""
    name, universal, kind = component, component + 1, component + 2
    return _authority(((name, 1), (universal, 1), (kind, 1)), (name, universal, kind), {}, patients=False)


def _authority(
    places: Sequence[tuple[int, int]], components: Sequence[int], subcomponents: dict[int, Sequence[int]], patients: bool
) -> Own:
    def read(part: Part, into: Resource, context: Context) -> None:
        name = part.get(*places[0])
        universal = part.get(*places[1])
        if not name and not universal:
            return
        known = context.authorities.get(name) or context.authorities.get(universal)
        if known is None and patients and (name.upper() in NHS_AUTHORITIES or universal in NHS_AUTHORITIES):
            known = NHS_NUMBER
        assigner: Resource = {}
        if name and (known != NHS_NUMBER or name != "NHS"):
            assigner["display"] = name
        if universal:
            kind = part.get(*places[2])
            uri = _uri(universal, kind)
            if known is None and uri:
                known = uri
            else:
                assigner["identifier"] = _universal(universal, kind)
        if known is not None:
            into["system"] = known
        if assigner:
            into["assigner"] = assigner

    def write(resource: Resource, part: Part, context: Context) -> None:
        name, universal, kind = _written(resource, context)
        for text, place in zip((name, universal, kind), places, strict=True):
            if text:
                part.set(text, *place)

    return Own(components, _SAYS, read, write, "system", subcomponents)


def _universal(universal: str, kind: str) -> Resource:
    said: Resource = {"value": universal}
    if kind:
        said["type"] = {"coding": [{"system": _UNIVERSAL, "code": kind}]} if " " not in kind else {"text": kind}
    return said


def _written(resource: Resource, context: Context) -> tuple[str, str, str]:
    """Name, universal id and its sort, of what gives an identifier."""
    system = resource.get("system") or ""
    declared = next((each for each, uri in context.authorities.items() if uri == system), "")
    name = element.get(resource, "assigner.display") or ""
    kept = element.get(resource, "assigner.identifier.value") or ""
    if kept:
        kind = element.get(resource, "assigner.identifier.type.coding[0].code")
        return name, kept, kind or element.get(resource, "assigner.identifier.type.text") or ""
    if declared:
        return (name, declared, "ISO") if is_oid(declared) else (name or declared, "", "")
    if system == NHS_NUMBER:
        return name or "NHS", "", ""
    for prefix, kind in _KINDS:
        if system.startswith(prefix):
            return name, system.removeprefix(prefix), kind
    return (name, system, "URI") if system else (name, "", "")


class _Type:
    """What kind of identifier it is: one of HL7's, or one that only the sender has."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put a Coding."""
        known = text in IDENTIFIER_TYPE.codes
        element.put(into, path, {"system": IDENTIFIER_TYPE.system, "code": text} if known else {"code": code(text)})

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The code."""
        found = element.get(resource, f"{path}.code")
        return found if isinstance(found, str) else ""


def identifier(value: int, given_by: Own, kind: int = 0, start: int = 0, end: int = 0) -> Sequence[Row | Own]:
    """The rows of an identifier: its value, who gives it, what kind it is, and when it holds."""
    rows: list[Row | Own] = [Row(value, "value"), given_by]
    if kind:
        rows.append(Row(kind, "type.coding[0]", _Type()))
    if start:
        rows += [Row(start, "period.start", MOMENT), Row(end, "period.end", MOMENT)]
    return tuple(rows)
