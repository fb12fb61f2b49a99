"""Codes of HL7's tables and of FHIR's value sets, each way (v2-to-FHIR concept maps).

Where several codes mean one, the first that is named is written back; the one that was read is kept beside what it means, so that
it comes back too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SYSTEM = "http://terminology.hl7.org/CodeSystem/v2-"
"""FHIR's names of HL7's tables begin like this, and end with the number in four digits."""


UNREGISTERED = "urn:id:"
"""Before the name of a code system that is known by that name only: FHIR wants a URI."""


@dataclass(frozen=True, slots=True)
class Codes:
    """One concept map: `table` is HL7's number, `meanings` are FHIR's codes by HL7's."""

    table: str
    meanings: Mapping[str, str]
    others: frozenset[str] | None = None
    """The codes of the table that mean none of FHIR's, where those are known: what is none of them is nobody's but the sender's."""
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

    def coding(self, code: str) -> dict[str, str]:
        """A code as a Coding: of the table where it is one of it."""
        known = self.others is None or code in self.meanings or code in self.others
        return {"system": self.system, "code": code} if known else {"code": code}


@dataclass(frozen=True, slots=True)
class TableCodes:
    """The codes of a system that a field's values are of, where they say none."""

    system: str
    codes: frozenset[str]

    def name(self, concept: dict[str, Any]) -> None:
        """Name the system of the first coding, where it has none and its code is one of the table's. A code that is said to be of
        the table, and is none of HL7's, is one that the sender has put into it."""
        for number, coding in enumerate(concept.get("coding") or ()):
            known, system = coding.get("code") in self.codes, coding.get("system")
            if number == 0 and system is None and known:
                coding["system"] = self.system
                unshown(concept)
            elif system == self.system and not known and system.startswith(SYSTEM):
                coding["system"] = f"{UNREGISTERED}HL7{system.removeprefix(SYSTEM)}"

    def bare(self, concept: dict[str, Any]) -> dict[str, Any]:
        """The concept as it is written: HL7 v2 has a name for the system of one of its own tables, and for no other."""
        codings = list(concept.get("coding") or ())
        if not self.system.startswith(SYSTEM) and codings and codings[0].get("system") == self.system:
            codings[0] = {name: value for name, value in codings[0].items() if name != "system"}
            return {**concept, "coding": codings}
        return concept


def unshown(concept: dict[str, Any]) -> None:
    """Make the sender's words for a code of one of HL7's tables the concept's text: what such a code is called is the table's."""
    first = concept["coding"][0]
    if "text" not in concept and "display" in first and first.get("system", "").startswith(SYSTEM):
        concept["text"] = first.pop("display")


def _codes(table: str, codes: str) -> TableCodes:
    return TableCodes(f"{SYSTEM}{table}", frozenset(codes.split()))


