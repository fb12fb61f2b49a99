"""What an ADT message says of others than the patient: accounts, mothers, contacts, roles, procedures, and who pays."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.methods.synchronous.transformation.test_adt import HEADER, LONDON, PID, VISIT, read, resources

from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.messages import Transformed, to_v2


def pid(**fields: str) -> str:
    """PID with these fields: `_18` is PID-18."""
    said = {1: "1", 3: "9000000009^^^NHS^NH", 5: "Khan^Aisha", **{int(name[1:]): text for name, text in fields.items()}}
    return "|".join(["PID", *(said.get(number, "") for number in range(1, max(said) + 1))])


def said_again(done: Transformed) -> Message:
    """The message that a Bundle is: of a visit, where there is one."""
    return to_v2(done.bundle, "ADT^A01" if resources(done, "Encounter") else "ADT^A31", HEADER, LONDON)


def requests(done: Transformed, kind: str) -> list[dict[str, Any]]:
    return [entry["request"] for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == kind]


def ethnic(done: Transformed) -> list[str]:
    (patient,) = resources(done, "Patient")
    found = [each for each in patient.get("extension", ()) if each["url"].endswith("EthnicCategory")]
    return [each["valueCodeableConcept"]["coding"][0]["code"] for each in found]


def test_a_race_is_the_nhs_ethnic_category_or_nothing() -> None:
    assert ethnic(read(pid(_10="A"))) == ["A"]
    same = read(pid(_10="A", _22="A"))
    assert (ethnic(same), same.coverage.wrong) == (["A"], [])
    other = read(pid(_10="A", _22="B"))
    assert (ethnic(other), other.coverage.wrong) == (["A"], [("PID-22", "PID-10 says another, and UK Core has one")])
    foreign = read(pid(_10="2106-3^White^HL70005"))
    assert (ethnic(foreign), foreign.coverage.unmapped) == ([], ["PID-10"])
    assert said_again(read(pid(_10="A"))).get("PID-22.1") == "A"


@pytest.mark.parametrize("number", ["ACC1^^^&1.2.3&ISO", "ACC1"])
def test_an_account_is_what_the_visit_is_charged_to(number: str) -> None:
    done, again = (read(pid(_18=number), VISIT) for _ in range(2))
    (account,) = resources(done, "Account")
    (request,) = requests(done, "Account")
    assert (account["status"], account["identifier"][0]["value"]) == ("unknown", "ACC1")
    assert request["ifNoneExist"] == requests(again, "Account")[0]["ifNoneExist"], "it is found again"
    (visit,) = resources(done, "Encounter")
    (url,) = [entry["fullUrl"] for entry in done.bundle["entry"] if entry["resource"] is account]
    assert visit["account"] == [{"reference": url}]
    assert said_again(done).get("PID-18.1") == "ACC1"


def test_a_mother_is_a_related_person() -> None:
    done = read(pid(_21="M1^^^&1.2.3&ISO"))
    (mother,) = resources(done, "RelatedPerson")
    assert mother["relationship"][0]["coding"][0]["code"] == "MTH"
    assert requests(done, "RelatedPerson") == [
        {"method": "POST", "url": "RelatedPerson", "ifNoneExist": "identifier=urn:oid:1.2.3%7CM1"}
    ]


def test_who_changed_a_record_is_its_provenance() -> None:
    done = read(pid(_33="20261122093000", _34="ANNEX"), "EVN|A01|20261123101400")
    record, event = resources(done, "Provenance")
    assert record["recorded"] == record["occurredDateTime"] == "2026-11-22T09:30:00+00:00"
    assert record["contained"][0]["name"] == "ANNEX"
    assert record["target"] == [{"reference": done.bundle["entry"][0]["fullUrl"]}]
    assert event["target"] == [{"reference": done.bundle["entry"][0]["fullUrl"]}], "an event is not of another provenance"
    back = said_again(done)
    assert (back.get("PID-34.1"), back.get("EVN-2")[:12]) == ("ANNEX", "202611231014")


def test_who_changed_a_record_is_the_sender_where_it_names_nobody() -> None:
    done = read(pid(_33="20261122"))
    (record,) = resources(done, "Provenance")
    assert (record["agent"][0]["who"], record["occurredDateTime"]) == ({"display": "RXN"}, "2026-11-22")
    back = said_again(done)
    assert (back.get("PID-33"), back.get("PID-34")) == ("20261122", "")


def test_an_animal_has_a_breed_where_it_has_a_species() -> None:
    done = read(pid(_35="D^Dog^L", _36="B^Beagle^L"))
    (patient,) = resources(done, "Patient")
    (animal,) = patient["extension"]
    assert [each["url"] for each in animal["extension"]] == ["species", "breed"]
    assert read(pid(_36="B^Beagle^L")).coverage.wrong == [("PID-36", "PID-35 says of no species that it would be a breed of")]


def test_a_contact_that_says_more_is_a_related_person_too() -> None:
    contact = "NK1|1|Khan^Omar|SPO||01642 1||||||||||M|19600102000000||||en|||||||||||||N1^^^&1.2.3&ISO"
    done = read(PID, contact)
    (patient,) = resources(done, "Patient")
    (person,) = resources(done, "RelatedPerson")
    (url,) = [entry["fullUrl"] for entry in done.bundle["entry"] if entry["resource"] is person]
    assert patient["contact"][0]["extension"][0]["valueReference"] == {"reference": url}
    assert (person["birthDate"], person["name"], person["gender"]) == ("1960-01-02", [patient["contact"][0]["name"]], "male")
    assert person["communication"][0]["language"]["coding"][0]["code"] == "en"
    assert requests(done, "RelatedPerson") == [{"method": "PUT", "url": "RelatedPerson?identifier=urn:oid:1.2.3%7CN1"}]
    back = said_again(done)
    assert [back.get(f"NK1-{path}") for path in ("2.1", "16", "20.1", "33.1")] == ["Khan", "19600102", "en", "N1"]


def test_nobody_elses_time_of_birth_is_said() -> None:
    assert read(PID, "NK1|1|Khan^Omar||||||||||||||196001021230").coverage.wrong == [
        ("NK1-16.1", "expected a day, with no time of it")
    ]


def test_who_speaks_for_an_organisation_is_its_contact() -> None:
    fields = ["NK1", "1", *[""] * 11, "Works Ltd", *[""] * 16, "Roe^Jane", "01642 2^WPN^PH", "1 Mill Lane"]
    done = read(PID, "|".join(fields))
    (patient,) = resources(done, "Patient")
    (works,) = patient["contained"]
    assert works["contact"] == [
        {
            "name": {"family": "Roe", "given": ["Jane"]},
            "telecom": [{"use": "work", "system": "phone", "value": "01642 2"}],
            "address": {"line": ["1 Mill Lane"]},
        }
    ]
    alone = read(PID, "|".join([*fields[:13], "", *fields[14:31]]).replace("NK1|1|", "NK1|1|Khan^Omar"))
    assert alone.coverage.wrong == [("NK1-30", "NK1-13 names no organisation that they would speak for")]


def test_a_procedure_lasts_so_many_minutes() -> None:
    surgeon = "S1^Smith^Jane^^^^^^GMC&1.2.3&ISO"
    segment = f"PR1|1||80146002^Appendicectomy^SCT||20261122090000|OP|45||||{surgeon}||||K35^Appendicitis^I10"
    done, again = (read(PID, VISIT, segment) for _ in range(2))
    (procedure,) = resources(done, "Procedure")
    assert procedure["performedPeriod"] == {"start": "2026-11-22T09:00:00+00:00", "end": "2026-11-22T09:45:00+00:00"}
    assert (procedure["status"], procedure["performer"][0]["function"]["coding"][0]["code"]) == ("completed", "304292004")
    assert procedure["encounter"]["reference"] == done.bundle["entry"][1]["fullUrl"]
    assert requests(done, "Procedure") == requests(again, "Procedure")
    assert requests(done, "Procedure")[0]["method"] == "PUT"
    back = said_again(done)
    assert [back.get(f"PR1-{path}") for path in ("3.1", "7", "11.1", "19.1")] == ["80146002", "45", "S1", ""]


@pytest.mark.parametrize(
    ("fields", "status"), [("20261224|", "preparation"), ("|", "unknown"), (f"20261122{'|' * 15}D", "entered-in-error")]
)
def test_a_procedure_is_as_far_as_its_time_says(fields: str, status: str) -> None:
    (procedure,) = resources(read(PID, f"PR1|1||A^Words||{fields}"), "Procedure")
    assert procedure["status"] == status


def test_an_insurance_is_found_by_whose_it_is_and_not_by_its_plan() -> None:
    segment = (
        "IN1|1|GOLD^Gold plan^L|C1^^^&1.2.3&ISO|Insurers|1 Row^^Leeds^^LS1^^H||0113 1^PRN^PH|G1|||Works|20260101|20261231||PPO"
    )
    done = read(PID, f"{segment}|Khan^Omar|SPO|19600102||||1{'|' * 14}P77{'|' * 13}S9")
    (insurance,) = resources(done, "Coverage")
    derived = insurance["identifier"][0]
    assert requests(done, "Coverage") == [{"method": "PUT", "url": f"Coverage?identifier={derived['system']}%7C{derived['value']}"}]
    assert [each["value"] for each in insurance["identifier"][1:]] == ["GOLD", "P77"]
    assert (insurance["status"], insurance["order"], insurance["subscriberId"]) == ("active", 1, "S9")
    assert insurance["payor"][0]["reference"] in [entry["fullUrl"] for entry in done.bundle["entry"]]
    (insurer,) = [each for each in resources(done, "Organization") if each["name"] == "Insurers"]
    assert "use" not in insurer["address"][0], "FHIR has no home of an organisation"
    other = read("PID|1||9000000017^^^NHS^NH", segment)
    assert requests(other, "Coverage") != requests(read(PID, segment), "Coverage")
    back = said_again(done)
    paths = ("2.1", "3.1", "4", "5.7", "7.2", "8", "11", "16.1", "17.1", "18", "22", "36", "49")
    assert [back.get(f"IN1-{path}") for path in paths] == [
        "GOLD", "C1", "Insurers", "H", "PRN", "G1", "Works", "Khan", "SPO", "19600102", "1", "P77", "S9",
    ]  # fmt: skip


def test_who_pays_is_of_an_account() -> None:
    done = read(PID, "GT1|1||Khan^Omar|||01642 1|||||SPO||20260101", "IN1|1|GOLD|C1|Insurers")
    (account,) = resources(done, "Account")
    (person,) = resources(done, "RelatedPerson")
    assert account["guarantor"][0]["period"] == {"start": "2026-01-01"}
    assert (len(account["coverage"]), account["status"], person["name"][0]["family"]) == (1, "active", "Khan")
    assert requests(done, "Account")[0]["method"] == requests(done, "RelatedPerson")[0]["method"] == "PUT"
    back = said_again(done)
    assert [back.get(path) for path in ("PID-18", "GT1-3.1", "GT1-13", "IN1-4")] == ["", "Khan", "20260101", "Insurers"]


def test_roles_are_of_what_they_stand_after() -> None:
    gp, nurse = "ROL|R1^^1.2.3^ISO|AD|PP^^HL70443|G1^Jones", "ROL||AD|NURSE^^L|N1^Doe|20261123||||||||^^^WARDS"
    done = read(PID, gp, "ROL||AD|XX^^HL70443|X1^Roe", VISIT, nurse, "ROL||DE|NURSE|Z1^Ray")
    (patient,) = resources(done, "Patient")
    (visit,) = resources(done, "Encounter")
    kinds = [each["resourceType"] for each in patient["contained"]]
    assert (kinds, len(patient["generalPractitioner"])) == (["Practitioner", "PractitionerRole"], 1)
    (participant,) = visit["participant"]
    assert participant["type"][0]["coding"][0]["code"] == "NURSE"
    assert participant["period"] == {"start": "2026-11-23"}
    assert {path.partition("-")[0] for path in done.coverage.unmapped} == {"ROL(2)", "ROL(4)"}
    back = said_again(done)
    assert [(each.value(3), each.value(4), each.value(5)) for each in back.all("ROL")] == [
        ("PP", "G1", ""), ("NURSE", "N1", "20261123"),
    ]  # fmt: skip


def test_who_changed_a_record_of_several_is_said_once() -> None:
    record = pid(_33="20261122093000", _18="ACC1")
    done = read(record, "MRG|K7^^^RXN^MR", record, "MRG|K8^^^RXN^MR", event="A40")
    assert (len(resources(done, "Provenance")), len(resources(done, "Account"))) == (1, 1)
    assert len(resources(done, "Patient")[0]["link"]) == 2
