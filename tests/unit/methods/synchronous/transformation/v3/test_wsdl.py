"""The WSDL is that of the service at its own address, and what is sent and answered is what it describes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.unit.methods.synchronous.transformation.v3.people import KHAN

from fiveways.clock import SystemClock
from fiveways.errors import Fault
from fiveways.methods.synchronous.transformation.transformer import Answered, Asked, Place
from fiveways.methods.synchronous.transformation.v3.demographics import Demographics
from fiveways.methods.synchronous.transformation.v3.server import DemographicsServer
from fiveways.methods.synchronous.transformation.xml import soap
from fiveways.methods.synchronous.transformation.xml.document import Element, parse
from fiveways.methods.synchronous.transformation.xml.wsdl import BINDINGS

NAMES = {"w": "http://schemas.xmlsoap.org/wsdl/", "x": "http://www.w3.org/2001/XMLSchema"}
OPTIONS = {"sender_asid": "1", "receiver_asid": "2"}
FRONT = Demographics(Place("pds", OPTIONS, SystemClock()))
READ = Asked("GET", "/Patient/9000000009", {}, "", b"", {}, "0f0e0d0c-0b0a-4908-8706-050403020100")


def server(version: soap.Version = "1.1") -> DemographicsServer:
    return DemographicsServer(Place("pds", {**OPTIONS, "soap": version, "address": "https://api.test/pds?a=1"[:20]}, SystemClock()))


BACK = server()


def described(version: soap.Version = "1.1", path: str = "/", name: str = "wsdl") -> Element:
    answered = server(version).ask(Asked("GET", path, {name: ""}, "", b"", {}))
    assert isinstance(answered, Answered)
    assert (answered.status, answered.content_type) == (200, "text/xml; charset=utf-8")
    return parse(answered.content)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("path", ["", "/"])
@pytest.mark.parametrize("name", ["wsdl", "WSDL"])
def test_the_service_is_described(version: soap.Version, path: str, name: str) -> None:
    root = described(version, path, name)
    assert root.tag == f"{{{NAMES['w']}}}definitions"
    assert [etree.QName(child).localname for child in root] == [
        "types", *["message"] * 6, "portType", "binding", "service",
    ]  # fmt: skip
    (address,) = root.iterfind(f"w:service/w:port/{{{BINDINGS[version]}}}address", NAMES)
    assert address.get("location") == "https://api.test/pds"
    actions = [each.get("soapAction") for each in root.iterfind(f".//{{{BINDINGS[version]}}}operation")]
    assert actions == [
        f"urn:nhs:names:services:pdsquery/QUPA_IN00000{number}" for number in ("5UK01", "6UK02", "8UK02")
    ]  # fmt: skip


def test_every_name_that_is_referred_to_is_there() -> None:
    root = described()
    target = root.get("targetNamespace")
    there = {kind: {each.get("name") for each in root.iterfind(f"w:{kind}", NAMES)} for kind in ("message", "portType", "binding")}
    for path, attribute, kind in (
        ("w:portType/w:operation/w:input", "message", "message"),
        ("w:portType/w:operation/w:output", "message", "message"),
        ("w:binding", "type", "portType"),
        ("w:service/w:port", "binding", "binding"),
    ):
        for each in root.iterfind(path, NAMES):
            prefix, _, name = (each.get(attribute) or "").partition(":")
            assert each.nsmap[prefix] == target
            assert name in there[kind]
    declared = {
        f"{{{schema.get('targetNamespace')}}}{each.get('name')}"
        for schema in root.iterfind("w:types/x:schema", NAMES)
        for each in schema.iterfind("x:element", NAMES)
    }
    for part in root.iterfind("w:message/w:part", NAMES):
        prefix, _, name = (part.get("element") or "").partition(":")
        assert f"{{{part.nsmap[prefix]}}}{name}" in declared


def test_what_is_exchanged_is_what_is_described() -> None:
    (found,) = described().iterfind("w:types/x:schema", NAMES)
    schema = etree.XMLSchema(etree.fromstring(etree.tostring(found)))
    said = FRONT.ask(READ)
    assert isinstance(said, Asked)
    asked = Asked("POST", "/", {}, said.content_type, said.content, {})
    answered = BACK.answer(asked, Answered(200, "", json.dumps(KHAN).encode()))
    for content in (said.content, answered.content):
        body = soap.unwrap(parse(content), ("urn:hl7-org:v3",)).body
        assert body is not None
        assert schema.validate(body)
    assert not schema.validate(etree.fromstring("<other xmlns='urn:hl7-org:v3'/>"))


def test_nothing_else_is_described() -> None:
    for asked in (
        Asked("GET", "/", {"wsdl": "", "a": "b"}, "", b""),
        Asked("GET", "/x", {"wsdl": ""}, "", b""),
        Asked("GET", "/", {}, "", b""),
    ):
        with pytest.raises(Fault):
            BACK.ask(asked)


SENT = FRONT.ask(READ)
assert isinstance(SENT, Asked)
ANSWERED = BACK.answer(Asked("POST", "/", {}, "text/xml", SENT.content), Answered(200, "", json.dumps(KHAN).encode())).content


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """The content with pieces of it taken away, doubled, or changed."""
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content) - 1))
        end = draw(st.integers(start, min(len(content), start + 200)))
        piece = draw(st.sampled_from([b"", content[start:end] * 2, b"<", b"\x00", b"&x;", b"<!DOCTYPE x>", b"<a/>", b'"']))
        content = content[:start] + piece + content[end:] or b"x"
    return content


@given(damaged(SENT.content))
@settings(max_examples=2000)
def test_whatever_is_sent_is_asked_or_refused_with_a_fault(content: bytes) -> None:
    asked = Asked("POST", "/", {}, "text/xml", content)
    try:
        BACK.ask(asked)
    except Fault as fault:
        refused = BACK.refuse(asked, fault)
        assert refused is not None
        assert soap.unwrap(parse(refused.content)).fault is not None


@given(damaged(ANSWERED))
@settings(max_examples=2000)
def test_whatever_is_answered_is_a_resource_or_a_fault(content: bytes) -> None:
    try:
        answered = FRONT.answer(READ, Answered(200, "text/xml", content))
    except Fault:
        return
    assert json.loads(answered.content)["resourceType"] == "Patient"


KEYS = [*KHAN, *KHAN["name"][0], "value", "system"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(list(KHAN)), json_values))
@settings(max_examples=200)
def test_whatever_the_fhir_back_end_answers_is_a_message_or_a_fault(patient: dict[str, object]) -> None:
    asked = Asked("POST", "/", {}, "text/xml", SENT.content)
    try:
        answered = BACK.answer(asked, Answered(200, "", json.dumps({**patient, "resourceType": "Patient"}).encode()))
    except Fault:
        return
    parse(answered.content)
