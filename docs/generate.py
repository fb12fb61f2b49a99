"""What the documentation says about the code, taken from the code: tables of faults, refusals, metrics, rules, policies.

`PARTS` are what a page can ask for with `<!-- generated: NAME -->`; each is given the documentation's folder.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import advisor_page
from benchmark_pages import (
    bulk_benchmark,
    exchange_benchmark,
    gateway_benchmark,
    messaging_benchmark,
    promises_benchmark,
    realtime_benchmark,
    transformation_benchmark,
)
from book_page import book, counted, due
from clients_page import realtime_clients
from drawing import life, request_diagram, sequence
from mapping_pages import message_types, segments
from prometheus_client import CollectorRegistry
from reference_pages import command_reference, deployment_reference, kinds_of_value, size, stacked, table

from fiveways.clock import SystemClock
from fiveways.delivery.states import TRANSITIONS
from fiveways.errors import Fault
from fiveways.fhir.outcome import party_code
from fiveways.linter.lint import all_rules
from fiveways.methods.bulk import states as transfer_states
from fiveways.methods.exchange import states as job_states
from fiveways.methods.messaging import states
from fiveways.methods.realtime import states as said_states
from fiveways.methods.realtime.hub import Hub
from fiveways.methods.realtime.metrics import RealtimeMetrics
from fiveways.methods.synchronous import gateway, paths, policies, request
from fiveways.methods.synchronous.policies import metrics
from fiveways.methods.synchronous.transformation.counts import Counts
from fiveways.platform.http1 import connection
from fiveways.platform.http1.listener import Http1Listener
from fiveways.platform.platform import Platform
from fiveways.platform.tallies import Tallies
from fiveways.security import forms, refusals
from fiveways.security.refusals import Refusal
from fiveways.security.users import states as session_states

POLICIES = {
    "correlation": "correlation:mirror",
    "tracing": "tracing:Tracing",
    "metrics": "metrics:Metrics",
    "audit": "audit:Audit",
    "faults": "faults:Faults",
    "request-id": "correlation:require_guid",
    "identity": "identity:Identity",
    "entitlement": "entitlement:Entitlement",
    "rate": "rate:Rate",
    "behalf": "behalf:OnBehalf",
    "de-duplication": "deduplication:Deduplication",
    "retry": "retry:Retry",
    "concurrency": "concurrency:Concurrency",
    "breaker": "breaker:Breaker",
}
"""Where each policy that `fiveways routes` names is defined, below `methods/synchronous/policies`."""

GUARDS = {"guard": ("concurrency", "breaker")}
"""What stands together in one policy."""

EVERYTHING_ON = """
telemetry: {otlp: http://127.0.0.1:4318/v1/traces, sample: 0%}
identity: {providers: {cis2: {issuer: http://127.0.0.1:9, kind: nhs-cis2}}}
apis:
  everything:
    pattern: pass-through
    at: /everything
    target: {url: http://127.0.0.1:9}
    security: [{user_restricted: {provider: cis2, assurance: aal3}}, signed-jwt]
    request_id: required
    resilience: {retries: {attempts: 2}}
    operations:
      - {match: POST /orders, idempotent: false, deduplicate: {by: X-Request-ID}}
"""
"""A deployment in which every policy applies: its order is the order."""


def policy_names() -> tuple[str, ...]:
    """Every policy in the order in which they stand around the back end, outermost first, as a compiled deployment has it."""
    return asyncio.run(_policy_names())


async def _policy_names() -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "deployment.yaml"
        file.write_text(EVERYTHING_ON)
        platform = await Platform.open(file, Path(folder) / "data", work=False)
        try:
            (order,) = (m.route for m in platform.running.compiled.apis[0].matches if m.route.name == "POST /orders")
        finally:
            await platform.close()
    observers = (getattr(observer, "__module__", type(observer).__module__) for observer in getattr(order, "observers", ()))
    around = tuple(module.rpartition(".")[2] for module in observers)
    return around + tuple(name for policy in order.policies for name in GUARDS.get(policy, (policy,)))


def faults() -> Iterator[type[Fault]]:
    """The faults a consumer can be told of, by party and status."""
    parties = ("consumer", "platform", "provider")
    declared = [fault for fault in Fault.__subclasses__() if fault.__module__ == "fiveways.errors"]
    yield from sorted(declared, key=lambda fault: (parties.index(fault.party), fault.status))


def _first_line(text: str | None) -> str:
    return " ".join((text or "").split("\n\n", 1)[0].split())


def _policies(__: Path) -> str:
    rows = []
    for number, name in enumerate(policy_names(), start=1):
        module, _, attribute = POLICIES[name].partition(":")
        sentence = policy_sentence(Path(policies.__path__[0], f"{module}.py").read_text(), attribute)
        rows.append((str(number), f"**{name}**<br>`policies/{module}.py`", sentence))
    return table(("#", "Policy, and where it is defined", "What it does"), rows)


def policy_sentence(source: str, defined: str) -> str:
    """What a policy does, in the first sentence of its documentation; LookupError where there is none.

    A module with one policy in it, a class, says what the policy is for; where it has several, functions, each says so itself.
    It is read from the source: a compiled module keeps no docstrings.
    """
    module = ast.parse(source)
    (node,) = (each for each in module.body if getattr(each, "name", None) == defined)
    if isinstance(node, ast.ClassDef):
        sentence = _first_line(ast.get_docstring(module)).partition(": ")[2]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        sentence = _first_line(ast.get_docstring(node))
    else:
        sentence = ""
    if not sentence:
        raise LookupError(f"{defined} does not say what it does")
    return sentence[:1].upper() + sentence[1:]


def _faults(_: Path) -> str:
    rows = [
        (str(f.status), f"`{f.code}`<br>`{party_code(f())}`", f.party, f"`{f.issue}`", _first_line(f.__doc__)) for f in faults()
    ]
    return stacked(("Status", "Code, party code", "Whose fault", "FHIR issue", "When"), rows)


def _refusals(_: Path) -> str:
    known = {name: value for name, value in vars(refusals).items() if isinstance(value, Refusal)}
    rows = [
        (str(r.status), f"`{r.error}`", r.description.replace("|", "\\|"))
        for r in sorted(known.values(), key=lambda r: (r.status, r.error))
    ]
    return table(("Status", "`error`", "`error_description`"), rows)


def _metrics(_: Path) -> str:
    registry = CollectorRegistry()
    metrics.GatewayMetrics(registry)
    Tallies(registry)
    Counts(registry, SystemClock())
    asyncio.run(_realtime(registry))
    rows = []
    for family in registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        first, *others = (f"`{family.name if number == 0 else '…'}{suffix}`" for number, suffix in enumerate(suffixes))
        labels = ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ()))
        rows.append((f"{', '.join([first, *others])}<br>{family.type}", labels or "none", family.documentation))
    return stacked(("Metric", "Labels", "Meaning"), rows)


async def _realtime(registry: CollectorRegistry) -> None:
    RealtimeMetrics(registry, Hub(), lambda: 0, lambda: 0)


def _buckets(_: Path) -> str:
    return ", ".join(f"{bound:g}" for bound in metrics.BUCKETS) + " seconds"


def _lint_rules(_: Path) -> str:
    sections = []
    for rule in all_rules():
        module = importlib.import_module(f"fiveways.linter.rules.{rule.id.lower()}")
        statements = ", ".join(rule.statements)
        facts = f"Severity: **{rule.severity}**. Rests on {statements} of the book."
        problem, better = f"*What goes wrong:* {rule.anti_pattern}", f"*What is better:* {rule.best_practice}"
        found = _first_line(module.__doc__).partition(": ")[2]
        sections.append(f"## {rule.id}\n\n{found[:1].upper()}{found[1:]}\n\n{facts}\n\n{problem}\n\n{better}")
    return "\n\n".join(sections)


def _limits(_: Path) -> str:
    patience = {name: each.default for name, each in inspect.signature(Http1Listener).parameters.items()}
    rows = [
        ("Path and query together", size(paths.MAX_TARGET), "414"),
        ("Header section", f"{size(connection.HEAD_LIMIT)}, {request.MAX_HEADER_FIELDS} fields", "431"),
        ("The header section's arrival", f"{patience['head_patience']:g} s", "connection closed"),
        ("A connection between two requests", f"{patience['idle_patience']:g} s", "connection closed"),
        ("Connections of a plain listener, or one with client certificates", f"{connection.CONNECTIONS_LIMIT:,}", "cut"),
        ("Requests waiting on one connection (pipelining)", str(connection.PIPELINED), "nothing more is read"),
        ("A piece of a streamed answer taken by the consumer", f"{gateway.SEND_PATIENCE:g} s", "connection closed"),
        ("Body of a request to the token endpoint", size(forms.BODY_LIMIT), "413"),
        ("Its arrival", f"{forms.BODY_TIMEOUT:g} s", "408"),
    ]
    return table(("What", "Limit", "Past it"), rows)


def _dropped_headers(_: Path) -> str:
    return ", ".join(f"`{name.decode()}`" for name in sorted(request.INTERNAL) if b"_" not in name)


def _decisions(docs: Path) -> str:
    rows = []
    for file in sorted((docs / "decisions").glob("0*.md")):
        lines = file.read_text().splitlines()
        number, _, title = lines[0].removeprefix("# ").partition(". ")
        status = next(line.removeprefix("Status: ") for line in lines if line.startswith("Status: "))
        rows.append((number, f"[{title}]({file.name})", status))
    return table(("#", "Decision", "Status"), rows)


MESSAGE_PLACES: dict[str | None, tuple[int, int]] = {
    None: (0, 1), "uploading": (1, 2), "accepted": (2, 0), "acknowledged": (3, 0), "undeliverable": (3, 1), "error": (3, 2),
}  # fmt: skip


def _message_life(_: Path) -> str:
    table = {(source and str(source), happening): str(target) for (source, happening), target in states.TRANSITIONS.items()}
    return life(table, MESSAGE_PLACES, "The life of a message. Every arrow is an event that is appended.")


JOB_PLACES: dict[str | None, tuple[int, int]] = {
    None: (0, 1), "submitted": (1, 1), "running": (2, 1), "completed": (3, 0), "failed": (3, 1), "collected": (4, 0),
    "expired": (3, 2), "cancelled": (3, 3),
}  # fmt: skip


def _job_life(_: Path) -> str:
    """The life; of what can happen in several states one arrow is drawn, and the others are said: they would hide the rest."""
    drawn: dict[tuple[str | None, str], str] = {}
    besides: dict[str, list[str]] = {}
    for (source, happening), target in job_states.TRANSITIONS.items():
        if happening in ("cancel", "expire") and source is not job_states.State.RUNNING:
            besides.setdefault(happening, []).append(str(source))
        else:
            drawn[source and str(source), happening] = str(target)
    said = "; ".join(f"{happening} happens to {', '.join(sources)} too" for happening, sources in sorted(besides.items()))
    return life(drawn, JOB_PLACES, f"The life of a job. Every arrow is an event that is appended. What is not drawn: {said}.")


COMING_PLACES: dict[str | None, tuple[int, int]] = {
    None: (0, 1), "announced": (1, 0), "receiving": (2, 1), "expired": (3, 0), "received": (3, 1), "verifying": (4, 1),
}  # fmt: skip
JUDGED_PLACES: dict[str | None, tuple[int, int]] = {
    "verifying": (1, 1), "quality-control": (2, 1), "released": (3, 0), "part-released": (3, 1), "rejected": (3, 2),
    "collected": (4, 0),
}  # fmt: skip


def _transfer_life(_: Path) -> str:
    """The life, in two parts: until it is whole, and from then on; what would lead back through what is drawn is said."""
    coming: dict[tuple[str | None, str], str] = {}
    judged: dict[tuple[str | None, str], str] = {}
    besides = []
    for (source, happening), target in transfer_states.TRANSITIONS.items():
        before, after = source and str(source), str(target)
        if before in COMING_PLACES and after in COMING_PLACES:
            coming[before, happening] = after
        elif JUDGED_PLACES[before][0] < JUDGED_PLACES[after][0]:
            judged[before, happening] = after
        else:
            besides.append(f"{happening} takes {before} to {after}")
    whole = life(coming, COMING_PLACES, "A transfer until its file is whole. Every arrow is an event that is appended.")
    rest = life(judged, JUDGED_PLACES, f"From then on. What is not drawn: {'; '.join(besides)}.")
    return f"{whole}\n\n{rest}"


def _delivery_life(_: Path) -> str:
    rows = [(source.value if source is not None else "–", event, state.value) for (source, event), state in TRANSITIONS.items()]
    return table(("A delivery that is", "may", "and is then"), rows)


def _session_life(_: Path) -> str:
    rows = [
        (source.value if source is not None else "–", event, state.value)
        for (source, event), state in session_states.TRANSITIONS.items()
    ]
    return table(("A session that is", "may", "and is then"), rows)


def _said_life(_: Path) -> str:
    rows = [
        (source.value if source is not None else "–", event, state.value)
        for (source, event), state in said_states.TRANSITIONS.items()
    ]
    return table(("A message that is", "may", "and is then"), rows)


def _sequence(name: str, _: Path) -> str:
    return sequence(*SEQUENCES[name])


SEQUENCES: dict[str, tuple[tuple[str, ...], list[tuple[int, int, str]], str]] = {
    "pass-through": (
        ("consumer", "gateway", "back end"),
        [(0, 1, "GET, Bearer token"), (1, 2, "GET, who calls"), (2, 1, "200"), (1, 0, "200, unchanged")],
        "A simple pass-through: one request in, one call out, nothing mediated.",
    ),
    "combined-access": (
        ("person", "application", "Fiveways", "identity provider"),
        [
            (0, 1, "sign in"),
            (1, 0, "go to /authorize"),
            (0, 2, "/oauth2/authorize, state, challenge"),
            (2, 0, "go to your provider"),
            (0, 3, "signs in there, and nowhere else"),
            (3, 0, "go to /callback, with a code"),
            (0, 2, "/oauth2/callback, the provider's code"),
            (2, 3, "the code, and proof"),
            (3, 2, "ID token, userinfo"),
            (2, 0, "go back, with Fiveways' code"),
            (0, 1, "code, state, iss"),
            (1, 2, "the code, and proof"),
            (2, 1, "access, refresh"),
        ],
        "Combined access: Fiveways signs people in. What must be known when they come back is in a sealed cookie of their browser.",
    ),
    "separate-access": (
        ("person", "application", "Fiveways", "identity provider"),
        [
            (0, 1, "sign in"),
            (1, 0, "go to your provider"),
            (0, 3, "signs in there, and nowhere else"),
            (3, 0, "go back, with a code"),
            (0, 1, "code, state"),
            (1, 3, "the code, and proof"),
            (3, 1, "ID token, userinfo"),
            (1, 2, "ID token, and proof"),
            (2, 3, "keys, once a day"),
            (2, 1, "access, refresh"),
        ],
        "Separate access: the application signs people in, and shows Fiveways their ID tokens.",
    ),
    "middleware": (
        ("consumer", "gateway", "façade", "back end"),
        [
            (0, 1, "book, Bearer token"),
            (1, 2, "book"),
            (2, 3, "hold"),
            (3, 2, "number 77"),
            (2, 3, "book 77"),
            (3, 2, "200"),
            (2, 1, "200"),
            (1, 0, "200"),
        ],
        "A middleware façade: logic and state of old behaviour, between the gateway and the back end.",
    ),
    "orchestration": (
        ("consumer", "gateway", "patients", "allergies"),
        [
            (0, 1, "one request"),
            (1, 2, "GET"),
            (1, 3, "GET, at the same time"),
            (2, 1, "Patient"),
            (3, 1, "Bundle, or why not"),
            (1, 0, "one Bundle"),
        ],
        "An orchestration: granular calls side by side, within one budget, under one correlation id.",
    ),
    "promise": (
        ("consumer", "gateway", "store", "provider"),
        [
            (0, 1, "PUT, X-Request-ID"),
            (1, 2, "promise, audit"),
            (1, 0, "202, received"),
            (2, 1, "what is due"),
            (1, 3, "PUT, Idempotency-Key"),
            (3, 1, "503"),
            (1, 3, "PUT, the same key, later"),
            (3, 1, "200"),
            (1, 2, "delivered"),
        ],
        "A promise of work: received when it is on disk, delivered for as long as it takes.",
    ),
    "sync-wrap": (
        ("consumer", "gateway", "back end"),
        [
            (0, 1, "request, X-Sync-Wait: 10"),
            (1, 2, "request"),
            (2, 1, "202, Content-Location"),
            (1, 2, "GET, after 0.25 s, 0.5 s, …"),
            (2, 1, "202"),
            (1, 2, "GET"),
            (2, 1, "200, the answer"),
            (1, 0, "200, the answer"),
        ],
        "A sync-wrap: the back end is polled, the consumer waits, for as long as it says and no longer.",
    ),
    "wrapper": (
        ("consumer", "gateway", "back end"),
        [
            (0, 1, "request, Bearer token"),
            (1, 2, "request, mutual TLS"),
            (2, 1, "answer"),
            (1, 0, "answer"),
        ],
        "A wrapper: what the consumer proves itself with ends at the gateway, which proves itself to the back end.",
    ),
}
"""Who takes part, what goes between them in order (from, to, what), and what is to be seen in it."""

PARTS: dict[str, Callable[[Path], str]] = {
    "policies": _policies,
    "diagram": lambda _: request_diagram(policy_names()),
    "faults": _faults,
    "refusals": _refusals,
    "metrics": _metrics,
    "buckets": _buckets,
    "lint-rules": _lint_rules,
    "limits": _limits,
    "dropped-headers": _dropped_headers,
    "decisions": _decisions,
    "message-life": _message_life,
    "delivery-life": _delivery_life,
    "job-life": _job_life,
    "session-life": _session_life,
    "said-life": _said_life,
    "transfer-life": _transfer_life,
    "message-types": message_types,
    "segment-tables": segments,
    "realtime-clients": realtime_clients,
    "book": book,
    "book-counted": counted,
    "book-due": due,
    "advisor-questions": advisor_page.questions,
    "advisor-diagram": advisor_page.diagram,
    "advisor-rules": advisor_page.rules,
    "advisor-facades": advisor_page.facades,
    "advisor-ways": advisor_page.ways,
    "advisor-start": partial(advisor_page.beginning, said="intent=create human_actor=true"),
    **{f"advisor-{name}": partial(advisor_page.example, said=said) for name, said in advisor_page.EXAMPLES.items()},
    "settings": lambda _: deployment_reference(),
    "kinds-of-value": lambda _: kinds_of_value(),
    "commands": lambda _: command_reference(),
    "benchmark": gateway_benchmark,
    "messaging-benchmark": messaging_benchmark,
    "promises-benchmark": promises_benchmark,
    "bulk-benchmark": bulk_benchmark,
    "exchange-benchmark": exchange_benchmark,
    "realtime-benchmark": realtime_benchmark,
    "transformation-benchmark": transformation_benchmark,
    **{f"{name}-sequence": partial(_sequence, name) for name in SEQUENCES},
}
