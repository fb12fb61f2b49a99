"""Who and what takes part in an appointment: AIG, AIL and AIP, and the persons of SCH."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, contain_place, inline, picked
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.segments.appointment import AIS, RESOURCES, RGS
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_TYPES = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CONTACTS = {
    "placerContact": ("CALLBCK", "placer contact person"),
    "fillerContact": ("CALLBCK", "filler contact person"),
    "enteredBy": ("ENT", "entered by person"),
}
"""Persons of SCH, and as what they take part."""
_MINUTES = {"": 1, "M": 1, "MIN": 1, "MINS": 1, "MINUTE": 1, "MINUTES": 1, "H": 60, "HR": 60, "HOUR": 60, "HOURS": 60}
_SECONDS = frozenset(("S", "SEC", "SECOND", "SECONDS"))


def minutes_of(lasting: Resource) -> int | None:
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


def later(moment: str, minutes: int) -> str:
    """An instant so many minutes after another."""
    at = datetime.fromisoformat(moment) + timedelta(minutes=minutes)
    return at.isoformat().replace("+00:00", "Z") if moment.endswith("Z") else at.isoformat()


def resources(reading: Reading, appointment: Resource) -> Iterator[Resource]:
    """Those of AIG, AIL and AIP, as participants. What is taken out of an appointment declines."""
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
        participant: Resource = {"actor": _actor(appointment, said.pop("actor", {}), kind), **said}
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
    minutes = minutes_of(lasting)
    if minutes is None or not start or "T" not in start:
        reading.coverage.wrong.append((where, "a duration that is not of whole minutes, or of nothing that begins"))
    else:
        participant["period"]["end"] = later(start, minutes)


def contact(appointment: Resource, name: str, person: Resource) -> Resource:
    """A person of SCH, as a participant."""
    code, text = CONTACTS[name]
    return {
        "type": [{"coding": [{"system": _TYPES, "code": code}], "text": text}],
        "actor": contain(appointment, person, "Practitioner"),
        "required": "information-only",
        "status": "accepted",
    }


def write_resources(writing: Writing, appointment: Resource, participants: list[tuple[str, Resource]]) -> None:
    """Add the segments of services, and of what takes part: `participants` with the names of theirs."""
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


def as_said(writing: Writing, appointment: Resource, participant: Resource) -> Iterator[tuple[str, Resource]]:
    """A participant as the table of its segment has it, with the name of the segment."""
    for name, (_, kind) in RESOURCES.items():
        actor = inline(appointment, participant.get("actor"), writing.resolve, kind)
        if actor is None:
            continue
        if kind == "Device":
            actor = {**actor, "name": element.get(actor, "deviceName[0].name") or ""}
        yield name, {**_lasting(participant), "actor": actor}
        return
    if "type" in participant:
        yield "AIP", {name: value for name, value in _lasting(participant).items() if name != "actor"}


def _lasting(participant: Resource) -> Resource:
    """A participant with how long it takes part."""
    start, end = (element.get(participant, f"period.{name}") for name in ("start", "end"))
    if not (start and end and "T" in start and "T" in end):
        return participant
    minutes, rest = divmod(datetime.fromisoformat(end) - datetime.fromisoformat(start), timedelta(minutes=1))
    if rest or minutes <= 0:
        return participant
    return {**participant, "duration": minutes, "unit": {"coding": [{"code": "MIN"}]}}


def contact_of(participant: Resource) -> str:
    """Which person of SCH a participant is; '' where it is none."""
    text = element.get(participant, "type[0].text")
    return next((name for name, (_, said) in CONTACTS.items() if said == text), "")
