"""The transformer `hl7v3-demographics-server`: old consumers ask by HL7 V3 over SOAP, the back end is a FHIR R4 Patient API."""

from __future__ import annotations

from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from fiveways.errors import Fault, InvalidValue, MethodNotAllowed, NotFound, ProviderFaulty
from fiveways.fhir.outcome import CONTENT_TYPE
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Coverage, Place
from fiveways.methods.synchronous.transformation.v3 import message, query
from fiveways.methods.synchronous.transformation.v3.datatypes import V3, path, tag
from fiveways.methods.synchronous.transformation.v3.person import People
from fiveways.methods.synchronous.transformation.v3.settings import ServerOptions
from fiveways.methods.synchronous.transformation.xml import faults, soap, wsdl
from fiveways.methods.synchronous.transformation.xml.document import Element, XmlRefused, charset_of, make, parse, serialize
from fiveways.methods.synchronous.transformation.xml.kinds import Resource

FHIR: Final = CONTENT_TYPE.decode()
_SENDER: Final = path("v:communicationFunctionSnd/v:device/v:id/@extension")


class DemographicsServer:
    """HL7 V3 is in front."""

    def __init__(self, place: Place) -> None:
        """DeploymentError where the options cannot be used."""
        self._options = options = place.read(ServerOptions)
        self._clock = place.clock
        self._zone = ZoneInfo(options.zone)
        self._people = People(self._zone)
        described = [
            wsdl.Described(each.name, f"{options.service}/{each.query}", tag(each.query), tag(each.within or each.answer))
            for each in message.QUERIES.values()
        ]
        self._wsdl = wsdl.answer("Demographics", options.address, options.soap, described)

    def ask(self, asked: Asked) -> Asked | Answered:
        """The read or the search that a query is; or the WSDL."""
        if wsdl.is_asked_for(asked):
            return self._wsdl
        if asked.method != "POST":
            raise MethodNotAllowed("A query is sent with POST; ?wsdl describes it", headers={"Allow": "POST"})
        _, said, interaction = self._received(asked)
        self._require_action(asked, interaction)
        if said.control_act is None:
            raise InvalidValue("The message has no control act")
        wanted = query.read(said.control_act)
        if bool(wanted.number) != (interaction is message.RETRIEVAL):
            raise InvalidValue("A retrieval is by person.id; a trace is by what is known of a person")
        wanted.interaction(interaction is message.ADVANCED_TRACE)
        by_path = wanted.number and self._options.read_by_number
        where = f"/Patient/{wanted.number}" if by_path else "/Patient"
        found = {} if by_path else query.to_fhir(wanted)
        return Asked("GET", where, found, "", b"", {"Accept": FHIR}, id=asked.id, kind=interaction.query)

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """The message that answers. What of it was mapped is told on the request (`asked.coverage`)."""
        envelope, said, interaction = self._received(asked)
        if answered.status in (404, 410) and interaction is message.RETRIEVAL:
            return self._failed(asked, envelope, said, interaction, self._options.no_match, "No match to a Service User record")
        if not 200 <= answered.status < 300:
            raise faults.of_fhir(answered.status, answered.content)
        patients, more = _patients(answered.content)
        if not patients:
            return self._failed(asked, envelope, said, interaction, self._options.no_match, "No match to a Service User record")
        if len(patients) > 1 and interaction is not message.ADVANCED_TRACE:
            return self._failed(asked, envelope, said, interaction, self._options.ambiguous, "More than one match")
        asked.kind, asked.coverage = interaction.answer, Coverage()
        act = [self._subject(interaction, patient, asked.coverage) for patient in patients]
        if more:
            issue = message.Issue(self._options.ambiguous, "There are more than are answered", self._options.issues, "WG")
            act.insert(0, message.reason(issue))
        act.append(message.query_ack("OK"))
        return self._answered(asked, envelope, said, interaction, interaction.answer, "AA", act)

    def refuse(self, asked: Asked, fault: Fault) -> Answered | None:
        """A SOAP fault, in the version that was spoken, addressed to whoever asked where that can be read."""
        version: soap.Version = soap.version_of(asked.content_type) if asked.content_type else self._options.soap
        addressing = None
        try:
            envelope = soap.unwrap(parse(asked.content, charset_of(asked.content_type)), (V3,))
            version = envelope.version
            if envelope.addressing.message_id:
                action = f"{envelope.addressing.namespace}/fault"
                addressing = self._addressed(envelope, action, (asked.id or str(uuid4())).upper())
        except (XmlRefused, soap.SoapRefused):
            pass
        return faults.as_soap(fault, version, asked.id, addressing)

    def _received(self, asked: Asked) -> tuple[soap.Envelope, message.Message, message.Interaction]:
        envelope = faults.received_envelope(asked.content, asked.content_type, (V3,))
        if envelope.version != self._options.soap:
            raise faults.SoapVersion(f"SOAP {self._options.soap} is spoken here")
        if envelope.body is None or envelope.fault is not None:
            raise InvalidValue("The Body has no query")
        try:
            said = message.read(envelope.body)
        except ValueError as error:
            raise InvalidValue(f"The query is not read: {error}") from None
        interaction = message.QUERIES.get(said.interaction)
        if interaction is None:
            raise NotFound(f"The interaction {said.interaction[:64]} is not answered here")
        return envelope, said, interaction

    def _require_action(self, asked: Asked, interaction: message.Interaction) -> None:
        """What the header field says is what the Body does; none, or an empty one, says nothing."""
        said = next((value for name, value in asked.headers.items() if name.lower() == "soapaction"), "").strip('" ')
        if said and said != f"{self._options.service}/{interaction.query}":
            raise InvalidValue("SOAPAction is not that of the query in the Body")

    def _subject(self, interaction: message.Interaction, patient: Resource, coverage: Coverage) -> Element:
        subject = make(tag("subject"), {None: V3})
        subject.set("typeCode", "SUBJ")
        if interaction is message.RETRIEVAL:
            subject.append(self._people.write(patient, coverage))
            return subject
        match = make(tag("PdsTraceMatch"), {None: V3})
        within = make(tag("subject"), {None: V3})
        within.set("typeCode", "SBJ")
        within.append(self._people.write(patient, coverage, role=True))
        match.append(within)
        subject.append(match)
        return subject

    def _failed(
        self,
        asked: Asked,
        envelope: soap.Envelope,
        said: message.Message,
        interaction: message.Interaction,
        code: str,
        display: str,
    ) -> Answered:
        act = [message.reason(message.Issue(code, display, self._options.issues)), message.query_ack("NF")]
        return self._answered(asked, envelope, said, interaction, message.FAILED, "AE", act)

    def _answered(
        self,
        asked: Asked,
        envelope: soap.Envelope,
        said: message.Message,
        interaction: message.Interaction,
        name: str,
        acknowledgement: str,
        act: list[Element],
    ) -> Answered:
        options = self._options
        asker = next((found.text for found in _SENDER.find(said.root)), "") or options.receiver_asid
        parties = message.Parties(options.sender_asid, asker)
        id_ = (asked.id or str(uuid4())).upper()
        act = [*message.authors(parties, None), *act]
        at = self._clock.now().astimezone(self._zone)
        root = message.write(name, id_, at, parties, act, (acknowledgement, said.id))
        if interaction.within:
            within = make(tag(interaction.within), {None: V3})
            within.append(root)
            root = within
        action = f"{options.service}/{name}"
        addressing = self._addressed(envelope, action, id_)
        content = serialize(soap.wrap(root, options.soap, addressing, message.communication(parties)))
        return Answered(200, soap.content_type(options.soap, action), content)

    def _addressed(self, envelope: soap.Envelope, action: str, id_: str) -> soap.Addressing:
        said = envelope.addressing
        namespace = said.namespace if said.message_id else soap.ADDRESSING_2004
        to = said.reply_to or said.sender
        return soap.Addressing(f"uuid:{id_}", to, action, said.message_id, self._options.address, "", namespace)


def _patients(content: bytes) -> tuple[list[Resource], bool]:
    """The Patients of an answer, and whether there are more. ProviderFaulty where it is none."""
    try:
        answer: Any = faults.read_json(content)
    except ValueError as error:
        raise ProviderFaulty(f"The back end's answer is not read: {error}") from None
    if answer["resourceType"] == "Patient":
        return [answer], False
    if answer["resourceType"] != "Bundle":
        raise ProviderFaulty("The back end's answer is neither a Patient nor a Bundle")
    entries = [entry for entry in answer.get("entry") or () if isinstance(entry, dict)]
    resources = [entry["resource"] for entry in entries if isinstance(entry.get("resource"), dict)]
    more = any(isinstance(link, dict) and link.get("relation") == "next" for link in answer.get("link") or ())
    return [each for each in resources if each.get("resourceType") == "Patient"], more
