"""Envelopes of both versions are wrapped and unwrapped, faults said and read, and what must be understood and is not is refused."""

from __future__ import annotations

import pytest

from fiveways.errors import (
    Fault,
    InvalidValue,
    MethodNotAllowed,
    NotFound,
    ProviderFaulty,
    ProviderUnavailable,
    TooManyRequests,
)
from fiveways.methods.synchronous.transformation.xml import faults, soap
from fiveways.methods.synchronous.transformation.xml.document import make, parse, serialize

VERSIONS: list[soap.Version] = ["1.1", "1.2"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("namespace", [soap.ADDRESSING, soap.ADDRESSING_2004])
def test_what_is_wrapped_is_unwrapped(version: soap.Version, namespace: str) -> None:
    addressing = soap.Addressing("uuid:1", "urn:to", "urn:act", "uuid:0", "https://from.test", "https://reply.test", namespace)
    header = make("{urn:h}trace")
    root = parse(serialize(soap.wrap(make("{urn:x}Ask"), version, addressing, [header])))
    said = soap.unwrap(root)
    assert (said.version, said.addressing, said.fault) == (version, addressing, None)
    assert said.body is not None
    assert said.body.tag == "{urn:x}Ask"
    assert [each.tag for each in said.headers] == ["{urn:h}trace"]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_plain_envelope_has_no_header(version: soap.Version) -> None:
    root = soap.wrap(None, version)
    assert [child.tag.rpartition("}")[2] for child in root] == ["Body"]
    assert soap.unwrap(root) == soap.Envelope(version, None)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["sender", "receiver", "must-understand", "version"])
def test_a_fault_is_read_as_it_was_said(version: soap.Version, kind: soap.Kind) -> None:
    detail = make("{urn:x}code")
    detail.text = "E7"
    said = soap.unwrap(parse(soap.write_fault(soap.SoapFault(kind, "It was <wrong>", detail=detail), version))).fault
    assert said is not None
    assert (said.kind, said.text) == (kind, "It was <wrong>")
    assert said.detail is not None
    assert said.detail.findtext("{urn:x}code") == "E7"


def envelope(header: str, body: str = "<x/>", version: soap.Version = "1.1") -> bytes:
    uri = soap.NAMESPACES[version]
    return f"<s:Envelope xmlns:s='{uri}'><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>".encode()


@pytest.mark.parametrize(
    ("version", "attributes", "refused"),
    [
        ("1.1", "s:mustUnderstand='1'", True),
        ("1.1", "s:mustUnderstand='0'", False),
        ("1.1", "", False),
        ("1.1", "s:mustUnderstand='1' s:actor='http://schemas.xmlsoap.org/soap/actor/next'", True),
        ("1.1", "s:mustUnderstand='1' s:actor='urn:other'", False),
        ("1.2", "s:mustUnderstand='true'", True),
        ("1.2", "s:mustUnderstand='true' s:role='http://www.w3.org/2003/05/soap-envelope/role/ultimateReceiver'", True),
        ("1.2", "s:mustUnderstand='true' s:role='urn:other'", False),
    ],
)
def test_what_must_be_understood(version: soap.Version, attributes: str, refused: bool) -> None:
    root = parse(envelope(f"<o:Security xmlns:o='urn:o' {attributes}/>", version=version))
    if not refused:
        assert len(soap.unwrap(root).headers) == 1
        return
    with pytest.raises(soap.SoapRefused, match="Security must be understood") as told:
        soap.unwrap(root)
    assert told.value.kind == "must-understand"
    assert len(soap.unwrap(root, ("urn:o",)).headers) == 1


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<a/>", "sender"),
        (b"<Envelope><Body/></Envelope>", "version"),
        (b"<s:Envelope xmlns:s='urn:soap:3'><s:Body/></s:Envelope>", "version"),
        (b"<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'/>", "sender"),
        (envelope("", "<a/><b/>"), "sender"),
        (envelope("").replace(b"<s:Body>", b"<s:Body/><s:Body>"), "sender"),
    ],
)
def test_what_is_no_envelope_is_refused(content: bytes, kind: str) -> None:
    with pytest.raises(soap.SoapRefused) as refused:
        soap.unwrap(parse(content))
    assert refused.value.kind == kind


@pytest.mark.parametrize(
    ("fault", "version", "status", "code"),
    [
        (InvalidValue("x"), "1.1", 500, "soap:Client"),
        (InvalidValue("x"), "1.2", 400, "soap:Sender"),
        (NotFound("x"), "1.1", 500, "soap:Client"),
        (ProviderFaulty("x"), "1.1", 500, "soap:Server"),
        (ProviderFaulty("x"), "1.2", 500, "soap:Receiver"),
        (TooManyRequests("x", headers={"Retry-After": "3"}), "1.1", 429, "soap:Client"),
        (MethodNotAllowed("x"), "1.2", 405, "soap:Sender"),
        (ProviderUnavailable("x"), "1.2", 503, "soap:Receiver"),
        (faults.SoapVersion("x"), "1.1", 500, "soap:VersionMismatch"),
        (faults.NotUnderstood("x"), "1.2", 500, "soap:MustUnderstand"),
    ],
)
def test_a_fault_in_the_words_of_soap(fault: Fault, version: soap.Version, status: int, code: str) -> None:
    answered = faults.as_soap(fault, version, "1-2")
    assert (answered.status, answered.content_type) == (status, soap.CONTENT_TYPES[version])
    assert answered.headers == fault.headers
    root = parse(answered.content)
    assert code in answered.content.decode()
    said = root.find(".//{urn:fiveways:fault}fault")
    assert said is not None
    assert (said.get("code"), said.get("messageId")) == (fault.code, "1-2")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("kind", "expected"), [("sender", InvalidValue), ("receiver", ProviderFaulty), ("version", ProviderFaulty)]
)
def test_a_back_ends_fault(version: soap.Version, kind: soap.Kind, expected: type[Fault]) -> None:
    content = soap.write_fault(soap.SoapFault(kind, "Database is down"), version)
    with pytest.raises(expected, match="SOAP fault: Database is down"):
        faults.answered_envelope(content, soap.CONTENT_TYPES[version])


def test_a_fault_of_a_finer_code() -> None:
    content = b"<s:Fault xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><faultcode>s:Client.NoSuch</faultcode></s:Fault>"
    said = soap.unwrap(parse(envelope("", content.decode()))).fault
    assert said is not None
    assert (said.kind, said.code, said.text) == ("sender", "NoSuch", "")


def test_control_characters_of_a_fault_do_not_break_its_xml() -> None:
    root = parse(faults.as_soap(InvalidValue("a\x00b\x1bc￿"), "1.1", "").content)
    assert root.findtext(".//faultstring") == "abc"
    assert parse(faults.as_problem(InvalidValue("a\x00b"), "1").content).findtext("{urn:ietf:rfc:7807}detail") == "ab"
