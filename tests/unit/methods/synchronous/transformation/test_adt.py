"""ADT messages as Bundles, and back: who is updated, who is made, who takes whose place, and what a message must have."""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.families.adt import ADT, event_of
from fiveways.methods.synchronous.transformation.v2.messages import Header, Transformed, Unsayable, to_fhir, to_v2
from fiveways.methods.synchronous.transformation.v2.tables.table import Context

OWN = Path(__file__).parent / "messages"
LONDON = Context(ZoneInfo("Europe/London"), authorities={"RXN": "https://northshire.test/Id/hospital-number"})
HEADER = Header("BACK1", datetime(2026, 11, 23, 10, 15, tzinfo=UTC))
NHS = "https://fhir.nhs.uk/Id/nhs-number"
PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha"
VISIT = "PV1|1|I|||||||||||||||||V1^^^&1.2.3&ISO"


def read(*segments: str, event: str = "A01", context: Context = LONDON) -> Transformed:
    header = f"MSH|^~\\&|PAS|RXN|||20261123101500||ADT^{event}|N1|P|2.5.1"
    return to_fhir(Message.parse("\r".join((header, *segments)) + "\r"), context)


def resources(done: Transformed, kind: str) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == kind]


def own(event: str) -> Message:
    return Message.parse((OWN / f"ADT_{event}.hl7").read_bytes().decode())


@pytest.mark.parametrize("event", sorted(ADT.events))
def test_each_event_is_the_bundle_that_is_expected(event: str) -> None:
    done = to_fhir(own(event), LONDON)
    assert json.loads(json.dumps(done.bundle)) == json.loads((OWN / f"ADT_{event}.json").read_text())
    assert (done.coverage.unmapped, done.coverage.wrong) == ([], [])


@pytest.mark.parametrize("event", sorted(ADT.events))
def test_each_event_comes_back_as_the_message_it_was(event: str) -> None:
    """What it says again is the same Bundle, but for the header's own."""
    done = said_of(to_fhir(own(event), LONDON))
    again = said_of(to_fhir(to_v2(to_fhir(own(event), LONDON).bundle, f"ADT^{event}", HEADER, LONDON), LONDON))
    assert again == done


def said_of(done: Transformed) -> list[tuple[Any, Any]]:
    """Requests and resources, with no names that are of the Bundle only, or of one way to write a time; EVN has always a time."""
    entries = [entry for entry in done.bundle["entry"] if entry["resource"]["resourceType"] != "Provenance"]
    text = json.dumps([(entry["request"], entry["resource"]) for entry in entries], sort_keys=True).replace("+00:00", "Z")
    names = {entry["fullUrl"]: f"{entry['resource']['resourceType']} {n}" for n, entry in enumerate(entries)}
    for url, name in names.items():
        text = text.replace(url, name)
    found: list[tuple[Any, Any]] = json.loads(text)
    return found


def test_who_is_known_by_an_identifier_is_an_entry_and_the_rest_stays_contained() -> None:
    done = read(PID, "PV1|1|I|||||C1^Smith^Jane^^^^^^GMC&1.2.3&ISO|^Patel^Ravi|C1^Smith^Jane^^^^^^GMC&1.2.3&ISO")
    (practitioner,) = [entry for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == "Practitioner"]
    assert practitioner["request"] == {"method": "POST", "url": "Practitioner", "ifNoneExist": "identifier=urn:oid:1.2.3%7CC1"}
    (visit,) = resources(done, "Encounter")
    references = [each["individual"]["reference"] for each in visit["participant"]]
    assert references[0] == references[2] == practitioner["fullUrl"]
    assert [f"#{each['id']}" for each in visit["contained"]] == [references[1]]
    back = to_v2(done.bundle, "ADT^A01", HEADER, LONDON)
    assert [back.get(f"PV1-{path}") for path in ("7.1", "7.2", "8.2", "9.9.1")] == ["C1", "Smith", "Patel", "GMC"]


