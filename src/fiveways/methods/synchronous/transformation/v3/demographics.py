"""The transformer `hl7v3-demographics`: FHIR consumers read and search for Patients, the back end is asked by HL7 V3 over SOAP."""

from __future__ import annotations

from typing import Any, Final, NoReturn
from uuid import uuid4
from zoneinfo import ZoneInfo

from fiveways.errors import Cause, Fault, InvalidValue, NotFound, ProviderFaulty
from fiveways.fhir.bundle import searchset
from fiveways.fhir.outcome import CONTENT_TYPE
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Coverage, Place
from fiveways.methods.synchronous.transformation.v3 import message, query
from fiveways.methods.synchronous.transformation.v3.datatypes import V3, tag, uri_of
from fiveways.methods.synchronous.transformation.v3.person import People
from fiveways.methods.synchronous.transformation.v3.settings import DemographicsOptions
from fiveways.methods.synchronous.transformation.xml import faults, soap
from fiveways.methods.synchronous.transformation.xml.document import serialize
from fiveways.methods.synchronous.transformation.xml.kinds import Resource

FHIR: Final = CONTENT_TYPE.decode()
_TRACED: Final = f"{tag('PdsTraceMatch')}/{tag('subject')}/{tag('patientRole')}"


class Demographics:
    """HL7 V3 is behind."""

    def __init__(self, place: Place) -> None:
        """DeploymentError where the options cannot be used."""
        self._options = place.read(DemographicsOptions)
        self._clock = place.clock
        self._zone = ZoneInfo(self._options.zone)
        self._people = People(self._zone)
        self._no_match = frozenset((self._options.no_match, *self._options.also_no_match))
        self._ambiguous = frozenset((self._options.ambiguous, *self._options.also_ambiguous))

    def ask(self, asked: Asked) -> Asked | Answered:
        """The query that a read or a search is."""
        options, parties = self._options, self._options.parties
        wanted = query.of_fhir(asked.method, asked.path, asked.query)
        interaction = wanted.interaction(options.advanced)
        try:
            act = [*message.authors(parties, options.agent), query.write(wanted, options.historic)]
        except ValueError:
            raise InvalidValue("A value has characters in it that XML cannot say") from None
        id_ = (asked.id or str(uuid4())).upper()
        body = message.write(interaction.query, id_, self._clock.now().astimezone(self._zone), parties, act, None)
        action = f"{options.service}/{interaction.query}"
        addressing = soap.Addressing(
            f"uuid:{id_}", options.to or options.service, action, "", options.sender, options.sender, soap.ADDRESSING_2004
        )
        envelope = soap.wrap(body, options.soap, addressing, message.communication(parties))
        headers = {"Accept": soap.CONTENT_TYPES[options.soap], **soap.action_header(options.soap, action)}
        type_ = soap.content_type(options.soap, action)
        return Asked("POST", options.path, {}, type_, serialize(envelope), headers, id=asked.id, kind=interaction.query)

    def answer(self, asked: Asked, answered: Answered) -> Answered:
        """The Patient or the searchset. What of it was mapped is told on the request (`asked.coverage`)."""
        if not 200 <= answered.status < 300 and answered.status not in (400, 500):
            raise faults.of_status(answered.status, f"The back end answered {answered.status}")
        if answered.status >= 400 and not answered.content:
            raise ProviderFaulty(f"The back end answered {answered.status}, and nothing else")
        envelope = faults.answered_envelope(answered.content, answered.content_type, (V3,))
        if answered.status >= 400:
            raise ProviderFaulty(f"The back end answered {answered.status}, without a SOAP fault")
        said = self._message(envelope)
        asked.kind, asked.coverage = said.interaction, Coverage()
        found = self._patients(said, asked.coverage)
        one = asked.path.strip("/") != "Patient"
        if not found:
            return self._nobody(said, one)
        if said.acknowledgement != "AA":
            self._refused(said)
        if not one:
            return _fhir(_searchset(found, said.issues, "informational"))
        if len(found) > 1:
            raise ProviderFaulty("The back end answered with several patients for one NHS number")
        asked.coverage.unmapped += ["ControlActEvent/reason" for _ in said.issues]
        return _fhir(found[0])

    def refuse(self, asked: Asked, fault: Fault) -> Answered | None:
        """As the API says its faults."""
        return None

    def _message(self, envelope: soap.Envelope) -> message.Message:
        if envelope.body is None:
            raise ProviderFaulty("The back end's answer has an empty Body")
        try:
            return message.read(envelope.body)
        except ValueError as error:
            raise ProviderFaulty(f"The back end's answer is not read: {error}") from None

    def _patients(self, said: message.Message, coverage: Coverage) -> list[Resource]:
        found: list[Resource] = []
        if said.control_act is None:
            return found
        for subject in said.control_act.iterfind(tag("subject")):
            nodes = [*subject.iterfind(tag("PDSResponse")), *subject.iterfind(_TRACED)]
            found += [self._people.read(node, coverage) for node in nodes]
        return [each for each in found if each]

    def _nobody(self, said: message.Message, one: bool) -> Answered:
        """What is answered where there is no patient: nobody was found, too many were, or it has failed."""
        codes = {issue.code for issue in said.issues}
        if codes & self._ambiguous:
            if one:
                self._refused(said)
            return _fhir(_searchset([], said.issues, "multiple-matches"))
        if codes & self._no_match or (said.acknowledgement == "AA" and said.response in ("NF", "OK", "")):
            if one:
                raise NotFound("Nobody is known by this NHS number")
            return _fhir(_searchset([], (), ""))
        return self._refused(said)

    def _refused(self, said: message.Message) -> NoReturn:
        """AE is an application's error, which what was asked has made; all else is the back end's own."""
        words = "; ".join(f"{issue.code} {issue.display}".strip() for issue in said.issues)[: faults.MOST_SAID]
        kind: type[Fault] = InvalidValue if said.acknowledgement == "AE" else ProviderFaulty
        fault = kind(f"The back end answered {said.acknowledgement or 'without an acknowledgement'}: {words or 'no reason given'}")
        fault.causes = tuple(
            Cause(uri_of(each.system) if each.system else "back end", 200, each.code, fault.issue, each.display[: faults.MOST_SAID])
            for each in said.issues
        )
        raise fault


def _searchset(found: list[Resource], issues: tuple[message.Issue, ...], what: str) -> Resource:
    """What was found, and beside it what the service has to say of it."""
    bundle: dict[str, Any] = searchset(found)
    for issue in issues:
        text = f"{issue.code} {issue.display}".strip()[: faults.MOST_SAID]
        said: Resource = {"severity": "warning", "code": what, "diagnostics": text or "no reason given"}
        coding = {"system": uri_of(issue.system) if issue.system else "", "code": issue.code, "display": issue.display}
        if issue.code:
            said["details"] = {"coding": [{name: value[: faults.MOST_SAID] for name, value in coding.items() if value}]}
        outcome = {"resourceType": "OperationOutcome", "issue": [said]}
        bundle["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
    if not bundle["entry"]:
        del bundle["entry"]
    return bundle


def _fhir(resource: Resource) -> Answered:
    return Answered(200, FHIR, encode(resource))
