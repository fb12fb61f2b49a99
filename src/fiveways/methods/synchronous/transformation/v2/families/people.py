"""Those who are to be told of a patient: contacts out of NK1, each with the related person that says what a contact cannot."""

from __future__ import annotations

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import derive, given
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import picked
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.segments.contact import NK1
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

RELATED = "http://hl7.org/fhir/StructureDefinition/patient-relatedPerson"
"""HL7's extension for the related person that a contact is."""
_REACHED = ("name", "telecom", "address", "organization")
"""A contact of a patient has one of these in FHIR."""
_BOTH = ("relationship", "telecom", "gender", "period")
"""What a related person is said to be as the contact is."""


def read_contact(reading: Reading, segment: Segment, patient: Resource) -> None:
    """Put what NK1 says into a patient; what is of a related person is in `person` until there is one."""
    where = reading.where(segment)
    contact: Resource = {}
    read = reading.apart(NK1, segment, contact)
    if contact and not any(name in contact for name in _REACHED):
        reading.coverage.wrong.append((where, "FHIR has no contact without a name, an address, a number or an organisation"))
        return
    reading.coverage.add(read)
    if not contact:
        return
    for each in contact.pop("contained", ()):
        contained = patient.setdefault("contained", [])
        each["id"] = f"organization-{len(contained) + 1}"
        contained.append(each)
        contact["organization"] = {"reference": f"#{each['id']}"}
    patient.setdefault("contact", []).append(contact)


def enter_contacts(reading: Reading, patient: Resource, subject: str, *, named: bool = False) -> None:
    """Make the entries of the related persons that contacts say something of; `subject` is the reference to the patient."""
    seen: dict[str, int] = {}
    for contact in patient.get("contact") or ():
        said = contact.pop("person", None)
        if said is None:
            continue
        person: Resource = {"resourceType": "RelatedPerson", **said, "patient": refer(subject), **picked(contact, *_BOTH)}
        for one, many in (("name", "name"), ("address", "address")):
            if one in contact:
                person[many] = [contact[one]]
        name = element.get(contact, "name") or {}
        derive(person, search(patient), str(name.get("family", "")), " ".join(name.get("given") or ()), seen=seen)
        reference = enter(reading, person, named=named)
        contact.setdefault("extension", []).append({"url": RELATED, "valueReference": refer(reference)})


def write_contacts(writing: Writing, patient: Resource) -> None:
    """Add the NK1 segments of a patient."""
    for number, contact in enumerate(patient.get("contact") or (), start=1):
        said = {**contact, "contained": patient.get("contained") or []}
        link: Resource = next((each for each in contact.get("extension") or () if each.get("url") == RELATED), {})
        if person := writing.resolve(link.get("valueReference")):
            said["person"] = {**picked(person, "birthDate", "communication"), "identifier": given(person)}
        writing.write(NK1, said, number)
