"""ADT: a patient is admitted, moved, discharged, registered, corrected, or turns out to have been here before."""

from __future__ import annotations

from collections.abc import Sequence

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.codes.general import CLASS
from fiveways.methods.synchronous.transformation.v2.families import clinical, events, merges
from fiveways.methods.synchronous.transformation.v2.families.events import event_of
from fiveways.methods.synchronous.transformation.v2.families.family import Family
from fiveways.methods.synchronous.transformation.v2.segments.clinical import AL1, DG1, DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV1_PLANNED, PV2, PV2_PLANNED, UNKNOWN
from fiveways.methods.synchronous.transformation.v2.segments.event import EVN
from fiveways.methods.synchronous.transformation.v2.segments.patient import MRG, NK1, PD1, PID
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

STATUS = {
    "A01": "in-progress", "A02": "in-progress", "A03": "finished", "A04": "in-progress", "A05": "planned", "A06": "in-progress",
    "A07": "in-progress", "A08": "unknown", "A11": "cancelled", "A12": "in-progress", "A13": "in-progress",
}  # fmt: skip
"""The status of an encounter by what happened. A registration (A04) has begun; an update (A08) does not say."""
_STRUCTURES = {
    "A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A04": "ADT_A01", "A05": "ADT_A05", "A06": "ADT_A06", "A07": "ADT_A06",
    "A08": "ADT_A01", "A11": "ADT_A09", "A12": "ADT_A09", "A13": "ADT_A01", "A28": "ADT_A05", "A31": "ADT_A05", "A34": "ADT_A30",
    "A40": "ADT_A39",
}  # fmt: skip
_WITHOUT = {"ADT_A02": ("NK1", "AL1", "DG1"), "ADT_A09": ("NK1", "AL1")}
"""Segments that a structure has no place for: they are read where somebody sends them, and not written."""
_NO_VISIT = SegmentTable("PV1", "Encounter", (), ignored={1: NUMBERS_ITSELF, 2: "a person's record is of no visit"})
"""The visit that a person's record must have, and is none."""
_REACHED = ("name", "telecom", "address", "organization")
"""A contact of a patient has one of these in FHIR."""


def patient(reading: Reading) -> Resource:
    """The patient that a message is about, with those who are to be told."""
    made: Resource = {"resourceType": "Patient"}
    reading.first(PID, made)
    reading.first(PD1, made)
    for segment in reading.message.all("NK1"):
        _read_contact(reading, segment, made)
    return made


def _read_contact(reading: Reading, segment: Segment, patient: Resource) -> None:
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


def encounter(reading: Reading, subject: str, status: str) -> Resource | None:
    """The visit that a message is about; None where there is no PV1."""
    made: Resource = {"resourceType": "Encounter", "status": status}
    planned = status == "planned"
    if not reading.first(PV1_PLANNED if planned else PV1, made):
        return None
    reading.first(PV2_PLANNED if planned else PV2, made)
    made.setdefault("class", dict(UNKNOWN))
    made["subject"] = {"reference": subject}
    return made


def _read(reading: Reading) -> None:
    event = reading.message.event
    if event in ("A34", "A40"):
        merges.read(reading)
        events.read(reading)
        return
    about = patient(reading)
    subject = reading.add(about)
    visit, at = None, ""
    if event not in STATUS:
        reading.first(_NO_VISIT, {})
    elif (visit := encounter(reading, subject, STATUS[event])) is not None:
        if event == "A08" and visit.get("period", {}).get("end"):
            visit["status"] = "finished"
        at = reading.add(visit)
    clinical.read_diagnoses(reading, about, subject, visit, at)
    clinical.read_allergies(reading, about, subject)
    events.read(reading)


def _write(writing: Writing) -> None:
    events.write(writing)
    if writing.event in ("A34", "A40"):
        merges.write(writing)
        return
    about = writing.one("Patient")
    without = _WITHOUT.get(_STRUCTURES[writing.event], ())
    writing.write(PID, about, 1)
    writing.write_what_is_said(PD1, about)
    if "NK1" not in without:
        for number, contact in enumerate(about.get("contact") or (), start=1):
            writing.write(NK1, {**contact, "contained": about.get("contained") or []}, number)
    visit = _write_visit(writing)
    if "AL1" not in without:
        clinical.write_allergies(writing)
    if "DG1" not in without:
        clinical.write_diagnoses(writing, visit)


def _write_visit(writing: Writing) -> Resource | None:
    if writing.event not in STATUS:
        writing.write(PV1, {"class": {"system": CLASS.system, "code": "N"}}, 1)
        return None
    visit = writing.one("Encounter")
    planned = writing.event == "A05"
    writing.write(PV1_PLANNED if planned else PV1, visit, 1)
    writing.write_what_is_said(PV2_PLANNED if planned else PV2, visit)
    return visit


def _tables(event: str) -> Sequence[SegmentTable]:
    """The segments of an event, in order."""
    if event in ("A34", "A40"):
        return (EVN, PID, PD1, MRG)
    without = _WITHOUT.get(_STRUCTURES[event], ())
    visit: Sequence[SegmentTable] = (PV1, PV2)
    if event not in STATUS:
        visit = (_NO_VISIT,)
    elif event == "A05":
        visit = (PV1_PLANNED, PV2_PLANNED)
    diagnosis = DG1 if event in STATUS else DG1_OF_NO_VISIT
    return tuple(table for table in (EVN, PID, PD1, NK1, *visit, AL1, diagnosis) if table.name not in without)


ADT = Family("ADT", _STRUCTURES, _read, _write, {event: _tables(event) for event in _STRUCTURES})

__all__ = ["ADT", "STATUS", "encounter", "event_of", "patient"]
