"""ORM and OML: what is ordered, changed, and cancelled."""

from __future__ import annotations

from typing import Any

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import Owner
from fiveways.methods.synchronous.transformation.v2.bundles.entries import entered, refer
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.families import clinical
from fiveways.methods.synchronous.transformation.v2.families.family import Family
from fiveways.methods.synchronous.transformation.v2.families.groups import Order, Sample, only, subjects
from fiveways.methods.synchronous.transformation.v2.families.observed import write_notes, write_observation
from fiveways.methods.synchronous.transformation.v2.families.observing import observe
from fiveways.methods.synchronous.transformation.v2.families.ordered import (
    agents_of,
    specimen_as_said,
    write_conditions,
    write_request,
    write_specimens,
    write_who,
)
from fiveways.methods.synchronous.transformation.v2.families.ordering import (
    compose,
    owner_of,
    place_condition,
    place_request,
    place_specimen,
    who,
    whose,
)
from fiveways.methods.synchronous.transformation.v2.segments.clinical import AL1, DG1_OF_NO_VISIT
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV2
from fiveways.methods.synchronous.transformation.v2.segments.observation import NTE, OBX_EACH
from fiveways.methods.synchronous.transformation.v2.segments.order import OBR_ORDER, ORC
from fiveways.methods.synchronous.transformation.v2.segments.patient import PD1, PID
from fiveways.methods.synchronous.transformation.v2.segments.specimen import SPM
from fiveways.methods.synchronous.transformation.v2.segments.timing import TQ1
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def _read(reading: Reading) -> None:
    seen: dict[str, int] = {}
    for subject in subjects(reading.message):
        person, visit = who(reading, subject)
        common = {**person, **visit}
        if person:
            with only(reading, subject.segments):
                clinical.read_allergies(reading, entered(reading, person["subject"]) or {}, person["subject"]["reference"])
        observe(reading, subject.observed, common, Owner())
        for diagnosis in subject.diagnoses:
            place_condition(reading, diagnosis, common, whose(reading, common, seen))
        for order in subject.orders:
            _order(reading, order, common, seen)


def _order(reading: Reading, order: Order, common: Resource, seen: dict[str, int]) -> None:
    first = order.request or order.common
    where = reading.where(first) if first is not None else ""
    made = compose(reading, order, OBR_ORDER)
    owner = owner_of(reading, made, "PLAC", seen)
    supporting = observe(reading, order.observed, common, owner)
    specimens: list[str | None] = []
    samples: list[Sample | None] = [*order.samples] or [None]
    for sample in samples:
        collected = (made.get("Specimen") or {}) if not specimens else {}
        specimen = place_specimen(reading, sample, collected, common, where, owner)
        if sample is not None:
            supporting += observe(reading, sample.observed, {**common, "specimen": refer(specimen)}, owner)
        specimens.append(specimen)
    request = made.setdefault("ServiceRequest", {})
    if any(specimens):
        request["specimen"] = [refer(each) for each in specimens if each]
    if supporting:
        request.setdefault("supportingInfo", []).extend(refer(each) for each in supporting)
    place_request(reading, order, made, common, where, owner, named=False, notes=order.notes)


def _write(writing: Writing) -> None:
    requests = list(writing.all("ServiceRequest"))
    first = writing.one("ServiceRequest")
    person = writing.resolve(first.get("subject")) or writing.one("Patient")
    visit = writing.resolve(first.get("encounter")) or next(writing.all("Encounter"), None)
    write_who(writing, person, visit, contacts=False)
    clinical.write_allergies(writing)
    for number, request in enumerate(requests, start=1):
        _write_order(writing, request, number)


def _write_order(writing: Writing, request: Resource, number: int) -> None:
    specimens = _resolved(writing, request.get("specimen"), "Specimen")
    more: Resource = {"Provenance": agents_of(writing, request)}
    if specimens:
        more["Specimen"] = specimen_as_said(writing, specimens[0])
    words = [each for each in request.get("supportingInfo") or () if "reference" not in each]
    write_request(writing, {**request, "supportingInfo": words}, more, OBR_ORDER, number)
    write_notes(writing, request)
    write_conditions(writing, _resolved(writing, request.get("reasonReference"), "Condition"))
    observations = _resolved(writing, request.get("supportingInfo"), "Observation")
    own = [each for each in observations if writing.resolve(each.get("specimen")) is None]
    position = 1
    for each in own:
        position = write_observation(writing, each, position) + 1
    for specimen in specimens:
        write_specimens(writing, [specimen])
        position = 1
        for each in observations:
            if "specimen" in each and writing.resolve(each["specimen"]) is specimen:
                position = write_observation(writing, each, position) + 1


def _resolved(writing: Writing, references: Any, kind: str) -> list[Resource]:
    found = [writing.resolve(each) for each in references or ()]
    return [each for each in found if each is not None and element.get(each, "resourceType") == kind]


_TABLES = (PID, PD1, PV1, PV2, AL1, ORC, TQ1, OBR_ORDER, NTE, DG1_OF_NO_VISIT, *OBX_EACH, SPM)
ORM = Family("ORM", {"O01": "ORM_O01"}, _read, _write, {"O01": _TABLES})
OML = Family("OML", {"O21": "OML_O21"}, _read, _write, {"O21": _TABLES})
