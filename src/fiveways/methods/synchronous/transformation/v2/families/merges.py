"""Two records that are of one patient: A34 and A40. The one that is kept replaces the other (MRG), which is no longer in use."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.hl7v2.message import Message, Segment
from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading, search
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Unsayable, Writing
from fiveways.methods.synchronous.transformation.v2.families import beside
from fiveways.methods.synchronous.transformation.v2.segments.patient import MRG, PD1, PID
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def read(reading: Reading) -> None:
    """The patients of a message that are kept, each with those that they replace.

    Who is replaced, and can be found by an identifier that the other has not, is updated: not active, and replaced by. What both
    have, an NHS number, finds the one that is kept alone from now on. Who cannot be found is contained in the one that is kept, so
    that nobody is made who was never there.
    """
    said: list[tuple[str, Resource]] = []
    for group in _groups(reading.message):
        kept, subject = _kept(reading, group, said)
        for segment in group[1:]:
            if segment.name == "MRG":
                prior: Resource = {"resourceType": "Patient"}
                reading.read(MRG, segment, prior)
                _link(reading, kept, subject, prior)


def _kept(reading: Reading, group: list[Segment], said: list[tuple[str, Resource]]) -> tuple[Resource, str]:
    """The patient of a group, and the reference to them; one who is named before is said once. `said` is what has been said of
    others beside each patient."""
    made: Resource = {"resourceType": "Patient"}
    read = [
        (reading.where(segment), reading.apart(table, segment, made))
        for table in (PID, PD1)
        for segment in group
        if segment.name == table.name
    ]
    others = beside.taken(made)
    known = reading.find(made)
    same = known is None or all(known.get(name) == value for name, value in made.items() if name != "contained")
    for where, coverage in read:
        if same:
            reading.coverage.add(coverage)
        else:
            reading.coverage.wrong.append((where, "it says otherwise of a patient who is named before"))
    subject = reading.add(made)
    if same and (subject, others) not in said:
        said.append((subject, others))
        beside.place(reading, others, subject)
    return known or made, subject


def _groups(message: Message) -> Iterator[list[Segment]]:
    group: list[Segment] = []
    for segment in message.segments:
        if segment.name == "PID":
            if group:
                yield group
            group = [segment]
        elif group:
            group.append(segment)
    if group:
        yield group


def _link(reading: Reading, kept: Resource, subject: str, prior: Resource) -> None:
    if len(prior) == 1:
        return
    own = [each for each in prior.get("identifier", ()) if not _is_among(each, kept.get("identifier", ()))]
    if search({**prior, "identifier": own}):
        prior["identifier"] = own
        prior["active"] = False
        prior["link"] = [{"other": {"reference": subject}, "type": "replaced-by"}]
        reference = reading.add(prior)
    else:
        contained = kept.setdefault("contained", [])
        name = f"replaced-{len(contained) + 1}"
        contained.append({**prior, "id": name, "active": False})
        reference = f"#{name}"
    kept.setdefault("link", []).append({"other": {"reference": reference}, "type": "replaces"})


def _is_among(identifier: Resource, others: list[Resource]) -> bool:
    """Whether one has it too who has others: it finds them, and not the one who is replaced."""
    said = (identifier.get("system"), identifier.get("value"))
    return any(said == (each.get("system"), each.get("value")) for each in others)


def write(writing: Writing) -> None:
    """A group for each patient who is replaced. Raises Unsayable where nobody is, or where there are several and the event is
    A34."""
    pairs = list(_pairs(writing))
    if not pairs:
        raise Unsayable("a Patient that replaces another is needed for this message, and there is none")
    if writing.event == "A34" and len(pairs) > 1:
        raise Unsayable("an A34 is of one patient who is replaced, and there are several")
    for number, (kept, prior) in enumerate(pairs, start=1):
        writing.write(PID, beside.as_said(writing, kept), number)
        writing.write_what_is_said(PD1, kept)
        writing.write(MRG, prior)


def _pairs(writing: Writing) -> Iterator[tuple[Resource, Resource]]:
    written: set[int] = set()
    for patient in writing.all("Patient"):
        for link in patient.get("link") or ():
            other = _other(writing, patient, link.get("other") or {})
            if other is None or link.get("type") not in ("replaces", "replaced-by"):
                continue
            kept, prior = (patient, other) if link["type"] == "replaces" else (other, patient)
            if id(prior) not in written:
                written.add(id(prior))
                yield kept, prior


def _other(writing: Writing, patient: Resource, reference: Resource) -> Resource | None:
    for each in patient.get("contained") or ():
        if reference.get("reference") == f"#{each.get('id')}":
            return dict(each)
    found = writing.resolve(reference)
    if found is None and element.get(reference, "identifier.value"):
        return {"resourceType": "Patient", "identifier": [reference["identifier"]]}
    return found
