"""ADT: a patient is admitted, moved, discharged, registered, corrected."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.family import Family
from fiveways.methods.synchronous.transformation.v2.reading import Reading
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1
from fiveways.methods.synchronous.transformation.v2.segments.patient import NK1, PID
from fiveways.methods.synchronous.transformation.v2.table import Resource
from fiveways.methods.synchronous.transformation.v2.writing import Writing

STATUS = {
    "A01": "in-progress", "A02": "in-progress", "A03": "finished", "A04": "in-progress", "A05": "planned", "A06": "in-progress",
    "A07": "in-progress", "A08": "unknown", "A11": "cancelled", "A12": "in-progress", "A13": "in-progress",
}  # fmt: skip
"""The status of an encounter by what happened. A registration (A04) has begun; an update (A08) does not say."""
_STRUCTURES = {
    "A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A04": "ADT_A01", "A05": "ADT_A05", "A06": "ADT_A06", "A07": "ADT_A06",
    "A08": "ADT_A01", "A11": "ADT_A09", "A12": "ADT_A09", "A13": "ADT_A01", "A28": "ADT_A05", "A31": "ADT_A05",
}  # fmt: skip


def patient(reading: Reading) -> Resource:
    """The patient that a message is about, with those who are to be told."""
    made: Resource = {"resourceType": "Patient"}
    reading.first(PID, made)
    for segment in reading.message.all("NK1"):
        contact = reading.read(NK1, segment, {})
        if contact:
            made.setdefault("contact", []).append(contact)
    return made


def encounter(reading: Reading, subject: str, status: str) -> Resource | None:
    """The visit that a message is about; None where there is no PV1."""
    made: Resource = {"resourceType": "Encounter", "status": status}
    if not reading.first(PV1, made):
        return None
    made.setdefault("class", {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"})
    made["subject"] = {"reference": subject}
    return made


def _read(reading: Reading) -> None:
    subject = reading.add(patient(reading))
    status = STATUS.get(reading.message.event)
    if status is None:
        return  # a person's record, and no visit of theirs
    made = encounter(reading, subject, status)
    if made is not None:
        if reading.message.event == "A08" and made.get("period", {}).get("end"):
            made["status"] = "finished"
        reading.add(made)


def _write(writing: Writing) -> None:
    about = writing.one("Patient")
    writing.write(PID, about, 1)
    for number, contact in enumerate(about.get("contact") or (), start=1):
        writing.write(NK1, contact, number)
    if writing.event in STATUS:
        writing.write(PV1, writing.one("Encounter"), 1)


ADT = Family("ADT", _STRUCTURES, _read, _write)
