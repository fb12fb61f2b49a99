"""Data types of HL7 V3 (ITS 1) as FHIR R4 has them, as tables that are read both ways: II, PN, AD, TEL, TS, IVL<TS>, CE."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Final

from lxml import etree

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.xml.document import Element
from fiveways.methods.synchronous.transformation.xml.kinds import TEXT, Coded, Moment, Resource
from fiveways.methods.synchronous.transformation.xml.paths import Found, Path
from fiveways.methods.synchronous.transformation.xml.tables import Own, Part, Row, Table, Value

V3: Final = "urn:hl7-org:v3"
NHS_NUMBER: Final = "https://fhir.nhs.uk/Id/nhs-number"
ODS_CODE: Final = "https://fhir.nhs.uk/Id/ods-organization-code"
URI: Final = "urn:ietf:rfc:3986"
OBJECT_ID: Final = "2.16.840.1.113883.2.1.3.2.4.18.1"
"""Of the ids that names, addresses and numbers have at the NHS."""
ROOTS: Final[Mapping[str, str]] = {"2.16.840.1.113883.2.1.4.1": NHS_NUMBER, "2.16.840.1.113883.2.1.4.3": ODS_CODE}
"""FHIR's names of those that give identifiers, by their OIDs."""
CODE_SYSTEMS: Final[Mapping[str, str]] = {
    "2.16.840.1.113883.6.96": "http://snomed.info/sct",
    "2.16.840.1.113883.6.1": "http://loinc.org",
    "2.16.840.1.113883.5.25": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
    "2.16.840.1.113883.5.1": "http://terminology.hl7.org/CodeSystem/v3-AdministrativeGender",
}
"""FHIR's names of code systems by their OIDs; others are urn:oid:…"""
NAME_USE: Final = Coded(
    {
        "L": "usual", "OR": "official", "C": "official", "A": "nickname", "PREFERRED": "nickname", "P": "anonymous",
        "PREVIOUS": "old", "PREVIOUS-BIRTH": "maiden", "PREVIOUS-MAIDEN": "maiden", "PREVIOUS-BACHELOR": "maiden", "T": "temp",
    },
    "http://terminology.hl7.org/CodeSystem/v3-EntityNameUse",
)  # fmt: skip
"""L is the usual name, as the NHS means it; those that are not HL7's own are a guess at what its services say."""
TELECOM_USE: Final = Coded(
    {"H": "home", "HP": "home", "HV": "home", "WP": "work", "DIR": "work", "MC": "mobile", "TMP": "temp", "BAD": "old"},
    "http://terminology.hl7.org/CodeSystem/v3-AddressUse",
)
ADDRESS_USE: Final = Coded(
    {"H": "home", "HP": "home", "HV": "home", "WP": "work", "TMP": "temp", "BAD": "old"},
    "http://terminology.hl7.org/CodeSystem/v3-AddressUse",
)
ADDRESS_TYPES: Final[Mapping[str, str]] = {"PST": "postal", "PHYS": "physical"}
SCHEMES: Final[Mapping[str, str]] = {
    "tel": "phone", "fax": "fax", "mailto": "email", "http": "url", "https": "url", "sms": "sms", "textphone": "other",
}  # fmt: skip
ADDRESS_KEY: Final = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-AddressKey"
ADDRESS_KEY_TYPE: Final = "https://fhir.hl7.org.uk/CodeSystem/UKCore-AddressKeyType"
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")


def path(text: str) -> Path:
    """An XPath in which `v:` is HL7 V3."""
    return Path(text, {"v": V3})


def tag(name: str) -> str:
    """The name of an element of HL7 V3."""
    return f"{{{V3}}}{name}"


def uri_of(root: str) -> str:
    """The URI of an OID or a UUID."""
    return f"urn:uuid:{root.lower()}" if _UUID.fullmatch(root) else f"urn:oid:{root}"


def _read_ii(node: Element, into: Resource) -> Sequence[Found]:
    root, extension = node.get("root", ""), node.get("extension", "")
    if node.get("nullFlavor") or not (root or extension):
        return ()
    if root and not _OID.fullmatch(root) and not _UUID.fullmatch(root):
        raise ValueError("its root is neither an OID nor a UUID")
    if not extension:
        into["system"], into["value"] = URI, uri_of(root)
    else:
        if root:
            into["system"] = ROOTS.get(root) or uri_of(root)
        into["value"] = extension
    found = [Found(node, "root", root), Found(node, "extension", extension)]
    if name := node.get("assigningAuthorityName"):
        into["assigner"] = {"display": name}
        found.append(Found(node, "assigningAuthorityName", name))
    return found


