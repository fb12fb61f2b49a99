"""SIU: appointments that are booked, moved, changed and cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation.v2.bundles.derived import Owner, derive, number_of
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, entered, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import inline, merge, picked, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Unsayable, Writing
from fiveways.methods.synchronous.transformation.v2.codes.orders import APPOINTMENT_STATUS
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import in_order
from fiveways.methods.synchronous.transformation.v2.families.family import Family
from fiveways.methods.synchronous.transformation.v2.families.groups import subjects
from fiveways.methods.synchronous.transformation.v2.families.observed import write_observation
from fiveways.methods.synchronous.transformation.v2.families.observing import observe
from fiveways.methods.synchronous.transformation.v2.families.ordered import write_conditions, write_who
from fiveways.methods.synchronous.transformation.v2.families.ordering import place_condition, who, whose
from fiveways.methods.synchronous.transformation.v2.families.taking_part import (
    CONTACTS,
    as_said,
    contact,
    contact_of,
    later,
    minutes_of,
    resources,
    write_resources,
)
from fiveways.methods.synchronous.transformation.v2.segments.appointment import (
    AIS,
    RESOURCES,
    RGS,
    SCH,
    SCH_CANCELLED,
    TQ1,
)
from fiveways.methods.synchronous.transformation.v2.segments.clinical import DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV1_PLANNED, PV2, PV2_PLANNED
from fiveways.methods.synchronous.transformation.v2.segments.observation import COMMENT, OBX_EACH
from fiveways.methods.synchronous.transformation.v2.segments.patient import PD1, PID
from fiveways.methods.synchronous.transformation.v2.tables.segment import SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import ALTERNATE_CODES, Resource

_CANCELLED = "S15"
_UNTIMED = frozenset(("proposed", "cancelled", "waitlist"))
"""States in which FHIR does without a start and an end."""


def _read(reading: Reading) -> None:
    appointment: Resource = {"resourceType": "Appointment"}
    cancelled = reading.message.event == _CANCELLED
    durations: list[tuple[str, Resource]] = []
    for segment in reading.message.segments:
        table = {"SCH": SCH_CANCELLED if cancelled else SCH, "TQ1": TQ1, "AIS": AIS}.get(segment.name)
        if table is not None:
            _take(reading, segment, table, appointment, durations)
        elif segment.name == "RGS":
            reading.read(RGS, segment, {})
    timing = appointment.pop("timing", {})
    for path in merge(appointment, timing):
        reading.coverage.unmapped.append(f"SCH-11.{4 if path == 'start' else 5}")
    contacts = [(name, appointment.pop(name)) for name in CONTACTS if name in appointment]
    _status(appointment, cancelled=cancelled)
    _times(reading, appointment, durations)
    _comment(reading, appointment)
    if orders := appointment.pop("basedOn", None):
        appointment["basedOn"] = [{"type": "ServiceRequest", "identifier": each} for each in orders]
    taking_part = [*_patients(reading, appointment), *resources(reading, appointment)]
    for name, person in contacts:
        taking_part.append(contact(appointment, name, person))
    appointment["participant"] = taking_part or [{"actor": unknown(), "status": "needs-action"}]
    visits = appointment.pop("visits", ())
    if numbered := number_of(reading.message, appointment.get("identifier", ())):
        derive(appointment, numbered)
    reference = enter(reading, appointment)
    for visit in visits:
        visit["appointment"] = [refer(reference)]


def _take(
    reading: Reading, segment: Segment, table: SegmentTable, appointment: Resource, durations: list[tuple[str, Resource]]
) -> None:
    """Put what a segment says of the appointment; where it differs from what was said before it is told of."""
    where = reading.where(segment)
    said = reading.read(table, segment, {})
    if table is AIS:
        if service := said.pop("serviceType", None):
            said["serviceType"] = [service]
        if "status" in appointment or "_status" in appointment:
            _drop(reading, said, appointment, where)
    lasting = picked(said, "duration", "unit")
    said = {name: value for name, value in said.items() if name not in lasting}
    if lasting:
        durations.append((where, lasting))
    numbers = {row.path: row.number for row in table.rows}
    for path in merge(appointment, said):
        reading.coverage.unmapped.append(f"{where}-{numbers.get(path.partition('.')[0], '')}")


def _drop(reading: Reading, said: Resource, appointment: Resource, where: str) -> None:
    """A service's state is not the appointment's, where that has one."""
    status, kept = said.pop("status", None), said.pop("_status", None)
    if (status, kept) != (appointment.get("status"), appointment.get("_status")):
        reading.coverage.unmapped.append(f"{where}-10")


def _status(appointment: Resource, *, cancelled: bool) -> None:
    """What happened says more than the state that is said, which is kept."""
    said = appointment.get("status")
    if cancelled and said not in ("cancelled", "noshow", "entered-in-error"):
        appointment["status"] = "cancelled"
        if said is not None and "_status" not in appointment:
            concept = {"coding": [{"system": APPOINTMENT_STATUS.system, "code": APPOINTMENT_STATUS.written[said]}]}
            appointment["_status"] = {"extension": [{"url": ALTERNATE_CODES, "valueCodeableConcept": concept}]}
    appointment.setdefault("status", "booked")
    if appointment["status"] not in ("cancelled", "noshow") and "cancelationReason" in appointment:
        appointment.setdefault("reasonCode", []).append(appointment.pop("cancelationReason"))


def _times(reading: Reading, appointment: Resource, durations: list[tuple[str, Resource]]) -> None:
    for where, lasting in durations:
        minutes = minutes_of(lasting)
        if minutes is None:
            reading.coverage.wrong.append((where, "a duration that is not of whole minutes"))
        elif appointment.setdefault("minutesDuration", minutes) != minutes:
            reading.coverage.unmapped.append(f"{where} (duration)")
    start, end = appointment.get("start"), appointment.get("end")
    if start and end and not in_order(start, end):
        reading.coverage.wrong.append(("SCH", "the appointment ends before it begins"))
        del appointment["end"]
        end = None
    if start and not end and "minutesDuration" in appointment:
        end = appointment["end"] = later(start, appointment["minutesDuration"])
    if bool(start) != bool(end) or (not start and appointment["status"] not in _UNTIMED):
        for name in ("start", "end"):
            if name not in appointment:
                appointment[f"_{name}"] = unknown()


def _comment(reading: Reading, appointment: Resource) -> None:
    """All notes, line by line: an appointment has one comment."""
    lines: list[str] = []
    before = ""
    for segment in reading.message.segments[1:]:
        if segment.name != "NTE":
            before = segment.name
        elif before in ("SCH", "TQ1", "AIS", *RESOURCES):
            said = reading.read(COMMENT, segment, {})
            if "text" in said:
                lines.append(said["text"])
    if any(line.strip() for line in lines):
        appointment["comment"] = "\n".join(lines)


def _patients(reading: Reading, appointment: Resource) -> Iterator[Resource]:
    seen: dict[str, int] = {}
    state = "cancelled" if appointment["status"] == "cancelled" else "planned"
    for subject in subjects(reading.message):
        person, visit = who(reading, subject, state)
        if person:
            yield {"actor": person["subject"], "status": "accepted"}
        if visit:
            appointment.setdefault("visits", []).append(entered(reading, visit["encounter"]))
        common = {**person, **visit}
        numbered = number_of(reading.message, appointment.get("identifier", ()))
        owner = Owner((numbered, *whose(reading, common, seen).parts), seen)
        if found := observe(reading, subject.observed, common, owner):
            appointment.setdefault("supportingInformation", []).extend(refer(each) for each in found)
        for segment in subject.diagnoses:
            condition = refer(place_condition(reading, segment, common, owner))
            appointment.setdefault("reasonReference", []).append(condition)


def _write(writing: Writing) -> None:
    appointment = writing.one("Appointment")
    said = dict(appointment)
    said["basedOn"] = [each["identifier"] for each in appointment.get("basedOn") or () if "identifier" in each]
    participants: list[tuple[str, Resource]] = []
    people: list[Resource] = []
    for participant in appointment.get("participant") or ():
        actor = writing.resolve(participant.get("actor"))
        if actor is not None and actor.get("resourceType") == "Patient":
            people.append(actor)
        elif (name := contact_of(participant)) and (person := inline(appointment, participant["actor"], writing.resolve)):
            said[name] = person
        else:
            participants += as_said(writing, appointment, participant)
    if not people:
        raise Unsayable("a Patient who takes part is needed for this message, and there is none")
    _write_schedule(writing, said)
    for person in people:
        _write_patient(writing, person, appointment, alone=len(people) == 1)
    write_resources(writing, appointment, participants)


def _write_schedule(writing: Writing, said: Resource) -> None:
    minutes = said.get("minutesDuration")
    if minutes:
        said = {**said, "duration": minutes, "unit": {"coding": [{"code": "MIN"}]}}
    said["timing"] = picked(said, "start", "end")
    cancelled = writing.event == _CANCELLED
    writing.write(SCH_CANCELLED if cancelled else SCH, said)
    if said["timing"]:
        writing.write(TQ1, said, 1)
    for number, line in enumerate(str(said.get("comment") or "").split("\n") if said.get("comment") else (), start=1):
        writing.write(COMMENT, {"text": line}, number)


def _write_patient(writing: Writing, person: Resource, appointment: Resource, *, alone: bool) -> None:
    url = next((url for url, each in writing.resources.items() if each is person), "")
    visits = [
        each
        for each in writing.all("Encounter")
        if (each.get("subject") or {}).get("reference") == url or (alone and "subject" not in each)
    ]
    write_who(writing, person, next(iter(visits), None), contacts=False)
    number = 1
    for observation in _of(writing, appointment.get("supportingInformation"), "Observation", url, alone=alone):
        number = write_observation(writing, observation, number) + 1
    write_conditions(writing, _of(writing, appointment.get("reasonReference"), "Condition", url, alone=alone))


def _of(writing: Writing, references: Any, kind: str, url: str, *, alone: bool) -> list[Resource]:
    """What references lead to that is of a patient."""
    found = [writing.resolve(each) for each in references or ()]
    return [
        each
        for each in found
        if each is not None and each.get("resourceType") == kind and ((each.get("subject") or {}).get("reference") == url or alone)
    ]


def _tables(event: str) -> Sequence[SegmentTable]:
    """The segments of an event, in order."""
    visit = (PV1, PV2) if event == _CANCELLED else (PV1_PLANNED, PV2_PLANNED)
    schedule = SCH_CANCELLED if event == _CANCELLED else SCH
    return (
        schedule,
        TQ1,
        COMMENT,
        PID,
        PD1,
        *visit,
        *OBX_EACH,
        DG1_OF_NO_VISIT,
        RGS,
        AIS,
        *(table for table, _ in RESOURCES.values()),
    )


_EVENTS = ("S12", "S13", "S14", "S15")
SIU = Family("SIU", dict.fromkeys(_EVENTS, "SIU_S12"), _read, _write, {event: _tables(event) for event in _EVENTS})
