"""SOAP 1.1 and 1.2: envelopes, faults, and the addressing that says which answer belongs to which request.

A header that must be understood and is not is refused. Addressing is WS-Addressing in either version: that of 2004/08, which the
NHS Spine speaks, or 1.0 (2005/08).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from lxml import etree

from fiveways.methods.synchronous.transformation.xml.document import Element, make, serialize

Version = Literal["1.1", "1.2"]
NAMESPACES: Final[dict[Version, str]] = {
    "1.1": "http://schemas.xmlsoap.org/soap/envelope/",
    "1.2": "http://www.w3.org/2003/05/soap-envelope",
}
ADDRESSING_2004: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
ADDRESSING: Final = "http://www.w3.org/2005/08/addressing"
CONTENT_TYPES: Final[dict[Version, str]] = {"1.1": "text/xml; charset=utf-8", "1.2": "application/soap+xml; charset=utf-8"}
_FOR_US: Final = frozenset(
    (
        None, "", "http://schemas.xmlsoap.org/soap/actor/next", "http://www.w3.org/2003/05/soap-envelope/role/next",
        "http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver",
    )
)  # fmt: skip
Kind = Literal["sender", "receiver", "must-understand", "version"]
_CODES: Final[dict[Version, dict[Kind, str]]] = {
    "1.1": {"sender": "Client", "receiver": "Server", "must-understand": "MustUnderstand", "version": "VersionMismatch"},
    "1.2": {"sender": "Sender", "receiver": "Receiver", "must-understand": "MustUnderstand", "version": "VersionMismatch"},
}


class SoapRefused(ValueError):
    """An envelope that is not taken; the text says why. `kind` is that of the fault that says so."""

    def __init__(self, why: str, kind: Kind = "sender") -> None:
        super().__init__(why)
        self.kind: Kind = kind


@dataclass(frozen=True, slots=True)
class Addressing:
    """Which message this is, where it goes, and to which it is the answer; '' where it is not said."""

    message_id: str = ""
    to: str = ""
    action: str = ""
    relates_to: str = ""
    sender: str = ""
    reply_to: str = ""
    namespace: str = ADDRESSING


@dataclass(frozen=True, slots=True)
class SoapFault:
    """What a fault says: whose it is, in words; `code` is a finer one of the sender's own."""

    kind: Kind
    text: str
    code: str = ""
    detail: Element | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message: what is in its body, and what its headers say. `body` is None where it is empty; `headers` are those that are not
    addressing."""

    version: Version
    body: Element | None
    addressing: Addressing = Addressing()
    headers: tuple[Element, ...] = ()
    fault: SoapFault | None = None


def unwrap(root: Element, understood: Sequence[str] = ()) -> Envelope:
    """What is in an envelope. `understood` are namespaces of headers that are, beside addressing. Raises SoapRefused."""
    name = etree.QName(root)
    version = next((version for version, uri in NAMESPACES.items() if uri == name.namespace), None)
    if name.localname != "Envelope":
        raise SoapRefused("the XML is no SOAP envelope")
    if version is None:
        raise SoapRefused("the envelope is of no version of SOAP that is spoken here", "version")
    soap = NAMESPACES[version]
    bodies = root.findall(f"{{{soap}}}Body")
    if len(bodies) != 1 or len(root.findall(f"{{{soap}}}Header")) > 1:
        raise SoapRefused("an envelope has one Body, and at most one Header")
    if len(bodies[0]) > 1:
        raise SoapRefused("the Body has more than one element")
    headers = [header for within in root.findall(f"{{{soap}}}Header") for header in within]
    for header in headers:
        _require_understood(header, soap, understood)
    body = bodies[0][0] if len(bodies[0]) else None
    fault = _fault(body, version) if body is not None and body.tag == f"{{{soap}}}Fault" else None
    others = tuple(each for each in headers if etree.QName(each).namespace not in (ADDRESSING, ADDRESSING_2004))
    return Envelope(version, body, _addressing(headers), others, fault)


def wrap(body: Element | None, version: Version, addressing: Addressing | None = None, headers: Sequence[Element] = ()) -> Element:
    """An envelope around a body."""
    soap = NAMESPACES[version]
    known: dict[str | None, str] = {"soap": soap}
    if addressing is not None:
        known["wsa"] = addressing.namespace
    root = make(f"{{{soap}}}Envelope", known)
    if addressing is not None or headers:
        header = etree.SubElement(root, f"{{{soap}}}Header")
        if addressing is not None:
            _address(header, addressing)
        header.extend(headers)
    within = etree.SubElement(root, f"{{{soap}}}Body")
    if body is not None:
        within.append(body)
    return root


def write_fault(fault: SoapFault, version: Version, addressing: Addressing | None = None) -> bytes:
    """A fault, as an envelope."""
    soap = NAMESPACES[version]
    made = etree.Element(f"{{{soap}}}Fault", nsmap={"soap": soap})
    code = f"soap:{_CODES[version][fault.kind]}"
    if version == "1.1":
        etree.SubElement(made, "faultcode").text = code
        etree.SubElement(made, "faultstring").text = fault.text
        detail = "detail"
    else:
        first = etree.SubElement(made, f"{{{soap}}}Code")
        etree.SubElement(first, f"{{{soap}}}Value").text = code
        reason = etree.SubElement(made, f"{{{soap}}}Reason")
        said = etree.SubElement(reason, f"{{{soap}}}Text")
        said.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
        said.text = fault.text
        detail = f"{{{soap}}}Detail"
    if fault.detail is not None:
        etree.SubElement(made, detail).append(fault.detail)
    return serialize(wrap(made, version, addressing))


def content_type(version: Version, action: str = "") -> str:
    """The media type of an envelope; SOAP 1.2 says the action there."""
    return f'{CONTENT_TYPES[version]}; action="{action}"' if version == "1.2" and action else CONTENT_TYPES[version]


def action_header(version: Version, action: str) -> dict[str, str]:
    """The header field that says the action: SOAP 1.1 always has it."""
    return {"SOAPAction": f'"{action}"'} if version == "1.1" else {}


def version_of(content_type: str) -> Version:
    """The version that a media type is of."""
    return "1.2" if content_type.lower().lstrip().startswith("application/soap+xml") else "1.1"


def _require_understood(header: Element, soap: str, understood: Sequence[str]) -> None:
    if header.get(f"{{{soap}}}mustUnderstand", "0").strip() not in ("1", "true"):
        return
    if (header.get(f"{{{soap}}}actor") or header.get(f"{{{soap}}}role")) not in _FOR_US:
        return
    if etree.QName(header).namespace not in (ADDRESSING, ADDRESSING_2004, *understood):
        raise SoapRefused(f"the header {etree.QName(header).localname} must be understood, and is not", "must-understand")


def _addressing(headers: Sequence[Element]) -> Addressing:
    said: dict[str, str] = {}
    namespace = ADDRESSING
    for header in headers:
        name = etree.QName(header)
        if name.namespace not in (ADDRESSING, ADDRESSING_2004):
            continue
        namespace = name.namespace
        address = header.find(f"{{{namespace}}}Address")
        said.setdefault(name.localname, ((address if address is not None else header).text or "").strip())
    message_id, to, action, relates_to, sender, reply_to = (
        said.get(name, "") for name in ("MessageID", "To", "Action", "RelatesTo", "From", "ReplyTo")
    )
    return Addressing(message_id, to, action, relates_to, sender, reply_to, namespace)


def _address(header: Element, said: Addressing) -> None:
    for name, value in (("MessageID", said.message_id), ("Action", said.action), ("To", said.to), ("RelatesTo", said.relates_to)):
        if value:
            etree.SubElement(header, f"{{{said.namespace}}}{name}").text = value
    for name, value in (("From", said.sender), ("ReplyTo", said.reply_to)):
        if value:
            within = etree.SubElement(header, f"{{{said.namespace}}}{name}")
            etree.SubElement(within, f"{{{said.namespace}}}Address").text = value


def _fault(body: Element, version: Version) -> SoapFault:
    soap = f"{{{NAMESPACES[version]}}}"
    if version == "1.1":
        code, text, detail = body.findtext("faultcode", ""), body.findtext("faultstring", ""), body.find("detail")
    else:
        code, text = body.findtext(f"{soap}Code/{soap}Value", ""), body.findtext(f"{soap}Reason/{soap}Text", "")
        detail = body.find(f"{soap}Detail")
    name = code.strip().rpartition(":")[2]
    finer = body.findtext(f"{soap}Code/{soap}Subcode/{soap}Value", "") if version == "1.2" else name.partition(".")[2]
    kinds = {known: kind for kind, known in _CODES[version].items()}
    return SoapFault(kinds.get(name.partition(".")[0], "receiver"), text.strip(), finer.strip(), detail)
