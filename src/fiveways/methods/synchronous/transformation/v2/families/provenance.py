"""Who did what to an entry: provenances of their own, each with agents that are told from others by what they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fiveways.methods.synchronous.transformation import element
from fiveways.methods.synchronous.transformation.v2.bundles.entries import refer
from fiveways.methods.synchronous.transformation.v2.bundles.inlined import contain, inline, unknown
from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.bundles.writing import Writing
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import INSTANT
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource

_PARTICIPANTS = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_OPERATIONS = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


def attest(
    reading: Reading,
    target: str,
    agents: Mapping[str, Sequence[Resource]],
    *,
    kind: str = "Practitioner",
    activity: str = "",
    occurred: str = "",
    recorded: str = "",
) -> None:
    """Make an entry that says who did something to `target`: `agents` by what they are, all resources of a type, {} for the sender.
    `recorded` is when that was written down, where it is a time; else the message was made then."""
    made: Resource = {"resourceType": "Provenance", "target": [refer(target)]}
    if occurred:
        made["occurredDateTime"] = occurred
    if "T" in recorded:
        made["recorded"] = recorded
    else:
        _recorded(reading, made)
    if activity:
        made["activity"] = {"coding": [{"system": _OPERATIONS, "code": activity}]}
    made["agent"] = [
        {
            "type": {"coding": [{"system": _PARTICIPANTS, "code": code}]},
            "who": contain(made, each, kind) if each else _sender(reading),
        }
        for code, those in agents.items()
        for each in those
    ]
    reading.add(made)


def _recorded(reading: Reading, made: Resource) -> None:
    try:
        INSTANT.read(reading.message.get("MSH-7"), made, "recorded", reading.context)
    except ValueError:
        made["_recorded"] = unknown()


def _sender(reading: Reading) -> Resource:
    name = reading.message.get("MSH-4") or reading.message.get("MSH-3")
    return {"display": name} if name else unknown()


def attested(
    writing: Writing, target: Resource, code: str, kind: str = "Practitioner"
) -> Iterator[tuple[Resource | None, Resource]]:
    """Those who are agents of this sort in a provenance of a resource, each with the provenance; None for one who is only named."""
    for provenance in writing.all("Provenance"):
        if not any(writing.resolve(each) is target for each in provenance.get("target") or ()):
            continue
        for agent in provenance.get("agent") or ():
            coding = element.get(agent, "type.coding[0]") or {}
            if (coding.get("system"), coding.get("code")) != (_PARTICIPANTS, code):
                continue
            yield inline(provenance, agent.get("who"), writing.resolve, kind), provenance
