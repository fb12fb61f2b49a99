"""What FHIR content says of itself and of what it answers, in JSON and XML; and what no content can do."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fiveways.client.reference import Reference, reference_of

IDS = st.uuids().map(str)


def bundle_json(id_: str, answers: str = "", code: str = "ok", **besides: Any) -> bytes:
    """A FHIR message, R4."""
    header: dict[str, Any] = {"resourceType": "MessageHeader", "id": id_}
    if answers:
        header["response"] = {"identifier": answers, "code": code}
    entries = [{"fullUrl": f"urn:uuid:{id_}", "resource": header}, {"resource": {"resourceType": "Patient", "id": "p"}}]
    return json.dumps({"resourceType": "Bundle", "type": "message", "entry": entries, **besides}).encode()


def bundle_xml(id_: str, answers: str = "", code: str = "ok") -> bytes:
    """The same, in XML."""
    response = f"<response><identifier value={quoteattr(answers)}/><code value={quoteattr(code)}/></response>" if answers else ""
    header = f"<MessageHeader><id value={quoteattr(id_)}/>{response}</MessageHeader>"
    patient = "<entry><resource><Patient><id value='p'/></Patient></resource></entry>"
    return f'<Bundle xmlns="http://hl7.org/fhir"><entry><resource>{header}</resource></entry>{patient}</Bundle>'.encode()


def read(content: bytes) -> Reference | None:
    return reference_of(io.BytesIO(content))


@pytest.mark.parametrize("made", [bundle_json, bundle_xml])
@given(id_=IDS, answers=IDS)
def test_a_response_names_the_message_that_it_answers_and_how(made: Any, id_: str, answers: str) -> None:
    assert read(made(id_, answers, "fatal-error")) == Reference((id_,), answers, "fatal-error")
    assert read(made(id_.upper(), f"urn:uuid:{answers.upper()}")) == Reference((id_,), answers, "ok")
    assert read(made(id_)) == Reference((id_,))


def test_identifiers_of_r5_count_too() -> None:
    content = json.loads(bundle_json("a", identifier={"system": "urn:ietf:rfc:3986", "value": "urn:uuid:B"}))
    content["entry"][0]["resource"]["response"] = {"identifier": {"value": "C"}, "code": "ok"}
    assert read(json.dumps(content).encode()) == Reference(("a", "b"), "c", "ok")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"{",
        b"<Bundle",
        b'{"resourceType": "Bundle"}',
        b'{"resourceType": "Patient", "id": "a"}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "a"}}]}',
        b'{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "MessageHeader", "id": 5}}]}',
        b'<Bundle><entry><resource><MessageHeader><id value="a"/></MessageHeader></resource></entry></Bundle>',
        b'<Bundle xmlns="http://hl7.org/fhir"><entry><resource><Patient><id value="a"/></Patient></resource></entry></Bundle>',
    ],
)
def test_what_is_no_fhir_message_refers_to_nothing(content: bytes) -> None:
    assert read(content) is None


def test_a_document_type_is_not_looked_into() -> None:
    laughs = b'<!DOCTYPE Bundle [<!ENTITY a "ha">]>' + bundle_xml("a")
    assert read(laughs) is None


def test_only_the_first_entry_is_the_header() -> None:
    content = json.loads(bundle_json("a"))
    content["entry"].reverse()
    assert read(json.dumps(content).encode()) is None


@given(st.binary(max_size=200))
def test_no_content_breaks_it(content: bytes) -> None:
    for start in (b"", b"{", b"<", bundle_json("a", "b")[:-9], bundle_xml("a", "b")[:-9]):
        read(start + content)


def test_content_on_disk_is_read_where_it_is_and_left_at_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "content"
    file.write_bytes(bundle_json("a", "b"))
    with file.open("rb") as content:
        assert reference_of(content) == Reference(("a",), "b", "ok")
        assert content.tell() == 0
