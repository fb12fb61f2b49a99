"""ADT: a patient is admitted, moved, discharged, registered, corrected, or turns out to have been here before."""

from __future__ import annotations

from collections.abc import Sequence

from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.codes.general import CLASS
from fiveways.methods.synchronous.transformation.v2.families import (
    beside,
    clinical,
    events,
    merges,
    paying,
    people,
    procedures,
    roles,
)
from fiveways.methods.synchronous.transformation.v2.families.events import event_of
from fiveways.methods.synchronous.transformation.v2.families.family import Family
from fiveways.methods.synchronous.transformation.v2.segments.clinical import AL1, DG1, DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.contact import GT1, NK1
from fiveways.methods.synchronous.transformation.v2.segments.contained import settle_places
from fiveways.methods.synchronous.transformation.v2.segments.encounter import (
    PV1,
    PV1_NOT_ENDED,
    PV1_NOT_MOVED,
    PV1_PLANNED,
    PV2,
    PV2_PLANNED,
)
from fiveways.methods.synchronous.transformation.v2.segments.event import EVN
from fiveways.methods.synchronous.transformation.v2.segments.insurance import IN1
from fiveways.methods.synchronous.transformation.v2.segments.patient import MRG, PD1, PID
from fiveways.methods.synchronous.transformation.v2.segments.procedure import PR1
from fiveways.methods.synchronous.transformation.v2.segments.role import ROL
from fiveways.methods.synchronous.transformation.v2.segments.visit import UNKNOWN
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

STATUS = {
    "A01": "in-progress", "A02": "in-progress", "A03": "finished", "A04": "in-progress", "A05": "planned", "A06": "in-progress",
    "A07": "in-progress", "A08": "unknown", "A11": "cancelled", "A12": "in-progress", "A13": "in-progress",
}  # fmt: skip
"""The status of an encounter by what happened. A registration (A04) has begun; an update (A08) says it by its times."""
_STRUCTURES = {
    "A01": "ADT_A01", "A02": "ADT_A02", "A03": "ADT_A03", "A04": "ADT_A01", "A05": "ADT_A05", "A06": "ADT_A06", "A07": "ADT_A06",
    "A08": "ADT_A01", "A11": "ADT_A09", "A12": "ADT_A09", "A13": "ADT_A01", "A28": "ADT_A05", "A31": "ADT_A05", "A34": "ADT_A30",
    "A40": "ADT_A39",
}  # fmt: skip
_WITHOUT = {"ADT_A02": ("NK1", "AL1", "DG1", "PR1", "GT1", "IN1"), "ADT_A09": ("NK1", "AL1", "PR1", "GT1", "IN1", "ROL")}
"""Segments that a structure has no place for: they are read where somebody sends them, and not written. A message that cannot say
who is to be told is about the visit, and names the patient only: an update would take from the record what it cannot say."""
_PV1 = {"A12": PV1_NOT_MOVED, "A13": PV1_NOT_ENDED}
_NO_VISIT = SegmentTable("PV1", "Encounter", (), ignored={1: NUMBERS_ITSELF, 2: "a person's record is of no visit"})
"""The visit that a person's record must have, and is none."""


def patient(reading: Reading) -> Resource:
    """The patient that a message is about, with those who are to be told."""
    made: Resource = {"resourceType": "Patient"}
    reading.first(PID, made)
    reading.first(PD1, made)
    for segment in reading.message.all("NK1"):
        people.read_contact(reading, segment, made)
    return made


def encounter(reading: Reading, subject: str, status: str) -> Resource | None:
    """The visit that a message is about; None where there is no PV1."""
    made: Resource = {"resourceType": "Encounter", "status": status}
    first, second = _visit_tables(reading.message.event, status)
    if not reading.first(first, made):
        return None
    reading.first(second, made)
    made.setdefault("class", dict(UNKNOWN))
    made["subject"] = {"reference": subject}
    if reading.message.event == "A08":
        made["status"] = _status_of_update(made)
    settle_places(made)
    return made


