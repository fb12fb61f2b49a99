"""MDM^T02: a document, and what it holds."""

from __future__ import annotations

from base64 import b64decode

import pytest
from tests.unit.methods.synchronous.transformation.clinical import OWN, back, message, one, read, resources, said

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.messages import Transformed, Unsayable

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha||19800102|F"


def written(txa: str, *more: str) -> Transformed:
    return said("EVN|T02", PID, txa, *more, kind="MDM^T02")


def test_a_document() -> None:
    done = read("MDM_T02")
    document = one(done, "DocumentReference")
    assert (document["status"], document["docStatus"]) == ("current", "final")
    assert document["masterIdentifier"]["value"] == "DOC77"
    assert [each["value"] for each in document["identifier"]] == ["DOC77", "letter.txt"]
    assert document["type"] == {
        "coding": [{"code": "CN", "system": "http://terminology.hl7.org/CodeSystem/v2-0270"}], "text": "Consultation",
    }  # fmt: skip
    assert (document["date"], document["description"]) == ("2026-11-02T12:55:00+00:00", "Clinic letter")
    assert document["context"]["period"] == {"start": "2026-11-01T09:30:00+00:00"}
    assert document["relatesTo"][0]["target"]["identifier"]["value"] == "DOC70"
    assert document["securityLabel"][0]["coding"][0]["code"] == "R"
    assert len(document["author"]) == 2
    related = document["context"]["related"]
    assert [each["identifier"]["value"] for each in related if "identifier" in each] == ["P101", "F200"]
    observation = next(e["fullUrl"] for e in done.bundle["entry"] if e["resource"]["resourceType"] == "Observation")
    assert {"reference": observation} in related
    requests = {entry["resource"]["resourceType"]: entry["request"] for entry in done.bundle["entry"]}
    assert requests["DocumentReference"]["url"] == "DocumentReference?identifier=urn:oid:1.2.826.0.1.5%7CDOC77"
    assert "ifNoneExist" in requests["Patient"]


def test_what_a_document_holds() -> None:
    text, pdf, copy = (each["attachment"] for each in one(read("MDM_T02"), "DocumentReference")["content"])
    assert b64decode(text["data"]).decode() == "Dear Dr Osei,\n\nCreatinine is 72.50 & steady."
    assert (text["contentType"], text["title"]) == ("text/plain; charset=utf-8", "Clinic letter")
    assert (pdf["contentType"], b64decode(pdf["data"])) == ("application/pdf", b"%PDF-1.4\n")
    assert copy == {"contentType": "application/pdf", "url": "https://docs.northshire.test/DOC77", "title": "Stored copy"}


def test_texts_that_are_called_otherwise_are_other_contents() -> None:
    done = written("TXA|1|CN", "OBX|1|TX|A^First||one", "OBX|2|TX|A^First||two", "OBX|3|TX|B^Second||three")
    contents = one(done, "DocumentReference")["content"]
    assert [(each["attachment"]["title"], b64decode(each["attachment"]["data"])) for each in contents] == [
        ("First", b"one\ntwo"), ("Second", b"three"),
    ]  # fmt: skip


@pytest.mark.parametrize(("code", "status"), [("AU", "final"), ("LA", "final"), ("DI", "preliminary"), ("DO", "preliminary")])
def test_how_far_a_document_is(code: str, status: str) -> None:
    done = written(f"TXA|1|CN{'|' * 15}{code}")
    assert one(done, "DocumentReference")["docStatus"] == status
    assert back(done.bundle, message(OWN / "MDM_T02.hl7")).get("TXA-17") == code


@pytest.mark.parametrize(("code", "status"), [("AV", "current"), ("OB", "superseded"), ("CA", "entered-in-error"), ("", "current")])
def test_whether_a_document_still_holds(code: str, status: str) -> None:
    assert one(written(f"TXA|1|CN{'|' * 17}{code}"), "DocumentReference")["status"] == status


def test_a_document_without_content_has_one_that_is_unknown() -> None:
    (content,) = one(written("TXA|1|CN"), "DocumentReference")["content"]
    assert element.get(content, "attachment.extension[0].valueCode") == "unknown"
    assert back(written("TXA|1|CN").bundle, message(OWN / "MDM_T02.hl7")).segment("OBX") is None


def test_a_date_that_is_no_time_is_told_of() -> None:
    done = written("TXA|1|CN||||20261102")
    assert "date" not in one(done, "DocumentReference")
    assert done.coverage.wrong == [("TXA-6.1", "expected a time of the day")]


def test_an_order_that_a_document_is_of() -> None:
    done = written("ORC|RE|P1^ICE^1.2.3^ISO", "OBR|1|||XR^X-ray^LOCAL", "NTE|1||Urgent", "TXA|1|CN", "OBX|1|TX|||text")
    request = one(done, "ServiceRequest")
    assert request["note"] == [{"text": "Urgent"}]
    (related,) = one(done, "DocumentReference")["context"]["related"]
    assert related["reference"] in [e["fullUrl"] for e in done.bundle["entry"] if e["resource"] is request]
    again = back(done.bundle, message(OWN / "MDM_T02.hl7"))
    assert (again.get("ORC-2"), again.get("NTE-3"), again.get("OBX-5")) == ("P1", "Urgent", "text")


def test_what_a_document_must_have() -> None:
    done = read("MDM_T02")
    of = message(OWN / "MDM_T02.hl7")
    entries = done.bundle["entry"]
    done.bundle["entry"] = [each for each in entries if each["resource"]["resourceType"] != "Patient"]
    with pytest.raises(Unsayable, match="whose subject is a Patient"):
        back(done.bundle, of)
    done.bundle["entry"] = [each for each in entries if each["resource"]["resourceType"] != "DocumentReference"]
    with pytest.raises(Unsayable, match="a DocumentReference is needed"):
        back(done.bundle, of)
    assert len(resources(read("MDM_T02"), "Observation")) == 1
