"""The transformer `fhir-to-hl7v2`: consumers write FHIR, the back end takes HL7 v2 (S59).

A create, an update or a transaction is one message; the acknowledgement is the answer. There is nothing to be read from a back end
that takes messages: reads are refused.
"""

from __future__ import annotations

import base64
import hashlib
from decimal import Decimal
from typing import Any, Final

import msgspec

from fiveways.errors import DeploymentError, Fault, InvalidValue, MethodNotAllowed, ProviderFaulty, ProviderUnavailable
from fiveways.fhir.resource import mismatch
from fiveways.hl7v2 import acknowledgement, charsets
from fiveways.hl7v2.acknowledgement import Wanted
from fiveways.hl7v2.errors import MalformedMessage
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.v2.answers import CONTENT_TYPE
from fiveways.methods.synchronous.transformation.v2.kinds import kind_of_bundle
from fiveways.methods.synchronous.transformation.v2.messages import READ, Header, Unsayable, UnsupportedMessage, to_v2
from fiveways.methods.synchronous.transformation.v2.options import OutgoingOptions
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_FHIR: Final = "application/fhir+json"
_WANTED: Final = {
    "original": (),
    "commit": ((15, Wanted.ALWAYS), (16, Wanted.NEVER)),
    "application": ((15, Wanted.NEVER), (16, Wanted.ALWAYS)),
    "both": ((15, Wanted.ALWAYS), (16, Wanted.ALWAYS)),
}
"""MSH-15 and MSH-16."""
_DECODE: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class NotSayable(Fault):
    """What the consumer wants done cannot be said in HL7 v2."""

    status, code, party, issue, display = 422, "INVALID_VALUE", "consumer", "not-supported", "Not possible in HL7 v2"


class NotTaken(Fault):
    """The old system has answered that it does not take this."""

    status, code, party, issue, display = 422, "INVALID_VALUE", "consumer", "processing", "The old system refuses it"


class Outgoing:
    """FHIR to messages."""

    def __init__(self, place: Place) -> None:
        """DeploymentError where an option is wrong."""
        self.options = place.read(OutgoingOptions)
        self._context = self.options.context()
        self._clock = place.clock
        self._codec = charsets.codec(self.options.charset)
        if unknown := sorted(set(self.options.events.values()) - READ.keys()):
            raise DeploymentError(f"options.events: {', '.join(unknown)} are not known; known are {', '.join(sorted(READ))}")

    def ask(self, asked: Asked) -> Asked:
        """The message that a write is. Raises InvalidValue, MethodNotAllowed, or NotSayable."""
        if asked.method not in ("POST", "PUT"):
            raise MethodNotAllowed("The old system takes creates, updates and transactions", headers={"Allow": "POST, PUT"})
        resource = self._resource(asked)
        bundle = resource if resource["resourceType"] == "Bundle" else _alone(resource, asked.method)
        kind = self._kind(asked.method, resource["resourceType"], bundle)
        control_id = base64.b32encode(hashlib.sha256(asked.id.encode()).digest())[:20].decode()
        said = self.options
        header = Header(
            control_id, self._clock.now(), (said.sender.application, said.sender.facility),
            (said.receiver.application, said.receiver.facility), said.version, charset=said.charset or "UNICODE UTF-8",
        )  # fmt: skip
        try:
            message = to_v2(bundle, kind, header, self._context)
            for number, condition in _WANTED[said.acknowledgements]:
                message.segments[0].set_field(number, condition)
            content = message.text.encode(self._codec)
        except (Unsayable, UnsupportedMessage) as error:
            raise NotSayable(str(error)) from None
        except UnicodeEncodeError:
            raise NotSayable(f"It has characters that {said.charset} has not") from None
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise InvalidValue("The resource is not as FHIR R4 has it, and cannot be transformed") from error
        asked.held = resource
        return Asked("POST", "", {}, CONTENT_TYPE, content, {"accept": CONTENT_TYPE}, id=asked.id, kind=kind)

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """The resource as it was taken; 202 where it was promised. Raises NotTaken for AE and AR, with what they name."""
        if answered.status == 202 and "fiveways-promise" in answered.headers:
            return Answered(202, answered.content_type, answered.content, answered.headers)
        try:
            text, _ = charsets.decode(answered.content, self.options.charset)
            message = Message.parse(text)
        except MalformedMessage:
            if answered.status < 300:
                raise ProviderFaulty("The old system's answer is no message") from None
            raise ProviderFaulty(f"The old system answered {answered.status}") from None
        status = acknowledgement.status(message)
        if status == 503:
            raise ProviderUnavailable(_said(message), headers={"Retry-After": "5"})
        if status != 200:
            raise NotTaken(_said(message))
        resource = asked.held
        created = asked.method == "POST" and resource["resourceType"] != "Bundle"
        return Answered(201 if created else 200, _FHIR, encode(_taken(resource)), {})

    def refuse(self, asked: Asked, fault: Fault) -> Answered | None:
        """As the API says its faults."""
        return None

    def _kind(self, method: str, type_: str, bundle: Resource) -> str:
        try:
            kind = self.options.events.get(f"{method} {type_}") or kind_of_bundle(bundle)
        except (TypeError, AttributeError) as error:
            raise InvalidValue("The Bundle is not as FHIR R4 has it") from error
        if kind is None:
            raise NotSayable(f"There is no message for {method} of this {type_}")
        return kind

    @staticmethod
    def _resource(asked: Asked) -> Resource:
        try:
            document: Any = _DECODE(asked.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise InvalidValue("The body is no JSON") from None
        if not isinstance(document, dict) or not isinstance(document.get("resourceType"), str):
            raise InvalidValue("The body is no resource")
        why = mismatch(asked.method, asked.path.encode("latin-1"), document)
        if why is not None:
            raise InvalidValue(why)
        return document


def _alone(resource: Resource, method: str) -> Resource:
    """A write of one resource, as a transaction of it."""
    request = {"method": method, "url": resource["resourceType"]}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": resource, "request": request}]}


def _taken(resource: Resource) -> Resource:
    if resource["resourceType"] != "Bundle":
        return resource
    entries = [{"response": {"status": "200"}} for _ in resource.get("entry") or ()]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


def _said(message: Message) -> str:
    """What an AE or an AR names; no values of the message are in it."""
    said = [message.get("MSA-3")]
    for number, _ in enumerate(message.all("ERR"), start=1):
        where = "-".join(filter(None, (message.get(f"ERR({number})-2.1"), message.get(f"ERR({number})-2.3"))))
        text = message.get(f"ERR({number})-8") or message.get(f"ERR({number})-3.2") or message.get(f"ERR({number})-1")
        said.append(f"{where}: {text}" if where else text)
    return f"{message.get('MSA-1')}: {'; '.join(filter(None, said)) or 'it does not say why'}"
