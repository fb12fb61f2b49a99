"""Observations out of OBX and NTE.

Each OBX is an observation of its own. Where several in a row are lines of text (TX, FT) and say the same but for the line, they are
one, whose value has the lines. A value that repeats is said in components, all with the code of the observation; of a text the
repetitions are lines. Documents (ED, RP) are entries of their own, from which the observation is derived.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import Owner, code_of
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, entered, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, picked, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import limits
from fiveways.methods.synchronous.transformation.v2.datatypes.values import ANY, LINES
from fiveways.methods.synchronous.transformation.v2.families.groups import Observed
from fiveways.methods.synchronous.transformation.v2.segments.observation import NTE, OBX, OBX_ANY, SUB_ID
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

FUNCTION = "http://hl7.org/fhir/StructureDefinition/event-performerFunction"
"""HL7's extension for what a performer did."""
DIRECTOR = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0912", "code": "MDIR"}]}
"""What the person of OBX-25 does; those of OBX-16 have no function."""
PERFORMER = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0912", "code": "PO"}]}
"""What the organisation of OBX-23 does; that of OBX-15 has no function."""
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_NOT_ASKED = "N"
_TEXTUAL = frozenset((*LINES, "ST", ""))
_DOCUMENTS = frozenset(("ED", "RP"))


def observe(reading: Reading, observed: list[Observed], common: Resource, owner: Owner) -> list[str]:
    """Make the entries of OBX segments in a row; the references to them. `common` is what all of them have: subject, time. Those
    that say no identifier (OBX-21) are known by their owner, what is observed (OBX-3), and what tells them apart (OBX-4): so that
    a correction is of what it corrects."""
    references = []
    for observation in _in_lines(reading, observed):
        attachments = [value["attachment"] for value in observation.pop("attachments", ())]
        _specimen(reading, observation, common)
        for name, value in common.items():
            if name.startswith("effective") and ("effectiveDateTime" in observation or not value):
                continue
            observation.setdefault(name, value)
        told = code_of(observation["code"])
        if told:
            owner.derive(observation, told, _sub_id(observation))
        if attachments:
            document = _document(observation, attachments)
            if told:
                owner.derive(document, told, _sub_id(observation))
            observation["derivedFrom"] = [refer(enter(reading, document))]
        references.append(enter(reading, observation))
    return references


def _sub_id(observation: Resource) -> str:
    extensions = observation.get("extension") or ()
    return next((str(element.get(each, "extension[0].valueString")) for each in extensions if each.get("url") == SUB_ID), "")


def _specimen(reading: Reading, observation: Resource, common: Resource) -> None:
    """Refer to the specimen that OBX-33 names: to the one that SPM describes, where it is that, else to one that is contained."""
    named = observation.pop("specimen", None)
    if named is None:
        return
    described = entered(reading, common.get("specimen")) or {}
    if not all(each in (described.get("identifier") or ()) for each in named["identifier"]):
        observation["specimen"] = contain(observation, named, "Specimen")


def _document(observation: Resource, attachments: list[Resource]) -> Resource:
    shared = picked(observation, "subject")
    kind = {"type": observation["code"]} if "coding" in observation["code"] or "text" in observation["code"] else {}
    content = [{"attachment": attachment} for attachment in attachments]
    return {"resourceType": "DocumentReference", "status": "current", **kind, **shared, "content": content}


def _in_lines(reading: Reading, observed: list[Observed]) -> Iterator[Resource]:
    """The observations; lines of text that say the same of themselves are one. A note ends the text that it is on."""
    text: Resource | None = None
    lines: list[str] = []
    for each in observed:
        observation = read_observation(reading, each.segment)
        if each.segment.value(2) not in LINES:
            if text is not None:
                yield _with_lines(text, lines)
                text = None
            add_notes(reading, each.notes, observation)
            yield observation
            continue
        line = observation.pop("valueString", "")
        if text is None or observation != text:
            if text is not None:
                yield _with_lines(text, lines)
            text, lines = observation, []
        lines.append(line)
        if each.notes:
            add_notes(reading, each.notes, text)
            yield _with_lines(text, lines)
            text = None
    if text is not None:
        yield _with_lines(text, lines)


