"""Who orders, who enters and verifies, how often something is done, and who has worked on its results."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.methods.synchronous.transformation.clinical import back, one, resources, said

from fiveways.hl7v2.message import Message
from fiveways.methods.synchronous.transformation.v2.messages import Transformed

PID = "PID|1||9000000009^^^NHS^NH||Khan^Aisha"
OBR = "OBR|1|P1^ICE^1.2.3^ISO||UE^Urea^L"
ORC = "ORC|NW|P1^ICE^1.2.3^ISO"


def ordered(*segments: str) -> Transformed:
    return said(PID, *segments, kind="OML^O21")


def again(done: Transformed, kind: str) -> Message:
    return back(done.bundle, Message.parse(f"MSH|^~\\&|LIMS|NSH|||20261102093000||{kind}|X1|P|2.5.1"))


def field(name: str, start: str, **fields: str) -> str:
    """A segment with these fields besides those that it starts with: `_3` is field 3."""
    parts = start.split("|") + [""] * 60
    for number, text in fields.items():
        parts[int(number[1:])] = text
    return "|".join(parts).rstrip("|")


def test_who_orders_does_so_for_an_organisation() -> None:
    orc = field("ORC", ORC, _12="C1^Osei^Ama", _21="Clinic", _22="1 Row^^Leeds^^^^H", _23="0113 1^PRN^PH", _24="2 Row^^Leeds")
    done = ordered(orc, field("OBR", OBR, _16="C1^Osei^Ama"))
    request = one(done, "ServiceRequest")
    person, clinic, role = request["contained"]
    assert request["requester"] == {"reference": f"#{role['id']}"}
    assert (role["practitioner"]["reference"], role["organization"]["reference"]) == (f"#{person['id']}", f"#{clinic['id']}")
    assert (person["address"][0]["line"], clinic["name"]) == (["2 Row"], "Clinic")
    assert "use" not in clinic["address"][0], "FHIR has no home of an organisation"
    assert done.coverage.unmapped == []
    message = again(done, "OML^O21")
    paths = ("ORC-12.1", "ORC-21.1", "ORC-22.7", "ORC-23.2", "ORC-24.1", "OBR-16.1")
    assert [message.get(path) for path in paths] == ["C1", "Clinic", "H", "PRN", "2 Row", "C1"]


def test_an_organisation_without_a_name_is_one_that_is_not_known() -> None:
    done = ordered(field("ORC", ORC, _22="1 Row^^Leeds"), OBR)
    clinic, _ = one(done, "ServiceRequest")["contained"]
    assert "name" not in clinic
    assert clinic["_name"]["extension"][0]["valueCode"] == "unknown"


def test_who_enters_and_who_verifies_an_order_is_its_provenance() -> None:
    done = ordered(field("ORC", ORC, _9="20261101080500", _10="C1^Osei^Ama", _11="C2^Patel^Ravi"), OBR)
    provenance = one(done, "Provenance")
    assert [each["type"]["coding"][0]["code"] for each in provenance["agent"]] == ["enterer", "verifier"]
    assert (provenance["recorded"][:16], provenance["activity"]["coding"][0]["code"]) == ("2026-11-01T08:05", "CREATE")
    (url,) = [entry["fullUrl"] for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == "ServiceRequest"]
    assert provenance["target"] == [{"reference": url}]
    assert (again(done, "OML^O21").get("ORC-10.2"), again(done, "OML^O21").get("ORC-11.2")) == ("Osei", "Patel")


def test_a_request_that_results_led_to_is_based_on_the_one_before() -> None:
    done = ordered(field("ORC", ORC, _8="P0&ICE^F0&LIMS"), field("OBR", OBR, _11="G", _29="P0&ICE^F0&LIMS"))
    request = one(done, "ServiceRequest")
    assert request["intent"] == "reflex-order"
    assert [(each["type"], each["identifier"]["value"]) for each in request["basedOn"]] == [
        ("ServiceRequest", "P0"), ("ServiceRequest", "F0"),
    ]  # fmt: skip
    other = ordered(field("ORC", ORC, _8="P0&ICE"), field("OBR", OBR, _11="L", _29="P9&ICE"))
    assert one(other, "ServiceRequest")["intent"] == "order"
    assert other.coverage.unmapped == ["OBR-29"]
    assert again(other, "OML^O21").get("OBR-11") == "L"


TQ1 = "TQ1|1||{}||||20261101080000|20261108"


def test_a_pattern_is_a_timing_that_its_period_bounds() -> None:
    pattern = "BID&Twice a day&L^DW^1^5^2^d^^AC^30^min"
    timing = field("TQ1", TQ1.format(pattern), _10="if pain", _11="Twice, before meals", _13="20^min", _14="6")
    done = ordered(ORC, timing, OBR)
    request = one(done, "ServiceRequest")
    assert request["asNeededCodeableConcept"] == {"text": "if pain"}
    assert "occurrencePeriod" not in request
    repeat: dict[str, Any] = dict(request["occurrenceTiming"]["repeat"])
    assert repeat.pop("boundsPeriod") == {"start": "2026-11-01T08:00:00+00:00", "end": "2026-11-08"}
    assert {name: str(value) for name, value in repeat.items()} == {
        "dayOfWeek": "['mon', 'tue', 'wed', 'thu', 'fri']", "period": "2", "periodUnit": "d", "when": "['AC']", "offset": "30",
        "duration": "20", "durationUnit": "min", "count": "6",
    }  # fmt: skip
    assert request["occurrenceTiming"]["code"] == {
        "coding": [{"code": "BID", "display": "Twice a day", "system": "urn:id:L"}], "text": "Twice, before meals",
    }  # fmt: skip
    message = again(done, "OML^O21")
    assert message.segments[-2].text == timing.replace("20261101080000", "20261101080000+0000")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"_3": "^^^^2"}, "TQ1-3.5"),
        ({"_3": "^DW^8"}, "TQ1-3.2"),
        ({"_3": "^^^^^^^XX"}, "TQ1-3.8"),
        ({"_3": "^^^^^^^^5^min"}, "TQ1-3.9"),
        ({"_5": "5^min"}, "TQ1-5"),
        ({"_3": "^^^^^^^AC", "_4": "0800"}, "TQ1-4"),
        ({"_6": "5^furlongs"}, "TQ1-6"),
        ({"_13": "-5^min"}, "TQ1-13"),
    ],
)
def test_a_timing_that_fhir_cannot_have_is_told_of(fields: dict[str, str], path: str) -> None:
    done = ordered(ORC, field("TQ1", "TQ1|1", **fields), OBR)
    assert path in [each for each, _ in done.coverage.wrong]


def test_how_long_it_lasts_is_not_said_twice() -> None:
    done = ordered(ORC, field("TQ1", TQ1.format("BID"), _6="5^d"), OBR)
    assert "boundsDuration" not in one(done, "ServiceRequest")["occurrenceTiming"]["repeat"]
    assert [why for _, why in done.coverage.wrong] == [
        "its timing has a period, and how long it lasts (TQ1-6): FHIR has one of both"
    ]
    alone = one(ordered(ORC, "TQ1|1|||||5^d", OBR), "ServiceRequest")["occurrenceTiming"]["repeat"]["boundsDuration"]
    assert (str(alone["value"]), alone["code"]) == ("5", "d")


def test_who_has_worked_on_a_report() -> None:
    people = {"_32": "B1&Byrne", "_33": "B2&Roe", "_34": "B3&Doe", "_35": "B4&Ray"}
    done = said(PID, field("OBR", OBR, **people))
    report = one(done, "DiagnosticReport")
    codes = [each["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] for each in report["performer"]]
    assert (len(report["resultsInterpreter"]), codes) == (2, ["SPRF", "TRANS"])
    written = again(done, "ORU^R01").segment("OBR")
    assert written is not None
    assert [written.field(number) for number in (32, 34, 35)] == ["B1&Byrne~B2&Roe", "B3&Doe", "B4&Ray"]


def test_a_result_names_its_director_what_is_abnormal_and_its_specimen() -> None:
    obx = field("OBX", "OBX|1|NM|NA^Sodium^L||139", _10="A~S", _25="D1^Boss", _33="S1&ICE")
    done = said(PID, OBR, obx)
    observation = one(done, "Observation")
    (director,) = observation["performer"]
    assert director["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "MDIR"
    natures = [each["valueCodeableConcept"]["coding"][0]["code"] for each in observation["extension"]]
    assert natures == ["A", "S"]
    (specimen,) = [each for each in observation["contained"] if each["resourceType"] == "Specimen"]
    assert (observation["specimen"]["reference"], specimen["identifier"][0]["value"]) == (f"#{specimen['id']}", "S1")


def test_a_specimen_that_is_described_is_referred_to() -> None:
    obx = field("OBX", "OBX|1|NM|NA^Sodium^L||139", _33="S1&ICE")
    done = said(PID, OBR, obx, "SPM|1|S1&ICE||BLD")
    (url,) = [entry["fullUrl"] for entry in done.bundle["entry"] if entry["resource"]["resourceType"] == "Specimen"]
    assert one(done, "Observation")["specimen"] == {"reference": url}
    other = said(PID, OBR, obx, "SPM|1|S2&ICE||BLD")
    assert one(other, "Observation")["specimen"]["reference"].startswith("#specimen")


def test_who_has_authenticated_a_document_and_when() -> None:
    txa = field("TXA", "TXA|1|CN", _22="C1^Osei^Ama^^^^^^^^^^^^20261101080500~C2^Patel")
    done = said(PID, txa, kind="MDM^T02")
    first, second = resources(done, "Provenance")
    assert (first["agent"][0]["type"]["coding"][0]["code"], first["recorded"][:16]) == ("attester", "2026-11-01T08:05")
    assert "occurredDateTime" not in second
    assert again(done, "MDM^T02").get("TXA-22[2].2") == "Patel"
