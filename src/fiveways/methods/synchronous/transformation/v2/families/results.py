"""ORU: results of what was ordered, and of what was not."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import Owner, derive
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, inline, picked, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Unsayable, Writing
from fiveways.methods.synchronous.transformation.v2.families.family import Family
from fiveways.methods.synchronous.transformation.v2.families.groups import Order, Sample, subjects
from fiveways.methods.synchronous.transformation.v2.families.observed import write_note, write_observation
from fiveways.methods.synchronous.transformation.v2.families.observing import FUNCTION, observe, read_notes
from fiveways.methods.synchronous.transformation.v2.families.ordered import (
    agents_of,
    specimen_as_said,
    write_result,
    write_specimens,
    write_timing,
    write_who,
)
from fiveways.methods.synchronous.transformation.v2.families.ordering import (
    compose,
    is_of,
    owner_of,
    place_condition,
    place_request,
    place_specimen,
    who,
    whose,
)
from fiveways.methods.synchronous.transformation.v2.families.timing import settle_period, spread_period
from fiveways.methods.synchronous.transformation.v2.segments.contact import NK1
from fiveways.methods.synchronous.transformation.v2.segments.contained import PARTICIPATION
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV2
from fiveways.methods.synchronous.transformation.v2.segments.observation import NTE, OBX_EACH
from fiveways.methods.synchronous.transformation.v2.segments.order import OBR_RESULT, ORC
from fiveways.methods.synchronous.transformation.v2.segments.patient import PD1, PID
from fiveways.methods.synchronous.transformation.v2.segments.specimen import SPM
from fiveways.methods.synchronous.transformation.v2.segments.timing import TQ1
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
"""FHIR R4's reports have no notes; this is R5's element as an extension, which UK Core's profile has too."""
_FUNCTIONS = {"technician": "SPRF", "transcriptionist": "TRANS"}
"""What performers of a report did: persons of OBR-34 and OBR-35."""
_EFFECTIVE = ("effectiveDateTime", "effectivePeriod")


def _read(reading: Reading) -> None:
    seen: dict[str, int] = {}
    for subject in subjects(reading.message):
        person, visit = who(reading, subject)
        common = {**person, **visit}
        observe(reading, subject.observed, common, Owner())
        for diagnosis in subject.diagnoses:
            place_condition(reading, diagnosis, common, whose(reading, common, seen))
        for order in subject.orders:
            _report(reading, order, common, seen)


def _report(reading: Reading, order: Order, common: Resource, seen: dict[str, int]) -> None:
    first = order.request or order.common
    where = reading.where(first) if first is not None else ""
    made = compose(reading, order, OBR_RESULT)
    asked = made.get("ServiceRequest") or {}
    owner = owner_of(reading, made, "FILL", seen)
    report: Resource = {"resourceType": "DiagnosticReport", **(made.get("DiagnosticReport") or {})}
    if identifiers := asked.get("identifier"):
        report["identifier"] = sorted(identifiers, key=lambda each: not is_of(each, "FILL"))
    report["code"] = asked.get("code") or unknown()
    report.setdefault("status", "unknown")
    settle_period(reading, report, "effective", where)
    if interpreters := report.pop("resultsInterpreter", None):
        report["resultsInterpreter"] = [contain(report, person, "Practitioner") for person in interpreters]
    for name, function in _FUNCTIONS.items():
        for person in report.pop(name, ()):
            said = [{"url": FUNCTION, "valueCodeableConcept": {"coding": [{"system": PARTICIPATION, "code": function}]}}]
            report.setdefault("performer", []).append({"extension": said, **contain(report, person, "Practitioner")})
    report.update(common)
    request = place_request(reading, order, made, common, where, owner, named=True, notes=())
    if request is not None:
        report["basedOn"] = [refer(request)]
    for note in read_notes(reading, order.notes, report):
        report.setdefault("extension", []).append({"url": NOTE, "valueAnnotation": note})
    for diagnosis in order.diagnoses:
        place_condition(reading, diagnosis, common, owner)
    _observations(reading, order, made.get("Specimen") or {}, report, common, where, owner)
    if owner.parts[0]:
        derive(report, *owner.parts)
    enter(reading, report, by_code=True)


