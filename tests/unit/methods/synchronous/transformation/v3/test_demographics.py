"""Demographics by HL7 V3: behind FHIR, in front of it, and both in a row."""

from __future__ import annotations

import copy
import json
from typing import Any

import fhirkit
import pytest
from hypothesis import given
from lxml import etree
from tests.unit.methods.synchronous.transformation.v3.people import KHAN, NHS, patients
from tests.unit.methods.synchronous.transformation.validators import HERE, profile_problems, structure_problems

from fiveways.clock import SystemClock
from fiveways.errors import (
    DeploymentError,
    Fault,
    InvalidValue,
    MethodNotAllowed,
    MissingValue,
    NotFound,
    PayloadTooLarge,
    ProviderFaulty,
    ProviderUnavailable,
)
from fiveways.fhir.outcome import operation_outcome
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.v3 import message
from fiveways.methods.synchronous.transformation.v3.datatypes import V3, tag
from fiveways.methods.synchronous.transformation.v3.demographics import Demographics
from fiveways.methods.synchronous.transformation.v3.server import DemographicsServer
from fiveways.methods.synchronous.transformation.xml import soap
from fiveways.methods.synchronous.transformation.xml.document import parse, serialize

ID = "0f0e0d0c-0b0a-4908-8706-050403020100"
OPTIONS: dict[str, Any] = {"sender_asid": "200000000183", "receiver_asid": "928942012545"}
SERVER: dict[str, Any] = {**OPTIONS, "address": "https://api.northshire.test/demographics"}
SERVICE = "urn:nhs:names:services:pdsquery"


def behind(**options: Any) -> Demographics:
    return Demographics(Place("pds", {**OPTIONS, **options}, SystemClock()))


def before(**options: Any) -> DemographicsServer:
    return DemographicsServer(Place("pds", {**SERVER, **options}, SystemClock()))


FRONT, BACK = behind(advanced=True), before()


def get(path: str, **query: str) -> Asked:
    return Asked("GET", path, {name.replace("_", "-"): value for name, value in query.items()}, "", b"", {}, ID)


READ = get("/Patient/9000000009")
TRACE = get("/Patient", family="Khan", given="Aisha", gender="female", birthdate="eq1980-01-02", address_postalcode="TS17 6AA")
BROAD = get("/Patient", family="Kha*", birthdate="1980")


def said_by(asked: Asked, transformer: Demographics = FRONT) -> Asked:
    said = transformer.ask(asked)
    assert isinstance(said, Asked)
    return said


def received(asked: Asked, transformer: Demographics = FRONT) -> Asked:
    """The request as the server gets it."""
    said = said_by(asked, transformer)
    fields = {name.lower(): value for name, value in said.headers.items()}
    return Asked("POST", "/", {}, said.content_type, said.content, fields, "1f0e0d0c-0b0a-4908-8706-050403020100")


def bundle(*resources: dict[str, Any], **more: Any) -> Answered:
    entries = [{"resource": each} for each in resources]
    return Answered(200, "application/fhir+json", json.dumps({"resourceType": "Bundle", "entry": entries, **more}).encode())


def through(asked: Asked, answered: Answered) -> Answered:
    """FHIR to FHIR, by V3 between."""
    return FRONT.answer(asked, BACK.answer(received(asked), answered))


