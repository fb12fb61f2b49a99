"""ORU^R01: a report, its order, its observations and its specimens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tests.unit.methods.synchronous.transformation.clinical import OWN, back, message, one, read, resources, said

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.encoding import encode
from fiveways.methods.synchronous.transformation.v2.messages import Unsayable

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha||19800102|F"
OBR = "OBR|1||F1^LIMS^1.2.3^ISO|UE^Urea^LOCAL|||20261101080500||||||||||||||||||F"


def observations(*segments: str) -> list[dict[str, Any]]:
    return resources(said(PID, OBR, *segments), "Observation")


def observed(kind: str, value: str, rest: str = "||||||F") -> dict[str, Any]:
    (made,) = observations(f"OBX|1|{kind}|X^Something^LOCAL||{value}{rest}")
    return made


def test_a_report_with_its_order() -> None:
    done = read("ORU_R01_chemistry")
    report, request = one(done, "DiagnosticReport"), one(done, "ServiceRequest")
    assert [each["value"] for each in report["identifier"]] == ["F200", "P100"]
    assert [each["value"] for each in request["identifier"]] == ["P100", "F200"]
    assert report["code"]["coding"] == [{"code": "UE", "display": "Urea and electrolytes", "system": "urn:id:LOCAL"}]
    assert (report["status"], report["issued"]) == ("final", "2026-11-02T09:25:00+00:00")
    assert report["effectivePeriod"] == {"start": "2026-11-01T07:50:00+00:00", "end": "2026-11-01T08:05:00+00:00"}
    assert report["category"] == [{"coding": [{"code": "CH", "system": "http://terminology.hl7.org/CodeSystem/v2-0074"}]}]
    assert len(report["result"]) == 15
    assert (request["status"], request["intent"], request["authoredOn"]) == ("completed", "order", "2026-11-01T08:00:00+00:00")
    assert request["supportingInfo"] == [{"display": "On ramipril"}]
    assert element.get(report, "extension[0].valueAnnotation.text") == "Sample slightly haemolysed"


def test_what_is_reported_changes_nothing_that_is_known_of_the_patient() -> None:
    requests = {entry["resource"]["resourceType"]: entry["request"] for entry in read("ORU_R01_chemistry").bundle["entry"]}
    assert requests["Patient"] == {
        "method": "POST", "url": "Patient", "ifNoneExist": "identifier=https://fhir.nhs.uk/Id/nhs-number%7C9000000009",
    }  # fmt: skip
    assert (requests["Encounter"]["method"], requests["ServiceRequest"]["method"]) == ("POST", "POST")
    assert "ifNoneExist" in requests["Encounter"]
    assert requests["DiagnosticReport"] == {
        "method": "PUT", "url": "DiagnosticReport?identifier=urn:oid:1.2.826.0.1.3%7CF200&code=urn:id:LOCAL%7CUE",
    }  # fmt: skip


def test_one_number_for_several_tests_is_several_reports() -> None:
    done = said(PID, OBR, OBR.replace("UE^Urea", "FBC^Blood count"), OBR)
    urls = [e["request"]["url"] for e in done.bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport"]
    assert urls == [
        "DiagnosticReport?identifier=urn:oid:1.2.3%7CF1&code=urn:id:LOCAL%7CUE",
        "DiagnosticReport?identifier=urn:oid:1.2.3%7CF1&code=urn:id:LOCAL%7CFBC",
        "DiagnosticReport",
    ]


@pytest.mark.parametrize("digits", ["72.50", "0.010", "-1.0", "100", "0", "0.0000001", "123456789012345678.10"])
def test_a_number_keeps_its_digits(digits: str) -> None:
    done = said(PID, OBR, f"OBX|1|NM|X^Something^LOCAL||{digits}|g/L|||||F")
    value = one(done, "Observation")["valueQuantity"]["value"]
    assert value == Decimal(digits)
    assert format(value, "f") == digits
    if digits != "0.0000001":
        assert f'"value":{digits}'.encode() in encode(done.bundle)
    again = back(done.bundle, message(OWN / "ORU_R01_chemistry.hl7"))
    assert again.get("OBX-5") == digits


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("NM", "5", {"valueQuantity": {"value": Decimal(5)}}),
        ("NM", "<5", {"valueQuantity": {"comparator": "<", "value": Decimal(5)}}),
        ("NM", "+05.", {"valueQuantity": {"value": Decimal(5)}}),
        ("SN", ">=^90", {"valueQuantity": {"comparator": ">=", "value": Decimal(90)}}),
        ("SN", "=^90", {"valueQuantity": {"value": Decimal(90)}}),
        ("SN", "^5^-^10", {"valueRange": {"low": {"value": Decimal(5)}, "high": {"value": Decimal(10)}}}),
        ("SN", "^1^:^128", {"valueRatio": {"numerator": {"value": Decimal(1)}, "denominator": {"value": Decimal(128)}}}),
        ("SN", "^2^+", {"valueString": "2+"}),
        ("SN", "<>^90", {"valueString": "<>90"}),
        ("NR", "1.0^2.0", {"valueRange": {"low": {"value": Decimal("1.0")}, "high": {"value": Decimal("2.0")}}}),
        ("ST", "clear \\T\\ pale", {"valueString": "clear & pale"}),
        ("TX", "one~two", {"valueString": "one\ntwo"}),
        ("FT", "one\\.br\\two", {"valueString": "one\ntwo"}),
        ("", "untyped", {"valueString": "untyped"}),
        ("CE", "A^Apple^SCT", {"valueCodeableConcept": {"coding": [
            {"code": "A", "display": "Apple", "system": "http://snomed.info/sct"}]}}),
        ("IS", "B", {"valueCodeableConcept": {"coding": [{"code": "B"}]}}),
        ("DT", "20261101", {"valueDateTime": "2026-11-01"}),
        ("TS", "20261101080500", {"valueDateTime": "2026-11-01T08:05:00+00:00"}),
        ("DTM", "2026", {"valueDateTime": "2026"}),
        ("TM", "0830", {"valueTime": "08:30:00"}),
        ("DR", "20261101^20261102", {"valuePeriod": {"start": "2026-11-01", "end": "2026-11-02"}}),
        ("XPN", "Khan^Aisha&B", {"valueString": "Khan^Aisha&B"}),
        ("ST", '""', {}),
        ("NM", '""', {}),
    ],
)  # fmt: skip
def test_a_value_by_its_type(kind: str, value: str, expected: dict[str, Any]) -> None:
    made = observed(kind, value)
    assert {name: each for name, each in made.items() if name.startswith("value")} == expected


@pytest.mark.parametrize(("kind", "value"), [("NM", "see below"), ("TM", "2599"), ("DT", "yesterday"), ("SN", "^x")])
def test_a_value_that_is_not_of_its_type_is_kept_as_text_and_told_of(kind: str, value: str) -> None:
    done = said(PID, OBR, f"OBX|1|{kind}|X^Something^LOCAL||{value}|g/L|||||F")
    assert one(done, "Observation")["valueString"] == value
    assert next(path for path, _ in done.coverage.wrong).startswith("OBX-5")
    assert "OBX-6" in done.coverage.unmapped


def test_a_type_that_no_table_reads_is_told_of() -> None:
    done = said(PID, OBR, "OBX|1|XPN|X^Something^LOCAL||Khan^Aisha||||||F")
    assert "OBX-2" in done.coverage.unmapped


def test_units() -> None:
    assert observed("NM", "5", "|mmol/L^millimoles^UCUM|||||F")["valueQuantity"] == {
        "value": Decimal(5), "unit": "millimoles", "system": "http://unitsofmeasure.org", "code": "mmol/L",
    }  # fmt: skip
    assert observed("NM", "5", "|mmol/L|||||F")["valueQuantity"] == {"value": Decimal(5), "unit": "mmol/L"}
    both = observed("SN", "^1^-^2", "|g^^UCUM|||||F")["valueRange"]
    assert [both[end]["code"] for end in ("low", "high")] == ["g", "g"]


def test_a_reference_range_is_a_text_and_its_limits_where_it_names_them() -> None:
    (limits,) = observed("NM", "5", "|g/L|3.50 - 5.30||||F")["referenceRange"]
    assert limits == {
        "text": "3.50 - 5.30", "low": {"value": Decimal("3.50"), "unit": "g/L"}, "high": {"value": Decimal("5.30"), "unit": "g/L"},
    }  # fmt: skip
    assert observed("NM", "5", "||<90||||F")["referenceRange"] == [{"text": "<90", "high": {"value": Decimal(90)}}]
    assert observed("NM", "5", "||see leaflet||||F")["referenceRange"] == [{"text": "see leaflet"}]


@pytest.mark.parametrize(
    ("code", "status"),
    [("F", "final"), ("P", "preliminary"), ("C", "corrected"), ("X", "cancelled"), ("W", "entered-in-error"), ("I", "registered"),
     ("Q", "unknown"), ("", "unknown")],
)  # fmt: skip
def test_the_status_of_a_result(code: str, status: str) -> None:
    made = observed("NM", "5", f"||||||{code}")
    assert made["status"] == status
    kept = element.get(made, "_status.extension[0].valueCodeableConcept.coding[0].code")
    assert kept == ("Q" if code == "Q" else None)


def test_flags() -> None:
    (made,) = observed("NM", "5", "|||HH^Very high^HL70078~Z9|||F")["interpretation"][:1]
    assert made == {
        "coding": [{"code": "HH", "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"}],
        "text": "Very high",
    }  # fmt: skip
    assert observed("NM", "5", "|||Z9|||F")["interpretation"] == [{"coding": [{"code": "Z9"}]}]


def test_a_value_that_repeats_is_said_in_components() -> None:
    made = observed("NM", "1.0~2.00", "|mg^^UCUM|||||F")
    assert "valueQuantity" not in made
    assert [str(each["valueQuantity"]["value"]) for each in made["component"]] == ["1.0", "2.00"]
    assert {each["code"]["coding"][0]["code"] for each in made["component"]} == {"X"}


def test_lines_of_one_text_are_one_observation() -> None:
    lines = [f"OBX|{n}|TX|R^Report^LOCAL||{text}||||||F" for n, text in enumerate(("First,", "", "last."), start=1)]
    assert [each["valueString"] for each in observations(*lines)] == ["First,\n\nlast."]
    other = lines[2].replace("R^Report", "S^Summary")
    assert [each["valueString"] for each in observations(lines[0], other)] == ["First,", "last."]
    assert [each["valueString"] for each in observations(lines[0], lines[2].replace("|F", "|P"))] == ["First,", "last."]
    noted = observations(lines[0], "NTE|1||A note", lines[2])
    assert [(each["valueString"], "note" in each) for each in noted] == [("First,", True), ("last.", False)]
    assert [each["valueString"] for each in observations(*(line.replace("TX", "ST") for line in lines[::2]))] == ["First,", "last."]


def test_a_document_is_an_entry_of_its_own() -> None:
    done = read("ORU_R01_imaging")
    pdf, image = resources(done, "DocumentReference")
    assert pdf["content"] == [{"attachment": {"contentType": "application/pdf", "data": "JVBERi0xLjQK"}}]
    assert image["content"] == [
        {"attachment": {"contentType": "image/jpeg", "url": "https://pacs.northshire.test/ACC77/1"}},
    ]  # fmt: skip
    derived = [each["derivedFrom"] for each in resources(done, "Observation") if "derivedFrom" in each]
    urls = [e["fullUrl"] for e in done.bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"]
    assert [each[0]["reference"] for each in derived] == urls


def test_a_document_that_is_no_base64_is_told_of() -> None:
    done = said(PID, OBR, "OBX|1|ED|PDF^Report^LOCAL||^AP^PDF^Base64^%%%||||||F")
    assert resources(done, "DocumentReference") == []
    assert [path for path, _ in done.coverage.wrong] == ["OBX-5"]


@pytest.mark.parametrize(
    ("value", "attachment"),
    [
        ("^TEXT^^A^plain words", {"contentType": "text/plain", "data": "cGxhaW4gd29yZHM="}),
        ("^IM^TIFF^Hex^4949", {"contentType": "image/tiff", "data": "SUk="}),
        ("^application^pdf^Base64^", {"contentType": "application/pdf"}),
    ],
)
def test_other_encodings_of_a_document(value: str, attachment: dict[str, str]) -> None:
    done = said(PID, OBR, f"OBX|1|ED|D^Document^LOCAL||{value}||||||F")
    assert one(done, "DocumentReference")["content"] == [{"attachment": attachment}]


def test_several_patients_each_have_their_own() -> None:
    done = read("ORU_R01_imaging")
    reports, people = resources(done, "DiagnosticReport"), resources(done, "Patient")
    urls = [e["fullUrl"] for e in done.bundle["entry"] if e["resource"]["resourceType"] == "Patient"]
    assert [each["name"][0]["family"] for each in people] == ["Khan", "Ali"]
    assert [each["subject"]["reference"] for each in reports] == urls
    assert {each["subject"]["reference"] for each in resources(done, "Observation")} == set(urls)


def test_who_performed_it() -> None:
    sodium = resources(read("ORU_R01_chemistry"), "Observation")[0]
    assert len(sodium["performer"]) == 3
    function = [each for each in sodium["performer"] if "extension" in each]
    assert element.get(function[0], "extension[0].valueCodeableConcept.coding[0].code") == "PO"


def test_notes() -> None:
    potassium = resources(read("ORU_R01_chemistry"), "Observation")[1]
    (note,) = potassium["note"]
    assert (note["text"], note["time"]) == ("Repeat advised\nHaemolysis may raise this", "2026-11-02T09:21:00+00:00")
    assert "reference" in note["authorReference"]
    assert read("ORU_R01_chemistry").coverage.unmapped[-2:] == ["NTE-1", "NTE-3"]


def test_a_specimen() -> None:
    done = read("ORU_R01_chemistry")
    specimen = one(done, "Specimen")
    assert [each["value"] for each in specimen["identifier"]] == ["S1", "S2"]
    assert specimen["collection"]["quantity"] == {"value": Decimal(5), "unit": "mL"}
    assert specimen["collection"]["collectedDateTime"] == "2026-11-01T08:05:00+00:00"
    assert (specimen["status"], specimen["accessionIdentifier"]["value"]) == ("available", "A55")
    url = next(e["fullUrl"] for e in done.bundle["entry"] if e["resource"]["resourceType"] == "Specimen")
    assert {each["specimen"]["reference"] for each in resources(done, "Observation")} == {url}


def test_an_observation_has_the_time_of_its_report_unless_it_has_its_own() -> None:
    first, second = observations("OBX|1|NM|X||1||||||F", "OBX|2|NM|X||1||||||F|||20261030")
    assert (first["effectiveDateTime"], second["effectiveDateTime"]) == ("2026-11-01T08:05:00+00:00", "2026-10-30")


def test_what_fhir_must_have_and_nobody_said() -> None:
    done = said(PID, "OBR|1", "OBX|1|NM|||5")
    report, observation = one(done, "DiagnosticReport"), one(done, "Observation")
    unknown = {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "unknown"}]}
    assert (report["status"], report["code"], observation["status"], observation["code"]) == ("unknown", unknown) * 2


def test_a_period_that_ends_before_it_begins_is_told_of() -> None:
    done = said(PID, OBR.replace("20261101080500|", "20261101080500|20261031"))
    assert one(done, "DiagnosticReport")["effectiveDateTime"] == "2026-11-01T08:05:00+00:00"
    assert done.coverage.wrong == [("OBR", "effective: it ends before it begins")]


@pytest.mark.parametrize("kind", ["DiagnosticReport", "Patient"])
def test_what_a_message_with_results_must_have(kind: str) -> None:
    done = read("ORU_R01_imaging")
    done.bundle["entry"] = [e for e in done.bundle["entry"] if e["resource"]["resourceType"] != kind]
    with pytest.raises(Unsayable, match=f"a {kind} is needed"):
        back(done.bundle, message(OWN / "ORU_R01_imaging.hl7"))


def test_a_panel_of_other_components_is_written_one_by_one() -> None:
    done = read("ORU_R01_imaging")
    pressure = {
        "resourceType": "Observation", "status": "final", "code": {"coding": [{"code": "BP"}]},
        "component": [
            {"code": {"coding": [{"code": "SYS"}]}, "valueQuantity": {"value": 120, "unit": "mmHg"}},
            {"code": {"coding": [{"code": "DIA"}]}, "valueQuantity": {"value": 80.5, "unit": "mmHg"}},
        ],
    }  # fmt: skip
    done.bundle["entry"].append({"fullUrl": "urn:uuid:1", "resource": pressure, "request": {}})
    resources(done, "DiagnosticReport")[1]["result"].append({"reference": "urn:uuid:1"})
    written = list(back(done.bundle, message(OWN / "ORU_R01_imaging.hl7")).all("OBX"))[-3:]
    assert [(each.value(1), each.value(3), each.value(5)) for each in written] == [
        ("2", "BP", ""), ("3", "SYS", "120"), ("4", "DIA", "80.5"),
    ]  # fmt: skip
