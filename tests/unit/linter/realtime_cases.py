"""What the rule on real time is tried on."""

from __future__ import annotations

from tests.unit.linter.case import Case

MET = "{events: 60/min, full_duplex: true, latency: 200ms}"
ONE_WAY = MET.replace("true", "false")


def one(criteria: str | None = MET, *, thresholds: str = "", more: str = "") -> str:
    """A deployment of one channel, in line 6; None leaves the criteria out."""
    said = f", criteria: {criteria}" if criteria is not None else ""
    return (
        f"programme: {{realtime: {{{thresholds}}}}}\n"
        "organisations: {RXN: {name: x}}\n"
        "applications: {board: {organisation: RXN}}\n"
        "listeners: {main: {http: '127.0.0.1:8080'}, live: {realtime: '127.0.0.1:8082'}}\n"
        f"channels:\n  a: {{name: 'bed:{{bed}}', kind: conversation{said}{more}}}\n"
    )


HERE = ((6, "channels.a"),)


def at(*criteria: str) -> tuple[tuple[int, str], ...]:
    """Criteria of the channel."""
    return tuple((6, f"channels.a.criteria.{each}") for each in criteria)


FEED = ", join: [{anyone: true}]"

REALTIME: dict[str, list[Case]] = {
    "RT01": [
        Case(one(None), HERE),
        Case(one(None, more=", exception: we like it"), HERE),
        Case(one(ONE_WAY), at("full_duplex")),
        Case(one(ONE_WAY, more=", exception: ' '"), at("full_duplex")),
        Case(one(more=FEED).replace("conversation", "feed"), at("full_duplex")),
        Case(one(more=f"{FEED}, publish: [{{application: board}}]").replace("conversation", "feed")),
        Case(one("{events: 599/h, full_duplex: true, latency: 200ms}"), at("events")),
        Case(one("{events: 600/h, full_duplex: true, latency: 500ms}")),
        Case(one("{events: 1/s, full_duplex: true, latency: 501ms}"), at("latency")),
        Case(one("{events: 1/d, full_duplex: false, latency: 1h}"), at("events", "full_duplex", "latency")),
        Case(one(thresholds="events: 2/s, latency: 100ms"), at("events", "latency")),
        Case(one("{events: 1/h, full_duplex: true, latency: 3s}", thresholds="events: 10/d, latency: 5s")),
        Case(one(ONE_WAY, more=", exception: 'a dashboard is looked at, and says nothing (T2)'")),
        Case(one()),
        Case(""),
    ],
}