def test_a_retrieval_is_what_the_spine_is_asked() -> None:
    said = said_by(READ, behind(user={"id": "1", "role_profile": "2", "job_role": "R1"}, to="https://pds.test", sender="10.0.0.1"))
    assert (said.method, said.path, said.content_type) == ("POST", "", "text/xml; charset=utf-8")
    assert said.headers["SOAPAction"] == f'"{SERVICE}/QUPA_IN000008UK02"'
    envelope = soap.unwrap(parse(said.content), (V3,))
    assert envelope.addressing == soap.Addressing(
        f"uuid:{ID.upper()}", "https://pds.test", f"{SERVICE}/QUPA_IN000008UK02", "", "10.0.0.1", "10.0.0.1", soap.ADDRESSING_2004
    )
    assert [etree.QName(each).localname for each in envelope.headers] == ["communicationFunctionRcv", "communicationFunctionSnd"]
    assert envelope.body is not None
    read = etree.XPath("string(//v:person.id/v:value/@extension)", namespaces={"v": V3})
    assert read(envelope.body) == "9000000009"
    assert [etree.QName(each).localname for each in envelope.body] == [
        "id", "creationTime", "versionCode", "interactionId", "processingCode", "processingModeCode", "acceptAckCode",
        "communicationFunctionRcv", "communicationFunctionSnd", "ControlActEvent",
    ]  # fmt: skip
    act = envelope.body.find(tag("ControlActEvent"))
    assert act is not None
    assert [etree.QName(each).localname for each in act] == ["author", "author1", "query"]


@pytest.mark.parametrize(
    ("asked", "interaction", "query"),
    [
        (READ, "QUPA_IN000008UK02", {"identifier": f"{NHS}|9000000009"}),
        (get("/Patient", identifier=f"{NHS}|9000000009"), "QUPA_IN000008UK02", {"identifier": f"{NHS}|9000000009"}),
        (get("/Patient", identifier="900 000 0009", _format="json"), "QUPA_IN000008UK02", {"identifier": f"{NHS}|9000000009"}),
        (TRACE, "QUPA_IN000005UK01", {
            "family": "Khan", "given": "Aisha", "birthdate": "1980-01-02", "gender": "female", "address-postalcode": "TS17 6AA"}),
        (BROAD, "QUPA_IN000006UK02", {"family": "Kha*", "birthdate": "1980"}),
    ],
)  # fmt: skip
def test_what_is_asked_in_fhir_arrives_in_fhir(asked: Asked, interaction: str, query: dict[str, str]) -> None:
    asked.query = {("_format" if name == "-format" else name): value for name, value in asked.query.items()}
    assert said_by(asked).kind == interaction
    said = BACK.ask(received(asked))
    assert isinstance(said, Asked)
    assert (said.method, said.path, said.query, said.kind) == ("GET", "/Patient", query, interaction)


def test_a_retrieval_may_be_a_read() -> None:
    said = before(read_by_number=True).ask(received(READ))
    assert isinstance(said, Asked)
    assert (said.path, said.query) == ("/Patient/9000000009", {})


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (get("/Patient/9000000008"), InvalidValue),
        (get("/Patient/x"), InvalidValue),
        (get("/Patient/9000000009", family="x"), InvalidValue),
        (get("/Patient/9000000009/_history"), InvalidValue),
        (get("/Encounter"), InvalidValue),
        (Asked("POST", "/Patient", {}, "", b"{}"), InvalidValue),
        (get("/Patient"), MissingValue),
        (get("/Patient", family="Khan"), MissingValue),
        (get("/Patient", family="Khan", phone="1"), InvalidValue),
        (get("/Patient", identifier="urn:other|9000000009"), InvalidValue),
        (get("/Patient", identifier=f"{NHS}|9000000009", family="Khan"), InvalidValue),
        (get("/Patient", family="Khan", birthdate="ge1980-01-02"), InvalidValue),
        (get("/Patient", family="Khan", birthdate="1980-01-02", gender="f"), InvalidValue),
        (get("/Patient", family="a\x00b", birthdate="1980-01-02", gender="male"), InvalidValue),
    ],
)
def test_what_cannot_be_asked_is_refused(asked: Asked, fault: type[Fault]) -> None:
    with pytest.raises(fault) as raised:
        FRONT.ask(asked)
    assert "Khan" not in str(raised.value)
    assert FRONT.refuse(asked, raised.value) is None