def test_who_has_the_same_identifier_and_another_name_stays_beside() -> None:
    done = read(PID, "PV1|1|I|||||C1^Smith^Jane^^^^^^GMC&1.2.3&ISO||C1^Smythe^Jane^^^^^^GMC&1.2.3&ISO")
    (visit,) = resources(done, "Encounter")
    assert [each["name"][0]["family"] for each in resources(done, "Practitioner")] == ["Smith"]
    assert [each["name"][0]["family"] for each in visit["contained"]] == ["Smythe"]


def test_places_that_are_known_are_entries_within_their_places() -> None:
    done = read(PID, "PV1|1|I|W5^B2^BED3&1.2.3&ISO^SITE&1.2.4&ISO")
    site, bed = sorted(resources(done, "Location"), key=lambda place: place["name"], reverse=True)
    assert (site["name"], bed["name"]) == ("SITE", "BED3")
    assert [each["name"] for each in bed["contained"]] == ["W5", "B2"]
    assert bed["contained"][0]["partOf"]["reference"].startswith("urn:uuid:")
    back = to_v2(done.bundle, "ADT^A01", HEADER, LONDON)
    assert back.segments[-1].field(3) == "W5^B2^BED3&1.2.3&ISO^SITE&1.2.4&ISO"


def test_who_is_replaced_is_updated_by_their_identifier() -> None:
    done = read(PID, "MRG|9000000017^^^NHS^NH", event="A40")
    kept, prior = done.bundle["entry"]
    assert prior["request"] == {"method": "PUT", "url": f"Patient?identifier={NHS}%7C9000000017"}
    assert prior["resource"]["active"] is False
    assert prior["resource"]["link"] == [{"other": {"reference": kept["fullUrl"]}, "type": "replaced-by"}]
    assert kept["resource"]["link"] == [{"other": {"reference": prior["fullUrl"]}, "type": "replaces"}]
    assert kept["request"] == {"method": "PUT", "url": f"Patient?identifier={NHS}%7C9000000009"}


@pytest.mark.parametrize("prior", ["OLD1^^^SOMEWHERE", "9000000009^^^NHS"])
def test_who_cannot_be_found_is_not_made(prior: str) -> None:
    """Nor is the one that is kept replaced by themselves."""
    done = read(PID, f"MRG|{prior}", event="A40")
    (kept,) = resources(done, "Patient")
    assert kept["link"] == [{"other": {"reference": "#replaced-1"}, "type": "replaces"}]
    assert kept["contained"][0]["identifier"][0]["value"] == prior.partition("^")[0]
    assert to_v2(done.bundle, "ADT^A40", HEADER, LONDON).get("MRG-1.1") == prior.partition("^")[0]


def test_one_patient_takes_the_place_of_several() -> None:
    done = read(PID, "MRG|A^^^&1.2.3&ISO", PID, "MRG|B^^^&1.2.3&ISO", "PID|3||9000000009^^^NHS^NH||Kahn", "MRG|C", event="A40")
    kept = resources(done, "Patient")[0]
    assert [link["type"] for link in kept["link"]] == ["replaces"] * 3
    assert done.coverage.wrong == [("PID(3)", "it says otherwise of a patient who is named before")]
    back = to_v2(done.bundle, "ADT^A40", HEADER, LONDON)
    assert [(each.name, each.value(1 if each.name == "MRG" else 3)) for each in back.segments[2:]] == [
        ("PID", "9000000009"), ("MRG", "A"), ("PID", "9000000009"), ("MRG", "B"), ("PID", "9000000009"), ("MRG", "C"),
    ]  # fmt: skip
    again = to_fhir(back, LONDON)
    assert (again.coverage.wrong, resources(again, "Patient")[0]["link"][0]["type"]) == ([], "replaces")


