"""Who is to be told, and who pays: NK1 and GT1.

A contact is an element of the patient. What FHIR R4 has no place for there is said of a related person, which the contact leads to.
"""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import CONTACT_ROLE, RELATIONSHIP, SEX, SYSTEM
from fiveways.methods.synchronous.transformation.v2.datatypes.demographics import DATE, LANGUAGE
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX, XAD, XPN, XTN
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import NUMBER, ORGANIZATION
from fiveways.methods.synchronous.transformation.v2.segments.contained import referred
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Coded, Resource

_TYPES = f"{SYSTEM}0203"
EMPLOYEE = {"type.coding[0].system": _TYPES, "type.coding[0].code": "EI"}
"""What the number is that an employer gives."""
SECURITY = {"type.text": "Social security number", "type.coding[0].system": _TYPES, "type.coding[0].code": "SS"}


def _speaker(name: str, *, many: bool = False) -> Seam:
    """Who speaks for the organisation that a contact is: of the contact that is contained in the contact."""

    def put(into: Resource, said: Resource) -> None:
        organization = _organization(into)
        if organization is None:
            raise ValueError("NK1-13 names no organisation that they would speak for")
        contacts = organization.setdefault("contact", [{}])
        if many:
            contacts[0].setdefault(name, []).append(said)
        else:
            contacts[0][name] = said

    def members(resource: Resource) -> Iterator[Resource]:
        said = element.get(_organization(resource), f"contact[0].{name}")
        if said is not None:
            yield from said if many else [said]

    return Seam(put, members)


def _organization(contact: Resource) -> Resource | None:
    reference = element.get(contact, "organization.reference")
    return next((each for each in contact.get("contained") or () if reference == f"#{each.get('id')}"), None)


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
        FieldRow(12, "person.identifier", CX, many=True, fixed=EMPLOYEE),
        FieldRow(13, "organization", ORGANIZATION, seam=referred("organization", "Organization")),
        FieldRow(15, "gender", Coded(SEX)),
        FieldRow(16, "person.birthDate", DATE),
        FieldRow(20, "person.communication", LANGUAGE, many=True),
        FieldRow(30, "organization.contact.name", XPN, seam=_speaker("name")),
        FieldRow(31, "organization.contact.telecom", XTN, many=True, seam=_speaker("telecom", many=True)),
        FieldRow(32, "organization.contact.address", XAD, seam=_speaker("address")),
        FieldRow(33, "person.identifier", CX, many=True),
        FieldRow(37, "person.identifier", NUMBER, many=True, fixed=SECURITY),
        FieldRow(
            41,
            "organization.contact.telecom",
            XTN,
            many=True,
            seam=Seam(_speaker("telecom", many=True).put, lambda resource: iter(())),
            moved="it is written as NK1-31: older versions have that",
        ),
    ),
    ignored={1: NUMBERS_ITSELF},
    unsaid={
        10: "FHIR R4 says of nobody's contact what work they do",
        11: "FHIR R4 says of nobody's contact what work they do",
        14: "FHIR R4 says the marital status of patients alone",
        35: "UK Core says the ethnic category of patients alone",
    },
)
"""An organisation that a contact is of is contained in the contact until it is put into the patient. `person` is what a related
person says, and a contact cannot."""

GT1 = SegmentTable(
    "GT1",
    "RelatedPerson",
    (
        FieldRow(2, "identifier", CX, many=True),
        FieldRow(3, "name", XPN, many=True),
        FieldRow(5, "address", XAD, many=True),
        FieldRow(6, "telecom", XTN, many=True, default={"use": "home"}),
        FieldRow(7, "telecom", XTN, many=True, fixed={"use": "work"}),
        FieldRow(8, "birthDate", DATE),
        FieldRow(9, "gender", Coded(SEX)),
        FieldRow(11, "relationship", CWE, many=True, table=RELATIONSHIP),
        FieldRow(12, "identifier", NUMBER, many=True, fixed=SECURITY),
        FieldRow(13, "guarantees.start", MOMENT),
        FieldRow(14, "guarantees.end", MOMENT),
        FieldRow(19, "identifier", NUMBER, many=True, fixed=EMPLOYEE),
        FieldRow(36, "communication", LANGUAGE),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""Who pays; `guarantees` is when, and of the account."""
