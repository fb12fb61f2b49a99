"""Extensions that say what a field does: one for each value, by its URL."""

from __future__ import annotations

from collections.abc import Iterator

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.tables.segment import Seam
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

R4 = "http://hl7.org/fhir/StructureDefinition/"
UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"


def extension(url: str, kind: str, *, inside: str = "") -> Seam:
    """The values of an extension that are of a FHIR type: `valueString` has what a single value says, a `valueCodeableConcept` is
    what a table says. `inside`: the extension within it that has the value."""
    name = f"value{kind}"

    def put(into: Resource, said: Resource) -> None:
        value = said["value"] if set(said) == {"value"} else said
        holds: Resource = {"url": inside or url, name: value}
        into.setdefault("extension", []).append({"url": url, "extension": [holds]} if inside else holds)

    def members(resource: Resource) -> Iterator[Resource]:
        for each in resource.get("extension") or ():
            if each.get("url") != url:
                continue
            held = next((one for one in each.get("extension") or () if one.get("url") == inside), {}) if inside else each
            value = held.get(name)
            if value is not None:
                yield value if isinstance(value, dict) else {"value": value}

    return Seam(put, members)


def text_of(url: str, path: str) -> Seam:
    """An extension whose value has the text that a field is at a path of its own: the text of an address."""
    kind, _, inner = path.partition(".")

    def put(into: Resource, said: Resource) -> None:
        into.setdefault("extension", []).append({"url": url, kind: {inner: said["value"]}})

    def members(resource: Resource) -> Iterator[Resource]:
        for each in resource.get("extension") or ():
            text = element.get(each, path)
            if each.get("url") == url and isinstance(text, str):
                yield {"value": text}

    return Seam(put, members)