def test_two_diagnoses_with_one_identifier_are_told_of() -> None:
    done = read(PID, VISIT, "DG1|1||I10^^I10|||||||||||||||||D7^PAS^1.2.3^ISO", "DG1|2||I11^^I10|||||||||||||||||D7^PAS^1.2.3^ISO")
    assert [each["code"]["coding"][0]["code"] for each in resources(done, "Condition")] == ["I10"]
    assert done.coverage.wrong == [("DG1(2)", "another diagnosis has the same identifier")]


def test_a_merge_that_another_system_says_with_a_reference_to_an_identifier() -> None:
    link = {"other": {"identifier": {"system": NHS, "value": "9000000017"}}, "type": "replaces"}
    patient = {"resourceType": "Patient", "identifier": [{"system": NHS, "value": "9000000009"}], "link": [link]}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient}]}
    back = to_v2(bundle, "ADT^A40", HEADER, LONDON)
    assert (event_of(bundle), back.get("PID-3.1"), back.get("MRG-1.1")) == ("A40", "9000000009", "9000000017")


def test_a_merge_of_nobody_and_an_a34_of_several_cannot_be_said() -> None:
    with pytest.raises(Unsayable, match="replaces another is needed"):
        to_v2(read(PID).bundle, "ADT^A40", HEADER, LONDON)
    several = read(PID, "MRG|A^^^&1.2.3&ISO", "PID|2||9000000025^^^NHS", "MRG|B^^^&1.2.3&ISO", event="A40")
    with pytest.raises(Unsayable, match="there are several"):
        to_v2(several.bundle, "ADT^A34", HEADER, LONDON)


def test_what_is_the_matter_is_found_again_when_it_is_said_again() -> None:
    """A visit's diagnoses and a patient's allergies have identifiers that follow from them, and are not written back."""
    segments = (PID, VISIT, "DG1|1||I10^HT^I10|||A", "DG1|2||I10^HT^I10|||A", "AL1|1|DA|^Penicillin")
    first, second = read(*segments), read(*segments, event="A08")
    urls = [[entry["request"]["url"] for entry in done.bundle["entry"][2:5]] for done in (first, second)]
    assert urls[0] == urls[1]
    assert len(set(urls[0])) == 3
    assert all(url.partition("?")[2].startswith("identifier=urn:ietf:rfc:3986%7Curn:uuid:") for url in urls[0])
    back = to_v2(first.bundle, "ADT^A01", HEADER, LONDON)
    assert [segment.text for segment in back.all("DG1")] == ["DG1|1||I10^HT^I10|||A^^HL70052", "DG1|2||I10^HT^I10|||A^^HL70052"]
    unknown = read("PID|1||K1^^^SOMEWHERE", "AL1|1|DA|^Penicillin")
    assert unknown.bundle["entry"][1]["request"] == {"method": "POST", "url": "AllergyIntolerance"}


def test_a_diagnosis_that_has_an_identifier_keeps_it() -> None:
    done = read(PID, VISIT, "DG1|1||I10^^I10|Hypertension||F|||||||||2|||||D7^PAS^1.2.3^ISO|D")
    (condition,) = resources(done, "Condition")
    assert condition["identifier"] == [{"value": "D7", "system": "urn:oid:1.2.3", "assigner": {"display": "PAS"}}]
    assert condition["verificationStatus"]["coding"][0]["code"] == "entered-in-error"
    assert resources(done, "Encounter")[0]["diagnosis"][0]["rank"] == 2
    assert to_v2(done.bundle, "ADT^A01", HEADER, LONDON).get("DG1-20.3") == "1.2.3"


def test_a_contact_that_fhir_cannot_have_is_told_of() -> None:
    done = read(PID, "NK1|1||SPO", "NK1|2|Khan^Omar", "NK1|3||||||||||||North Surgery^^^^^^^^^A1")
    assert done.coverage.wrong == [("NK1", "FHIR has no contact without a name, an address, a number or an organisation")]
    (patient,) = resources(done, "Patient")
    assert [set(contact) for contact in patient["contact"]] == [{"name"}, {"organization"}]
    assert patient["contained"][0]["name"] == "North Surgery"
    back = to_v2(done.bundle, "ADT^A28", HEADER, LONDON)
    assert (back.get("NK1(2)-1"), back.get("NK1(2)-13.1"), back.get("NK1(2)-13.10")) == ("2", "North Surgery", "A1")


