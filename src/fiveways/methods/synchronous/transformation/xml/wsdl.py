"""WSDL 1.1 (document/literal) of a service whose messages are elements with any content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from fiveways.methods.synchronous.transformation.transformer import Answered, Asked
from fiveways.methods.synchronous.transformation.xml.document import Element, make, serialize
from fiveways.methods.synchronous.transformation.xml.soap import Version

WSDL: Final = "http://schemas.xmlsoap.org/wsdl/"
SCHEMA: Final = "http://www.w3.org/2001/XMLSchema"
BINDINGS: Final[dict[Version, str]] = {
    "1.1": "http://schemas.xmlsoap.org/wsdl/soap/",
    "1.2": "http://schemas.xmlsoap.org/wsdl/soap12/",
}
TRANSPORT: Final = "http://schemas.xmlsoap.org/soap/http"


@dataclass(frozen=True, slots=True)
class Described:
    """An operation: its name, its action, and the names of the elements that are sent and answered ('{urn:x}Name')."""

    name: str
    action: str
    request: str
    response: str


def is_asked_for(asked: Asked) -> bool:
    """Whether a request is for the WSDL: `?wsdl` at the API's base."""
    return asked.method in ("GET", "HEAD") and asked.path in ("", "/") and [name.lower() for name in asked.query] == ["wsdl"]


def answer(name: str, address: str, version: Version, operations: Sequence[Described]) -> Answered:
    """The WSDL of the service `name` at `address`."""
    return Answered(200, "text/xml; charset=utf-8", serialize(describe(name, address, version, operations)))


def describe(name: str, address: str, version: Version, operations: Sequence[Described]) -> Element:
    """The document."""
    target, soap = f"{address.rstrip('/')}/wsdl", BINDINGS[version]
    spaces = sorted({etree.QName(each).namespace or "" for one in operations for each in (one.request, one.response)})
    prefixes = {space: f"m{number}" for number, space in enumerate(filter(None, spaces), start=1)}
    known: dict[str | None, str] = {"wsdl": WSDL, "soap": soap, "tns": target, "xsd": SCHEMA}
    known.update({prefix: space for space, prefix in prefixes.items()})
    root = make(f"{{{WSDL}}}definitions", known)
    root.set("name", name)
    root.set("targetNamespace", target)
    _types(root, spaces, operations)
    for one in operations:
        for direction, element in (("Request", one.request), ("Response", one.response)):
            message = _add(root, "message", name=f"{one.name}{direction}")
            _add(message, "part", name="body", element=_qualified(element, prefixes))
    port_type = _add(root, "portType", name=f"{name}PortType")
    for one in operations:
        operation = _add(port_type, "operation", name=one.name)
        _add(operation, "input", message=f"tns:{one.name}Request")
        _add(operation, "output", message=f"tns:{one.name}Response")
    binding = _add(root, "binding", name=f"{name}Binding", type=f"tns:{name}PortType")
    etree.SubElement(binding, f"{{{soap}}}binding", style="document", transport=TRANSPORT)
    for one in operations:
        operation = _add(binding, "operation", name=one.name)
        etree.SubElement(operation, f"{{{soap}}}operation", soapAction=one.action, style="document")
        for direction in ("input", "output"):
            etree.SubElement(_add(operation, direction), f"{{{soap}}}body", use="literal")
    port = _add(_add(root, "service", name=name), "port", name=f"{name}Port", binding=f"tns:{name}Binding")
    etree.SubElement(port, f"{{{soap}}}address", location=address)
    return root


def _types(root: Element, spaces: Sequence[str], operations: Sequence[Described]) -> None:
    types = _add(root, "types")
    for space in spaces:
        schema = etree.SubElement(types, f"{{{SCHEMA}}}schema", elementFormDefault="qualified")
        if space:
            schema.set("targetNamespace", space)
        names = {etree.QName(each) for one in operations for each in (one.request, one.response)}
        for local in sorted(each.localname for each in names if (each.namespace or "") == space):
            element = etree.SubElement(schema, f"{{{SCHEMA}}}element", name=local)
            content = etree.SubElement(element, f"{{{SCHEMA}}}complexType", mixed="true")
            sequence = etree.SubElement(content, f"{{{SCHEMA}}}sequence")
            etree.SubElement(sequence, f"{{{SCHEMA}}}any", minOccurs="0", maxOccurs="unbounded", processContents="skip")
            etree.SubElement(content, f"{{{SCHEMA}}}anyAttribute", processContents="skip")


def _add(within: Element, tag: str, /, **attributes: str) -> Element:
    return etree.SubElement(within, f"{{{WSDL}}}{tag}", attributes)


def _qualified(element: str, prefixes: dict[str, str]) -> str:
    name = etree.QName(element)
    return f"{prefixes[name.namespace]}:{name.localname}" if name.namespace else name.localname