def _observations(
    reading: Reading, order: Order, collected: Resource, report: Resource, common: Resource, where: str, owner: Owner
) -> None:
    samples: list[Sample | None] = [*order.samples] or [None]
    specimens = [
        place_specimen(reading, sample, collected if sample is samples[0] else {}, common, where, owner) for sample in samples
    ]
    shared = {**common, **picked(report, *_EFFECTIVE, "basedOn")}
    only = {"specimen": refer(specimens[0])} if len(specimens) == 1 and specimens[0] else {}
    results = observe(reading, order.observed, {**shared, **only}, owner)
    for sample, specimen in zip(samples, specimens, strict=True):
        if sample is not None:
            results += observe(reading, sample.observed, {**shared, "specimen": refer(specimen)}, owner)
    if any(specimens):
        report["specimen"] = [refer(specimen) for specimen in specimens if specimen]
    if results:
        report["result"] = [refer(result) for result in results]


def _write(writing: Writing) -> None:
    reports = list(writing.all("DiagnosticReport"))
    if not reports:
        raise Unsayable("a DiagnosticReport is needed for this message, and there is none")
    people: list[tuple[str, Resource]] = [
        (url, each) for url, each in writing.resources.items() if each.get("resourceType") == "Patient"
    ]
    if not people:
        raise Unsayable("a Patient is needed for this message, and there is none")
    for url, person in people:
        own = [each for each in reports if _is_of(each, url) or (len(people) == 1 and not _is_known(writing, each))]
        visits = [each for each in writing.all("Encounter") if _is_of(each, url)]
        if not own and len(people) > 1 and not visits:
            continue
        write_who(writing, person, next(iter(visits), None))
        taken = {id(result) for report in own for result in _results(writing, report)}
        number = 1
        for each in writing.all("Observation"):
            if _is_of(each, url) and id(each) not in taken:
                number = write_observation(writing, each, number) + 1
        for number, report in enumerate(own, start=1):
            _write_report(writing, report, number)


def _is_of(resource: Resource, url: str) -> bool:
    return (resource.get("subject") or {}).get("reference") == url


def _is_known(writing: Writing, resource: Resource) -> bool:
    return writing.resolve(resource.get("subject")) is not None


def _results(writing: Writing, report: Resource) -> list[Resource]:
    found = [writing.resolve(reference) for reference in report.get("result") or ()]
    return [each for each in found if each is not None]


def _write_report(writing: Writing, report: Resource, number: int) -> None:
    request = next((each for ref in report.get("basedOn") or () if (each := writing.resolve(ref)) is not None), None)
    specimens = [each for ref in report.get("specimen") or () if (each := writing.resolve(ref)) is not None]
    said = spread_period(report, "effective")
    interpreters = [each for ref in report.get("resultsInterpreter") or () if (each := inline(report, ref, writing.resolve))]
    said = {name: value for name, value in said.items() if name != "resultsInterpreter" and value != "unknown"}
    more: Resource = {"DiagnosticReport": {**said, "resultsInterpreter": interpreters, **_performers(writing, report)}}
    if specimens:
        more["Specimen"] = specimen_as_said(writing, specimens[0])
    if request is None:
        request = {"status": "unknown", **picked(report, "identifier", "code")}
    more["Provenance"] = agents_of(writing, request)
    write_result(writing, request, more, OBR_RESULT, number)
    notes = [each["valueAnnotation"] for each in report.get("extension") or () if each.get("url") == NOTE]
    for position, note in enumerate(notes, start=1):
        write_note(writing, note, report, position)
    write_timing(writing, request)
    _write_observations(writing, report, specimens)


def _performers(writing: Writing, report: Resource) -> Resource:
    """Performers of a report by what they did."""
    found: Resource = {name: [] for name in _FUNCTIONS}
    for reference in report.get("performer") or ():
        code = element.get(reference, "extension[0].valueCodeableConcept.coding[0].code")
        for name, function in _FUNCTIONS.items():
            if code == function and (person := inline(report, reference, writing.resolve)):
                found[name].append(person)
    return found


def _write_observations(writing: Writing, report: Resource, specimens: list[Resource]) -> None:
    omit = {"effectivePeriod": report["effectivePeriod"]} if "effectivePeriod" in report else {}
    results = _results(writing, report)
    later: dict[int, list[Resource]] = {}
    number = 1
    for each in results:
        specimen = writing.resolve(each.get("specimen"))
        if len(specimens) > 1 and specimen is not None:
            later.setdefault(id(specimen), []).append(each)
        else:
            number = write_observation(writing, each, number, omit) + 1
    for specimen in specimens:
        write_specimens(writing, [specimen])
        for position, each in enumerate(later.get(id(specimen), ()), start=1):
            write_observation(writing, each, position, omit)


ORU = Family(
    "ORU",
    {"R01": "ORU_R01"},
    _read,
    _write,
    {"R01": (PID, PD1, NK1, PV1, PV2, ORC, OBR_RESULT, NTE, TQ1, *OBX_EACH, SPM)},
)