def test_who_did_it_when_and_why() -> None:
    done = read("EVN|A01|20261123101400|||U1^Booth^^^^^^^&1.2.3&ISO|20261123100000|WARD5", PID)
    (provenance,) = resources(done, "Provenance")
    assert (provenance["recorded"], provenance["occurredDateTime"]) == ("2026-11-23T10:14:00+00:00", "2026-11-23T10:00:00+00:00")
    assert provenance["target"] == [{"reference": done.bundle["entry"][0]["fullUrl"]}]
    assert provenance["activity"]["coding"][0]["code"] == "A01"
    assert resources(read("EVN|A01|20261123101500", PID), "Provenance") == [], "the header says as much"
    assert resources(read("EVN|A01|2026|||U1", PID), "Provenance")[0]["recorded"] == "2026-11-23T10:15:00+00:00"


def test_a_value_that_fhir_cannot_have_is_told_of_and_the_rest_stands() -> None:
    done = read("PID|1||9000000009^^^NHS^^^^yesterday||Khan^A||20201345|F||||||||||||||||N|2||||20200101|N||99")
    assert [path for path, _ in done.coverage.wrong] == ["PID-3.8", "PID-7.1", "PID-25", "PID-30", "PID-32"]
    (patient,) = resources(done, "Patient")
    assert patient["identifier"] == [{"value": "9000000009", "system": NHS}]
    assert (patient["multipleBirthBoolean"], patient["deceasedDateTime"], patient["gender"]) == (False, "2020-01-01", "female")


def test_an_explicit_nothing_is_not_text() -> None:
    done = read('PID|1||9000000009^^^NHS||Khan^""||""|""||""|""||""|||""|""||||||""|""|""|""|""||""|""|""', event="A31")
    assert '""' not in json.dumps(done.bundle).replace('\\"', '"')
    assert done.coverage.wrong == []
    assert resources(done, "Patient")[0]["name"] == [{"family": "Khan"}]


def test_a_search_value_is_one_value() -> None:
    """A comma would ask for either of two patients."""
    (entry,) = read("PID|1||A,B\\T\\C^^^&1.2.3&ISO").bundle["entry"]
    assert entry["request"]["url"] == "Patient?identifier=urn:oid:1.2.3%7CA%5C%2CB%26C"


@pytest.mark.parametrize(("profiles", "said"), [("uk-core", True), ("", False)])
def test_resources_say_the_profiles_that_the_deployment_names(profiles: Any, said: bool) -> None:
    done = read(PID, VISIT, "AL1|1|DA||SV", context=replace(LONDON, profiles=profiles))
    base = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
    assert [each["resource"].get("meta") for each in done.bundle["entry"]] == (
        [{"profile": [f"{base}Patient"]}, {"profile": [f"{base}Encounter"]}, None] if said else [None, None, None]
    ), "an allergy to nothing that is said is none of UK Core's"


@pytest.mark.parametrize("kept", ["document", "binary"])
def test_the_message_is_kept_where_the_deployment_says_so(kept: Any) -> None:
    context = replace(LONDON, original=kept)
    message = own("A01")
    done = to_fhir(message, context)
    (document,) = resources(done, "DocumentReference")
    attachment = document["content"][0]["attachment"]
    held = attachment if kept == "document" else resources(done, "Binary")[0]
    assert b64decode(held["data"]).decode() == message.text
    assert (attachment["contentType"], held["contentType"]) == ("application/hl7-v2", "application/hl7-v2")
    assert document["subject"]["reference"] == done.bundle["entry"][0]["fullUrl"]
    assert to_fhir(message, context) == done, "the same message is the same document"
    back = to_v2(done.bundle, "ADT^A01", HEADER, context)
    assert back.text == to_v2(to_fhir(message, LONDON).bundle, "ADT^A01", HEADER, LONDON).text


