"""What the rules on façades and on synchronous APIs are tried on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.unit.linter.case import Case

API = "pattern: pass-through, target: {url: 'http://b'}, security: [open]"
WRAPPER = "pattern: wrapper, target: {url: 'http://b'}, security: [open], present: {api_key: {key: env:A}}"
TODAY = datetime.now(UTC).date()


def debt(days: int) -> str:
    """A debt to be paid in so many days."""
    return f"debt: {{owner: us, reason: old, target: pass-through, retire_by: {TODAY + timedelta(days=days)}}}"


def one(api: str, *said: str, before: str = "") -> str:
    """A deployment of one API, in its last line."""
    return f"{before}apis:\n  a: {{{', '.join((api, 'at: /a', *said))}}}\n"


def workflow(need: str) -> str:
    """A deployment of one workflow, whose need is in line 2."""
    return f"workflows:\n  W: {{need: {{{need}}}}}\n"


def need(said: str) -> str:
    """What an API is for."""
    return f"need: {{{said}}}"


def orchestrated(before: str, security: str = "api-key") -> str:
    """A deployment of an orchestration over one API, in its last line."""
    granular = f"pattern: pass-through, target: {{url: 'http://b'}}, security: [{security}]"
    plan = "pattern: orchestration, plan: 'asyncio:sleep', uses: [b], security: [api-key]"
    return f"{before}apis:\n  b: {{{granular}, at: /b}}\n  s: {{{plan}, at: /s}}\n".replace("[a]", "[s]")


STRICT = "programme: {patience: 2s, availability: 99.9%}\n"

FACADES: dict[str, list[Case]] = {
    "GW04": [
        Case(orchestrated("products: {p: {apis: [a]}}\n"), ((4, "apis.s.uses[0]"),)),
        Case(orchestrated(""), ((3, "apis.s.uses[0]"),)),
        Case(orchestrated("products: {p: {apis: [a]}, q: {apis: [b]}}\n")),
        Case(orchestrated("", "open")),
    ],
    "GW05": [
        Case(one(WRAPPER), ((2, "apis.a"),)),
        Case(one(WRAPPER, "title: x"), ((2, "apis.a"),)),
        Case(one(WRAPPER, debt(400))),
        Case(one(API)),
    ],
    "GW06": [
        Case(one(WRAPPER, debt(-1)), ((2, "apis.a.debt.retire_by"),)),
        Case(one(WRAPPER, debt(89)), ((2, "apis.a.debt.retire_by"),)),
        Case(one(API, debt(0)), ((2, "apis.a.debt.retire_by"),)),
        Case(one(WRAPPER, debt(91))),
        Case(one(WRAPPER)),
    ],
    "GW08": [
        Case(one(WRAPPER, need("backend: conformant")), ((2, "apis.a.pattern"),)),
        Case(one(WRAPPER, debt(400), need("intent: update, backend: conformant")), ((2, "apis.a.pattern"),)),
        Case(one(WRAPPER, need("backend: old_security"))),
        Case(one(WRAPPER, need("intent: update"))),
        Case(one(API, need("backend: conformant"))),
    ],
    "SY01": [
        Case(one(API, need("slow: true")), ((2, "apis.a.need.slow"),)),
        Case(one(API, need("expected_latency: 3s"), before=STRICT), ((3, "apis.a.need.expected_latency"),)),
        Case(one(API, "service_level: {latency: 2500ms}", before=STRICT), ((3, "apis.a.service_level.latency"),)),
        Case(one(API, need("expected_latency: 2s"), "service_level: {latency: 2s}", before=STRICT)),
        Case(one(API, need("slow: false"))),
        Case(one(API.replace("pass-through", "promise"), need("intent: update, outcome: none, slow: true"))),
        Case(one(API.replace("pass-through", "sync-wrap"), need("expected_latency: 1m, async_capable: true"))),
    ],
    "SY02": [
        Case(one(API, need("provider_available: false")), ((2, "apis.a.need.provider_available"),)),
        Case(one(API, need("availability: 99%"), before=STRICT), ((3, "apis.a.need.availability"),)),
        Case(one(API, "service_level: {availability: 99.8%}", before=STRICT), ((3, "apis.a.service_level.availability"),)),
        Case(one(API, need("availability: 99.9%"), "service_level: {availability: 99.95%}", before=STRICT)),
        Case(one(API)),
        Case(one(API.replace("pass-through", "promise"), need("intent: update, outcome: none, availability: 95%"))),
    ],
    "SY03": [
        Case(workflow("intent: retrieve"), ((2, "workflows.W.need.intent"),)),
        Case(workflow("intent: retrieve, purpose: background"), ((2, "workflows.W.need.intent"),)),
        Case(workflow("intent: update")),
        Case(workflow("urgent: false")),
    ],
    "SY04": [
        Case(one(API, need("event_rate_high: true")), ((2, "apis.a.need.event_rate_high"),)),
        Case(one(API, need("backend: several")), ((2, "apis.a.need.backend"),)),
        Case(one(API, need("intent: update, event_rate_high: true"))),
        Case(one(API, need("payload: bulk, event_rate_high: true"))),
    ],
    "SY06": [
        Case(one(API, need("intent: update, human_actor: true")), ((2, "apis.a.need.human_actor"),)),
        Case(one(API, need("intent: command, offline_process: true")), ((2, "apis.a.need.offline_process"),)),
        Case(one(API, need("intent: update, human_actor: true, outcome: receipt"))),
        Case(one(API, need("human_actor: true"))),
        Case(one(API.replace("pass-through", "promise"), need("intent: update, urgent: true, human_actor: true"))),
    ],
}
