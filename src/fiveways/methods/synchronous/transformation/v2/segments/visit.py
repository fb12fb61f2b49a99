"""What a visit says in a way of its own: its class, its episode, how somebody came, where they go, and which bed it is."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape, unescape

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.codes.general import (
    ARRIVAL,
    BED_STATUS,
    CLASS,
    NEAREST_CLASS,
)
from fiveways.methods.synchronous.transformation.v2.segments.contained import current_place
from fiveways.methods.synchronous.transformation.v2.segments.extensions import R4
from fiveways.methods.synchronous.transformation.v2.tables.part import Part
from fiveways.methods.synchronous.transformation.v2.tables.segment import Seam
from fiveways.methods.synchronous.transformation.v2.tables.table import (
    CODE,
    SYSTEM_OF,
    Context,
    Own,
    Resource,
    Row,
    Table,
    code,
)

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
UNKNOWN = {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK"}
"""The class of a visit that says none."""


class Class:
    """The class of an encounter: one of FHIR's where HL7's code is one, HL7's own else."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put a Coding."""
        meaning = CLASS.meanings.get(text)
        into[path] = {"system": ACT_CODE, "code": meaning} if meaning else {"system": CLASS.system, "code": code(text)}

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """HL7's code, which a visit must have: the nearest where it has none of its own."""
        coding = resource.get(path) or UNKNOWN
        said = coding.get("code", "")
        if coding.get("system") == CLASS.system:
            return str(said)
        return CLASS.written.get(said) or NEAREST_CLASS.get(said) or "U"


def _put_episode(into: Resource, said: Resource) -> None:
    element.put(into, "episodeOfCare[0].display", said["value"])


def _put_episode_number(into: Resource, said: Resource) -> None:
    element.put(into, "episodeOfCare[0].identifier", said)


def episode(name: str) -> Seam:
    def members(resource: Resource) -> Iterator[Resource]:
        found = element.get(resource, f"episodeOfCare[0].{name}")
        if found is not None:
            yield found if isinstance(found, dict) else {"value": found}

    return Seam(_put_episode if name == "display" else _put_episode_number, members)


def expected(name: str) -> Seam:
    """When a visit that is planned is to begin, and to end."""

    def put(into: Resource, said: Resource) -> None:
        if element.get(into, f"period.{name}") not in (None, said["value"]):
            raise ValueError("PV1 says another time, and FHIR R4 has one of both")
        element.put(into, f"period.{name}", said["value"])

    def members(resource: Resource) -> Iterator[Resource]:
        if moment := element.get(resource, f"period.{name}"):
            yield {"value": moment}

    return Seam(put, members)


def _put_length(into: Resource, said: Resource) -> None:
    into["length"] = {"value": said["value"], "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}


def _length(resource: Resource) -> Iterator[Resource]:
    if element.get(resource, "length.code") == "d":
        yield {"value": element.get(resource, "length.value")}


LENGTH = Seam(_put_length, _length)
"""The days that it lasted."""


def _put_arrival(into: Resource, said: Resource) -> None:
    if said["code"] in ARRIVAL.codes:
        said.setdefault("system", ARRIVAL.system)
    into.setdefault("extension", []).append({"url": f"{R4}encounter-modeOfArrival", "valueCoding": said})


def _arrival(resource: Resource) -> Iterator[Resource]:
    for each in resource.get("extension") or ():
        if each.get("url") == f"{R4}encounter-modeOfArrival" and isinstance(each.get("valueCoding"), dict):
            yield each["valueCoding"]


ARRIVAL_MODE = Seam(_put_arrival, _arrival)
"""How somebody came."""


def _put_bed(into: Resource, said: Resource) -> None:
    here = current_place(into)
    if here is None or element.get(here, "physicalType.coding[0].code") not in ("bd", "ro"):
        raise ValueError("PV1-3 names no bed and no room that it would be the state of")
    system = {"system": BED_STATUS.system} if said["value"] in BED_STATUS.codes else {}
    here["operationalStatus"] = {**system, "code": said["value"]}


def _bed(resource: Resource) -> Iterator[Resource]:
    status = element.get(current_place(resource), "operationalStatus") or {}
    if status.get("system") in (BED_STATUS.system, None) and status.get("code"):
        yield {"value": status["code"]}


BED = Seam(_put_bed, _bed)
"""The state of the bed, or of the room, that somebody is in."""


class Narrative:
    """A text that is what somebody wrote, as the resource's narrative."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the narrative."""
        into[path] = {"status": "additional", "div": f"{_DIV}{escape(text)}</div>"}

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """The text, where the narrative is nothing but one."""
        div = str(element.get(resource, "text.div") or "")
        inner = div.removeprefix(_DIV).removesuffix("</div>")
        plain = element.get(resource, "text.status") == "additional" and len(div) - len(inner) == len(_DIV) + len("</div>")
        return unescape(inner) if plain and "<" not in inner else ""


_DIV = '<div xmlns="http://www.w3.org/1999/xhtml">'


class Protected:
    """Whether a visit is to be kept from those who need not know of it: its label is restricted, or normal."""

    def read(self, text: str, into: Resource, path: str, context: Context) -> None:
        """Put the security label."""
        if text not in ("Y", "N"):
            raise ValueError("expected Y or N")
        into[path] = [{"system": CONFIDENTIALITY, "code": "R" if text == "Y" else "N"}]

    def write(self, resource: Resource, path: str, context: Context) -> str:
        """Y or N, where there is a label."""
        for label in element.get(resource, path) or ():
            if label.get("system") == CONFIDENTIALITY and label.get("code"):
                return "N" if label["code"] in ("U", "L", "M", "N") else "Y"
        return ""


CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
CODING = Table("CWE", "Coding", (Row(1, "code", CODE), Row(2, "display"), Row(3, "system", SYSTEM_OF), Row(7, "version")), needs=1)


def _read_destination(part: Part, into: Resource, context: Context) -> None:
    try:
        coding = {"code": code(part.get(1))}
    except ValueError as error:
        part.refuse(1, 1, str(error))
        return
    if display := part.get(1, 2):
        coding["display"] = display
    if system := part.get(1, 3):
        coding["system"] = context.system(system)
    into["type"] = [{"coding": [coding]}]


def _write_destination(resource: Resource, part: Part, context: Context) -> None:
    coding = element.get(resource, "type[0].coding[0]") or {}
    part.set(coding.get("code", ""), 1)
    if coding.get("display"):
        part.set(coding["display"], 1, 2)
    if coding.get("system"):
        part.set(context.coding_system(coding["system"]), 1, 3)


DESTINATION = Table(
    "DLD",
    "Location",
    (
        Own(
            (1,),
            "What kind of place it is: a code, its text and its system.",
            _read_destination,
            _write_destination,
            "type",
            {1: (1, 2, 3)},
        ),
    ),
    needs=1,
)