def test_an_incomplete_search_needs_a_service_that_takes_it() -> None:
    with pytest.raises(MissingValue, match="whole birthdate"):
        behind().ask(BROAD)


def require_valid(resource: dict[str, Any], *, profile: bool = False) -> None:
    """By fhirkit-rs; and by pyrofile-validator, where the definitions of UK Core are."""
    assert structure_problems(resource) == []
    if profile and HERE:
        assert profile_problems({"entry": [{"fullUrl": f"urn:uuid:{ID}", "resource": resource}]}) == []


def test_a_patient_comes_through_whole() -> None:
    asked = copy.deepcopy(READ)
    answered = through(asked, bundle(KHAN))
    assert (answered.status, answered.content_type) == (200, "application/fhir+json")
    patient = json.loads(answered.content)
    assert patient == KHAN
    require_valid(patient, profile=True)
    assert asked.coverage is not None
    assert (asked.coverage.unmapped, asked.coverage.wrong) == ([], [])


def test_a_trace_finds_a_searchset() -> None:
    found = json.loads(through(TRACE, bundle(KHAN)).content)
    require_valid(found)
    assert (found["type"], found["total"], found["entry"][0]["search"]) == ("searchset", 1, {"mode": "match"})
    patient = found["entry"][0]["resource"]
    expected = copy.deepcopy(KHAN)
    del expected["meta"]["versionId"]
    assert patient == expected
    many = json.loads(through(BROAD, bundle(KHAN, {**KHAN, "birthDate": "1980-05-06", "_birthDate": {}})).content)
    assert many["total"] == 2


@given(patients)
def test_any_patient_comes_through(patient: dict[str, Any]) -> None:
    made = json.loads(through(READ, bundle(patient)).content)
    assert made == patient
    assert fhirkit.parse(json.dumps(made)).issues == []


def test_what_v3_cannot_say_is_told_of() -> None:
    asked = received(READ)
    BACK.answer(asked, bundle({**KHAN, "active": True, "maritalStatus": {"text": "Married"}, "deceasedDateTime": "soon"}))
    assert asked.coverage is not None
    assert asked.coverage.unmapped == ["active", "maritalStatus.text"]
    assert [where for where, _ in asked.coverage.wrong] == ["deceasedDateTime"]


def test_nobody_is_found() -> None:
    answer = BACK.answer(received(READ), bundle())
    assert b"QUQI_IN010000UK14" in answer.content
    assert answer.status == 200
    for nobody in (bundle(), Answered(404, "", b"")):
        with pytest.raises(NotFound):
            through(READ, nobody)
    found = json.loads(through(TRACE, bundle()).content)
    assert found == {"resourceType": "Bundle", "type": "searchset", "total": 0}
    assert json.loads(through(get("/Patient", identifier=f"{NHS}|9000000009"), bundle()).content)["total"] == 0


def test_too_many_are_found() -> None:
    found = json.loads(through(TRACE, bundle(KHAN, KHAN)).content)
    require_valid(found)
    assert found["total"] == 0
    (entry,) = found["entry"]
    assert entry["search"] == {"mode": "outcome"}
    assert entry["resource"]["issue"][0]["code"] == "multiple-matches"
    assert "More than one match" in json.dumps(entry)
    more = json.loads(through(BROAD, bundle(KHAN, link=[{"relation": "next", "url": "x"}])).content)
    assert [entry["search"]["mode"] for entry in more["entry"]] == ["match", "outcome"]


def v3(
    acknowledgement: str, *, issues: str = "", subject: str = "", response: str = "OK", name: str = "QUPA_IN000009UK03"
) -> bytes:
    """An answer, as an old service would say it."""
    return f"""<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns="{V3}"><s:Body>
      <retrievalQueryResponse><{name}>
      <id root="1"/><interactionId root="2.16.840.1.113883.2.1.3.2.4.12" extension="{name}"/>
      <acknowledgement typeCode="{acknowledgement}"/><ControlActEvent>{issues}{subject}
      <queryAck type="QueryAck"><queryResponseCode code="{response}"/></queryAck></ControlActEvent></{name}>
      </retrievalQueryResponse>
      </s:Body></s:Envelope>""".encode()


