"""Synthetic UK Core patients: made up here, with NHS numbers of the range reserved for tests (999 000 0000 upwards)."""

from __future__ import annotations

from typing import Any

NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
_PROFILE = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"
_STATUS = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus"
_STATUS_CODES = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"

_FAMILIES = "Ashworth Begum Carrick Dhillon Eastwood Fairbairn Gill Hargreaves Iqbal Jessop Khan Lumley Moss Nowak Okafor".split()
_GIVEN = {
    "female": "Aisha Beth Chloe Dorothy Elena Farah Grace Harriet".split(),
    "male": "Adam Bilal Callum David Edward Faisal George Hamza".split(),
}
_STREETS = "Chapel Lane,Station Road,Mill Street,Abbey Walk,Ferry Road,Moor View".split(",")
_TOWNS = (("Thornaby", "TS17"), ("Whitby", "YO21"), ("Richmond", "DL10"), ("Selby", "YO8"))


def nhs_numbers(count: int, start: int = 999000001) -> list[str]:
    """The first `count` valid NHS numbers from a nine-digit start (Modulus 11 check digit; no number where it would be 10)."""
    found: list[str] = []
    stem = start
    while len(found) < count:
        digits = f"{stem:09d}"
        check = (11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=True)) % 11) % 11
        if check != 10:
            found.append(f"{digits}{check}")
        stem += 1
    return found


def patients(count: int = 64) -> dict[str, dict[str, Any]]:
    """Patients by their id, which is their NHS number, as the Personal Demographics Service has it."""
    return {number: _patient(index, number) for index, number in enumerate(nhs_numbers(count))}


def _patient(index: int, number: str) -> dict[str, Any]:
    gender = ("female", "male")[index % 2]
    family, given = _FAMILIES[index % len(_FAMILIES)], _GIVEN[gender][index // 2 % 8]
    town, district = _TOWNS[index % len(_TOWNS)]
    verified = {"system": _STATUS_CODES, "code": "number-present-and-verified", "display": "Number present and verified"}
    return {
        "resourceType": "Patient",
        "id": number,
        "meta": {"profile": [_PROFILE], "versionId": "1", "lastUpdated": "2026-01-05T09:00:00+00:00"},
        "identifier": [
            {
                "extension": [{"url": _STATUS, "valueCodeableConcept": {"coding": [verified]}}],
                "system": NHS_NUMBER,
                "value": number,
            }
        ],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given], "prefix": ["Mrs" if gender == "female" else "Mr"]}],
        "telecom": [{"system": "phone", "value": f"01632 960{index:03d}", "use": "home"}],
        "gender": gender,
        "birthDate": f"{1930 + index * 7 % 90}-{index % 12 + 1:02d}-{index % 28 + 1:02d}",
        "address": [
            {
                "use": "home",
                "line": [f"{index % 90 + 1} {_STREETS[index % len(_STREETS)]}"],
                "city": town,
                "postalCode": f"{district} {index % 9 + 1}AB",
            }
        ],
        "generalPractitioner": [
            {"type": "Organization", "identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": "A81001"}}
        ],
    }
