"""Who it is about: PID and PD1; MRG for the record that another takes the place of."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import (
    ETHNIC_CATEGORY,
    MARITAL_STATUS,
    NHS_NUMBER_STATUS,
    NHS_NUMBER_STATUSES,
    SEX,
    SYSTEM,
)
from fiveways.methods.synchronous.transformation.v2.datatypes.demographics import BIRTH, DIED, LANGUAGE, ORDER, PLURAL
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, NHS_NUMBER, XAD, XCN, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE, YES_OR_NO
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import FACILITY, LICENCE, NUMBER, ORGANIZATION
from fiveways.methods.synchronous.transformation.v2.segments.contained import referred
from fiveways.methods.synchronous.transformation.v2.segments.extensions import R4, UK_CORE, extension, text_of
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, NotMapped, Seam, SegmentTable
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


_ETHNIC = f"{UK_CORE}EthnicCategory"
_ETHNIC_SEAM = extension(_ETHNIC, "CodeableConcept")


def _put_race(into: Resource, said: Resource) -> None:
    if element.get(said, "coding[0].system") != ETHNIC_CATEGORY.system:
        raise NotMapped("it is no ethnic category of the NHS's, and FHIR R4 has no other race")
    _ETHNIC_SEAM.put(into, said)


def _put_ethnic(into: Resource, said: Resource) -> None:
    known = next(_ETHNIC_SEAM.members(into), None)
    if known is None:
        _ETHNIC_SEAM.put(into, said)
    elif known != said:
        raise ValueError("PID-10 says another, and UK Core has one")


def _animal(name: str) -> Seam:
    """An animal's species, and its breed: one extension."""

    def put(into: Resource, said: Resource) -> None:
        known = next((each for each in into.get("extension") or () if each.get("url") == _ANIMAL), None)
        if known is None:
            if name != "species":
                raise ValueError("PID-35 says of no species that it would be a breed of")
            known = {"url": _ANIMAL, "extension": []}
            into.setdefault("extension", []).append(known)
        known["extension"].append({"url": name, "valueCodeableConcept": said})

    return Seam(put, extension(_ANIMAL, "CodeableConcept", inside=name).members)


_ANIMAL = f"{R4}patient-animal"
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
        FieldRow(
            10,
            "extension",
            CWE,
            table=ETHNIC_CATEGORY,
            seam=Seam(_put_race, lambda resource: iter(())),
            moved="the NHS's ethnic category is written as PID-22; another race is not mapped",
        ),
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
        FieldRow(18, "account", CX),
        FieldRow(19, "identifier", NUMBER, many=True, fixed=_identifier("Social security number", "SS")),
        FieldRow(20, "identifier", LICENCE, many=True, fixed=_identifier("Driver's licence number", "DL")),
        FieldRow(21, "mother", CX, many=True),
        FieldRow(22, "extension", CWE, table=ETHNIC_CATEGORY, seam=Seam(_put_ethnic, _ETHNIC_SEAM.members)),
        FieldRow(23, "extension", TEXT, seam=text_of(f"{R4}patient-birthPlace", "valueAddress.text")),
        FieldRow(24, "multipleBirthBoolean", YES_OR_NO, seam=PLURAL),
        FieldRow(25, "multipleBirthInteger", POSITIVE, seam=ORDER),
        FieldRow(26, "extension", CWE, many=True, seam=extension(f"{R4}patient-citizenship", "CodeableConcept", inside="code")),
        FieldRow(28, "extension", CWE, seam=extension(f"{R4}patient-nationality", "CodeableConcept", inside="code")),
        FieldRow(29, "deceasedDateTime", MOMENT),
        FieldRow(30, "deceasedBoolean", YES_OR_NO, seam=DIED),
        FieldRow(32, "identifier.extension", TEXT, seam=Seam(_put_verification, _verification)),
        FieldRow(33, "updated.at", MOMENT),
        FieldRow(34, "updated.by", FACILITY),
        FieldRow(35, "extension", CWE, seam=_animal("species")),
        FieldRow(36, "extension", CWE, seam=_animal("breed")),
        FieldRow(
            39,
            "extension",
            CWE,
            many=True,
            seam=Seam(extension(f"{R4}patient-citizenship", "CodeableConcept", inside="code").put, lambda resource: iter(())),
            moved="it is a citizenship as others are, PID-26",
        ),
    ),
    ignored={1: NUMBERS_ITSELF},
    unsaid={
        27: "FHIR R4 has no military status, and nobody has published an extension for it",
        31: "FHIR R4 does not say that somebody's identity is unknown",
        37: "an animal's strain is not in FHIR R4's extension for animals",
        38: "an animal's production class is not in FHIR R4's extension for animals",
    },
)
"""`account`, `mother` and `updated` are resources of their own: an account, a related person, and a provenance."""

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
