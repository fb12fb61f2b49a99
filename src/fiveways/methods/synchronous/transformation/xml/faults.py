"""Faults in the words of either side: SOAP faults, plain XML, and what a FHIR server says in an OperationOutcome."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec
from lxml import etree

from fiveways.errors import (
    Cause,
    Fault,
    Forbidden,
    InvalidValue,
    NotFound,
    PayloadTooLarge,
    ProviderFaulty,
    ProviderTimeout,
    ProviderUnavailable,
)
from fiveways.fhir.outcome import party_code
from fiveways.methods.synchronous.transformation.transformer import Answered
from fiveways.methods.synchronous.transformation.xml.document import (
    Element,
    XmlRefused,
    XmlTooLarge,
    charset_of,
    make,
    parse,
    serialize,
)
from fiveways.methods.synchronous.transformation.xml.kinds import Resource
from fiveways.methods.synchronous.transformation.xml.soap import (
    Addressing,
    Envelope,
    Kind,
    SoapFault,
    SoapRefused,
    Version,
    content_type,
    unwrap,
    write_fault,
)

NAMESPACE: Final = "urn:fiveways:fault"
PROBLEM: Final = "urn:ietf:rfc:7807"
MOST_SAID: Final = 500
"""Characters that are passed on of what a back end says about its fault."""
_HTTP_SAYS: Final = frozenset((401, 405, 413, 429, 503))
"""Statuses that mean something to HTTP itself (credentials, methods, waiting): a fault of SOAP 1.1 keeps them and has 500 else."""
_decoder: Final = msgspec.json.Decoder(Any, float_hook=Decimal)


class SoapVersion(InvalidValue):
    """The envelope is of a version of SOAP that is not spoken here."""


class NotUnderstood(InvalidValue):
    """A header that must be understood is not."""


def received(content: bytes, type_: str) -> Element:
    """The XML that a consumer sent; InvalidValue where it is none, PayloadTooLarge where it is too much."""
    try:
        return parse(content, charset_of(type_))
    except XmlTooLarge as error:
        raise PayloadTooLarge(str(error)) from None
    except XmlRefused as error:
        raise InvalidValue(str(error)) from None


def received_envelope(content: bytes, type_: str, understood: tuple[str, ...] = ()) -> Envelope:
    """The envelope that a consumer sent; InvalidValue where it is none."""
    try:
        return unwrap(received(content, type_), understood)
    except SoapRefused as refused:
        kinds: dict[Kind, type[Fault]] = {"version": SoapVersion, "must-understand": NotUnderstood}
        raise kinds.get(refused.kind, InvalidValue)(str(refused)) from None


def answered(content: bytes, type_: str) -> Element:
    """The XML that a back end answered; ProviderFaulty where it is none."""
    try:
        return parse(content, charset_of(type_))
    except XmlRefused as error:
        raise ProviderFaulty(f"The back end's answer is not read: {error}") from None


def answered_envelope(content: bytes, type_: str, understood: tuple[str, ...] = ()) -> Envelope:
    """The envelope that a back end answered; ProviderFaulty where it is none, and the fault that it says, where it says one."""
    try:
        envelope = unwrap(answered(content, type_), understood)
    except SoapRefused as refused:
        raise ProviderFaulty(f"The back end's answer is not read: {refused}") from None
    if envelope.fault is not None:
        raise of_soap(envelope.fault)
    return envelope


def of_soap(fault: SoapFault) -> Fault:
    """A back end's SOAP fault. One that is the sender's came from what the consumer asked: the rest is the back end's own."""
    said = " ".join(each for each in (fault.code, fault.text) if each)[:MOST_SAID] or "no reason given"
    text = f"The back end answered with a SOAP fault: {said}"
    return InvalidValue(text) if fault.kind == "sender" else ProviderFaulty(text)


def of_status(status: int, said: str) -> Fault:
    """A back end's answer that is no success, and says no more of it than its status."""
    match status:
        case 404 | 410:
            return NotFound(said)
        case 401 | 407:
            return ProviderFaulty(said)  # the gateway's credentials, not the consumer's
        case 403:
            return Forbidden(said)
        case 400 | 422:
            return InvalidValue(said)
        case 503 | 429:
            return ProviderUnavailable(said)
        case 504:
            return ProviderTimeout(said)
    return ProviderFaulty(said)


def of_fhir(status: int, content: bytes) -> Fault:
    """A FHIR server's answer that is no success, with what its OperationOutcome says."""
    outcome: Any = {}
    try:
        outcome = _decoder.decode(content) if content else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    causes = []
    for issue in outcome.get("issue") or () if isinstance(outcome, dict) else ():
        details = issue.get("details") or {} if isinstance(issue, dict) else {}
        code = next((each.get("code", "") for each in details.get("coding") or ()), "")
        said = issue.get("diagnostics") or details.get("text") or code
        causes.append(Cause("back end", status, str(code), str(issue.get("code", "unknown")), str(said)[:MOST_SAID]))
    text = "; ".join(cause.diagnostics for cause in causes if cause.diagnostics)[:MOST_SAID]
    fault = of_status(status, f"The back end answered {status}" + (f": {text}" if text else ""))
    fault.causes = tuple(causes[1:])
    return fault


def as_soap(fault: Fault, version: Version, message_id: str, addressing: Addressing | None = None) -> Answered:
    """A fault as a SOAP fault; its code, whose it is and the message id are the detail."""
    kind: Kind = "sender" if fault.party == "consumer" else "receiver"
    if isinstance(fault, SoapVersion):
        kind = "version"
    elif isinstance(fault, NotUnderstood):
        kind = "must-understand"
    detail = make(f"{{{NAMESPACE}}}fault", {None: NAMESPACE})
    said = {"code": fault.code, "party": party_code(fault), "messageId": message_id}
    for cause in fault.causes:
        etree.SubElement(detail, f"{{{NAMESPACE}}}cause", code=_plain(cause.code)).text = _plain(cause.diagnostics)
    for name, value in said.items():
        if value:
            detail.set(name, _plain(value))
    content = write_fault(SoapFault(kind, _plain(fault.diagnostics), detail=detail), version, addressing)
    status = 400 if version == "1.2" and kind == "sender" else 500
    return Answered(fault.status if fault.status in _HTTP_SAYS else status, content_type(version), content, dict(fault.headers))


def as_problem(fault: Fault, message_id: str) -> Answered:
    """A fault as problem details in XML (RFC 7807 appendix A)."""
    problem = make(f"{{{PROBLEM}}}problem", {None: PROBLEM})
    said = {
        "type": "about:blank", "title": fault.display, "status": str(fault.status), "detail": fault.diagnostics,
        "instance": f"urn:uuid:{message_id}" if message_id else "", "code": fault.code,
    }  # fmt: skip
    for name, value in said.items():
        if value:
            etree.SubElement(problem, f"{{{PROBLEM}}}{name}").text = _plain(value)
    return Answered(fault.status, "application/problem+xml", serialize(problem), dict(fault.headers))


def read_json(content: bytes) -> Resource:
    """A resource; ValueError where it is none."""
    try:
        resource = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError("it is not well-formed JSON") from None
    if not isinstance(resource, dict) or not isinstance(resource.get("resourceType"), str):
        raise ValueError("it is no resource")
    return resource


def _plain(text: str) -> str:
    """What XML can say of a text."""
    return "".join(each for each in text if each in "\t\n\r" or each.isprintable())
