"""What an event says of the visit and of the patient: its state, where they are, and what is cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.methods.synchronous.transformation.test_adt import HEADER, LONDON, NHS, PID, read, resources

from fiveways.methods.synchronous.transformation.v2.messages import Transformed, to_fhir, to_v2

NUMBER = "V1^^^&1.2.3&ISO"


def visit(**fields: str) -> str:
    """PV1 with these fields: `_3` is PV1-3."""
    said = {1: "1", 19: NUMBER, **{int(name[1:]): text for name, text in fields.items()}}
    return "|".join(["PV1", *(said.get(number, "") for number in range(1, max(said) + 1))])


def stays(done: Transformed) -> list[tuple[str, str | None]]:
    """The places of the visit, each with its state."""
    (found,) = resources(done, "Encounter")
    names = {f"#{each['id']}": each.get("name") for each in found["contained"]}
    return [(names[each["location"]["reference"]], each.get("status")) for each in found["location"]]


@pytest.mark.parametrize(
    ("event", "class_", "expected"),
    [
        ("A01", "I", [("BED3", "active"), ("WARD6", "completed"), ("XRAY", "active")]),
        ("A05", "I", [("BED3", "planned"), ("WARD6", "completed"), ("XRAY", "planned")]),
        ("A05", "P", [("BED3", "planned"), ("WARD6", "completed"), ("XRAY", "planned")]),
        ("A03", "I", [("BED3", "completed"), ("WARD6", "completed"), ("XRAY", "completed")]),
        ("A11", "I", [("BED3", None), ("WARD6", "completed"), ("XRAY", None)]),
    ],
)
def test_where_somebody_is_depends_on_the_state_of_the_visit(event: str, class_: str, expected: list[Any]) -> None:
    done = read(PID, visit(_2=class_, _3="W5^B2^BED3", _6="WARD6", _11="XRAY"), event=event)
    assert stays(done) == expected
    back = to_v2(done.bundle, f"ADT^{event}", HEADER, LONDON)
    assert [back.get(f"PV1-{path}") for path in ("3.3", "6.1", "11.1")] == ["BED3", "WARD6", "XRAY"]


def test_an_update_says_by_its_times_what_the_visit_is() -> None:
    states = []
    for times in ({}, {"_44": "20261101"}, {"_44": "20261101", "_45": "20261103"}, {"_2": "P", "_44": "20261101"}):
        (found,) = resources(read(PID, visit(**{"_2": "I", "_3": "WARD5", **times}), event="A08"), "Encounter")
        states.append((found["status"], found["location"][0].get("status")))
    assert states == [("unknown", "active"), ("in-progress", "active"), ("finished", "completed"), ("planned", "planned")]


def test_nobody_was_where_a_cancelled_transfer_was_to() -> None:
    done = read(PID, visit(_2="I", _3="WARD5", _6="WARD7"), event="A12")
    assert stays(done) == [("WARD5", "active")]
    assert "PV1-6" in done.coverage.ignored


def test_a_visit_goes_on_whose_discharge_is_cancelled() -> None:
    done = read(PID, visit(_2="I", _3="WARD5", _36="19", _44="20261101", _45="20261103"), event="A13")
    (found,) = resources(done, "Encounter")
    assert (found["status"], found["period"], found["location"][0]["status"]) == ("in-progress", {"start": "2026-11-01"}, "active")
    assert "hospitalization" not in found
    assert {"PV1-36", "PV1-45"} <= set(done.coverage.ignored)


@pytest.mark.parametrize(("event", "method"), [("A01", "PUT"), ("A02", "POST"), ("A03", "PUT"), ("A11", "POST"), ("A12", "POST")])
def test_a_message_that_cannot_say_all_of_a_patient_does_not_update_them(event: str, method: str) -> None:
    done = read(PID, visit(_2="I"), event=event)
    request = done.bundle["entry"][0]["request"]
    assert (request["method"], "ifNoneExist" in request) == (method, method == "POST")
    assert done.bundle["entry"][1]["request"]["method"] == "PUT", "the visit is what it is about"


def test_an_identifier_of_both_finds_the_patient_who_is_kept() -> None:
    """Else two would be found by one NHS number, and whatever is said of it later be refused."""
    done = read(f"{PID}", "MRG|9000000009^^^NHS^NH~K7^^^RXN^MR", event="A40")
    kept, prior = done.bundle["entry"]
    assert kept["request"]["url"] == f"Patient?identifier={NHS}%7C9000000009"
    assert prior["request"] == {"method": "PUT", "url": "Patient?identifier=https://northshire.test/Id/hospital-number%7CK7"}
    assert [each["value"] for each in prior["resource"]["identifier"]] == ["K7"]
    assert prior["resource"]["active"] is False
    assert to_fhir(to_v2(done.bundle, "ADT^A40", HEADER, LONDON), LONDON).bundle["entry"][1]["request"] == prior["request"]


def test_who_is_there_for_a_while_has_another_place() -> None:
    done = read(PID, visit(_2="I", _3="WARD5", _11="XRAY", _43="GYM"))
    (found,) = resources(done, "Encounter")
    assert ["extension" in each for each in found["location"]] == [False, True, True]
    assert stays(done) == [("WARD5", "active"), ("XRAY", "active"), ("GYM", "completed")]


def test_the_state_of_a_bed_is_of_the_place_where_somebody_is() -> None:
    done = read(PID, visit(_2="I", _3="W5^B2^BED3", _40="O"))
    (found,) = resources(done, "Encounter")
    (bed,) = [each for each in found["contained"] if each["name"] == "BED3"]
    assert bed["operationalStatus"] == {"system": "http://terminology.hl7.org/CodeSystem/v2-0116", "code": "O"}
    nowhere = read(PID, visit(_2="I", _3="WARD5", _40="O"))
    assert nowhere.coverage.wrong == [("PV1-40", "PV1-3 names no bed and no room that it would be the state of")]


def test_a_visit_is_described_kept_apart_and_of_a_type() -> None:
    done = read(PID, visit(_2="I", _18="DAY"), "PV2|W9|||||||||||Broke < a leg||||||||||Y")
    (found,) = resources(done, "Encounter")
    assert found["text"]["div"] == '<div xmlns="http://www.w3.org/1999/xhtml">Broke &lt; a leg</div>'
    assert found["meta"]["security"] == [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]
    assert found["type"] == [{"coding": [{"code": "DAY", "system": "urn:id:HL70018"}]}]
    assert stays(done) == [("W9", "planned")]
    assert (done.coverage.wrong, done.coverage.unmapped) == ([], [])
