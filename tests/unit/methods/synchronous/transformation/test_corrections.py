"""What has no identifier is found again when it is said again, so that corrections take the place of what they correct."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.methods.synchronous.transformation.clinical import back, comparable

from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.messages import Transformed, to_fhir
from fiveways.methods.synchronous.transformation.v2.tables.table import Context

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha"
PV1 = "PV1|1|I|||||||||||||||||V1^^^&1.2.3&ISO"
OBR = "OBR|1|P1^ICE|F1^LIMS|UE^Urea^L"


def sent(*segments: str, kind: str = "ORU^R01", sender: str = "NSH", control_id: str = "X1") -> Transformed:
    header = f"MSH|^~\\&|LIMS|{sender}|||20261102093000||{kind}|{control_id}|P|2.5.1"
    return to_fhir(Message.parse("\r".join((header, *segments))), Context())


def asked(done: Transformed, kind: str) -> list[dict[str, Any]]:
    return [entry["request"] for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == kind]


def urls(done: Transformed, kind: str = "Observation") -> list[str]:
    return [request["url"] for request in asked(done, kind)]


def test_a_correction_is_of_the_result_that_it_corrects() -> None:
    first = sent(PID, OBR, "OBX|1|NM|NA^Sodium^L||139|||||||F", "SPM|1|||BLD")
    second = sent(PID, OBR, "OBX|1|NM|NA^Sodium natrium^L||141|||||||C", "SPM|1|||BLD", control_id="X2")
    for kind in ("Observation", "DiagnosticReport", "Specimen"):
        (request,) = asked(first, kind)
        assert request["method"] == "PUT"
        assert request["url"].startswith(f"{kind}?identifier=urn:ietf:rfc:3986%7Curn:uuid:")
        assert asked(second, kind) == [request]
    assert first.bundle["entry"][0]["fullUrl"] != second.bundle["entry"][0]["fullUrl"], "they are two messages"


def test_results_are_told_apart_by_what_they_are_their_number_and_their_order() -> None:
    same = "OBX|1|NM|NA^Sodium^L||1"
    done = sent(PID, OBR, same, same, "OBX|3|NM|NA^Sodium^L|2|1", "OBX|4|NM|K^Potassium^L||1", "OBR|2||F2^LIMS|UE^Urea^L", same)
    assert len(set(urls(done))) == 5
    assert set(urls(done)[:2]) == set(urls(sent(PID, OBR, same, same))), "those that are alike are counted"
    assert urls(done)[0] not in urls(sent(PID, OBR, same, sender="RXN")), "another sender's number is another"
    assert urls(done)[0] not in urls(sent(PID, "OBR|1|P1^ICE|F1^LIMS|FBC^Count^L", same))


def test_a_number_with_a_system_is_the_same_whoever_sends_it() -> None:
    order = "OBR|1||F1^LIMS^1.2.3^ISO|UE^Urea^L"
    assert urls(sent(PID, order, "OBX|1|NM|NA^^L||1")) == urls(sent(PID, order, "OBX|1|NM|NA^^L||1", sender="RXN"))


def test_lines_of_text_are_one_result_however_many_there_are() -> None:
    two = sent(PID, OBR, "OBX|1|TX|N^Note^L||a", "OBX|2|TX|N^Note^L||b")
    three = sent(PID, OBR, "OBX|1|TX|N^Note^L||a", "OBX|2|TX|N^Note^L||b", "OBX|3|TX|N^Note^L||c")
    assert urls(two) == urls(three)


@pytest.mark.parametrize("segments", [("OBR|1|||UE^Urea^L", "OBX|1|NM|NA^^L||1"), (OBR, "OBX|1|NM|||1"), ("OBX|1|NM|NA^^L||1",)])
def test_what_is_not_told_apart_is_new_each_time(segments: tuple[str, ...]) -> None:
    done = sent(PID, *segments)
    assert asked(done, "Observation") == [{"method": "POST", "url": "Observation"}]


def test_an_identifier_that_is_said_is_the_one() -> None:
    done = sent(PID, OBR, f"OBX|1|NM|NA^^L||1{'|' * 16}O1^LIMS^1.2.3^ISO")
    assert asked(done, "Observation") == [{"method": "PUT", "url": "Observation?identifier=urn:oid:1.2.3%7CO1"}]


def test_a_document_that_is_observed_is_found_again() -> None:
    first = sent(PID, OBR, "OBX|1|ED|R^Report^L||^application^pdf^Base64^JVBERi0xLjQK")
    second = sent(PID, OBR, "OBX|1|ED|R^Report^L||^application^pdf^Base64^JVBERi0xLjUK", control_id="X2")
    assert asked(first, "DocumentReference") == asked(second, "DocumentReference")
    assert asked(first, "DocumentReference")[0]["method"] == "PUT"


@pytest.mark.parametrize(
    ("kind", "segments"),
    [
        ("ORU^R01", (PV1, OBR, "OBX|1|NM|NA^Sodium^L||1", "SPM|1|||BLD")),
        ("OML^O21", (PV1, "AL1|1||X^Nuts", "ORC|NW|P1^ICE", "OBR|1|P1^ICE||UE^Urea^L", "DG1|1||I10^^I10", "SPM|1|||BLD")),
        ("MDM^T02", ("TXA|1|CN||||||||||D1^PAS", "OBX|1|NM|NA^Sodium^L||1")),
    ],
)
def test_what_follows_from_others_is_not_written_back(kind: str, segments: tuple[str, ...]) -> None:
    done = sent(PID, *segments, kind=kind)
    said = [entry["request"] for entry in done.bundle["entry"] if "rfc:3986" in str(entry["request"])]
    assert len(said) > 1
    of = Message.parse("\r".join((f"MSH|^~\\&|LIMS|NSH|||20261102093000||{kind}|X1|P|2.5.1", PID, *segments)))
    again = back(done.bundle, of)
    assert "urn:uuid" not in again.text
    assert "3986" not in again.text
    assert comparable(to_fhir(again, Context()).bundle) == comparable(done.bundle)


def test_an_appointment_and_what_is_found_for_it_are_found_again() -> None:
    segments = ("SCH|A1^PAS|||||||||||20261110093000", PID, "DG1|1||I10^^I10", "OBX|1|NM|W^Weight^L||70")
    first = sent(*segments, kind="SIU^S12")
    moved = sent(*segments, kind="SIU^S13", control_id="X2")
    for kind in ("Appointment", "Condition", "Observation"):
        assert asked(first, kind)[0]["method"] == "PUT"
        assert asked(first, kind) == asked(moved, kind)


def test_a_diagnosis_is_of_its_visit_however_that_is_numbered() -> None:
    diagnosis = "DG1|1||I10^^I10||||A"
    visits = [f"PV1|1|I|||||||||||||||||{number}" for number in ("V1", "V2", "V1^^^&1.2.3&ISO")]
    found = [urls(sent(PID, visit, diagnosis, kind="ADT^A01"), "Condition")[0] for visit in visits]
    assert len(set(found)) == 3
    assert urls(sent(PID, visits[0], diagnosis, kind="ADT^A08", control_id="X2"), "Condition") == found[:1]


def test_an_allergy_is_the_patients_own() -> None:
    found = [urls(sent(PID, "AL1|1||N^Nuts^L", kind="ADT^A31", control_id=str(n)), "AllergyIntolerance") for n in range(2)]
    assert found[0] == found[1]
    assert found[0][0].startswith("AllergyIntolerance?identifier=urn:ietf:rfc:3986")
    other = sent("PID|1||9000000017^^^NHS^NH", "AL1|1||N^Nuts^L", kind="ADT^A31")
    assert urls(other, "AllergyIntolerance") != found[0]
