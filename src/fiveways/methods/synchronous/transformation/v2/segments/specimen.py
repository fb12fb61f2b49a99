"""What is examined: SPM, and what OBR-15 says of it."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import is_derived
from fiveways.methods.synchronous.transformation.v2.codes.orders import AVAILABLE
from fiveways.methods.synchronous.transformation.v2.datatypes.concepts import CONDITION
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, CX
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EIP, placed
from fiveways.methods.synchronous.transformation.v2.datatypes.quantities import CQ
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Coded, Context, Own, Resource, Row, Table, Text

_CODED = {1: (1, 2, 3), 4: (1, 2, 3)}


def _read_source(part: Part, into: Resource, context: Context) -> None:
    for component, path in ((1, "type"), (4, "collection.bodySite")):
        concept = Part()
        for subcomponent in (1, 2, 3):
            if text := part.get(component, subcomponent):
                concept.set(text, subcomponent)
        if said := CWE.read(concept, context):
            element.put(into, path, said)


def _write_source(resource: Resource, part: Part, context: Context) -> None:
    for component, path in ((1, "type"), (4, "collection.bodySite")):
        if said := element.get(resource, path):
            concept = Part()
            CWE.write(said, concept, context)
            written = Part(concept.text)
            for subcomponent in (1, 2, 3):
                if text := written.get(subcomponent):
                    part.set(text, component, subcomponent)


SPS = Table(
    "SPS", "Specimen", (Own((1, 4), "What it is, and where it is from.", _read_source, _write_source, subcomponents=_CODED),)
)


def _put_ids(into: Resource, said: Resource) -> None:
    into.setdefault("identifier", []).extend(said.values())


def _ids(resource: Resource) -> Iterator[Resource]:
    if found := placed(resource.get("identifier") or ()):
        yield found


def _others(resource: Resource) -> Iterator[Resource]:
    for each in resource.get("identifier") or ():
        if element.get(each, "type.coding[0].code") not in ("PLAC", "FILL") and not is_derived(each):
            yield each


def _put_other(into: Resource, said: Resource) -> None:
    into.setdefault("identifier", []).append(said)


DR = Table("DR", "Period", (Row(1, "start", MOMENT), Row(2, "end", MOMENT)))
SPM = SegmentTable(
    "SPM",
    "Specimen",
    (
        FieldRow(2, "identifier", EIP, seam=Seam(_put_ids, _ids)),
        FieldRow(4, "type", CWE),
        FieldRow(6, "container[0].additiveCodeableConcept", CWE),
        FieldRow(7, "collection.method", CWE),
        FieldRow(8, "collection.bodySite", CWE),
        FieldRow(12, "collection.quantity", CQ),
        FieldRow(14, "note[0].text", Text()),
        FieldRow(17, "collection.collectedPeriod", DR),
        FieldRow(18, "receivedTime", MOMENT),
        FieldRow(20, "status", Coded(AVAILABLE)),
        FieldRow(24, "condition", CONDITION, many=True),
        FieldRow(27, "container[0].type", CWE),
        FieldRow(30, "accessionIdentifier", CX),
        FieldRow(31, "identifier", CX, many=True, seam=Seam(_put_other, _others)),
    ),
    ignored={1: NUMBERS_ITSELF},
)
