"""What is a FHIR message, in JSON and XML, and that nothing a sender makes up does more than be refused."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fiveways.fhir.messaging import DEEPEST, NotAMessage, require_message

HEADER = {"resourceType": "MessageHeader", "eventUri": "urn:x", "source": {"endpoint": "urn:y"}}
PATIENT = {"resourceType": "Patient", "name": [{"family": "Näme"}]}
NS = 'xmlns="http://hl7.org/fhir"'
XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- a message --><Bundle {NS}><id value="1"/><type value="message"/>
<entry><fullUrl value="urn:uuid:1"/><resource><MessageHeader><eventUri value="urn:x"/></MessageHeader></resource></entry>
<entry><resource><Patient><name><family value="Näme"/></name></Patient></resource></entry></Bundle>"""


def bundle(*resources: Any, **more: Any) -> bytes:
    said = {"resourceType": "Bundle", "type": "message", "entry": [{"fullUrl": "urn:1", "resource": each} for each in resources]}
    return json.dumps({**said, **more}, ensure_ascii=False).encode()


def why(content: bytes | bytearray) -> str:
    """Why content is no message; '' where it is one."""
    try:
        require_message(content)
    except NotAMessage as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "content",
    [
        bundle(HEADER), bundle(HEADER, PATIENT), b"\xef\xbb\xbf" + bundle(HEADER), b" \r\n\t" * 100 + bundle(HEADER),
        bytearray(bundle(HEADER)),
        json.dumps({"entry": [{"resource": HEADER}], "type": "message", "resourceType": "Bundle"}).encode(),
        XML.encode(),
        XML.replace('<type value="message"/>', "").replace("</Bundle>", '<type value="message"/></Bundle>').encode(),
        b"\xef\xbb\xbf" + XML.encode(), XML.replace("<", "<f:").replace("<f:/", "</f:").replace("<f:?", "<?")
        .replace("<f:!", "<!").replace("xmlns=", "xmlns:f=").encode(),
    ],
)  # fmt: skip
def test_a_message_is_one_however_it_is_written(content: bytes) -> None:
    assert why(content) == ""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "neither JSON nor XML"), (b"   ", "neither JSON nor XML"), (b"\x1f\x8b\x08", "neither JSON nor XML"),
        (b'["x"]', "neither JSON nor XML"), (XML.encode("utf-16"), "neither JSON nor XML"),
        (b"{}", "not a Bundle"), (json.dumps(PATIENT).encode(), "not a Bundle"),
        (b'{"resourceType": 1}', "not a Bundle of resources"),
        (bundle(HEADER, type="collection"), "not of type message"), (bundle(HEADER, type=None), "not a Bundle of resources"),
        (bundle(), "first entry"), (bundle(PATIENT, HEADER), "first entry"), (bundle(HEADER, entry=[{}]), "first entry"),
        (bundle(HEADER)[:-1], "not well-formed JSON"), (bundle(HEADER) + b"x", "not well-formed JSON"),
        (bundle(HEADER, id="é").replace("é".encode(), b"\xe9"), "not well-formed JSON"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (f"<Bundle {NS}/>".encode(), "not of type message"), (b"<Bundle/>", "not a Bundle"),
        (XML.replace('type value="message"', 'type value="batch"').encode(), "not of type message"),
        (XML.replace("MessageHeader>", "Basic>").encode(), "first entry"),
        (XML.replace("<type value=\"message\"/>", "<x><type value=\"message\"/></x>").encode(), "not of type message"),
        (XML.replace("<resource><MessageHeader>", "<resource><Basic/><MessageHeader>").encode(), "first entry"),
        (XML.replace("<entry><fullUrl", "<entry/><entry><fullUrl").encode(), "first entry"),
        (XML.replace(NS, 'xmlns="urn:other"').encode(), "not a Bundle"),
        (XML[:-1].encode(), "not well-formed XML"), ((XML + "<x/>").encode(), "not well-formed XML"),
        (b"<a>" * (DEEPEST + 1), "nested too deeply"),
        (XML.replace("</Bundle>", "").encode() + b"<a>" * DEEPEST, "nested too deeply"), (b"<\x00", "not well-formed XML"),
    ],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_words_for_it(content: bytes, reason: str) -> None:
    assert reason in why(content)


LAUGHS = "".join(f'<!ENTITY l{each} "{f"&l{each - 1};" * 10}">' for each in range(1, 10))


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE Bundle>", f'<!DOCTYPE Bundle [<!ENTITY l0 "ha">{LAUGHS}]>', '<!DOCTYPE Bundle SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE Bundle [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]>',
        '<!DOCTYPE Bundle [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
    ],
)  # fmt: skip
def test_xml_that_brings_entities_is_refused_before_they_are_read(doctype: str) -> None:
    content = XML.replace("<!-- a message -->", doctype).replace('value="1"', 'value="&l9;"')
    before = time.perf_counter()
    assert why(content.encode()) == "the XML has a DOCTYPE"
    assert time.perf_counter() - before < 0.5


def test_an_undeclared_entity_is_a_mistake() -> None:
    assert why(XML.replace('value="1"', 'value="&l9;"').encode()) == "the content is not well-formed XML"


def test_no_text_of_the_content_is_in_what_is_said_of_it() -> None:
    assert "Näme" not in why(bundle(PATIENT)) + why(bundle(PATIENT)[:-3]) + why(XML[:-5].encode())


@pytest.mark.parametrize(
    "large",
    [
        bundle(HEADER, *[PATIENT | {"text": "x" * 900}] * 4000),
        XML.replace("<entry><resource>", "<entry><resource>" + "<Basic/>" * 400_000).encode(),
    ],
)
def test_a_large_message_is_looked_at_in_little_memory(large: bytes) -> None:
    assert len(large) > 3_000_000
    tracemalloc.start()
    try:
        require_message(large)
        assert tracemalloc.get_traced_memory()[1] < len(large) / 2
    finally:
        tracemalloc.stop()


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["resourceType", "type", "entry", "resource", "x"]), inner)
    ),
    max_leaves=20,
)


@given(JSON_VALUES)
@example({"resourceType": "Bundle", "type": "message", "entry": [{"resource": None}]})
def test_any_json_is_a_message_or_refused_as_a_plain_reading_says(value: Any) -> None:
    def plainly() -> bool:
        try:
            first = value["entry"][0]["resource"]
            return (value["resourceType"], value["type"], first["resourceType"]) == ("Bundle", "message", "MessageHeader")
        except (KeyError, IndexError, TypeError):
            return False

    try:
        content = json.dumps(value, allow_nan=False).encode()
    except ValueError:
        return
    assert plainly() or why(content) != ""


@given(
    st.binary(max_size=200)
    | st.tuples(st.sampled_from([XML.encode(), bundle(HEADER, PATIENT)]), st.integers(0, 400), st.binary(max_size=8)).map(
        lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :]
    )
)
def test_any_bytes_are_a_message_or_refused(content: bytes) -> None:
    assert isinstance(why(content), str)
