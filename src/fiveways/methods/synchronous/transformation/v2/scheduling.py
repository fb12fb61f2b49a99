"""SIU: appointments that are booked, moved, changed and cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes_orders import APPOINTMENT_STATUS
from fiveways.methods.synchronous.transformation.v2.entries import enter, refer
from fiveways.methods.synchronous.transformation.v2.family import Family
from fiveways.methods.synchronous.transformation.v2.groups import subjects
from fiveways.methods.synchronous.transformation.v2.inlined import contain, contain_place, inline, merge, picked, unknown
from fiveways.methods.synchronous.transformation.v2.moments import in_order
from fiveways.methods.synchronous.transformation.v2.observing import observe, write_observation
from fiveways.methods.synchronous.transformation.v2.ordering import place_condition, who, write_conditions, write_who
from fiveways.methods.synchronous.transformation.v2.reading import Reading
from fiveways.methods.synchronous.transformation.v2.segment import SegmentTable
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
from fiveways.methods.synchronous.transformation.v2.table import ALTERNATE_CODES, Resource
from fiveways.methods.synchronous.transformation.v2.writing import Unsayable, Writing

_TYPES = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_CONTACTS = {
    "placerContact": ("CALLBCK", "placer contact person"),
    "fillerContact": ("CALLBCK", "filler contact person"),
    "enteredBy": ("ENT", "entered by person"),
}
"""Persons of SCH, and as what they take part."""
_MINUTES = {"": 1, "M": 1, "MIN": 1, "MINS": 1, "MINUTE": 1, "MINUTES": 1, "H": 60, "HR": 60, "HOUR": 60, "HOURS": 60}
_SECONDS = frozenset(("S", "SEC", "SECOND", "SECONDS"))
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
    contacts = [(name, appointment.pop(name)) for name in _CONTACTS if name in appointment]
    _status(appointment, cancelled=cancelled)
    _times(reading, appointment, durations)
    _comment(reading, appointment)
    if orders := appointment.pop("basedOn", None):
        appointment["basedOn"] = [{"type": "ServiceRequest", "identifier": each} for each in orders]
    taking_part = [*_patients(reading, appointment), *_resources(reading, appointment)]
    for name, person in contacts:
        taking_part.append(_contact(appointment, name, person))
    appointment["participant"] = taking_part or [{"actor": unknown(), "status": "needs-action"}]
    visits = appointment.pop("visits", ())
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
        minutes = _minutes(lasting)
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
        end = appointment["end"] = _later(start, appointment["minutesDuration"])
    if bool(start) != bool(end) or (not start and appointment["status"] not in _UNTIMED):
        for name in ("start", "end"):
            if name not in appointment:
                appointment[f"_{name}"] = unknown()


def _minutes(lasting: Resource) -> int | None:
    """Minutes; None where there are none, or not whole ones."""
    number: Decimal | None = lasting.get("duration")
    unit = element.get(lasting, "unit.coding[0].code") or element.get(lasting, "unit.text") or ""
    if number is None or number <= 0 or number > 1_000_000:
        return None
    if unit.upper() in _SECONDS:
        number /= 60
    elif unit.upper() in _MINUTES:
        number *= _MINUTES[unit.upper()]
    else:
        return None
    return int(number) if number == int(number) and number > 0 else None


def _later(moment: str, minutes: int) -> str:
    at = datetime.fromisoformat(moment) + timedelta(minutes=minutes)
    return at.isoformat().replace("+00:00", "Z") if moment.endswith("Z") else at.isoformat()


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
    state = "cancelled" if appointment["status"] == "cancelled" else "planned"
    for subject in subjects(reading.message):
        person, visit = who(reading, subject, state)
        if person:
            yield {"actor": person["subject"], "status": "accepted"}
        if visit:
            appointment.setdefault("visits", []).append(reading.entries[-1]["resource"])
        common = {**person, **visit}
        if found := observe(reading, subject.observed, common):
            appointment.setdefault("supportingInformation", []).extend(refer(each) for each in found)
        for segment in subject.diagnoses:
            condition = refer(place_condition(reading, segment, common))
            appointment.setdefault("reasonReference", []).append(condition)


def _resources(reading: Reading, appointment: Resource) -> Iterator[Resource]:
    for segment in reading.message.segments:
        known = RESOURCES.get(segment.name)
        if known is None:
            continue
        table, kind = known
        where = reading.where(segment)
        taken_out = segment.value(2) == "D"
        said = reading.read(table, segment, {})
        if not said:
            continue
        actor = said.pop("actor", None)
        participant: Resource = said
        if actor is not None:
            participant = {"actor": _actor(appointment, actor, kind), **said}
        elif "type" not in said:
            participant = {"actor": unknown(), **said}
        _period(reading, participant, where)
        if taken_out:
            participant["status"] = "declined"
        participant.setdefault("status", "declined" if appointment["status"] == "cancelled" else "accepted")
        yield participant


def _actor(appointment: Resource, actor: Resource, kind: str) -> Resource:
    if kind == "Location":
        return contain_place(appointment, actor)
    if kind == "Device":
        name = actor.pop("name", None)
        return contain(appointment, {**actor, **({"deviceName": [{"name": name, "type": "other"}]} if name else {})}, kind)
    return contain(appointment, actor, kind)


def _period(reading: Reading, participant: Resource, where: str) -> None:
    lasting = picked(participant, "duration", "unit")
    for name in lasting:
        del participant[name]
    start = element.get(participant, "period.start")
    if not lasting:
        return
    minutes = _minutes(lasting)
    if minutes is None or not start or "T" not in start:
        reading.coverage.wrong.append((where, "a duration that is not of whole minutes, or of nothing that begins"))
    else:
        participant["period"]["end"] = _later(start, minutes)


def _contact(appointment: Resource, name: str, person: Resource) -> Resource:
    code, text = _CONTACTS[name]
    return {
        "type": [{"coding": [{"system": _TYPES, "code": code}], "text": text}],
        "actor": contain(appointment, person, "Practitioner"),
        "required": "information-only",
        "status": "accepted",
    }


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
        elif (name := _contact_of(participant)) and (person := inline(appointment, participant["actor"], writing.resolve)):
            said[name] = person
        else:
            participants += _as_said(writing, appointment, participant)
    if not people:
        raise Unsayable("a Patient who takes part is needed for this message, and there is none")
    _write_schedule(writing, said)
    for person in people:
        _write_patient(writing, person, appointment, alone=len(people) == 1)
    _write_resources(writing, appointment, participants)


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


def _write_resources(writing: Writing, appointment: Resource, participants: list[tuple[str, Resource]]) -> None:
    services = appointment.get("serviceType") or ()
    writing.write(RGS, appointment, 1)
    for number, service in enumerate(services, start=1):
        said = picked(appointment, "start", "status", "_status")
        if minutes := appointment.get("minutesDuration"):
            said |= {"duration": minutes, "unit": {"coding": [{"code": "MIN"}]}}
        writing.write(AIS, {**said, "serviceType": service}, number)
    for name, (table, _) in RESOURCES.items():
        own = [participant for of, participant in participants if of == name]
        for number, participant in enumerate(own, start=1):
            writing.write(table, participant, number)


def _as_said(writing: Writing, appointment: Resource, participant: Resource) -> Iterator[tuple[str, Resource]]:
    """A participant as the table of its segment has it, with the name of the segment."""
    for name, (_, kind) in RESOURCES.items():
        actor = inline(appointment, participant.get("actor"), writing.resolve, kind)
        if actor is None:
            continue
        if kind == "Device":
            actor = {**actor, "name": element.get(actor, "deviceName[0].name") or ""}
        yield name, {**_lasting(participant), "actor": actor}
        return
    if "type" in participant or participant.get("status") != "needs-action":
        name = "AIG" if "type" in participant else "AIP"
        yield name, {name: value for name, value in _lasting(participant).items() if name != "actor"}


def _lasting(participant: Resource) -> Resource:
    """A participant with how long it takes part."""
    start, end = (element.get(participant, f"period.{name}") for name in ("start", "end"))
    if not (start and end and "T" in start and "T" in end):
        return participant
    minutes, rest = divmod(datetime.fromisoformat(end) - datetime.fromisoformat(start), timedelta(minutes=1))
    if rest or minutes <= 0:
        return participant
    return {**participant, "duration": minutes, "unit": {"coding": [{"code": "MIN"}]}}


def _contact_of(participant: Resource) -> str:
    text = element.get(participant, "type[0].text")
    return next((name for name, (_, said) in _CONTACTS.items() if said == text), "")


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
