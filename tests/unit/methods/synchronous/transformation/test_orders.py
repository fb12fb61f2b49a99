"""ORM^O01 and OML^O21: what is ordered, and what is not any more."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tests.unit.methods.synchronous.transformation.clinical import OWN, back, message, one, read, resources, said

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.messages import Unsayable

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha||19800102|F"


def ordered(common: str, *more: str) -> dict[str, object]:
    return one(said(PID, common, *more, kind="ORM^O01"), "ServiceRequest")


def test_an_order() -> None:
    done = read("ORM_O01_new")
    request = one(done, "ServiceRequest")
    assert (request["status"], request["intent"], request["priority"]) == ("active", "order", "stat")
    assert request["occurrencePeriod"] == {"start": "2026-11-03T09:00:00+00:00", "end": "2026-11-03T10:00:00+00:00"}
    assert request["requisition"]["value"] == "G2"
    assert request["reasonCode"] == [{"text": "Head injury"}]
    assert request["note"] == [{"text": "Claustrophobic"}]
    assert request["category"] == [{"coding": [{"code": "CT", "system": "http://terminology.hl7.org/CodeSystem/v2-0074"}]}]
    urls = {entry["resource"]["resourceType"]: entry for entry in done.bundle["entry"]}
    assert (
        urls["ServiceRequest"]["request"]["url"]
        == "ServiceRequest?identifier=urn:oid:1.2.826.0.1.2%7CP101&code=urn:id:LOCAL%7CCTHE"
    )
    assert request["reasonReference"] == [{"reference": urls["Condition"]["fullUrl"]}]
    assert request["supportingInfo"] == [{"display": "Fell from a ladder"}, {"reference": urls["Observation"]["fullUrl"]}]
    assert one(done, "Observation")["effectiveDateTime"] == "2026-10-30"
    assert "ifNoneExist" in urls["Patient"]["request"]


def test_an_order_that_is_cancelled_with_why() -> None:
    request = one(read("ORM_O01_cancel"), "ServiceRequest")
    assert request["status"] == "revoked"
    assert request["extension"] == [{
        "url": "http://hl7.org/fhir/StructureDefinition/request-statusReason",
        "valueCodeableConcept": {"coding": [{"code": "DUP", "display": "Asked for twice", "system": "urn:id:LOCAL"}]},
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("control", "order_status", "expected"),
    [
        ("NW", "", "active"), ("CA", "", "revoked"), ("OC", "", "revoked"), ("DC", "", "revoked"), ("HD", "", "on-hold"),
        ("XO", "", "active"), ("SC", "CM", "completed"), ("SC", "IP", "active"), ("NW", "HD", "on-hold"), ("SC", "ZZ", "unknown"),
        ("NW", "ZZ", "active"), ("ZZ", "", "unknown"),
    ],
)  # fmt: skip
def test_the_status_of_an_order(control: str, order_status: str, expected: str) -> None:
    done = said(PID, f"ORC|{control}|P1^ICE^1.2.3^ISO|||{order_status}", "OBR|1", kind="ORM^O01")
    assert one(done, "ServiceRequest")["status"] == expected
    written = back(done.bundle, message(OWN / "ORM_O01_new.hl7"))
    assert (written.get("ORC-1"), written.get("ORC-5")) == (control, order_status)


@pytest.mark.parametrize(("status", "control", "order_status"), [
    ("active", "NW", "IP"), ("revoked", "CA", "CA"), ("completed", "PR", "CM"), ("on-hold", "HD", "HD"), ("draft", "SC", ""),
])  # fmt: skip
def test_an_order_that_was_never_a_message(status: str, control: str, order_status: str) -> None:
    done = read("ORM_O01_cancel")
    request = one(done, "ServiceRequest")
    request["status"] = status
    del request["_status"]
    written = back(done.bundle, message(OWN / "ORM_O01_new.hl7"))
    assert (written.get("ORC-1"), written.get("ORC-5")) == (control, order_status)


def test_several_orders_with_their_specimens() -> None:
    done = read("OML_O21")
    blood, protein = resources(done, "ServiceRequest")
    specimen = one(done, "Specimen")
    url = next(e["fullUrl"] for e in done.bundle["entry"] if e["resource"] is specimen)
    assert blood["specimen"] == [{"reference": url}]
    assert "specimen" not in protein
    assert (blood["priority"], protein["priority"]) == ("routine", "stat")
    assert blood["quantityQuantity"] == {
        "value": Decimal(1),
        "unit": "{tube}",
        "system": "http://unitsofmeasure.org",
        "code": "{tube}",
    }
    assert specimen["collection"]["collectedPeriod"] == {"start": "2026-11-03T08:00:00+00:00", "end": "2026-11-03T08:05:00+00:00"}
    assert str(specimen["collection"]["quantity"]["value"]) == "4.0"
    assert specimen["note"] == [{"text": "left arm"}]
    assert specimen["collection"]["method"]["coding"] == [{"code": "VENIP"}]
    assert "reference" in specimen["collection"]["collector"]
    assert blood["_status"]["extension"][1]["valueCodeableConcept"]["coding"][0]["code"] == "SC"


def test_a_specimen_that_only_the_request_describes() -> None:
    done = said(
        PID,
        "ORC|NW|P1",
        "OBR|1|P1||FBC^Blood count|||20261103080000||5^mL||||||BLD&Blood&LOCAL^^^LA&Left arm&LOCAL",
        kind="ORM^O01",
    )
    specimen = one(done, "Specimen")
    assert specimen["type"]["coding"] == [{"code": "BLD", "display": "Blood", "system": "urn:id:LOCAL"}]
    assert specimen["collection"]["bodySite"]["coding"][0]["code"] == "LA"
    assert specimen["collection"]["collectedDateTime"] == "2026-11-03T08:00:00+00:00"


def test_who_orders_is_said_by_whichever_segment_says_more() -> None:
    request = ordered("ORC|NW|P1||||||||||C1", "OBR|1|P1||CT^CT||||||||||||C1^Osei^Ama")
    assert element.get(request, "contained[0].name[0].family") == "Osei"
    done = said(PID, "ORC|NW|P1||||||||||C1^Osei", "OBR|1|P1||CT^CT||||||||||||C2^Kaur", kind="ORM^O01")
    assert element.get(one(done, "ServiceRequest"), "contained[0].name[0].family") == "Osei"
    assert "OBR-16" in done.coverage.unmapped


def test_a_time_that_is_said_twice_and_differs_is_told_of() -> None:
    done = said(PID, "ORC|NW|P1|||||^^^20261103", "OBR|1|P1||CT^CT||20261104", kind="ORM^O01")
    assert one(done, "ServiceRequest")["occurrenceDateTime"] == "2026-11-03"
    assert "OBR-6" in done.coverage.unmapped


def test_an_order_of_nobody_who_is_named() -> None:
    request = one(said("ORC|NW|P1", "OBR|1|P1||CT^CT", kind="ORM^O01"), "ServiceRequest")
    assert request["subject"] == {
        "extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}],
    }  # fmt: skip


def test_details_without_a_code_are_told_of() -> None:
    done = said(PID, "ORC|NW|P1", f"OBR|1|P1{'|' * 44}D1^Detail", kind="ORM^O01")
    assert "orderDetail" not in one(done, "ServiceRequest")
    assert done.coverage.wrong == [("OBR", "details of an order without a code")]


def test_an_allergy_stands_with_the_patient() -> None:
    done = said(PID, "AL1|1||PEN^Penicillin^LOCAL", "ORC|NW|P1", "OBR|1|P1||CT^CT", kind="OML^O21")
    assert one(done, "AllergyIntolerance")["code"]["coding"][0]["code"] == "PEN"
    assert back(done.bundle, message(OWN / "OML_O21.hl7")).get("AL1-3.2") == "Penicillin"


def test_what_an_order_must_have() -> None:
    done = read("OML_O21")
    done.bundle["entry"] = [e for e in done.bundle["entry"] if e["resource"]["resourceType"] != "ServiceRequest"]
    with pytest.raises(Unsayable, match="a ServiceRequest is needed"):
        back(done.bundle, message(OWN / "OML_O21.hl7"))
