"""Diagnoses and allergies of a message: entries of their own, which the same message sent again does not make again.

HL7 v2 sends all of them each time, mostly without an identifier. One that has none gets one that follows from who has it and what
it is: an entry is found again by that, and it is not written back.
"""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.bundles.derived import code_of, derive, found_by
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.segments.clinical import AL1, DG1, DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_CATEGORY = "http://terminology.hl7.org/CodeSystem/condition-category"
_ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}


def read_diagnoses(reading: Reading, patient: Resource, subject: str, visit: Resource | None, at: str) -> None:
    """The conditions of a message, and the visit's diagnoses; `at` is the reference to the visit."""
    seen: dict[str, int] = {}
    for segment in reading.message.all("DG1"):
        made: Resource = {"resourceType": "Condition"}
        where = reading.where(segment)
        read = reading.apart(DG1 if visit is not None else DG1_OF_NO_VISIT, segment, made)
        if reading.find(made) is not None:
            reading.coverage.wrong.append((where, "another diagnosis has the same identifier"))
            continue
        reading.coverage.add(read)
        if len(made) == 1:
            continue
        diagnosis: Resource = {name: made.pop(name) for name in ("use", "rank") if name in made}
        made["subject"] = {"reference": subject}
        if visit is None:
            derive(made, search(patient), code_of(made.get("code", {})), seen=seen)
            reading.add(made)
            continue
        made["category"] = [{"coding": [{"system": _CATEGORY, "code": "encounter-diagnosis"}]}]
        made["encounter"] = {"reference": at}
        whose = search(patient), found_by(reading.message, visit), code_of(diagnosis.get("use", {}))
        derive(made, *whose, code_of(made.get("code", {})), seen=seen)
        visit.setdefault("diagnosis", []).append({"condition": {"reference": reading.add(made)}, **diagnosis})


def read_allergies(reading: Reading, patient: Resource, subject: str) -> None:
    """The allergies of a message."""
    seen: dict[str, int] = {}
    for segment in reading.message.all("AL1"):
        made: Resource = {"resourceType": "AllergyIntolerance", "clinicalStatus": _ACTIVE}
        reading.read(AL1, segment, made)
        if len(made) == 2:
            continue
        made["patient"] = {"reference": subject}
        derive(made, search(patient), code_of(made.get("code", {})), seen=seen)
        reading.add(made)


def write_diagnoses(writing: Writing, visit: Resource | None) -> None:
    """The visit's diagnoses, and then the other conditions."""
    written: set[int] = set()
    said: list[Resource] = []
    for diagnosis in (visit or {}).get("diagnosis") or ():
        condition = writing.resolve(diagnosis.get("condition"))
        if condition is not None and condition.get("resourceType") == "Condition":
            written.add(id(condition))
            said.append({**condition, **{name: diagnosis[name] for name in ("use", "rank") if name in diagnosis}})
    said += [each for each in writing.all("Condition") if id(each) not in written]
    for number, each in enumerate(said, start=1):
        writing.write(DG1, each, number)


def write_allergies(writing: Writing) -> None:
    """The allergies."""
    for number, each in enumerate(writing.all("AllergyIntolerance"), start=1):
        writing.write(AL1, each, number)
