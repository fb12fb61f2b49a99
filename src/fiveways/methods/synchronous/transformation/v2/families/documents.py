"""MDM: documents, with what they hold."""

from __future__ import annotations

from typing import Any

from fiveways.hl7v2.message import Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import Owner, derive, is_derived, number_of
from fiveways.methods.synchronous.transformation.v2.bundles.entries import enter, refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, inline, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Unsayable, Writing
from fiveways.methods.synchronous.transformation.v2.datatypes.attachments import plain, text_of
from fiveways.methods.synchronous.transformation.v2.datatypes.values import LINES, type_of
from fiveways.methods.synchronous.transformation.v2.families.family import Family
from fiveways.methods.synchronous.transformation.v2.families.groups import Observed, subjects
from fiveways.methods.synchronous.transformation.v2.families.observed import write_notes, write_observation
from fiveways.methods.synchronous.transformation.v2.families.observing import observe
from fiveways.methods.synchronous.transformation.v2.families.ordered import agents_of, specimen_as_said, write_request, write_who
from fiveways.methods.synchronous.transformation.v2.families.ordering import (
    compose,
    owner_of,
    place_condition,
    place_request,
    place_specimen,
    who,
    whose,
)
from fiveways.methods.synchronous.transformation.v2.families.provenance import attest, attested
from fiveways.methods.synchronous.transformation.v2.segments.document import CONTENT, TXA
from fiveways.methods.synchronous.transformation.v2.segments.encounter import PV1, PV2
from fiveways.methods.synchronous.transformation.v2.segments.observation import NTE
from fiveways.methods.synchronous.transformation.v2.segments.order import OBR_ORDER, ORC
from fiveways.methods.synchronous.transformation.v2.segments.patient import PD1, PID
from fiveways.methods.synchronous.transformation.v2.segments.timing import TQ1
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_RELATED = "ServiceRequest"
_ATTESTER = "attester"
"""What somebody is who has authenticated a document."""
_FILE = {"text": "Unique document file name"}
"""What sort of identifier TXA-16 is."""


def _read(reading: Reading) -> None:
    document: Resource = {"resourceType": "DocumentReference"}
    header = reading.message.segment("TXA")
    if header is not None:
        reading.read(TXA, header, document)
    related: list[Resource] = []
    contents: list[Resource] = []
    titles: list[str] = []
    seen: dict[str, int] = {}
    numbered = number_of(reading.message, [document["masterIdentifier"]] if "masterIdentifier" in document else ())
    of_document = Owner((numbered,), seen)
    for subject in subjects(reading.message):
        person, visit = who(reading, subject)
        common = {**person, **visit}
        if person:
            document["subject"] = person["subject"]
        if visit:
            document.setdefault("context", {})["encounter"] = [visit["encounter"]]
        observed = list(subject.observed)
        related += [
            refer(place_condition(reading, diagnosis, common, whose(reading, common, seen))) for diagnosis in subject.diagnoses
        ]
        for order in subject.orders:
            observed += [*order.observed, *(each for sample in order.samples for each in sample.observed)]
            where = reading.where(order.request or order.common or header or reading.message.segments[0])
            made = compose(reading, order, OBR_ORDER)
            owner = owner_of(reading, made, "PLAC", seen)
            if specimen := place_specimen(reading, None, made.get("Specimen") or {}, common, where, owner):
                made.setdefault("ServiceRequest", {})["specimen"] = [refer(specimen)]
            if request := place_request(reading, order, made, common, where, owner, named=True, notes=order.notes):
                related.append(refer(request))
        related += [refer(each) for each in _contents(reading, observed, contents, titles, common, of_document)]
    authenticated = document.pop("authenticated", ())
    _settle(document, contents, titles, related)
    if numbered:
        derive(document, numbered)
    reference = enter(reading, document)
    for person in authenticated:
        at = person.pop("at", "")
        attest(reading, reference, {_ATTESTER: [person]}, occurred=at, recorded=at)


def _contents(
    reading: Reading, observed: list[Observed], contents: list[Resource], titles: list[str], common: Resource, owner: Owner
) -> list[str]:
    """Put what the document holds; the references to what is observed beside it. Texts in a row that are called the same are
    one."""
    beside: list[str] = []
    texts: list[list[str]] = [[] for _ in contents]
    line_of = ""
    for each in observed:
        kind = each.segment.value(2)
        table = CONTENT.get(kind)
        if table is None:
            beside += observe(reading, [each], common, owner)
            line_of = ""
            continue
        said = reading.read(table, each.segment, {})
        title = str(said.get("name", {}).get("title", ""))
        values = said.get("values", [])
        if kind in LINES:
            key = f"{kind} {title}"
            if key != line_of:
                contents.append({})
                titles.append(title)
                texts.append([])
            texts[-1] += [str(value["valueString"]) for value in values] or [""]
            line_of = key
            continue
        line_of = ""
        for value in values:
            contents.append({"attachment": value["attachment"]})
            titles.append(title)
            texts.append([])
    for content, lines in zip(contents, texts, strict=True):
        if any(line.strip() for line in lines):
            content["attachment"] = plain("\n".join(lines))
    return beside