def _visit_tables(event: str, status: str = "") -> tuple[SegmentTable, SegmentTable]:
    """The tables of PV1 and PV2: what is said of a visit that is to come, or of what is cancelled, is read otherwise."""
    if "planned" in (status, STATUS.get(event)):
        return PV1_PLANNED, PV2_PLANNED
    return _PV1.get(event, PV1), PV2


def _status_of_update(visit: Resource) -> str:
    """An update says of itself that the visit has ended, has begun, or is to come, and nothing else."""
    period = visit.get("period", {})
    if period.get("end"):
        return "finished"
    if visit["class"].get("code") == "PRENC":
        return "planned"
    return "in-progress" if period.get("start") else "unknown"


def _read(reading: Reading) -> None:
    event = reading.message.event
    if event in ("A34", "A40"):
        merges.read(reading)
        events.read(reading)
        return
    about = patient(reading)
    others = beside.taken(about)
    roles.read_general_practitioners(reading, about)
    subject = reading.add(about, named="NK1" in _WITHOUT.get(_STRUCTURES[event], ()))
    people.enter_contacts(reading, about, subject)
    account = paying.read(reading, about, subject, beside.place(reading, others, subject))
    visit, at = None, ""
    if event not in STATUS:
        reading.first(_NO_VISIT, {})
    elif (visit := encounter(reading, subject, STATUS[event])) is not None:
        roles.read_participants(reading, visit)
        at = reading.add(visit)
        beside.join(reading, at, account)
    clinical.read_diagnoses(reading, about, subject, visit, at)
    procedures.read(reading, about, subject, visit, at)
    clinical.read_allergies(reading, about, subject)
    events.read(reading)


def _write(writing: Writing) -> None:
    events.write(writing)
    if writing.event in ("A34", "A40"):
        merges.write(writing)
        return
    about = writing.one("Patient")
    without = _WITHOUT.get(_STRUCTURES[writing.event], ())
    writing.write(PID, beside.as_said(writing, about), 1)
    writing.write_what_is_said(PD1, about)
    if "ROL" not in without:
        roles.write_general_practitioners(writing, about)
    if "NK1" not in without:
        people.write_contacts(writing, about)
    visit = _write_visit(writing)
    if "AL1" not in without:
        clinical.write_allergies(writing)
    if "DG1" not in without:
        clinical.write_diagnoses(writing, visit)
    if "PR1" not in without:
        procedures.write(writing)
    if "IN1" not in without:
        paying.write(writing, about)


def _write_visit(writing: Writing) -> Resource | None:
    if writing.event not in STATUS:
        writing.write(PV1, {"class": {"system": CLASS.system, "code": "N"}}, 1)
        return None
    visit = writing.one("Encounter")
    first, second = _visit_tables(writing.event)
    writing.write(first, visit, 1)
    writing.write_what_is_said(second, visit)
    if "ROL" not in _WITHOUT.get(_STRUCTURES[writing.event], ()):
        roles.write_participants(writing, visit)
    return visit


def _tables(event: str) -> Sequence[SegmentTable]:
    """The segments of an event, in order."""
    if event in ("A34", "A40"):
        return (EVN, PID, PD1, MRG)
    without = _WITHOUT.get(_STRUCTURES[event], ())
    visit: Sequence[SegmentTable] = _visit_tables(event) if event in STATUS else (_NO_VISIT,)
    diagnosis = DG1 if event in STATUS else DG1_OF_NO_VISIT
    of_patient, of_visit = ((), (ROL,)) if event in STATUS else ((ROL,), ())
    tables = (EVN, PID, PD1, *of_patient, NK1, *visit, *of_visit, AL1, diagnosis, PR1, GT1, IN1)
    return tuple(table for table in tables if table.name not in without)


ADT = Family("ADT", _STRUCTURES, _read, _write, {event: _tables(event) for event in _STRUCTURES})

__all__ = ["ADT", "STATUS", "encounter", "event_of", "patient"]
