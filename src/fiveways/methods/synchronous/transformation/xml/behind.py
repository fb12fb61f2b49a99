"""A FHIR consumer in front of a back end of legacy XML."""

from __future__ import annotations

from collections.abc import Sequence

from fiveways.errors import Fault, InvalidValue, MissingValue, NotFound, ProviderFaulty
from fiveways.fhir.bundle import searchset
from fiveways.fhir.outcome import CONTENT_TYPE
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Coverage
from fiveways.methods.synchronous.transformation.xml import faults, soap
from fiveways.methods.synchronous.transformation.xml.asking import given, parameters, plain_name
from fiveways.methods.synchronous.transformation.xml.document import Element, serialize
from fiveways.methods.synchronous.transformation.xml.kinds import Resource
from fiveways.methods.synchronous.transformation.xml.operation import Operation
from fiveways.methods.synchronous.transformation.xml.settings import AddressingSettings

FHIR = CONTENT_TYPE.decode()


class Behind:
    """The XML is behind."""

    def __init__(
        self, operations: Sequence[Operation], version: soap.Version | None, addressing: AddressingSettings | None
    ) -> None:
        """`version` of SOAP, None where the XML travels as it is."""
        self._operations = operations
        self._soap: soap.Version | None = version
        self._addressing = addressing

    def ask(self, asked: Asked) -> Asked | Answered:
        """The operation that is asked for, in XML."""
        operation, said = self._operation(asked)
        coverage = Coverage()
        content, type_, headers = b"", "", {"Accept": "application/xml, text/xml"}
        if operation.request.root:
            try:
                root = operation.request.write([said], coverage)
            except ValueError as error:
                raise InvalidValue(f"What is asked cannot be said to the back end: {error}") from None
            content, type_ = self._enveloped(root, operation.request.action, asked.id)
            if self._soap is not None:
                headers = {"Accept": soap.CONTENT_TYPES[self._soap], **soap.action_header(self._soap, operation.request.action)}
        if not asked.content:
            _require_all_taken_up(operation, asked, said, coverage)
        if coverage.wrong:
            where, why = coverage.wrong[0]
            raise InvalidValue(f"{where} cannot be said to the back end: {why}")
        query = given(operation.http.query, said)
        path = operation.http_path.filled(said)
        return Asked(
            operation.http.method, path, query, type_, content, headers, id=asked.id, kind=operation.name, coverage=coverage
        )

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """What the back end has answered, in FHIR. What of it was mapped is told on the request (`asked.coverage`)."""
        operation, _ = self._operation(asked)
        if answered.status == 202 and "xml" not in answered.content_type:
            return answered  # a promise, which is FHIR's already
        root = self._root(answered)
        if root is None:
            return Answered(operation.status, "", b"")
        if operation.response.root and root.tag != operation.response.root:
            raise ProviderFaulty("The back end's answer is not what is expected for this operation")
        self._refused(operation, root)
        coverage = Coverage()
        found = operation.response.read(root, coverage)
        asked.kind, asked.coverage = f"{operation.name} answer", coverage
        if operation.response.repeats:
            made = searchset(found)
            if not made["entry"]:
                del made["entry"]
        elif found:
            made = found[0]
        elif operation.status != 200:
            return Answered(operation.status, "", b"")
        else:
            raise NotFound("The back end knows none")
        return Answered(operation.status, FHIR, encode(made), _kept(answered))

    def _operation(self, asked: Asked) -> tuple[Operation, Resource]:
        for operation in self._operations:
            found = operation.fhir_path.match(asked.path) if operation.fhir.method == asked.method else None
            if found is None:
                continue
            if not asked.content:
                said = parameters(found, asked.query)
                if any(not said.get(each) for each in operation.fhir.query.values()):
                    continue
                return operation, said
            try:
                said = faults.read_json(asked.content)
            except ValueError as error:
                raise InvalidValue(f"The body cannot be read: {error}") from None
            return operation, said
        if any(each.fhir_path.match(asked.path) is not None and each.fhir.method == asked.method for each in self._operations):
            raise MissingValue("The query lacks a parameter that has to be there")
        raise NotFound("The back end has nothing that can be asked like this")

    def _enveloped(self, root: Element, action: str, id_: str) -> tuple[bytes, str]:
        if self._soap is None:
            return serialize(root), "application/xml; charset=utf-8"
        addressing = None
        if (said := self._addressing) is not None:
            message_id = f"urn:uuid:{id_}" if id_ else ""
            addressing = soap.Addressing(message_id, said.to, action, sender=said.sender, namespace=said.namespace)
        return serialize(soap.wrap(root, self._soap, addressing)), soap.content_type(self._soap, action)

    def _root(self, answered: Answered) -> Element | None:
        """What the back end has said; None where that is nothing. Raises what it says has gone wrong."""
        success = 200 <= answered.status < 300
        if self._soap is not None and answered.content and (success or answered.status in (400, 500)):
            return faults.answered_envelope(answered.content, answered.content_type).body
        if not success:
            raise faults.of_status(answered.status, f"The back end answered {answered.status}")
        return faults.answered(answered.content, answered.content_type) if answered.content else None

    def _refused(self, operation: Operation, root: Element) -> None:
        for failing in operation.failing:
            for found in failing.path.find(root):
                if found.element is None and found.text in ("", "false"):
                    continue
                words = [each.text for each in failing.text.find(root)] if failing.text is not None else []
                said = " ".join(each for each in (found.text, *words[:1]) if each)[: faults.MOST_SAID]
                kind: type[Fault] = ProviderFaulty
                if found.text in failing.not_found:
                    kind = NotFound
                elif found.text in failing.invalid:
                    kind = InvalidValue
                raise kind(f"The back end says: {said}" if said else "The back end says that it has failed")


def _require_all_taken_up(operation: Operation, asked: Asked, said: Resource, coverage: Coverage) -> None:
    """A parameter that is passed over would find more than was asked for. InvalidValue where one is."""
    left = set(coverage.unmapped) if operation.request.root else set(said)
    left -= {*operation.http.query.values(), *operation.http_path.names, *operation.fhir.query.values()}
    for name in asked.query:
        plain = plain_name(name)
        ways = {plain, f"{plain}_value", f"{plain}_system"} & set(said)
        if ways and ways <= left:
            raise InvalidValue(f"The parameter {plain[:64]} cannot be asked for here, or not with this value")
    coverage.unmapped.clear()


def _kept(answered: Answered) -> dict[str, str]:
    """Header fields of a promise, and of when to come back."""
    return {name: value for name, value in answered.headers.items() if name in ("retry-after", "fiveways-promise")}