def test_a_patient_alone_becomes_a_message_that_has_what_it_must() -> None:
    patient = {"resourceType": "Patient", "name": [{"family": "Khan"}], "birthDate": "1980-01-02"}
    back = to_v2({"resourceType": "Bundle", "entry": [{"resource": patient}]}, "ADT^A31", HEADER, LONDON)
    assert [segment.text for segment in back.segments[1:]] == [
        "EVN|A31|20261123101500+0000", "PID|1||||Khan||19800102", "PV1|1|N",
    ]  # fmt: skip
    assert back.get("MSH-9.3") == "ADT_A05"
    again = to_fhir(back, LONDON)
    assert (again.coverage.unmapped, [each["resource"]["resourceType"] for each in again.bundle["entry"]]) == ([], ["Patient"])
    with pytest.raises(Unsayable, match="a Encounter is needed"):
        to_v2({"resourceType": "Bundle", "entry": [{"resource": patient}]}, "ADT^A01", HEADER, LONDON)


def test_a_date_that_is_none_cannot_be_said() -> None:
    patient = {"resourceType": "Patient", "birthDate": "long ago"}
    with pytest.raises(Unsayable, match="PID cannot say what is in the Patient: expected a FHIR date"):
        to_v2({"resourceType": "Bundle", "entry": [{"resource": patient}]}, "ADT^A31", HEADER, LONDON)


def test_references_by_type_and_id_lead_to_entries() -> None:
    practitioner = {"resourceType": "Practitioner", "id": "p1", "name": [{"family": "Smith"}], "identifier": [{"value": "C1"}]}
    attends = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}
    visit = {
        "resourceType": "Encounter", "status": "in-progress", "class": {"code": "VR"},
        "participant": [{"type": [attends], "individual": {"reference": "Practitioner/p1"}}],
    }  # fmt: skip
    entries = [{"resource": each} for each in ({"resourceType": "Patient"}, visit, practitioner)]
    back = to_v2({"resourceType": "Bundle", "entry": entries}, "ADT^A01", HEADER, LONDON)
    assert (back.get("PV1-2"), back.get("PV1-7.1"), back.get("PV1-7.2")) == ("O", "C1", "Smith")
    assert "contained" not in visit, "what is given is left as it is"


@pytest.mark.parametrize(
    ("entries", "event"),
    [
        ([("Patient", {}, "POST")], "A28"),
        ([("Patient", {}, "PUT")], "A31"),
        ([("Patient", {}, "PUT"), ("Encounter", {"status": "planned"}, "PUT")], "A05"),
        ([("Encounter", {"status": "in-progress", "class": {"code": "IMP"}}, "POST")], "A01"),
        ([("Encounter", {"status": "in-progress", "class": {"code": "EMER"}}, "POST")], "A04"),
        ([("Encounter", {"status": "in-progress", "class": {"code": "IMP"}}, "PUT")], "A08"),
        ([("Encounter", {"status": "finished"}, "PUT")], "A03"),
        ([("Encounter", {"status": "cancelled"}, "PUT")], "A11"),
        ([("Encounter", {"status": "unknown"}, "PUT")], "A08"),
        ([("Patient", {"link": [{"type": "replaced-by"}]}, "PUT")], "A40"),
        ([("Observation", {}, "POST")], None),
        ([], None),
    ],
)
def test_the_event_that_resources_say(entries: list[tuple[str, dict[str, Any], str]], event: str | None) -> None:
    said = [{"resource": {"resourceType": kind, **more}, "request": {"method": method}} for kind, more, method in entries]
    assert event_of({"resourceType": "Bundle", "entry": said}) == event


def test_the_event_that_a_bundle_says() -> None:
    assert event_of(read(PID, VISIT, event="A12").bundle) == "A12"
