"""Made-up people for the tests of HL7 V3, and hypothesis' way to make more."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

NHS = "https://fhir.nhs.uk/Id/nhs-number"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
PROFILE = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"
UK = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
KHAN: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "9000000009",
    "meta": {
        "versionId": "3",
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
        "profile": [PROFILE],
    },
    "identifier": [{"system": NHS, "value": "9000000009"}, {"system": "urn:oid:1.2.826.1", "value": "K1"}],
    "name": [
        {
            "id": "n1", "use": "usual", "family": "Khan", "given": ["Aisha", "Bano"], "prefix": ["Dr"], "suffix": ["PhD"],
            "period": {"start": "2001-02-03", "end": "2030-01-01"},
        },
        {"use": "maiden", "family": "Begum"},
    ],
    "gender": "female",
    "birthDate": "1980-01-02",
    "_birthDate": {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1980-01-02T03:04:05Z"}
        ]
    },
    "deceasedDateTime": "2026-07-01",
    "multipleBirthInteger": 2,
    "address": [
        {
            "id": "a1", "use": "home", "line": ["1 High St", "Flat 2"], "city": "Thornaby", "postalCode": "TS17 6AA",
            "period": {"start": "2012-09-13"},
            "extension": [{
                "url": f"{UK}AddressKey",
                "extension": [
                    {"url": "type", "valueCodeableConcept": {
                        "coding": [{"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-AddressKeyType", "code": "PAF"}]}},
                    {"url": "value", "valueString": "12345678"},
                ],
            }],
        },
        {"use": "temp", "type": "postal", "line": ["2 Low St"]},
    ],
    "telecom": [
        {"system": "phone", "value": "01642 1", "use": "home"},
        {"system": "phone", "value": "07700 900000", "use": "mobile"},
        {"system": "email", "value": "a@b.test"},
    ],
    "generalPractitioner": [
        {"id": "g1", "type": "Organization", "identifier": {"system": ODS, "value": "A81001", "period": {"start": "2010-01-01"}}}
    ],
    "extension": [
        {"url": f"{UK}NominatedPharmacy", "valueReference": {
            "type": "Organization", "identifier": {"system": ODS, "value": "FV493"}}},
        {"url": f"{UK}DeathNotificationStatus", "extension": [{
            "url": "deathNotificationStatus",
            "valueCodeableConcept": {"coding": [
                {"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-DeathNotificationStatus", "code": "2"}]},
        }]},
    ],
}  # fmt: skip

text = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=12)
days = st.dates().map(str)
periods = st.fixed_dictionaries({"start": days}, optional={"end": days})
names = st.fixed_dictionaries(
    {"family": text},
    optional={
        "use": st.sampled_from(["usual", "official", "nickname", "old", "maiden", "temp", "anonymous"]),
        "given": st.lists(text, min_size=1, max_size=3),
        "prefix": st.lists(text, min_size=1, max_size=2),
        "suffix": st.lists(text, min_size=1, max_size=2),
        "period": periods,
    },
)
addresses = st.fixed_dictionaries(
    {"line": st.lists(text, min_size=1, max_size=5)},
    optional={
        "use": st.sampled_from(["home", "work", "temp", "old"]),
        "type": st.sampled_from(["postal", "physical"]),
        "city": text,
        "district": text,
        "state": text,
        "postalCode": text,
        "country": text,
        "period": periods,
    },
)
telecoms = st.fixed_dictionaries(
    {"system": st.sampled_from(["phone", "fax", "email", "sms"]), "value": text},
    optional={"use": st.sampled_from(["home", "work", "mobile", "temp", "old"]), "period": periods},
)
patients = st.fixed_dictionaries(
    {
        "resourceType": st.just("Patient"),
        "id": st.just("9000000009"),
        "meta": st.just({"profile": [PROFILE]}),
        "identifier": st.just([{"system": NHS, "value": "9000000009"}]),
    },
    optional={
        "name": st.lists(names, min_size=1, max_size=3),
        "gender": st.sampled_from(["male", "female", "other", "unknown"]),
        "birthDate": days | st.sampled_from(["1980", "1980-02"]),
        "deceasedDateTime": days | st.just("2026-07-01T10:11:12+01:00"),
        "multipleBirthInteger": st.integers(1, 9),
        "address": st.lists(addresses, min_size=1, max_size=3),
        "telecom": st.lists(telecoms, min_size=1, max_size=3),
    },
)
