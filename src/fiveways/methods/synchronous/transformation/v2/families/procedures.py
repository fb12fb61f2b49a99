"""Procedures of a message: entries of their own, which the same message sent again does not make again."""

from __future__ import annotations

from datetime import datetime

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import code_of, derive, found_by
from fiveways.methods.synchronous.transformation.v2.bundles.entries import refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain_place, inline
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT, in_order
from fiveways.methods.synchronous.transformation.v2.families.taking_part import later
from fiveways.methods.synchronous.transformation.v2.families.timing import spread_period
from fiveways.methods.synchronous.transformation.v2.segments.procedure import PR1
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def read(reading: Reading, patient: Resource, subject: str, visit: Resource | None, at: str) -> None:
    """The procedures of a message; `at` is the reference to the visit."""
    seen: dict[str, int] = {}
    for segment in reading.message.all("PR1"):
        where = reading.where(segment)
        made: Resource = {"resourceType": "Procedure"}
        read = reading.apart(PR1, segment, made)
        if reading.find(made) is not None:
            reading.coverage.wrong.append((where, "another procedure has the same identifier"))
            continue
        reading.coverage.add(read)
        if len(made) == 1:
            continue
        _performed(reading, made, where)
        made.setdefault("status", _status(reading, made))
        if place := made.pop("place", None):
            made["location"] = contain_place(made, place)
        made["subject"] = refer(subject)
        if visit is not None:
            made["encounter"] = refer(at)
        begun = made.get("performedDateTime") or element.get(made, "performedPeriod.start") or ""
        derive(made, search(patient), found_by(reading.message, visit or {}), code_of(made.get("code", {})), begun, seen=seen)
        reading.add(made)


def _performed(reading: Reading, made: Resource, where: str) -> None:
    """When it was: from its beginning on for so many minutes, or but when it began."""
    minutes = made.pop("minutes", None)
    start = element.get(made, "performedPeriod.start")
    if minutes is not None and start and "T" in start:
        made["performedPeriod"]["end"] = later(start, minutes)
        return
    if minutes is not None:
        reading.coverage.mapped -= 1
        reading.coverage.wrong.append((f"{where}-7", "it lasts from no time of a day on"))
    if start:
        del made["performedPeriod"]
        made["performedDateTime"] = start


def _status(reading: Reading, made: Resource) -> str:
    """What is to begin after the message was made is being prepared; what has begun is taken to be complete, since a message says
    nothing else of it."""
    start = made.get("performedDateTime") or element.get(made, "performedPeriod.start")
    said: Resource = {}
    try:
        INSTANT.read(reading.message.get("MSH-7"), said, "sent", reading.context)
    except ValueError:
        return "unknown"
    if not start:
        return "unknown"
    return "completed" if in_order(start, said["sent"]) else "preparation"


def write(writing: Writing) -> None:
    """Add the PR1 segments of a message."""
    for number, procedure in enumerate(writing.all("Procedure"), start=1):
        said = spread_period(procedure, "performed")
        start, end = (element.get(said, f"performedPeriod.{name}") for name in ("start", "end"))
        if start and end and "T" in start and "T" in end:
            seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
            if seconds > 0 and seconds % 60 == 0:
                said = {**said, "minutes": int(seconds // 60)}
        if place := inline(procedure, procedure.get("location"), writing.resolve, "Location"):
            said = {**said, "place": place}
        writing.write(PR1, said, number)
