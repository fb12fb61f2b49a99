"""What happened, and who says so: EVN as a Provenance, and the event that a Bundle is of."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.codes.general import SYSTEM
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.segments.event import EVN, EVN_BARE
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

EVENTS = f"{SYSTEM}0003"
"""HL7's trigger events, as a code system of FHIR's: a Bundle's tag says the event."""
_BY_STATUS = {
    "planned": "A05", "arrived": "A04", "triaged": "A04", "onleave": "A08", "finished": "A03", "cancelled": "A11",
    "entered-in-error": "A11", "unknown": "A08",
}  # fmt: skip
_INPATIENT = frozenset(("IMP", "ACUTE", "NONAC", "SS"))


def read(reading: Reading) -> None:
    """Who did it, when and why, where EVN says that; it is said of all entries there are. Where it says no more than MSH does, it
    is not repeated."""
    segment = reading.message.segment("EVN")
    if segment is None:
        return
    sender = reading.message.get("MSH-4") or reading.message.get("MSH-3")
    says = any(segment.field(number) for number in (4, 5, 6, 7)) or segment.field(2) != reading.message.segments[0].field(7)
    if not says or not sender:
        reading.read(EVN_BARE, segment, {})
        return
    made: Resource = {"resourceType": "Provenance", "target": _targets(reading)}
    try:
        INSTANT.read(reading.message.get("MSH-7"), made, "recorded", reading.context)
    except ValueError:
        pass
    if "recorded" not in made and not _is_time(segment.value(2), reading):
        return
    reading.read(EVN, segment, made)
    made["activity"] = {"coding": [{"system": EVENTS, "code": reading.message.event}]}
    made.setdefault("agent", [{"who": {"display": sender}}])
    reading.add(made)


def _targets(reading: Reading) -> list[Resource]:
    """All entries there are, but for what is itself said of one."""
    return [{"reference": entry["fullUrl"]} for entry in reading.entries if entry["resource"]["resourceType"] != "Provenance"]


def _is_time(text: str, reading: Reading) -> bool:
    try:
        INSTANT.read(text, {}, "recorded", reading.context)
    except ValueError:
        return False
    return True


def write(writing: Writing) -> None:
    """Put into EVN who did it, when and why, where a Provenance says so."""
    said = next((each for each in writing.all("Provenance") if _is_of_event(each)), None)
    segment = writing.message.segment("EVN")
    if said is not None and segment is not None:
        EVN.write(said, segment, writing.context)


def _is_of_event(provenance: Resource) -> bool:
    """Whether it says who made the event happen: agents of another provenance say what they are."""
    return not any("type" in agent for agent in provenance.get("agent") or ())


def event_of(bundle: Resource) -> str | None:
    """The event that a Bundle is of: its tag says it, or what happens to its resources does. None where neither says any."""
    for tag in element.get(bundle, "meta.tag") or ():
        if tag.get("system") == EVENTS and tag.get("code"):
            return str(tag["code"])
    entries = [entry for entry in bundle.get("entry") or () if isinstance(entry.get("resource"), dict)]
    of = {kind: [entry for entry in entries if entry["resource"].get("resourceType") == kind] for kind in ("Patient", "Encounter")}
    if of["Encounter"]:
        return _event_of_visit(of["Encounter"][0]["resource"], element.get(of["Encounter"][0], "request.method"))
    if not of["Patient"]:
        return None
    links = [link.get("type") for entry in of["Patient"] for link in entry["resource"].get("link") or ()]
    if "replaces" in links or "replaced-by" in links:
        return "A40"
    return "A28" if element.get(of["Patient"][0], "request.method") == "POST" else "A31"


def _event_of_visit(visit: Resource, method: str | None) -> str:
    known = _BY_STATUS.get(visit.get("status", ""))
    if known is None and method == "PUT":
        return "A08"
    return known or ("A01" if element.get(visit, "class.code") in _INPATIENT else "A04")