def _write_ii(resource: Resource, node: Element) -> Sequence[str]:
    system, value = resource.get("system", ""), resource.get("value")
    if not isinstance(value, str) or not isinstance(system, str):
        return ()
    root = next((root for root, known in ROOTS.items() if known == system), _root_of(system))
    if system == URI:
        root, extension = _root_of(value), ""
    else:
        extension = value
    if not root:
        raise ValueError("its system has no OID")
    node.set("root", root)
    if extension:
        node.set("extension", extension)
    display = element.get(resource, "assigner.display")
    if isinstance(display, str):
        node.set("assigningAuthorityName", display)
    return ("system", "value", "assigner.display")


def _root_of(uri: str) -> str:
    for prefix, form in (("urn:oid:", _OID), ("urn:uuid:", _UUID)):
        root = uri.removeprefix(prefix)
        if uri.startswith(prefix) and form.fullmatch(root):
            return root.upper() if form is _UUID else root
    return ""


II: Final = Table(
    "II", (Own("Its system is the root, its value the extension; without one, it is the root.", _read_ii, _write_ii),)
)


def _read_coding(node: Element) -> tuple[Resource, list[Found]]:
    found = [Found(node, name, node.get(name, "")) for name in ("code", "codeSystem", "codeSystemVersion", "displayName")]
    code, system, version, display = (each.text for each in found)
    made = {"system": CODE_SYSTEMS.get(system) or (uri_of(system) if system else ""), "version": version, "code": code}
    made["display"] = display
    return {name: value for name, value in made.items() if value}, [each for each in found if each.text]


def _write_coding(coding: Resource, node: Element) -> None:
    system = str(coding.get("system", ""))
    root = next((root for root, known in CODE_SYSTEMS.items() if known == system), _root_of(system))
    if system and not root:
        raise ValueError("its system has no OID")
    said = (("code", coding.get("code")), ("codeSystem", root), ("codeSystemVersion", coding.get("version")))
    for name, value in (*said, ("displayName", coding.get("display"))):
        if isinstance(value, str) and value:
            node.set(name, value)


def _read_ce(node: Element, into: Resource) -> Sequence[Found]:
    looked: list[Found] = []
    codings = []
    for each in (node, *node.iterchildren(tag("translation"))):
        coding, found = _read_coding(each)
        looked += found
        if coding:
            codings.append(coding)
    if codings:
        into["coding"] = codings
    for original in node.iterchildren(tag("originalText")):
        if text := (original.text or "").strip():
            into["text"] = text
            looked.append(Found(original, "", text))
    return looked


def _write_ce(resource: Resource, node: Element) -> Sequence[str]:
    for number, coding in enumerate(resource.get("coding") or ()):
        _write_coding(coding, node if not number else etree.SubElement(node, tag("translation")))
    if isinstance(resource.get("text"), str):
        etree.SubElement(node, tag("originalText")).text = resource["text"]
    names = ("system", "version", "code", "display")
    return ("text", *(f"coding[{n}].{name}" for n in range(len(resource.get("coding") or ())) for name in names))


CE: Final = Table("CE", (Own("The code, its translations as further codings, and what was said.", _read_ce, _write_ce),))


def _read_one_coding(node: Element, into: Resource) -> Sequence[Found]:
    made, found = _read_coding(node)
    into.update(made)
    return found


def _write_one_coding(resource: Resource, node: Element) -> Sequence[str]:
    _write_coding(resource, node)
    return ("system", "version", "code", "display")


CV: Final = Table("CV", (Own("The code, as a Coding.", _read_one_coding, _write_one_coding),))


def _read_tel(node: Element, into: Resource) -> Sequence[Found]:
    value = node.get("value", "").strip()
    if not value:
        return ()
    scheme, colon, rest = value.partition(":")
    system = SCHEMES.get(scheme.lower()) if colon else None
    keep = system in (None, "url", "other")
    into["system"], into["value"] = system or "phone", value if keep else rest
    return [Found(node, "value", value)]


def _write_tel(resource: Resource, node: Element) -> Sequence[str]:
    value, system = resource.get("value"), resource.get("system")
    if not isinstance(value, str):
        return ()
    scheme = next((scheme for scheme, known in SCHEMES.items() if known == system), "")
    if system is not None and not scheme:
        raise ValueError("there is no scheme for its system")
    node.set("value", value if system in (None, "url", "other") else f"{scheme}:{value}")
    return ("value", "system")