def _with_lines(observation: Resource, lines: list[str]) -> Resource:
    if any(line.strip() for line in lines):
        observation["valueString"] = "\n".join(lines)
    return observation


def read_observation(reading: Reading, segment: Segment) -> Resource:
    """What an OBX says, as an observation; documents are in `attachments`."""
    where = reading.where(segment)
    kind = segment.value(2)
    said = reading.read(OBX.get(kind, OBX_ANY), segment, {"resourceType": "Observation"})
    values = said.pop("values", [])
    if not values and kind not in _TEXTUAL and kind not in _DOCUMENTS:
        values = _as_text(reading, segment)
    if (unit := said.pop("unit", None)) and not _measure(values, unit):
        reading.coverage.unmapped.append(f"{where}-6")
    for reference in said.get("referenceRange") or ():
        if values and "valueQuantity" in values[0]:
            reference.update(limits(reference["text"], unit or {}))
    _value(said, values, kind)
    _status(said)
    _performers(said)
    said.setdefault("code", unknown())
    return said


def _as_text(reading: Reading, segment: Segment) -> list[Resource]:
    """A value that is not of the type that it is said to be, as it is written."""
    values = (ANY.read(Part(text, segment.delimiters), reading.context) for text in segment.repetitions(5))
    return [value for value in values if value]


def _measure(values: list[Resource], unit: Resource) -> bool:
    """Give the quantities of values their unit; False where there are none."""
    measured = False
    for value in values:
        ends = (value.get("valueQuantity"), *(value.get("valueRange") or {}).values(), *(value.get("valueRatio") or {}).values())
        for end in ends:
            if end:
                end.update(unit)
                measured = True
    return measured


def _value(said: Resource, values: list[Resource], kind: str) -> None:
    attachments = [value for value in values if "attachment" in value]
    if attachments:
        said["attachments"] = attachments
    elif kind in LINES and values:
        said["valueString"] = "\n".join(str(value["valueString"]) for value in values)
    elif len(values) == 1:
        said.update(values[0])
        if not str(said.get("valueString", "-")).strip():
            del said["valueString"]
    elif values:
        said["component"] = [{"code": said.get("code", unknown()), **value} for value in values]


def _status(said: Resource) -> None:
    kept = element.get(said, "_status.extension[0].valueCodeableConcept.coding[0].code")
    if kept == _NOT_ASKED:
        said["dataAbsentReason"] = {"coding": [{"system": _ABSENT, "code": "not-asked"}]}
    said.setdefault("status", "unknown")


def _performers(said: Resource) -> None:
    references = [contain(said, person, "Practitioner") for person in said.pop("performer", ())]
    if producer := said.pop("producer", None):
        references.append(contain(said, producer, "Organization"))
    if organization := said.pop("organization", None):
        function = [{"url": FUNCTION, "valueCodeableConcept": PERFORMER}]
        references.append({"extension": function, **contain(said, organization, "Organization")})
    if director := said.pop("director", None):
        function = [{"url": FUNCTION, "valueCodeableConcept": DIRECTOR}]
        references.append({"extension": function, **contain(said, director, "Practitioner")})
    if references:
        said["performer"] = references
    if "device" in said:
        said["device"]["type"] = "Device"


def add_notes(reading: Reading, notes: Sequence[Segment], into: Resource) -> None:
    """Put what NTE segments say into a resource that has notes."""
    for annotation in read_notes(reading, notes, into):
        into.setdefault("note", []).append(annotation)


def read_notes(reading: Reading, notes: Sequence[Segment], owner: Resource) -> Iterator[Resource]:
    """The notes of NTE segments; who wrote them is contained in their owner. One without a text is none."""
    for segment in notes:
        where = reading.where(segment)
        said = reading.read(NTE, segment, {})
        author = said.pop("author", None)
        if not str(said.get("text", "")).strip():
            if author or "time" in said:
                reading.coverage.wrong.append((where, "a note without a text"))
            continue
        if author:
            said["authorReference"] = contain(owner, author, "Practitioner")
        yield said
