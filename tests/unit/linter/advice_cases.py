"""What the rules on needs, and on what the advisor says of them, are tried on."""

from __future__ import annotations

from tests.unit.linter.case import Case
from tests.unit.linter.facade_cases import API, STRICT, need, one
from tests.unit.linter.ms0_cases import messages, w

PROMISE = API.replace("pass-through", "promise")
SYNC_WRAP = API.replace("pass-through", "sync-wrap")
MIDDLEWARE = API.replace("pass-through", "middleware") + ", facade: 'a:B'"
LATER = "intent: command, slow: true, fixed_constraint: true"
WAY_OUT = "{constraint: c, target: synchronous, retire_by: 2099-01-01}"
EXCHANGE = f"exchanges: {{a: {{interaction: POST /a, ask: {{first: 1s}}, transitional: {WAY_OUT}}}}}\n"
WAITED = ((2, "apis.a.need"),)
PARTNER = "organisations: {RXN: {name: x}}\npartners: {p: {organisation: RXN}}\nfeeds:\n"
BUSY = "criteria: {events: 100/min, full_duplex: true, latency: 200ms}"


def feed(said: str) -> str:
    """A deployment of a feed, in line 4."""
    return f"{PARTNER}  f: {{from: p{said}}}\n"


def channel(*said: str, kind: str = "conversation") -> str:
    """A deployment of a channel, in line 3."""
    settings = ", ".join((f"name: c, kind: {kind}, join: [{{anyone: true}}]", *said))
    return f"listeners: {{l: {{realtime: '127.0.0.1:1'}}}}\nchannels:\n  c: {{{settings}}}\n"


ADVICE: dict[str, list[Case]] = {
    "AD01": [
        Case(one(PROMISE, need("intent: update, outcome: none")), WAITED),
        Case(one(API, need("intent: update, human_actor: true")), WAITED),
        Case(one(API, need("intent: update, backend: old_security")), WAITED),
        Case(one(SYNC_WRAP, need("slow: true")), WAITED),
        Case(one(API, need(LATER)), WAITED),
        Case(one(API, need("backend: conformant, intent: command"), before=EXCHANGE), ((3, "apis.a.need"),)),
        Case(one(PROMISE, need("intent: update, outcome: none, expected_latency: 2s"), before=STRICT), ((3, "apis.a.need"),)),
        Case(messages("W: {need: {intent: command}}"), (w(9, "W", "need"),)),
        Case(messages("W: {need: {intent: retrieve, human_actor: true}}"), (w(9, "W", "need"),)),
        Case(feed(", need: {live_view: true}"), ((4, "feeds.f.need"),)),
        Case(feed(", need: {payload: granular}"), ((4, "feeds.f.need"),)),
        Case(channel("need: {}"), ((3, "channels.c.need"),)),
        Case(channel(BUSY.replace("100", "1"), "need: {}"), ((3, "channels.c.need"),)),
        Case(one(PROMISE, need("intent: update, outcome: none, peaks_fit: false"))),
        Case(one(PROMISE, need("intent: update, outcome: none, expected_latency: 4s"), before=STRICT)),
        Case(one(PROMISE, need("intent: update, outcome: none"), "service_level: {latency: 1m}")),
        Case(one(SYNC_WRAP, need("slow: true, async_capable: true"))),
        Case(one(API, need("intent: task"))),
        Case(one(API, need(LATER), before=EXCHANGE)),
        Case(one(MIDDLEWARE, need("backend: old_stateful"))),
        Case(messages("W: {need: {human_actor: true}}", "V: {need: {intent: task}}")),
        Case(messages("W: {need: {intent: create, provider_available: false}}")),
        Case(messages("W: {need: {intent: command}}", sandbox=True)),
        Case(feed(", need: {}")),
        Case(channel(BUSY, "need: {}")),
        Case(channel("need: {event_rate_high: true, full_duplex: true, near_zero_latency: true}")),
        Case(channel(BUSY.replace("full_duplex: true", "full_duplex: false"), "need: {}", kind="feed")),
        Case(channel("exception: only read (T2)", "need: {}", kind="feed")),
    ],
    "AD02": [
        Case(one(API), ((2, "apis.a"),)),
        Case(one(API, before=EXCHANGE), ((3, "apis.a"),)),
        Case(messages("W: {acknowledged_by: W_ACK}", "W_ACK: {}"), (w(9, "W"),)),
        Case(feed(""), ((4, "feeds.f"),)),
        Case(channel(), ((3, "channels.c"),)),
        Case(one(API, need("intent: retrieve"))),
        Case(messages("W: {}", sandbox=True)),
        Case(feed(", need: {}")),
        Case(channel("need: {}")),
        Case(messages("W: {acknowledged_by: W_ACK, need: {human_actor: true}}", "W_ACK: {}")),
    ],
    "FH02": [
        Case(one(API, "model: {other: csv}"), ((2, "apis.a.model"),)),
        Case(one(PROMISE, "model: {other: orders}"), ((2, "apis.a.model"),)),
        Case(one(API, "model: {fhir: {version: R4}}")),
        Case(one(API, "model: {other: csv}", "debt: {owner: i, reason: r, target: pass-through, retire_by: 2099-01-01}")),
        Case(one(API, "model: {other: csv}", before=EXCHANGE)),
        Case(one(API)),
    ],
    "FH03": [
        Case(messages("W: {}"), (w(9, "W"),)),
        Case(messages("W: {payload: fhir-message}", "V: {from: [A]}"), (w(10, "V"),)),
        Case(messages("W: {payload: fhir-message}")),
        Case(messages("W: {}", sandbox=True)),
    ],
}
