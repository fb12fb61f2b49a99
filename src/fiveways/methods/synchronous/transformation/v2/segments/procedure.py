"""What was done: PR1."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import given
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, PL, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.segments.clinical import DESCRIPTION
from fiveways.methods.synchronous.transformation.v2.segments.contained import performer
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Context, Resource


class _Action:
    """A procedure that is deleted was entered in error; that it is added, or updated, the message says by having it."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the status."""
        if text == "D":
            into[path] = "entered-in-error"
        elif text not in ("A", "U"):
            raise ValueError("expected A, D or U")

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """D, where it was entered in error."""
        return "D" if resource.get(path) == "entered-in-error" else ""


def _put_identifier(into: Resource, said: Resource) -> None:
    into.setdefault("identifier", []).append(said)


def _identifiers(resource: Resource) -> Iterator[Resource]:
    yield from given(resource)[:1]


def _put_parent(into: Resource, said: Resource) -> None:
    into["partOf"] = [{"type": "Procedure", "identifier": said}]


def _parents(resource: Resource) -> Iterator[Resource]:
    if said := element.get(resource, "partOf[0].identifier"):
        yield said


PR1 = SegmentTable(
    "PR1",
    "Procedure",
    (
        FieldRow(3, "code", CWE),
        FieldRow(4, "code.text", seam=DESCRIPTION),
        FieldRow(5, "performedPeriod.start", MOMENT),
        FieldRow(6, "category", CWE),
        FieldRow(7, "minutes", POSITIVE),
        FieldRow(8, "performer", XCN, many=True, seam=performer("88189002")),
        FieldRow(11, "performer", XCN, many=True, seam=performer("304292004")),
        FieldRow(12, "performer", XCN, many=True, seam=performer("")),
        FieldRow(15, "reasonCode", CWE, many=True),
        FieldRow(19, "identifier", EI, seam=Seam(_put_identifier, _identifiers)),
        FieldRow(20, "status", _Action()),
        FieldRow(23, "place", PL),
        FieldRow(25, "partOf", EI, seam=Seam(_put_parent, _parents)),
    ),
    ignored={1: NUMBERS_ITSELF},
    unsaid={
        9: "FHIR R4 has anaesthesia as a procedure of its own",
        10: "FHIR R4 has anaesthesia as a procedure of its own",
        13: "FHIR R4 has consent as a resource of its own, which this code is too little for",
        14: "FHIR R4 does not rank procedures",
        16: "FHIR R4 has modifiers within the code alone, in a way that each code system has for itself",
    },
)
"""`minutes` are how long it took, once it is known when it began; `place` is contained. Performers are told apart by what they did:
SNOMED CT's anaesthetist and surgeon."""