def _read_address_use(node: Element, into: Resource) -> Sequence[Found]:
    use = node.get("use", "")
    others = [each for each in use.split() if each not in ADDRESS_TYPES]
    for each in use.split():
        if each in ADDRESS_TYPES:
            into["type"] = ADDRESS_TYPES[each]
    if others:
        ADDRESS_USE.read(" ".join(others), into, "use")
    return [Found(node, "use", use)] if use else ()


def _write_address_use(resource: Resource, node: Element) -> Sequence[str]:
    kinds = [code for code, meaning in ADDRESS_TYPES.items() if meaning == resource.get("type")]
    use = " ".join(each for each in (ADDRESS_USE.write(resource, "use"), *kinds) if each)
    if not use:
        return ()
    node.set("use", use)
    return ("use", "_use", *(["type"] if kinds else []))


def _read_key(node: Element, into: Resource) -> Sequence[Found]:
    found = [Found(key, "", (key.text or "").strip()) for key in node.iterchildren(tag("addressKey"))][:1]
    for each in found:
        if each.text:
            coding = {"system": ADDRESS_KEY_TYPE, "code": "PAF"}
            parts = [{"url": "type", "valueCodeableConcept": {"coding": [coding]}}, {"url": "value", "valueString": each.text}]
            into.setdefault("extension", []).append({"url": ADDRESS_KEY, "extension": parts})
    return found


def _write_key(resource: Resource, node: Element) -> Sequence[str]:
    for number, extension in enumerate(resource.get("extension") or ()):
        parts = {part.get("url"): part for part in extension.get("extension") or ()}
        kind = element.get(parts.get("type"), "valueCodeableConcept.coding[0].code")
        value = element.get(parts.get("value"), "valueString")
        if extension.get("url") == ADDRESS_KEY and kind == "PAF" and isinstance(value, str):
            etree.SubElement(node, tag("addressKey")).text = value
            return (f"extension[{number}]",)
    return ()


class DataTypes:
    """The data types in which there are times, in a zone where they say none."""

    def __init__(self, zone: tzinfo) -> None:
        self.ts = Moment(zone)
        self.ivl_ts = Table(
            "IVL<TS>", (Value(path("v:low/@value"), "start", self.ts), Value(path("v:high/@value"), "end", self.ts))
        )
        self.pn = Table(
            "PN",
            (
                Value(path("@use"), "use", NAME_USE),
                Value(path("v:prefix"), "", TEXT, each="prefix"),
                Value(path("v:given"), "", TEXT, each="given"),
                Value(path("v:family"), "family"),
                Value(path("v:suffix"), "", TEXT, each="suffix"),
                Own("Names that are not taken apart.", _read_whole, _write_whole),
                Part(path("v:validTime"), "period", self.ivl_ts),
                *_object_id(),
            ),
        )
        self.ad = Table(
            "AD",
            (
                Own("What it is for: its use, or its type.", _read_address_use, _write_address_use),
                Value(path("v:streetAddressLine"), "", TEXT, each="line"),
                Value(path("v:city"), "city"),
                Value(path("v:county"), "district"),
                Value(path("v:state"), "state"),
                Value(path("v:postalCode"), "postalCode"),
                Own("The key of the Postcode Address File.", _read_key, _write_key),
                Value(path("v:country"), "country"),
                Part(path("v:useablePeriod"), "period", self.ivl_ts),
                *_object_id(),
            ),
        )
        self.tel = Table(
            "TEL",
            (
                Own("Its scheme says what it is.", _read_tel, _write_tel),
                Value(path("@use"), "use", TELECOM_USE),
                Part(path("v:useablePeriod"), "period", self.ivl_ts),
                *_object_id(),
            ),
        )


def _object_id() -> tuple[Row, ...]:
    return (Value(path(f"v:id[@root='{OBJECT_ID}']/@extension"), "id"),)


def _read_whole(node: Element, into: Resource) -> Sequence[Found]:
    text = (node.text or "").strip()
    if not text:
        return ()
    into["text"] = text
    return [Found(node, "", text)]


def _write_whole(resource: Resource, node: Element) -> Sequence[str]:
    if not isinstance(resource.get("text"), str) or resource.get("family") or resource.get("given"):
        return ()
    node.text = resource["text"]
    return ("text",)