SEX = Codes("0001", {"F": "female", "M": "male", "O": "other", "U": "unknown", "A": "other", "N": "other"}, frozenset())
NAME_USE = Codes(
    "0200",
    {
        "L": "official", "D": "usual", "M": "maiden", "N": "nickname", "S": "anonymous", "TEMP": "temp", "BAD": "old",
        "NOUSE": "old", "R": "official", "MSK": "anonymous", "NAV": "temp",
    },
    frozenset("... A B C F I K NB O P REL T U".split()),
)  # fmt: skip
ADDRESS_USE = Codes(
    "0190",
    {"H": "home", "O": "work", "C": "temp", "BA": "old", "BI": "billing", "B": "work"},
    frozenset("BDL BR F L M N P RH S SH TM V".split()),
)
ADDRESS_TYPE = Codes("0190", {"M": "postal", "SH": "postal"}, frozenset())
TELECOM_USE = Codes("0201", {"PRN": "home", "WPN": "work", "PRS": "mobile"}, frozenset("ASN BPN EMR NET ORN VHN".split()))
TELECOM_SYSTEM = Codes(
    "0202",
    {
        "PH": "phone", "FX": "fax", "Internet": "email", "BP": "pager", "MD": "other", "CP": "phone", "X.400": "email",
        "SAT": "other", "TDD": "other", "TTY": "other",
    },
    frozenset(),
)  # fmt: skip
CLASS = Codes("0004", {"E": "EMER", "I": "IMP", "O": "AMB", "P": "PRENC"})
"""Those patient classes that are an encounter class (v3-ActCode); others stay what they are."""
NEAREST_CLASS: Mapping[str, str] = {"ACUTE": "I", "NONAC": "I", "SS": "I", "OBSENC": "O", "FLD": "O", "HH": "O", "VR": "O"}
"""Patient classes of encounter classes that HL7's table does not have."""
ALLERGEN_CATEGORY = Codes(
    "0127",
    {"DA": "medication", "FA": "food", "EA": "environment", "AA": "biologic", "PA": "environment", "LA": "environment"},
    frozenset(("MA", "MC")),
)
CRITICALITY = Codes("0128", {"SV": "high", "MI": "low", "U": "unable-to-assess"}, frozenset(("MO",)))
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
ETHNIC_CATEGORY = TableCodes(
    "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategoryEngland", frozenset("A B C D E F G H J K L M N P R S Z 99".split())
)
NHS_NUMBER_STATUS = "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland"
NHS_NUMBER_STATUSES = frozenset("01 02 03 04 05 06 07 08".split())
MARITAL_STATUS = _codes("0002", "A B C D E G I M N O P R S T U W")
ADMISSION_TYPE = _codes("0007", "A C E L N R U")
AMBULATORY_STATUS = _codes("0009", "A0 A1 A2 A3 A4 A5 A6 A7 A8 A9 B1 B2 B3 B4 B5 B6")
PATIENT_TYPE = _codes("0018", "")
BED_STATUS = _codes("0116", "C H I K O U")
ADMIT_SOURCE = _codes("0023", "1 2 3 4 5 6 7 8 9")
DIAGNOSIS_TYPE = _codes("0052", "A F W")
RELATIONSHIP = _codes(
    "0063",
    "ASC BRO CGV CHD DEP DOM EMC EME EMR EXF FCH FND FTH GCH GRD GRP MGR MTH NCH NON OAD OTH OWN PAR SCH SEL SIB SIS SPO "
    "TRA UNK WRD",
)
HOSPITAL_SERVICE = _codes("0069", "CAR MED PUL SUR URO")
READMISSION = _codes("0092", "R")
CONTACT_ROLE = _codes("0131", "BP C CP E EP F I N O PR S U")
VISIT_PRIORITY = _codes("0217", "1 2 3")
ARRIVAL = _codes("0430", "A C F H O P U")
ALLERGEN_TYPE = _codes("0127", "AA DA EA FA LA MA MC PA")
EVENT_REASON = _codes("0062", "01 02 03 O U")
IDENTIFIER_TYPE = _codes(
    "0203",
    "AC ACSN AM AMA AN ANC AND ANON ANT APRN ASID BA BC BCFN BCT BR BRN BSNR CC CONM CY CZ DC DCFN DDS DEA DFN DI DL DN "
    "DO DP DPM DR DS EI EN ESN FDR FDRFN FI FILL GI GL GN HC IND JHN LACSN LANR LI LN LR MA MB MC MCD MCN MCR MCT MD MI "
    "MR MRT MS NBSNR NCT NE NH NI NII NIIP NNxxx NP NPI OBI OD PA PC PCN PE PEN PHC PHE PHO PI PLAC PN PNT PPIN PPN PRC "
    "PRN PT QA RI RN RPH RR RRI RRP SB SID SL SN SNBSN SNO SP SR SS STN TAX TN TPR TRL U UDI UPIN USID VN VP VS WC WCN WP "
    "XV XX",
)
