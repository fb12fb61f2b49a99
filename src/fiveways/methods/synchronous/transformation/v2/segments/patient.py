"""Who it is about: PID and PD1; NK1 for those who are to be told; MRG for the record that another takes the place of."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import (
    CONTACT_ROLE,
    ETHNIC_CATEGORY,
    MARITAL_STATUS,
    NHS_NUMBER_STATUS,
    NHS_NUMBER_STATUSES,
    RELATIONSHIP,
    SEX,
    SYSTEM,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.demographics import BIRTH, DIED, LANGUAGE, ORDER, PLURAL
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, NHS_NUMBER, XAD, XCN, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE, YES_OR_NO
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import LICENCE, NUMBER, ORGANIZATION
from fiveways.methods.synchronous.transformation.v2.segments.contained import referred
from fiveways.methods.synchronous.transformation.v2.segments.extensions import R4, UK_CORE, extension, text_of
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, TEXT, Coded, Resource

_TYPES = {"type.coding[0].system": f"{SYSTEM}0203"}
_VERIFICATION = f"{UK_CORE}NHSNumberVerificationStatus"


def _identifier(text: str, code: str = "") -> dict[str, str]:
    """What the identifiers of a field are called, so that they are told from those of PID-3."""
    return {"type.text": text, **({**_TYPES, "type.coding[0].code": code} if code else {})}


def _put_district(into: Resource, said: Resource) -> None:
    addresses = into.setdefault("address", [])
    if len(addresses) == 1 and "district" not in addresses[0]:
        addresses[0]["district"] = said["value"]
    else:
        addresses.append({"district": said["value"]})


def _put_verification(into: Resource, said: Resource) -> None:
    for identifier in into.get("identifier") or ():
        if identifier.get("system") == NHS_NUMBER:
            if said["value"] not in NHS_NUMBER_STATUSES:
                raise ValueError("it is no NHS number verification status, and FHIR has no other")
            concept = {"coding": [{"system": NHS_NUMBER_STATUS, "code": said["value"]}]}
            identifier.setdefault("extension", []).append({"url": _VERIFICATION, "valueCodeableConcept": concept})
            return
    raise ValueError("there is no NHS number that it would be the status of")


def _verification(resource: Resource) -> Iterator[Resource]:
    for identifier in resource.get("identifier") or ():
        for each in identifier.get("extension") or ():
            for coding in element.get(each, "valueCodeableConcept.coding") or ():
                if each.get("url") == _VERIFICATION and coding.get("system") == NHS_NUMBER_STATUS:
                    yield {"value": coding.get("code", "")}
                    return


PID = SegmentTable(
    "PID",
    "Patient",
    (
        FieldRow(2, "identifier", CX, many=True, fixed=_identifier("Patient ID")),
        FieldRow(3, "identifier", CX, many=True),
        FieldRow(4, "identifier", CX, many=True, fixed=_identifier("Alternate patient ID")),
        FieldRow(5, "name", XPN, many=True),
        FieldRow(6, "extension", TEXT, seam=extension(f"{R4}patient-mothersMaidenName", "String")),
        FieldRow(7, "birthDate", BIRTH),
        FieldRow(8, "gender", Coded(SEX)),
        FieldRow(9, "name", XPN, many=True, moved="an alias is written as a name of the patient's, PID-5"),
        FieldRow(11, "address", XAD, many=True),
        FieldRow(12, "address.district", seam=Seam(_put_district, lambda resource: iter(())), moved="it is written as PID-11.9"),
        FieldRow(13, "telecom", XTN, many=True, default={"use": "home"}),
        FieldRow(14, "telecom", XTN, many=True, fixed={"use": "work"}),
        FieldRow(
            40,
            "telecom",
            XTN,
            many=True,
            moved="it is written as PID-13, or PID-14 where its use is work: older versions have those",
        ),
        FieldRow(15, "communication", LANGUAGE, many=True),
        FieldRow(16, "maritalStatus", CWE, table=MARITAL_STATUS),
        FieldRow(17, "extension", CWE, seam=extension(f"{R4}patient-religion", "CodeableConcept")),
        FieldRow(19, "identifier", NUMBER, many=True, fixed=_identifier("Social security number", "SS")),
        FieldRow(20, "identifier", LICENCE, many=True, fixed=_identifier("Driver's licence number", "DL")),
        FieldRow(22, "extension", CWE, table=ETHNIC_CATEGORY, seam=extension(f"{UK_CORE}EthnicCategory", "CodeableConcept")),
        FieldRow(23, "extension", TEXT, seam=text_of(f"{R4}patient-birthPlace", "valueAddress.text")),
        FieldRow(24, "multipleBirthBoolean", YES_OR_NO, seam=PLURAL),
        FieldRow(25, "multipleBirthInteger", POSITIVE, seam=ORDER),
        FieldRow(26, "extension", CWE, many=True, seam=extension(f"{R4}patient-citizenship", "CodeableConcept", inside="code")),
        FieldRow(28, "extension", CWE, seam=extension(f"{R4}patient-nationality", "CodeableConcept", inside="code")),
        FieldRow(29, "deceasedDateTime", MOMENT),
        FieldRow(30, "deceasedBoolean", YES_OR_NO, seam=DIED),
        FieldRow(32, "identifier.extension", TEXT, seam=Seam(_put_verification, _verification)),
    ),
    ignored={1: NUMBERS_ITSELF},
)

PD1 = SegmentTable(
    "PD1",
    "Patient",
    (
        FieldRow(
            3, "generalPractitioner", ORGANIZATION, many=True, seam=referred("generalPractitioner", "Organization", many=True)
        ),
        FieldRow(4, "generalPractitioner", XCN, many=True, seam=referred("generalPractitioner", "Practitioner", many=True)),
        FieldRow(6, "extension", CWE, seam=extension(f"{R4}patient-disability", "CodeableConcept")),
        FieldRow(14, "extension", TEXT, seam=extension(f"{R4}patient-congregation", "String")),
    ),
)

NK1 = SegmentTable(
    "NK1",
    "Patient.contact",
    (
        FieldRow(2, "name", XPN),
        FieldRow(3, "relationship", CWE, many=True, table=RELATIONSHIP),
        FieldRow(7, "relationship", CWE, many=True, fixed={"coding[0].system": CONTACT_ROLE.system}, table=CONTACT_ROLE),
        FieldRow(4, "address", XAD),
        FieldRow(5, "telecom", XTN, many=True, default={"use": "home"}),
        FieldRow(6, "telecom", XTN, many=True, fixed={"use": "work"}),
        FieldRow(
            40, "telecom", XTN, many=True, moved="it is written as NK1-5, or NK1-6 where its use is work: older versions have those"
        ),
        FieldRow(8, "period.start", MOMENT),
        FieldRow(9, "period.end", MOMENT),
        FieldRow(13, "organization", ORGANIZATION, seam=referred("organization", "Organization")),
        FieldRow(15, "gender", Coded(SEX)),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""An organisation that a contact is of is contained in the contact until it is put into the patient."""

MRG = SegmentTable(
    "MRG",
    "Patient",
    (
        FieldRow(1, "identifier", CX, many=True),
        FieldRow(2, "identifier", CX, many=True, fixed=_identifier("Alternate patient ID")),
        FieldRow(4, "identifier", CX, many=True, fixed=_identifier("Patient ID")),
        FieldRow(7, "name", XPN, many=True),
    ),
)
