"""What the rules on HTTP exchange are tried on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.linter.case import Case

TODAY = datetime.now(UTC).date()
FHIR = "model: {fhir: {version: R4}}"
READY = "request_id: required"
OTHER = "{pattern: pass-through, at: /b, target: {url: 'http://b'}, security: [api-key]}"
PRODUCT = "products: {p: {apis: [a]}}"
CALLED = "callback: {reason: it is urgent, consumers: {ward: {url: 'https://hooks.test/x', secrets: [env:A]}}}"


def one(exchange: str = "", api: str = FHIR, *, days: int = 400, products: str = PRODUCT, listeners: str = "") -> str:
    """A deployment of one exchange, in line 7."""
    more = f", {exchange}" if exchange else ""
    transitional = f"transitional: {{constraint: old, retire_by: {TODAY + timedelta(days=days)}}}"
    return (
        "organisations: {RXN: {name: x}}\napplications: {ward: {organisation: RXN, products: [p]}}\n"
        f"{products}\noutbound: {{allow: [hooks.test]}}\n"
        f"apis: {{a: {{pattern: pass-through, at: /a, target: {{url: 'http://b'}}, security: [api-key], {api}}}}}\n"
        f"exchanges:\n  a: {{interaction: 'POST /**', {transitional}{more}}}\n{listeners}"
    )


def need(said: str) -> str:
    """An API for this."""
    return f"{FHIR}, need: {{{said}}}"


def listening(said: str) -> str:
    """A second listener."""
    return f"listeners: {{main: {{http: '127.0.0.1:1'}}, waiting: {{http: '127.0.0.1:2'{said}}}}}\n"


HERE = ((7, "exchanges.a"),)
HELD = "long_poll: {listener: waiting}"
EXCHANGE: dict[str, list[Case]] = {
    "FH04": [Case(one(api="title: x"), HERE), Case(one(api="model: {other: csv}"), HERE), Case(one()), Case("")],
    "HX01": [
        Case(one(days=-1), ((7, "exchanges.a.transitional.retire_by"),)),
        Case(one(days=89), ((7, "exchanges.a.transitional.retire_by"),)),
        Case(one(days=91)),
        Case(one()),
    ],
    "HX02": [
        Case(one(api=need("human_actor: true")), HERE),
        Case(one(api=need("human_actor: true, slow: true")), HERE),
        Case(one(api=need("slow: true"))),
        Case(one()),
    ],
    "HX03": [
        Case(one("poll: {first: 5s, longest: 5s}"), ((7, "exchanges.a.poll.longest"),)),
        Case(one("poll: {first: 5s, longest: 9s}"), ((7, "exchanges.a.poll.longest"),)),
        Case(one("poll: {first: 5s, longest: 10s}")),
        Case(one()),
    ],
    "HX04": [
        Case(one(HELD, listeners=listening(", long_poll: true")), ((7, "exchanges.a.long_poll"),)),
        Case(one(HELD, listeners=listening("")), ((7, "exchanges.a.long_poll"),)),
        Case(one(listeners=listening(", long_poll: true"))),
        Case(one()),
    ],
    "HX05": [
        Case(one(HELD, listeners=listening("")), ((7, "exchanges.a.long_poll.listener"),)),
        Case(one("long_poll: {listener: main}", listeners=listening("")), ((7, "exchanges.a.long_poll.listener"),)),
        Case(one(HELD, listeners=listening(", long_poll: true"))),
        Case(one()),
    ],
    "HX06": [
        Case(one(api=need("full_duplex: true")), HERE),
        Case(one(api=need("near_zero_latency: true, event_rate_high: true")), HERE),
        Case(one(api=need("slow: true"))),
        Case(one()),
    ],
    "HX07": [
        Case(one(CALLED), ((7, "exchanges.a.callback"),)),
        Case(
            one(CALLED, f"{FHIR}, {READY}", products="products: {p: {apis: [b]}}").replace("apis: {a:", f"apis: {{b: {OTHER}, a:"),
            ((7, "exchanges.a.callback.consumers.ward"),),
        ),
        Case(one(CALLED, f"{need('consumer_can_host_http: false')}, {READY}"), ((7, "exchanges.a.callback"),)),
        Case(one(CALLED, f"{FHIR}, {READY}")),
        Case(one()),
    ],
    "HX08": [
        Case(one(CALLED.replace("reason: it is urgent, ", "")), ((7, "exchanges.a.callback"),)),
        Case(one(CALLED.replace("it is urgent", "' '")), ((7, "exchanges.a.callback"),)),
        Case(one(CALLED)),
        Case(one()),
    ],
}  # fmt: skip
