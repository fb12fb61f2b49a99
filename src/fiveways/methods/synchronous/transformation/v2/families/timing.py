"""When something is, was, or is to be done: periods that are but a moment, and patterns that periods bound."""

from __future__ import annotations

from fiveways.methods.synchronous.transformation.v2.bundles.reading import Reading
from fiveways.methods.synchronous.transformation.v2.datatypes.moments import in_order
from fiveways.methods.synchronous.transformation.v2.tables.table import Resource


def settle_period(reading: Reading, resource: Resource, name: str, where: str) -> None:
    """A period that is but a moment becomes one: `effectivePeriod` with only a start is `effectiveDateTime`."""
    period = resource.get(f"{name}Period")
    if period is None:
        return
    start, end = period.get("start"), period.get("end")
    if start and end and not in_order(start, end):
        reading.coverage.wrong.append((where, f"{name}: it ends before it begins"))
        end = None
        del period["end"]
    if start and not end:
        resource[f"{name}DateTime"] = start
        del resource[f"{name}Period"]


def spread_period(resource: Resource, name: str) -> Resource:
    """The other way: a resource whose moment is a period with only a start."""
    moment = resource.get(f"{name}DateTime")
    if moment is None:
        return resource
    return {**{key: value for key, value in resource.items() if key != f"{name}DateTime"}, f"{name}Period": {"start": moment}}


def settle_occurrence(reading: Reading, request: Resource, where: str) -> None:
    """When an order is to be carried out: a moment, a period, or a pattern, which a period bounds."""
    timing = request.pop("timing", None)
    settle_period(reading, request, "occurrence", where)
    if not timing:
        return
    moment = request.pop("occurrenceDateTime", None)
    period = request.pop("occurrencePeriod", {"start": moment} if moment else None)
    if period:
        repeat = timing.setdefault("repeat", {})
        if repeat.pop("boundsDuration", None):
            reading.coverage.wrong.append((where, "its timing has a period, and how long it lasts (TQ1-6): FHIR has one of both"))
        repeat["boundsPeriod"] = period
    request["occurrenceTiming"] = timing


def spread_occurrence(request: Resource) -> Resource:
    """The other way: a request whose pattern is apart from the period that bounds it."""
    timing = request.get("occurrenceTiming")
    if timing is None:
        return spread_period(request, "occurrence")
    repeat = dict(timing.get("repeat") or {})
    period = repeat.pop("boundsPeriod", None)
    bare = {name: value for name, value in request.items() if name != "occurrenceTiming"}
    return {**bare, "timing": {**timing, "repeat": repeat}, **({"occurrencePeriod": period} if period else {})}
