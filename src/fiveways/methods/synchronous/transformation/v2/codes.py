"""Codes of HL7's tables and of FHIR's value sets, each way (v2-to-FHIR concept maps).

Where several codes mean one, the first that is named is written back; the one that was read is kept beside what it means, so that
it comes back too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-"
"""FHIR's names of HL7's tables begin like this, and end with the number in four digits."""


@dataclass(frozen=True, slots=True)
class Codes:
    """One concept map: `table` is HL7's number, `meanings` are FHIR's codes by HL7's."""

    table: str
    meanings: Mapping[str, str]
    written: Mapping[str, str] = field(init=False)
    """HL7's codes by FHIR's: the first of those that mean it."""

    def __post_init__(self) -> None:
        written: dict[str, str] = {}
        for code, meaning in self.meanings.items():
            written.setdefault(meaning, code)
        object.__setattr__(self, "written", written)

    @property
    def system(self) -> str:
        """FHIR's name of the table."""
        return f"{SYSTEM}{self.table}"


SEX = Codes("0001", {"F": "female", "M": "male", "O": "other", "U": "unknown", "A": "other", "N": "other"})
NAME_USE = Codes(
    "0200",
    {
        "L": "official", "D": "usual", "M": "maiden", "N": "nickname", "S": "anonymous", "T": "temp", "C": "usual", "BAD": "old",
        "NOUSE": "old",
    },
)  # fmt: skip
ADDRESS_USE = Codes("0190", {"H": "home", "O": "work", "C": "temp", "BA": "old", "BI": "billing", "B": "work"})
ADDRESS_TYPE = Codes("0190", {"M": "postal", "SH": "postal"})
TELECOM_USE = Codes("0201", {"PRN": "home", "WPN": "work", "PRS": "mobile"})
TELECOM_SYSTEM = Codes(
    "0202",
    {
        "PH": "phone", "FX": "fax", "Internet": "email", "BP": "pager", "MD": "other", "CP": "phone", "X.400": "email",
        "SAT": "other", "TDD": "other", "TTY": "other",
    },
)  # fmt: skip
CLASS = Codes("0004", {"E": "EMER", "I": "IMP", "O": "AMB", "P": "PRENC"})
"""Those patient classes that are an encounter class (v3-ActCode); others stay what they are."""
CODING_SYSTEMS: Mapping[str, str] = {
    "LN": "http://loinc.org",
    "SCT": "http://snomed.info/sct",
    "SNM3": "http://snomed.info/sct",
    "I10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "UCUM": "http://unitsofmeasure.org",
    "DMD": "https://dmd.nhs.uk",
    "NHSBSA": "https://dmd.nhs.uk",
    "ISO3166": "urn:iso:std:iso:3166",
}
"""FHIR's names of code systems by HL7's (table 0396), where the deployment says no other."""
