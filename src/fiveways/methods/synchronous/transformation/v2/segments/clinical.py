"""What is the matter: DG1 and AL1."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.derived import given
from fiveways.methods.synchronous.transformation.v2.codes.general import ALLERGEN_CATEGORY, CRITICALITY, DIAGNOSIS_TYPE
from fiveways.methods.synchronous.transformation.v2.datatypes.authorities import authority_from, identifier
from fiveways.methods.synchronous.transformation.v2.datatypes.general import CWE, XCN
from fiveways.methods.synchronous.transformation.v2.datatypes.numbers import POSITIVE
from fiveways.methods.synchronous.transformation.v2.segments.contained import referred
from fiveways.methods.synchronous.transformation.v2.tables.segment import NUMBERS_ITSELF, FieldRow, Seam, SegmentTable
from fiveways.methods.synchronous.transformation.v2.tables.table import MOMENT, TEXT, Coded, Context, Resource, Table

VERIFICATION = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
_EI = Table("EI", "Identifier", identifier(1, authority_from(2)), needs=1)


def _put_description(into: Resource, said: Resource) -> None:
    if element.get(into, "code.text") not in (None, said["value"]):
        raise ValueError("its code has a text of its own, and FHIR has one of both")
    element.put(into, "code.text", said["value"])


def _description(resource: Resource) -> Iterator[Resource]:
    if text := element.get(resource, "code.text"):
        yield {"value": text}


DESCRIPTION = Seam(_put_description, _description)
"""What something is called, beside its code."""


class _Action:
    """A diagnosis that is deleted was entered in error; that it is added, or updated, the message says by having it."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the verification status."""
        if text == "D":
            into[path] = {"coding": [{"system": VERIFICATION, "code": "entered-in-error"}]}
        elif text not in ("A", "U"):
            raise ValueError("expected A, D or U")

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """D, where it was entered in error."""
        return "D" if element.get(resource, f"{path}.coding[0].code") == "entered-in-error" else ""


def _put_identifier(into: Resource, said: Resource) -> None:
    into.setdefault("identifier", []).append(said)


def _identifiers(resource: Resource) -> Iterator[Resource]:
    yield from given(resource)[:1]


def _put_category(into: Resource, said: Resource) -> None:
    if "value" in said:
        into["category"] = [said["value"]]
        into["type"] = "allergy"
    if "_value" in said:
        into["_category"] = [said["_value"]]


def _category(resource: Resource) -> Iterator[Resource]:
    said = {name.replace("category", "value"): resource[name][0] for name in ("category", "_category") if resource.get(name)}
    if said:
        yield said


def _put_reaction(into: Resource, said: Resource) -> None:
    reactions = into.setdefault("reaction", [{"manifestation": []}])
    reactions[0]["manifestation"].append({"text": said["value"]})


def _reactions(resource: Resource) -> Iterator[Resource]:
    for reaction in resource.get("reaction") or ():
        for manifestation in reaction.get("manifestation") or ():
            text = manifestation.get("text") or element.get(manifestation, "coding[0].display")
            if isinstance(text, str):
                yield {"value": text}


_CONDITION = (
    FieldRow(3, "code", CWE),
    FieldRow(4, "code.text", TEXT, seam=DESCRIPTION),
    FieldRow(5, "onsetDateTime", MOMENT),
    FieldRow(16, "asserter", XCN, seam=referred("asserter", "Practitioner")),
    FieldRow(19, "recordedDate", MOMENT),
    FieldRow(20, "identifier", _EI, seam=Seam(_put_identifier, _identifiers)),
    FieldRow(21, "verificationStatus", _Action()),
)
DG1 = SegmentTable(
    "DG1",
    "Condition",
    (*_CONDITION, FieldRow(6, "use", CWE, table=DIAGNOSIS_TYPE), FieldRow(15, "rank", POSITIVE)),
    ignored={1: NUMBERS_ITSELF},
)
"""`use` and `rank` are of the visit's diagnosis, and not of the condition: they are moved there once all is read."""
DG1_OF_NO_VISIT = SegmentTable("DG1", "Condition", _CONDITION, ignored={1: NUMBERS_ITSELF})

AL1 = SegmentTable(
    "AL1",
    "AllergyIntolerance",
    (
        FieldRow(2, "category", Coded(ALLERGEN_CATEGORY), seam=Seam(_put_category, _category)),
        FieldRow(3, "code", CWE),
        FieldRow(4, "criticality", Coded(CRITICALITY)),
        FieldRow(5, "reaction.manifestation.text", TEXT, many=True, seam=Seam(_put_reaction, _reactions)),
        FieldRow(6, "onsetDateTime", MOMENT),
    ),
    ignored={1: NUMBERS_ITSELF},
)
