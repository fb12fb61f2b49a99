"""What the rules on several deployments together are tried on."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.linter.facade_cases import WRAPPER, one
from tests.unit.linter.facade_cases import debt as plan

MESSAGES = "messaging: {shared_key: env:A}\n"
HL7 = "pattern: transformation, security: [open], transform: {by: fhir-to-hl7v2}"


@dataclass(frozen=True)
class EstateCase:
    """Deployments, and where a rule finds something in them: file (from 0), line, path."""

    texts: tuple[str, ...]
    found: tuple[tuple[int, int, str], ...] = ()


def at(url: str, pattern: str = "pass-through", *said: str) -> str:
    """A deployment of an API with its back end at a URL, in line 2."""
    made = WRAPPER if pattern == "wrapper" else f"pattern: {pattern}, target: {{url: 'http://b'}}, security: [open]"
    return one(made.replace("'http://b'", f"'{url}'"), *said)


def mllp(address: str) -> str:
    """A deployment of a transformation with its back end at an address, in line 2."""
    return one(f"{HL7}, mllp: {{address: '{address}'}}", plan(400))


def mailbox(name: str, code: str = "RXN", said: str = "") -> str:
    """A deployment of a mailbox in line 3, of an organisation in line 2."""
    messages = MESSAGES if not said else f"messaging: {{shared_key: env:A, {said}}}\n"
    return f"{messages}organisations: {{{code}: {{name: x}}}}\nmailboxes: {{{name}: {{organisation: {code}, password: env:B}}}}\n"


def named(name: str) -> str:
    """A deployment of an organisation, in line 1."""
    return f"organisations: {{RXN: {{name: '{name}'}}}}\n"


URL, PATTERN = "apis.a.target.url", "apis.a.pattern"
OLD = "facade: 'a:B'"

ESTATE: dict[str, list[EstateCase]] = {
    "ES01": [
        EstateCase((at("http://b.internal/x"), at("http://b.internal/x")), ((0, 2, URL), (1, 2, URL))),
        EstateCase((at("https://b.internal"), at("https://B.internal:443/")), ((0, 2, URL), (1, 2, URL))),
        EstateCase((at("http://b.internal/x"), at("http://c.internal"), at("http://b.internal/x/y")), ((0, 2, URL), (2, 2, URL))),
        EstateCase((at("http://127.0.0.1:81"), at("http://127.0.0.1:81")), ((0, 2, URL), (1, 2, URL))),
        EstateCase((mllp("pas:2575"), mllp("PAS:2575")), ((0, 2, "apis.a.mllp.address"), (1, 2, "apis.a.mllp.address"))),
        EstateCase((at("http://b.internal/x"), at("http://b.internal/y"))),
        EstateCase((at("http://b.internal/x"), at("http://b.internal/xy"))),
        EstateCase((at("http://b.internal"), at("http://b.internal:8080"))),
        EstateCase((at("http://b.internal"),)),
        EstateCase(("apis: {}\n", "")),
    ],
    "ES02": [
        EstateCase((mailbox("A"), mailbox("A")), ((0, 3, "mailboxes.A"), (1, 3, "mailboxes.A"))),
        EstateCase((mailbox("A"), mailbox("B"), mailbox("A", "RXP")), ((0, 3, "mailboxes.A"), (2, 3, "mailboxes.A"))),
        EstateCase(
            (named("Northshire"), named("Southshire")), ((0, 1, "organisations.RXN.name"), (1, 1, "organisations.RXN.name"))
        ),
        EstateCase((named("Northshire"), named("northshire "), "")),
        EstateCase((mailbox("A"), mailbox("B"))),
        EstateCase((mailbox("A"), mailbox("A", said="sandbox: true"))),
        EstateCase((mailbox("A"),)),
    ],
    "ES03": [
        EstateCase((at("http://b.internal", "wrapper", plan(400)), at("http://b.internal")), ((0, 2, PATTERN),)),
        EstateCase((at("http://b.internal/x"), at("http://b.internal", "middleware", plan(400), OLD)), ((1, 2, PATTERN),)),
        EstateCase(
            (at("http://b.internal"), at("http://b.internal", "wrapper"), at("http://b.internal", "wrapper")),
            ((1, 2, PATTERN), (2, 2, PATTERN)),
        ),
        EstateCase((at("http://b.internal", "wrapper", plan(400)), at("http://c.internal"))),
        EstateCase((at("http://b.internal", "wrapper", plan(400)), at("http://b.internal", "wrapper", plan(400)))),
        EstateCase((at("http://b.internal"), at("http://b.internal"))),
        EstateCase((at("http://b.internal", "wrapper", plan(400)), at("http://b.internal", "promise"))),
    ],
}
