"""SIU^S12 to S15: an appointment that is booked, moved, changed and cancelled."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.methods.synchronous.transformation.clinical import OWN, back, message, one, read, resources, said

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.messages import Transformed, Unsayable

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha||19800102|F"
UNKNOWN = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}


def scheduled(*segments: str, event: str = "S12") -> Transformed:
    return said(*segments, kind=f"SIU^{event}")


def taking_part(done: Transformed) -> dict[str, dict[str, Any]]:
    """Who takes part, by what they are."""
    appointment = one(done, "Appointment")
    known = {f"#{each['id']}": each["resourceType"] for each in appointment.get("contained") or ()}
    known |= {entry["fullUrl"]: entry["resource"]["resourceType"] for entry in done.bundle["entry"]}
    return {element.get(each, "type[0].text") or known[each["actor"]["reference"]]: each for each in appointment["participant"]}


@pytest.mark.parametrize("event", ["S12", "S13", "S14"])
def test_an_appointment(event: str) -> None:
    done = read(f"SIU_{event}")
    appointment = one(done, "Appointment")
    assert [each["value"] for each in appointment["identifier"]] == ["A500", "B600"]
    assert (appointment["status"], appointment["minutesDuration"]) == ("booked", 30)
    assert (appointment["start"], appointment["end"]) == ("2026-11-10T09:30:00+00:00", "2026-11-10T10:00:00+00:00")
    assert appointment["serviceType"] == [
        {"coding": [{"code": "NEPH", "display": "Nephrology clinic", "system": "urn:id:LOCAL"}]},
    ]  # fmt: skip
    assert appointment["comment"] == "Bring your medicines\nUse the north entrance\nGround floor"
    assert appointment["reasonCode"] == [{
        "coding": [{"code": "FOLLOWUP", "system": "http://terminology.hl7.org/CodeSystem/v2-0276"}], "text": "Follow up",
    }]  # fmt: skip
    assert appointment["basedOn"][0]["identifier"]["value"] == "P101"
    assert len(appointment["reasonReference"]) == 1
    assert element.get(one(done, "Encounter"), "appointment[0].reference") == done.bundle["entry"][-1]["fullUrl"]
    assert one(done, "Encounter")["status"] == "planned"


def test_who_and_what_takes_part() -> None:
    parts = taking_part(read("SIU_S12"))
    assert parts.keys() == {
        "Patient", "Device", "Location", "Practitioner", "placer contact person", "filler contact person", "entered by person",
    }  # fmt: skip
    assert parts["Device"]["period"] == {"start": "2026-11-10T09:30:00+00:00", "end": "2026-11-10T09:45:00+00:00"}
    assert (parts["Device"]["status"], parts["Practitioner"]["status"]) == ("tentative", "accepted")
    assert parts["filler contact person"]["required"] == "information-only"


def test_a_resource_that_is_taken_out_does_not_take_part() -> None:
    done = scheduled("SCH|A1", PID, "RGS|1", "AIP|1|D|C1^Osei", "AIP|2|A|C2^Kaur")
    assert [each["status"] for each in one(done, "Appointment")["participant"]] == ["accepted", "declined", "accepted"]
    assert "AIP-2" in done.coverage.unmapped


def test_an_appointment_that_is_cancelled_with_why() -> None:
    appointment = one(read("SIU_S15"), "Appointment")
    assert appointment["status"] == "cancelled"
    assert appointment["cancelationReason"]["coding"][0]["display"] == "Patient is unwell"
    assert not appointment.keys() & {"start", "_start", "end", "_end"}


@pytest.mark.parametrize(
    ("event", "code", "status"),
    [("S12", "", "booked"), ("S12", "Pending", "pending"), ("S12", "Noshow", "noshow"), ("S12", "Blocked", "booked"),
     ("S15", "", "cancelled"), ("S15", "Booked", "cancelled"), ("S15", "Deleted", "entered-in-error")],
)  # fmt: skip
def test_the_status_of_an_appointment(event: str, code: str, status: str) -> None:
    done = scheduled(f"SCH|A1{'|' * 24}{code}", PID, event=event)
    assert one(done, "Appointment")["status"] == status
    assert not done.coverage.wrong


@pytest.mark.parametrize(
    ("number", "unit", "minutes"),
    [("30", "MIN", 30), ("30", "min^Minutes^ISO", 30), ("30", "", 30), ("2", "H", 120), ("90", "s", None), ("120", "s", 2),
     ("0", "MIN", None), ("3", "wk", None), ("half", "MIN", None)],
)  # fmt: skip
def test_how_long_it_lasts(number: str, unit: str, minutes: int | None) -> None:
    done = scheduled(f"SCH|A1{'|' * 8}{number}|{unit}", PID)
    assert one(done, "Appointment").get("minutesDuration") == minutes
    assert bool(done.coverage.wrong) == (minutes is None)


def test_when_it_ends_follows_from_how_long_it_lasts() -> None:
    appointment = one(scheduled(f"SCH|A1{'|' * 8}45|MIN|^^^20260701093000", PID), "Appointment")
    assert (appointment["start"], appointment["end"]) == ("2026-07-01T09:30:00+01:00", "2026-07-01T10:15:00+01:00")


def test_a_time_that_nobody_said_is_said_to_be_unknown() -> None:
    appointment = one(scheduled("SCH|A1", PID, "TQ1|1||||||20261110093000"), "Appointment")
    assert (appointment["start"], appointment["_end"]) == ("2026-11-10T09:30:00+00:00", UNKNOWN)
    assert "_start" in one(scheduled("SCH|A1", PID), "Appointment")


def test_an_end_before_the_beginning_is_told_of() -> None:
    done = scheduled("SCH|A1", PID, "TQ1|1||||||20261110093000|20261110083000")
    assert done.coverage.wrong == [("SCH", "the appointment ends before it begins")]


def test_times_that_differ_are_told_of() -> None:
    done = scheduled(f"SCH|A1{'|' * 10}^^^20261110080000^20261110090000", "TQ1|1||||||20261110093000|20261110100000", PID)
    assert one(done, "Appointment")["start"] == "2026-11-10T09:30:00+00:00"
    assert {"SCH-11.4", "SCH-11.5"} <= set(done.coverage.unmapped)


def test_several_patients_and_nobody() -> None:
    done = scheduled("SCH|A1", PID, PID.replace("9000000009", "9000000017").replace("Khan", "Ali"))
    assert len(one(done, "Appointment")["participant"]) == len(resources(done, "Patient")) == 2
    assert one(scheduled("SCH|A1"), "Appointment")["participant"] == [{"actor": UNKNOWN, "status": "needs-action"}]


def test_what_an_appointment_must_have() -> None:
    done = read("SIU_S12")
    of = message(OWN / "SIU_S12.hl7")
    appointment = one(done, "Appointment")
    appointment["participant"] = [each for each in appointment["participant"] if "type" in each]
    with pytest.raises(Unsayable, match="a Patient who takes part is needed"):
        back(done.bundle, of)
    done.bundle["entry"].pop()
    with pytest.raises(Unsayable, match="Appointment is needed"):
        back(done.bundle, of)
