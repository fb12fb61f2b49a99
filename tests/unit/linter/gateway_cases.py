"""What the rules on the gateway's shape are tried on: GW01, GW02, GW03 and GW07."""

from __future__ import annotations

from tests.unit.linter.case import Case
from tests.unit.linter.facade_cases import API, WRAPPER, need, one

SEEN = "tests.unit.linter.seen"
FHIR = "model: {fhir: {version: R4}}"
ALLOW = "outbound: {allow: [hooks.example], plain_http: true}\n"
MIDDLEWARE = "pattern: middleware, target: {url: 'http://b'}, security: [api-key]"
PROMISE = "pattern: promise, target: {url: 'http://b'}, security: [%s]"


def at(url: str, *more: str) -> str:
    """An API at a target."""
    return f"pattern: pass-through, target: {{{', '.join((f'url: {chr(39)}{url}{chr(39)}', *more))}}}, security: [open]"


def policies(*names: str, api: str = API) -> str:
    """A deployment of an API with policies."""
    return one(api, f"policies: [{', '.join(f'{chr(39)}{SEEN}:{name}{chr(39)}' for name in names)}]")


def found(*indexes: int) -> tuple[tuple[int, str], ...]:
    """Findings at policies."""
    return tuple((2, f"apis.a.policies[{index}]") for index in indexes)


URL = "apis.a.target.url"
GATEWAY: dict[str, list[Case]] = {
    "GW01": [
        Case(one(at("https://api.trust.nhs.uk/fhir")), ((2, URL),)),
        Case(one(at("http://8.8.8.8")), ((2, URL),)),
        Case(one(at("https://api.trust.nhs.uk", "tls: {ca: file:ca.pem}")), ((2, URL),)),
        Case(one(at("http://hooks.example/x"), before=ALLOW), ((3, URL),)),
        Case(one(at("https://api.trust.nhs.uk", "tls: {certificate: file:a, key: file:b}"))),
        Case(one(WRAPPER.replace("http://b", "https://api.trust.nhs.uk"))),
        *(
            Case(one(at(url)))
            for url in ("http://10.1.2.3", "http://[::1]:1", "http://back-end:8080", "https://ris.trust.internal")
        ),
        Case(one(at("http://other.example"), before=ALLOW)),
    ],
    "GW02": [
        Case(one(API, need("intent: update")), ((2, "apis.a.security"),)),
        Case(one(PROMISE % "open"), ((2, "apis.a.security"),)),
        Case(one(PROMISE % "signed-jwt, open"), ((2, "apis.a.security"),)),
        Case(one(API, "operations: [{match: POST /x}, {match: GET /x}]"), ((2, "apis.a.operations[0]"),)),
        Case(
            one(API.replace("open", "api-key"), FHIR, "operations: [{match: Patient.create, security: [open]}]"),
            ((2, "apis.a.operations[0]"),),
        ),
        Case(one(API, need("intent: retrieve"), "operations: [{match: GET /x}, {match: POST /x, security: [api-key]}]")),
        Case(one(PROMISE % "signed-jwt")),
        Case(one(API)),
    ],
    "GW03": [
        Case(policies("plain", "editing", "retrying", "looping", "fanning"), found(1, 2, 3, 4)),
        Case(policies("fanning"), found(0)),
        Case(policies("plain", "either", "counting", "bare")),
        Case(policies("editing", "retrying", api=WRAPPER)),
        Case(policies("no_such_policy")),
    ],
    "GW07": [
        Case(policies("plain", "counting", "remembering", "hoarding", "closed_over", "keeping"), found(1, 2, 3, 4, 5)),
        Case(policies("calling", "importing", api=WRAPPER), found(0, 1)),
        Case(one(MIDDLEWARE, f"facade: '{SEEN}:plain'"), ((2, "apis.a.facade"),)),
        Case(policies("plain", "either", "editing", "bare")),
        Case(one(MIDDLEWARE, f"facade: '{SEEN}:Living'")),
        Case(one(MIDDLEWARE, "facade: 'no.such:thing'")),
    ],
}
