"""An old demographics service that speaks HL7 V3 over SOAP, as the NHS Spine does: strict in what it is sent."""

from __future__ import annotations

from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSA = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
V3 = "urn:hl7-org:v3"
SERVICE = "urn:nhs:names:services:pdsquery"
NAMES = {"s": SOAP, "w": WSA, "v": V3}
NUMBER, SURNAME, GIVEN, SEX, BORN, POSTCODE = range(6)
PEOPLE = [
    ("9000000009", "Khan", "Aisha", "2", "19800102", "TS17 6AA"),
    ("9000000017", "Khan", "Imran", "1", "19810203", "TS17 6AA"),
    ("9000000025", "Khan", "Ismail", "1", "19810203", "TS1 1AA"),
]


class Demographics:
    """The service, and which interactions it has been asked for by which system."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def answer(self, content: bytes, fields: dict[str, str]) -> tuple[int, bytes]:
        """What a request is answered."""
        root = etree.fromstring(content)
        action = _text(root, "s:Header/w:Action")
        body = root.find("s:Body", NAMES)
        message = list(body) if body is not None else []
        identity = _text(root, "s:Header/w:MessageID")
        name = etree.QName(message[0]).localname if message else ""
        if fields.get("soapaction") != f'"{action}"' or action != f"{SERVICE}/{name}" or not identity.startswith("uuid:"):
            return _fault("Client", "The addressing is not that of the message")
        if _text(message[0], "v:interactionId/@extension") != name or _text(message[0], "v:versionCode/@code") == "":
            return _fault("Client", "The wrapper is not complete")
        asid = _text(message[0], "v:communicationFunctionSnd/v:device/v:id/@extension")
        if asid != _text(root, "s:Header/v:communicationFunctionSnd/v:device/v:id/@extension") or not asid:
            return _fault("Client", "The sender is not known")
        self.asked.append((name, asid))
        query = message[0].find(f"{{{V3}}}ControlActEvent/{{{V3}}}query")
        if name == "QUPA_IN000008UK02":
            number = _text(query, "v:person.id/v:value[@root='2.16.840.1.113883.2.1.4.1']/@extension")
            found = [person for person in PEOPLE if person[NUMBER] == number]
            return _said(identity, "QUPA_IN000009UK03", "retrievalQueryResponse", [_retrieved(person) for person in found])
        if name == "QUPA_IN000005UK01":
            said = [
                _text(query, f"v:{path}")
                for path in (
                    "person.name/v:value/v:family",
                    "person.administrativeGenderCode/v:value/@code",
                    "person.birthTime/v:value/@value",
                )
            ]  # fmt: skip
            found = [person for person in PEOPLE if [person[SURNAME], person[SEX], person[BORN]] == said]
            postcode = _text(query, "v:person.address/v:value/v:postalCode")
            found = [person for person in found if postcode in ("", person[POSTCODE])]
            return _said(identity, "QUPA_IN000007UK01", "", [_traced(person) for person in found])
        return _fault("Server", "The interaction is not implemented")


def _said(identity: str, name: str, within: str, subjects: list[str]) -> tuple[int, bytes]:
    if len(subjects) == 1:
        return 200, _message(identity, name, within, "AA", f"<subject typeCode='SUBJ'>{subjects[0]}</subject>", "OK")
    code, display = ("2", "Too many matches") if subjects else ("1", "No match")
    reason = (
        "<reason typeCode='RSON'><justifyingDetectedIssueEvent classCode='ALRT' moodCode='EVN'>"
        f"<code code='{code}' codeSystem='2.16.840.1.113883.2.1.3.2.4.17.42' displayName='{display}'><qualifier code='ER'/></code>"
        "</justifyingDetectedIssueEvent></reason>"
    )
    return 200, _message(identity, "QUQI_IN010000UK14", within, "AE", reason, "ID")


def _message(identity: str, name: str, within: str, acknowledgement: str, act: str, response: str) -> bytes:
    message = (
        f"<{name} xmlns='{V3}'><id root='7C24CDCA-0000-11E9-B0FB-F4034348F02E'/><creationTime value='20261123111500'/>"
        f"<interactionId root='2.16.840.1.113883.2.1.3.2.4.12' extension='{name}'/><acknowledgement typeCode='{acknowledgement}'>"
        f"<messageRef><id root='{identity.removeprefix('uuid:')}'/></messageRef></acknowledgement>"
        f"<ControlActEvent classCode='CACT' moodCode='EVN'>{act}<queryAck type='QueryAck'><queryResponseCode code='{response}'/>"
        f"</queryAck></ControlActEvent></{name}>"
    )
    if within:
        message = f"<{within} xmlns='{V3}'>{message}</{within}>"
    header = f"<w:RelatesTo xmlns:w='{WSA}'>{identity}</w:RelatesTo>"
    return f"<s:Envelope xmlns:s='{SOAP}'><s:Header>{header}</s:Header><s:Body>{message}</s:Body></s:Envelope>".encode()


def _retrieved(person: tuple[str, ...]) -> str:
    return (
        "<PDSResponse classCode='OBS' moodCode='EVN'><pertinentInformation typeCode='PERT'><pertinentSerialChangeNumber>"
        "<code code='2' codeSystem='2.16.840.1.113883.2.1.3.2.4.17.35'/><value value='4'/></pertinentSerialChangeNumber>"
        f"</pertinentInformation><subject typeCode='SBJ'>{_role(person)}</subject></PDSResponse>"
    )


def _traced(person: tuple[str, ...]) -> str:
    return f"<PdsTraceMatch><subject typeCode='SBJ'>{_role(person)}</subject></PdsTraceMatch>"


def _role(person: tuple[str, ...]) -> str:
    return (
        f"<patientRole classCode='PAT'><id root='2.16.840.1.113883.2.1.4.1' extension='{person[NUMBER]}'/>"
        f"<patientPerson classCode='PSN' determinerCode='INSTANCE'><administrativeGenderCode code='{person[SEX]}'/>"
        f"<birthTime value='{person[BORN]}'/><COCT_MT000201UK02.PartOfWhole classCode='PART'><addr use='H'><streetAddressLine/>"
        f"<streetAddressLine>1 High St</streetAddressLine><postalCode>{person[POSTCODE]}</postalCode></addr>"
        "</COCT_MT000201UK02.PartOfWhole><COCT_MT000203UK02.PartOfWhole classCode='PART'><partPerson classCode='PSN'>"
        f"<name use='L'><given>{person[GIVEN]}</given><family>{person[SURNAME]}</family></name></partPerson>"
        "</COCT_MT000203UK02.PartOfWhole></patientPerson></patientRole>"
    )


def _fault(code: str, text: str) -> tuple[int, bytes]:
    fault = f"<s:Fault><faultcode>s:{code}</faultcode><faultstring>{text}</faultstring></s:Fault>"
    return 500, f"<s:Envelope xmlns:s='{SOAP}'><s:Body>{fault}</s:Body></s:Envelope>".encode()


def _text(node: etree._Element | None, path: str) -> str:
    return str(node.xpath(f"string({path})", namespaces=NAMES)) if node is not None else ""
