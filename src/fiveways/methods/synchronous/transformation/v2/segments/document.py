"""What a document is, and what it holds: TXA, and OBX where it is of a document."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.codes.orders import AVAILABILITY, DOCUMENT_STATUS
from fiveways.methods.synchronous.transformation.v2.datatypes.attachments import ED, RP
from fiveways.methods.synchronous.transformation.v2.datatypes.concepts import CONFIDENTIALITY, DOCUMENT_TYPE
from fiveways.methods.synchronous.transformation.v2.datatypes.general import XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.identifiers import EI, FILLER, PLACER
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.datatypes.parties import PPN
from fiveways.methods.synchronous.transformation.v2.datatypes.values import STRING
from fiveways.methods.synchronous.transformation.v2.segments.observation import VALUE
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, Coded, Context, Own, Resource, Table


def _read_format(part: Part, into: Resource, context: Context) -> None:
    if code := part.get(1):
        into.update({"system": "http://terminology.hl7.org/CodeSystem/v2-0191", "code": code})


def _write_format(resource: Resource, part: Part, context: Context) -> None:
    part.set(str(resource.get("code") or ""), 1)


_FORMAT = Table("ID", "Coding", (Own((1,), "How the content is presented (table 0191).", _read_format, _write_format),))

TXA = SegmentTable(
    "TXA",
    "DocumentReference",
    (
        FieldRow(2, "type", DOCUMENT_TYPE),
        FieldRow(3, "format", _FORMAT),
        FieldRow(4, "context.period.start", MOMENT),
        FieldRow(6, "date", INSTANT),
        FieldRow(9, "author", XCN, many=True),
        FieldRow(10, "authenticator", XCN),
        FieldRow(12, "masterIdentifier", EI),
        FieldRow(13, "parent", EI),
        FieldRow(14, "orders", EI, many=True, fixed=PLACER),
        FieldRow(15, "orders", EI, many=True, fixed=FILLER),
        FieldRow(16, "file"),
        FieldRow(17, "docStatus", Coded(DOCUMENT_STATUS)),
        FieldRow(18, "securityLabel", CONFIDENTIALITY, many=True),
        FieldRow(19, "status", Coded(AVAILABILITY)),
        FieldRow(22, "authenticated", PPN, many=True),
        FieldRow(25, "description"),
    ),
    ignored={1: NUMBERS_ITSELF},
)
"""`format` is of the first content, `file` an identifier, `parent` what the document relates to; `orders` are in its context;
`authenticated` says who has done so, and when: each is a provenance of the document."""


def _read_title(part: Part, into: Resource, context: Context) -> None:
    if title := part.get(2) or part.get(1):
        into["title"] = title


def _write_title(resource: Resource, part: Part, context: Context) -> None:
    part.set(str(resource.get("title") or ""), 2)


_TITLE = Table(
    "CWE", "string", (Own((1, 2), "What the content is called.", _read_title, _write_title, "title", moved={1: "OBX-3.2"}),)
)
_STATUS = "the document says its own (TXA-17)"


def _content(value: Table) -> SegmentTable:
    return SegmentTable(
        "OBX",
        "DocumentReference.content",
        (FieldRow(3, "name", _TITLE), FieldRow(5, "attachment", value, many=True, seam=VALUE)),
        ignored={1: NUMBERS_ITSELF, 2: "it says how OBX-5 is read", 11: _STATUS},
    )


CONTENT = {"TX": _content(STRING), "FT": _content(STRING), "ED": _content(ED), "RP": _content(RP)}
"""By OBX-2. What is of another type is not the content of a document, but observed beside it."""