def issue(code: str, display: str, severity: str = "ER") -> str:
    return (
        "<reason><justifyingDetectedIssueEvent>"
        f"<code code='{code}' codeSystem='{message.ISSUES}' displayName='{display}'><qualifier code='{severity}'/></code>"
        "</justifyingDetectedIssueEvent></reason>"
    )


ROLE = (
    "<subject><PDSResponse><subject><patientRole classCode='PAT'><id root='2.16.840.1.113883.2.1.4.1' extension='9000000009'/>"
    "<addr use='H'><postalCode>TS1 1AA</postalCode></addr><patientPerson><name use='L'><family>Khan</family></name>"
    "<administrativeGenderCode code='2'/><languageCommunication><languageCode code='ur'/></languageCommunication>"
    "</patientPerson></patientRole></subject></PDSResponse></subject>"
)


def test_a_person_in_hl7s_own_places_is_read_and_what_is_not_mapped_is_told_of() -> None:
    asked = copy.deepcopy(READ)
    content = v3("AA", subject=ROLE, issues=issue("9", "limited by sensitivity", "WG"))
    patient = json.loads(FRONT.answer(asked, Answered(200, "text/xml", content)).content)
    assert (patient["name"], patient["address"]) == (
        [{"use": "usual", "family": "Khan"}],
        [{"use": "home", "postalCode": "TS1 1AA"}],
    )
    require_valid(patient)
    assert asked.coverage is not None
    assert asked.coverage.unmapped == [
        "PDSResponse/subject/patientRole/patientPerson/languageCommunication/languageCode/@code", "ControlActEvent/reason",
    ]  # fmt: skip
    searched = json.loads(FRONT.answer(get("/Patient", identifier="9000000009"), Answered(200, "text/xml", content)).content)
    assert searched["entry"][1]["resource"]["issue"][0]["severity"] == "warning"


