"""Consumers of legacy XML in front of a FHIR back end."""

from __future__ import annotations

from collections.abc import Sequence

from lxml import etree

from fiveways.errors import Fault, InvalidValue, MethodNotAllowed, NotFound, ProviderFaulty
from fiveways.fhir.outcome import CONTENT_TYPE
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Coverage
from fiveways.methods.synchronous.transformation.xml import faults, soap, wsdl
from fiveways.methods.synchronous.transformation.xml.asking import given
from fiveways.methods.synchronous.transformation.xml.document import Element, XmlRefused, charset_of, parse, serialize
from fiveways.methods.synchronous.transformation.xml.kinds import Resource
from fiveways.methods.synchronous.transformation.xml.operation import Operation
from fiveways.methods.synchronous.transformation.xml.settings import AddressingSettings

FHIR = CONTENT_TYPE.decode()


class Before:
    """The XML is in front."""

    def __init__(
        self,
        name: str,
        operations: Sequence[Operation],
        version: soap.Version | None,
        addressing: AddressingSettings | None,
        address: str,
    ) -> None:
        """`name` of the service. `version` of SOAP, None where the XML travels as it is."""
        self._operations = operations
        self._soap: soap.Version | None = version
        self._addressing = addressing
        self._wsdl: Answered | None = None
        if address and version is not None:
            described = [
                wsdl.Described(each.name, each.request.action, each.request.root, each.response.root) for each in operations
            ]
            self._wsdl = wsdl.answer("".join(c if c.isalnum() or c in "_-." else "_" for c in name), address, version, described)

    def ask(self, asked: Asked) -> Asked | Answered:
        """The operation that is asked for, in FHIR; or the WSDL."""
        if self._wsdl is not None and wsdl.is_asked_for(asked):
            return self._wsdl
        if asked.method != "POST":
            raise MethodNotAllowed("XML is sent with POST", headers={"Allow": "POST"})
        _, root = self._received(asked)
        operation = self._operation(root)
        self._require_action(asked, operation)
        coverage = Coverage()
        found = operation.request.read(root, coverage)
        if coverage.wrong:
            where, why = coverage.wrong[0]
            raise InvalidValue(f"{where} cannot be said in FHIR: {why}")
        said: Resource = found[0] if found else {}
        headers = {"Accept": FHIR}
        content, type_ = b"", ""
        if operation.fhir.method in ("POST", "PUT"):
            content, type_ = encode(said), FHIR
        return Asked(
            operation.fhir.method,
            operation.fhir_path.filled(said),
            given(operation.fhir.query, said),
            type_,
            content,
            headers,
            id=asked.id,
            kind=operation.name,
            coverage=coverage,
        )

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """What the back end has answered, in XML. What of it was mapped is told on the request (`asked.coverage`)."""
        envelope, request = self._received(asked)
        operation = self._operation(request)
        if answered.status == 202:
            return Answered(202, "", b"", dict(answered.headers))  # a promise: there is nothing to be said yet
        if not 200 <= answered.status < 300:
            raise faults.of_fhir(answered.status, answered.content)
        coverage = Coverage()
        try:
            found = _resources(answered.content, operation.response.repeats) if answered.content else []
            root = operation.response.write(found, coverage)
        except ValueError as error:
            raise ProviderFaulty(f"The back end's answer cannot be said in XML: {error}") from None
        asked.kind, asked.coverage = f"{operation.name} answer", coverage
        if envelope is None:
            return Answered(200, "application/xml; charset=utf-8", serialize(root))
        action = operation.response.action
        content = serialize(soap.wrap(root, envelope.version, self._addressed(envelope, action, asked.id)))
        return Answered(200, soap.content_type(envelope.version, action), content)

    def refuse(self, asked: Asked, fault: Fault) -> Answered:
        """A fault in XML."""
        if self._soap is None:
            return faults.as_problem(fault, asked.id)
        version, relates_to = soap.version_of(asked.content_type) if asked.content_type else self._soap, None
        try:
            envelope = soap.unwrap(parse(asked.content, charset_of(asked.content_type)))
            version, relates_to = envelope.version, self._addressed(envelope, "", asked.id)
        except (XmlRefused, soap.SoapRefused):
            pass
        return faults.as_soap(fault, version, asked.id, relates_to)

    def _received(self, asked: Asked) -> tuple[soap.Envelope | None, Element]:
        if self._soap is None:
            return None, faults.received(asked.content, asked.content_type)
        envelope = faults.received_envelope(asked.content, asked.content_type)
        if envelope.version != self._soap:
            raise faults.SoapVersion(f"SOAP {self._soap} is spoken here")
        if envelope.body is None or envelope.fault is not None:
            raise InvalidValue("the Body has no request")
        return envelope, envelope.body

    def _operation(self, root: Element) -> Operation:
        for operation in self._operations:
            if operation.request.root == root.tag:
                return operation
        raise NotFound(f"There is no operation for the element {etree.QName(root).localname[:64]}")

    def _require_action(self, asked: Asked, operation: Operation) -> None:
        """What the header field says is what the body does (WS-I Basic Profile R1109); none, or an empty one, says nothing."""
        said = next((value for name, value in asked.headers.items() if name.lower() == "soapaction"), "").strip('" ')
        if said and operation.request.action and said != operation.request.action:
            raise InvalidValue("SOAPAction is not that of the request in the Body")

    def _addressed(self, envelope: soap.Envelope, action: str, id_: str) -> soap.Addressing | None:
        """The answer to an addressed request is addressed."""
        said = envelope.addressing
        if not said.message_id:
            return None
        sender = self._addressing.sender if self._addressing is not None else ""
        return soap.Addressing(
            f"urn:uuid:{id_}" if id_ else "", said.reply_to or said.sender, action, said.message_id, sender, "", said.namespace
        )


def _resources(content: bytes, several: bool) -> list[Resource]:
    """The resources of an answer: those of a Bundle's entries that are matches."""
    resource = faults.read_json(content)
    if resource["resourceType"] != "Bundle":
        return [resource]
    entries = [entry for entry in resource.get("entry") or () if isinstance(entry, dict)]
    matches = [
        entry["resource"]
        for entry in entries
        if isinstance(entry.get("resource"), dict) and (entry.get("search") or {}).get("mode", "match") == "match"
    ]
    if not several and len(matches) > 1:
        raise ValueError("it is several resources")
    if not several and not matches:
        raise NotFound("The back end knows none")
    return matches