def _settle(document: Resource, contents: list[Resource], titles: list[str], related: list[Resource]) -> None:
    for name in ("author", "authenticator"):
        found: Any = document.pop(name, None)
        if isinstance(found, list):
            document[name] = [contain(document, person, "Practitioner") for person in found]
        elif found:
            document[name] = contain(document, found, "Practitioner")
    file = document.pop("file", None)
    identifiers = [dict(document["masterIdentifier"])] if "masterIdentifier" in document else []
    if identifiers or file:
        document["identifier"] = [*identifiers, *([{"type": _FILE, "value": file}] if file else [])]
    if parent := document.pop("parent", None):
        document["relatesTo"] = [{"code": "appends", "target": {"type": "DocumentReference", "identifier": parent}}]
    related += [{"type": _RELATED, "identifier": each} for each in document.pop("orders", ())]
    if related:
        document.setdefault("context", {})["related"] = related
    document.setdefault("status", "current")
    document["content"] = _named(document, contents, titles)


def _named(document: Resource, contents: list[Resource], titles: list[str]) -> list[Resource]:
    """The contents with what they are called; there is always one."""
    named = []
    for content, title in zip(contents, titles, strict=True):
        if "attachment" in content or title:
            attachment = {**content.get("attachment", {}), **({"title": title} if title else {})}
            named.append({"attachment": attachment})
    named = named or [{"attachment": unknown()}]
    if presented := document.pop("format", None):
        named[0]["format"] = presented
    return named


def _write(writing: Writing) -> None:
    document = writing.one("DocumentReference")
    person = writing.resolve(document.get("subject"))
    if person is None or person.get("resourceType") != "Patient":
        raise Unsayable("a DocumentReference whose subject is a Patient in the Bundle is needed for this message")
    event = writing.message.add("EVN")
    event.set(writing.event, 1)
    event.set(writing.message.get("MSH-7"), 2)
    visits = [writing.resolve(each) for each in element.get(document, "context.encounter") or ()]
    write_who(writing, person, next((each for each in visits if each is not None), None), contacts=False)
    related = [(each, writing.resolve(each)) for each in element.get(document, "context.related") or ()]
    for number, request in enumerate([each for _, each in related if each is not None and _is(each, _RELATED)], start=1):
        specimens = [writing.resolve(each) for each in request.get("specimen") or ()]
        first = next((each for each in specimens if each is not None), None)
        more: Resource = {"Provenance": agents_of(writing, request)}
        if first is not None:
            more["Specimen"] = specimen_as_said(writing, first)
        write_request(writing, request, more, OBR_ORDER, number)
        write_notes(writing, request)
    writing.write(TXA, _as_said(writing, document), 1)
    number = 1
    for content in document.get("content") or ():
        number = _write_content(writing, content, number)
    for _, observation in related:
        if observation is not None and _is(observation, "Observation"):
            number = write_observation(writing, observation, number) + 1


def _is(resource: Resource | None, kind: str) -> bool:
    return resource is not None and resource.get("resourceType") == kind


def _as_said(writing: Writing, document: Resource) -> Resource:
    said = {name: value for name, value in document.items() if name not in ("author", "authenticator")}
    said["author"] = [each for ref in document.get("author") or () if (each := inline(document, ref, writing.resolve))]
    if person := inline(document, document.get("authenticator"), writing.resolve):
        said["authenticator"] = person
    said["authenticated"] = [
        {**person, **({"at": at} if (at := provenance.get("occurredDateTime")) else {})}
        for person, provenance in attested(writing, document, _ATTESTER)
        if person is not None
    ]
    related = element.get(document, "context.related") or ()
    said["orders"] = [each["identifier"] for each in related if "reference" not in each and "identifier" in each]
    if parent := element.get(document, "relatesTo[0].target.identifier"):
        said["parent"] = parent
    if presented := element.get(document, "content[0].format"):
        said["format"] = presented
    for identifier in document.get("identifier") or ():
        if identifier.get("type") == _FILE:
            said["file"] = identifier.get("value")
        elif not is_derived(identifier):
            said.setdefault("masterIdentifier", identifier)
    return said


def _write_content(writing: Writing, content: Resource, number: int) -> int:
    """Add the OBX of a content; the number of the next."""
    attachment = content.get("attachment") or {}
    text = text_of(attachment)
    if attachment == unknown():
        return number
    value: Resource = {"attachment": attachment}
    if text is not None or not attachment.keys() & {"contentType", "_contentType", "data", "url"}:
        value = {"valueString": text or ""}
    kind = "TX" if "valueString" in value else type_of(value)
    segment: Segment = writing.write(CONTENT[kind], {"values": [value], "name": {"title": attachment.get("title")}}, number)
    segment.set(kind, 2)
    segment.set("F", 11)
    return number + 1


_CONTENTS = tuple(CONTENT[kind] for kind in ("TX", "ED", "RP"))
MDM = Family(
    "MDM",
    {"T02": "MDM_T02"},
    _read,
    _write,
    {"T02": (PID, PD1, PV1, PV2, ORC, TQ1, OBR_ORDER, NTE, TXA, *_CONTENTS)},
)
