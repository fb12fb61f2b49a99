"""The transformer `hl7v2-to-fhir`: consumers send HL7 v2, the back end speaks FHIR (S59).

One message is one transaction. Its sender is told AA when the back end has carried it out, or a promise of it is on disk; AE and AR
name what is wrong; a message of a type that is not known gets AR.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from fiveways.errors import DeploymentError, Fault, MethodNotAllowed
from fiveways.hl7v2 import acknowledgement, batch, charsets
from fiveways.hl7v2.acknowledgement import Code
from fiveways.hl7v2.errors import MalformedMessage, UnknownCharacterSet
from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.v2 import answers
from fiveways.methods.synchronous.transformation.v2.answers import CONTENT_TYPE, Rejected
from fiveways.methods.synchronous.transformation.v2.bundles.message import as_message
from fiveways.methods.synchronous.transformation.v2.messages import READ, Transformed, UnsupportedMessage, kind_of, to_fhir
from fiveways.methods.synchronous.transformation.v2.options import FeedOptions

_FHIR: Final = "application/fhir+json"


class Incoming:
    """Messages to FHIR."""

    def __init__(self, place: Place) -> None:
        """DeploymentError where an option is wrong."""
        self.options = place.read(FeedOptions)
        self._context = self.options.context()
        self._clock = place.clock
        self._taken = frozenset(self.options.messages or READ)
        if unknown := sorted(self._taken - READ.keys()):
            raise DeploymentError(f"messages: {', '.join(unknown)} are not known; known are {', '.join(sorted(READ))}")

    def ask(self, asked: Asked) -> Asked:
        """The transaction that a message is. Raises Rejected."""
        if asked.method != "POST":
            raise MethodNotAllowed("Messages are sent with POST", headers={"Allow": "POST"})
        message = asked.held = self._message(asked.content)
        kind = kind_of(message)
        if kind not in self._taken:
            raise self._unsupported(message)
        if not message.control_id:
            raise _missing("MSH-10", "Message control id")
        if message.segment("PID") is None:
            fault = acknowledgement.Fault(acknowledgement.SEGMENT_SEQUENCE, "A PID segment is required", "PID")
            raise Rejected("A PID segment is required", fault)
        try:
            done = to_fhir(message, self._context)
        except UnsupportedMessage:
            raise self._unsupported(message) from None
        self._judge(done)
        if self.options.bundle == "message":
            as_message(done.bundle, message)
        headers = {"accept": _FHIR}
        return Asked(
            "POST", "", {}, _FHIR, encode(done.bundle), headers, id=asked.id, kind=kind, key=answers.key_of(message),
            coverage=done.coverage,
        )  # fmt: skip

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """AA for what was carried out or promised; AE, or AR, with what the back end says, for what was not."""
        code = answers.code_of(answered.status)
        if code is Code.ACCEPT:
            made = answers.answer(asked.held, code, self._at(answered))
            return Answered(answered.status, self._type(made), made, _kept(answered))
        text = answers.said(answered.content) or f"The back end answered {answered.status}"
        fault = acknowledgement.Fault(acknowledgement.INTERNAL, text)
        made = answers.answer(asked.held, code, self._clock.now(), fault)
        return Answered(answered.status, self._type(made), made, _kept(answered))

    def refuse(self, asked: Asked, fault: Fault) -> Answered:
        """AE, or AR for what is not taken at all. What is no message is answered as well as that can be."""
        code, faults = answers.refusal(fault)
        message = asked.held if asked.held is not None else answers.header_of(asked.content)
        made = answers.answer(message, code, self._clock.now(), *faults)
        return Answered(fault.status, self._type(made), made, dict(fault.headers))

    def _message(self, content: bytes) -> Message:
        if batch.is_several(content):
            text = "One request is one message: a batch is taken over MLLP, or message by message"
            said = acknowledgement.Fault(acknowledgement.SEGMENT_SEQUENCE, text)
            raise Rejected(text, said, ack=Code.REJECT)
        try:
            text, _ = charsets.decode(content, self.options.charset)
        except UnknownCharacterSet as error:
            said = acknowledgement.Fault(acknowledgement.TABLE_VALUE, str(error), "MSH-18")
            raise Rejected(str(error), said, ack=Code.REJECT) from None
        try:
            return Message.parse(text)
        except MalformedMessage as error:
            said = acknowledgement.Fault(acknowledgement.SEGMENT_SEQUENCE, str(error))
            raise Rejected(str(error), said, ack=Code.REJECT) from None

    def _unsupported(self, message: Message) -> Rejected:
        kind = kind_of(message)
        known = {each.partition("^")[0] for each in self._taken}
        code, path = acknowledgement.UNSUPPORTED_TYPE, "MSH-9.1"
        if message.code in known:
            code, path = acknowledgement.UNSUPPORTED_EVENT, "MSH-9.2"
        text = f"{kind} is not taken here; taken are {', '.join(sorted(self._taken))}"
        return Rejected(text, acknowledgement.Fault(code, text, path), ack=Code.REJECT)

    def _judge(self, done: Transformed) -> None:
        """Refuse a message with a value that could not be said, or that nothing maps, where the deployment says so."""
        refuse, coverage = self.options.refuse, done.coverage
        faults = []
        if "wrong" in refuse:
            faults += [acknowledgement.Fault(acknowledgement.DATA_TYPE, why, path) for path, why in coverage.wrong]
        if "unmapped" in refuse:
            text = "Nothing maps this"
            faults += [acknowledgement.Fault(acknowledgement.INTERNAL, text, path) for path in coverage.unmapped]
        if faults:
            raise Rejected(f"{len(faults)} values cannot be said in FHIR", *faults[:20])

    def _at(self, answered: Answered) -> datetime:
        """When it was taken: a repeat is told the time of the first."""
        promised = answered.headers.get("fiveways-promised", "")
        return datetime.fromtimestamp(int(promised) / 1_000_000, UTC) if promised.isdigit() else self._clock.now()

    @staticmethod
    def _type(made: bytes) -> str:
        return CONTENT_TYPE if made else ""


def _missing(path: str, name: str) -> Rejected:
    text = f"{name} ({path}) is required"
    return Rejected(text, acknowledgement.Fault(acknowledgement.REQUIRED_FIELD, text, path))


def _kept(answered: Answered) -> dict[str, str]:
    return {name: value for name, value in answered.headers.items() if name in ("retry-after", "fiveways-promise")}