@pytest.mark.parametrize(
    ("content", "fault", "words"),
    [
        (v3("AE", issues=issue("17", "Parameters are wrong"), response="AE"), InvalidValue, "AE: 17 Parameters are wrong"),
        (v3("AR", issues=issue("99", "Overloaded"), response="AE"), ProviderFaulty, "AR: 99 Overloaded"),
        (v3("AR"), ProviderFaulty, "no reason given"),
        (v3("", response=""), ProviderFaulty, "without an acknowledgement"),
        (v3("AE", issues=issue("1", "No match"), response="ID"), NotFound, "Nobody"),
        (v3("AA", response="NF"), NotFound, "Nobody"),
        (v3("AE", issues=issue("2", "Too many"), response="ID"), InvalidValue, "2 Too many"),
        (v3("AE", subject=ROLE), InvalidValue, "AE"),
        (v3("AA", subject=ROLE + ROLE), ProviderFaulty, "several patients"),
        (b"<a/>", ProviderFaulty, "no SOAP envelope"),
        (b"", ProviderFaulty, "not well-formed"),
        (b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>", ProviderFaulty, "DOCTYPE"),
        (serialize(soap.wrap(None, "1.1")), ProviderFaulty, "empty Body"),
        (serialize(soap.wrap(parse(b"<other/>"), "1.1")), ProviderFaulty, "no message of HL7 V3"),
        (v3("AA").replace(b'extension="QUPA', b'extension="X'), ProviderFaulty, "interactionId"),
        (v3("AA").replace(b"<s:Body>", b"<s:Header><x s:mustUnderstand='1' xmlns='urn:x'/></s:Header><s:Body>"),
         ProviderFaulty, "must be understood"),
    ],
)  # fmt: skip
def test_whatever_the_service_answers_to_a_read(content: bytes, fault: type[Fault], words: str) -> None:
    with pytest.raises(fault, match=words) as raised:
        FRONT.answer(READ, Answered(200, "text/xml", content))
    outcome = json.loads(operation_outcome(raised.value, "1"))
    require_valid(outcome)


@pytest.mark.parametrize(
    ("status", "content", "fault"),
    [
        (500, soap.write_fault(soap.SoapFault("receiver", "Down"), "1.1"), ProviderFaulty),
        (500, soap.write_fault(soap.SoapFault("sender", "Wrong"), "1.1"), InvalidValue),
        (200, soap.write_fault(soap.SoapFault("receiver", "Down"), "1.2"), ProviderFaulty),
        (500, b"", ProviderFaulty),
        (500, b"<html/>", ProviderFaulty),
        (500, v3("AA", subject=ROLE), ProviderFaulty),
        (503, b"", ProviderUnavailable),
        (401, b"", ProviderFaulty),
        (302, b"", ProviderFaulty),
    ],
)
def test_a_service_that_fails(status: int, content: bytes, fault: type[Fault]) -> None:
    with pytest.raises(fault):
        FRONT.answer(TRACE, Answered(status, "text/xml", content))


def test_an_ambiguous_trace_is_told_in_the_services_words() -> None:
    found = json.loads(
        FRONT.answer(TRACE, Answered(200, "text/xml", v3("AE", issues=issue("2", "Too many"), name=message.FAILED))).content
    )
    assert found["total"] == 0
    assert "Too many" in found["entry"][0]["resource"]["issue"][0]["diagnostics"]
    other = behind(ambiguous="77", also_no_match=["78"])
    with pytest.raises(InvalidValue):
        other.answer(TRACE, Answered(200, "text/xml", v3("AE", issues=issue("2", "Too many"))))
    assert json.loads(other.answer(TRACE, Answered(200, "text/xml", v3("AE", issues=issue("78", "x")))).content)["total"] == 0


def changed(before: str, after: str, asked: Asked = TRACE) -> Asked:
    made = received(asked)
    content = made.content.decode()
    assert before in content
    made.content = content.replace(before, after).encode()
    return made


def action(text: str) -> Asked:
    made = received(READ)
    made.headers = {"soapaction": text}
    return made


@pytest.mark.parametrize(
    ("asked", "fault", "kind"),
    [
        (Asked("GET", "/", {}, "", b""), MethodNotAllowed, "sender"),
        (Asked("POST", "/", {}, "text/xml", b""), InvalidValue, "sender"),
        (Asked("POST", "/", {}, "text/xml", b"<a>" * 200), PayloadTooLarge, "sender"),
        (Asked("POST", "/", {}, "text/xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"), InvalidValue, "sender"),
        (Asked("POST", "/", {}, "text/xml", soap.write_fault(soap.SoapFault("sender", "x"), "1.1")), InvalidValue, "sender"),
        (Asked("POST", "/", {}, "text/xml", serialize(soap.wrap(None, "1.1"))), InvalidValue, "sender"),
        (Asked("POST", "/", {}, "text/xml", serialize(soap.wrap(parse(b"<other/>"), "1.1"))), InvalidValue, "sender"),
        (changed("QUPA_IN000005UK01", "QUPA_IN999999UK01"), NotFound, "sender"),
        (changed("ControlActEvent", "controlAct"), InvalidValue, "sender"),
        (changed("query>", "question>"), InvalidValue, "sender"),
        (changed("person.name", "person.alias"), InvalidValue, "sender"),
        (changed("<given>", "<given>Bano</given><given>"), InvalidValue, "sender"),
        (changed("<postalCode>", "<streetAddressLine>1 High St</streetAddressLine><postalCode>"), InvalidValue, "sender"),
        (changed('code="2"', 'code="x"'), InvalidValue, "sender"),
        (changed('value="19800102"', 'value="soon"'), InvalidValue, "sender"),
        (changed("<family>Khan</family>", ""), MissingValue, "sender"),
        (changed('extension="9000000009"', 'extension="9000000008"', READ), InvalidValue, "sender"),
        (changed("2.16.840.1.113883.2.1.4.1", "1.2.3", READ), InvalidValue, "sender"),
        (changed("QUPA_IN000008UK02", "QUPA_IN000005UK01", READ), InvalidValue, "sender"),
        (changed("<soap:Header>", "<soap:Header><x soap:mustUnderstand='1' xmlns='urn:x'/>"), InvalidValue, "must-understand"),
        (changed(soap.NAMESPACES["1.1"], soap.NAMESPACES["1.2"]), InvalidValue, "version"),
        (changed(soap.NAMESPACES["1.1"], "urn:soap:9"), InvalidValue, "version"),
        (action('"urn:other"'), InvalidValue, "sender"),
    ],
)
def test_what_an_old_consumer_must_not_send(asked: Asked, fault: type[Fault], kind: str) -> None:
    with pytest.raises(fault) as raised:
        BACK.ask(asked)
    assert "Khan" not in str(raised.value)
    refused = BACK.refuse(asked, raised.value)
    assert refused is not None
    said = soap.unwrap(parse(refused.content)).fault
    assert said is not None
    assert said.kind == kind


def test_a_fault_is_addressed_to_whoever_asked() -> None:
    asked = received(READ)
    refused = BACK.refuse(asked, ProviderFaulty("Down"))
    assert refused is not None
    envelope = soap.unwrap(parse(refused.content))
    assert (refused.status, envelope.addressing.relates_to) == (500, f"uuid:{ID.upper()}")


@pytest.mark.parametrize(
    ("answered", "fault"),
    [
        (Answered(404, "", b""), NotFound),
        (Answered(500, "", b"x"), ProviderFaulty),
        (Answered(200, "", b"x"), ProviderFaulty),
        (Answered(200, "", b'{"resourceType":"Observation"}'), ProviderFaulty),
        (Answered(400, "", b'{"resourceType":"OperationOutcome","issue":[{"code":"value","diagnostics":"no"}]}'), InvalidValue),
    ],
)
def test_whatever_the_fhir_back_end_answers(answered: Answered, fault: type[Fault]) -> None:
    with pytest.raises(fault):
        BACK.answer(received(TRACE), answered)


def test_an_answer_says_which_query_it_answers() -> None:
    envelope = soap.unwrap(parse(BACK.answer(received(READ), bundle(KHAN)).content), (V3,))
    assert envelope.body is not None
    said = message.read(envelope.body)
    assert (said.interaction, said.acknowledgement, said.response) == ("QUPA_IN000009UK03", "AA", "OK")
    assert said.root.find(f"{tag('acknowledgement')}/{tag('messageRef')}/{tag('id')}").get("root") == ID.upper()  # type: ignore[union-attr]
    assert envelope.addressing.relates_to == f"uuid:{ID.upper()}"
    assert envelope.addressing.action == f"{SERVICE}/QUPA_IN000009UK03"
    asker = etree.XPath("string(v:communicationFunctionRcv/v:device/v:id/@extension)", namespaces={"v": V3})
    assert asker(said.root) == "200000000183"


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_both_versions_of_soap(version: soap.Version) -> None:
    front, back = behind(soap=version), before(soap=version)
    asked = received(READ, front)
    assert isinstance(back.ask(asked), Asked)
    assert json.loads(front.answer(READ, back.answer(asked, bundle(KHAN))).content) == KHAN


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"sender_asid": "a b"}, "sender_asid"),
        ({"zone": "Mars"}, "zone"),
        ({"colour": "red"}, "colour"),
        ({"soap": "1.3"}, "soap"),
        ({"path": "pds"}, "path"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(DeploymentError, match=why):
        behind(**options)
