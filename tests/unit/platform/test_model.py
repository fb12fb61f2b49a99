"""A deployment whose parts do not fit together is refused, each misfit with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from fiveways.deployment import document
from fiveways.errors import DeploymentError
from fiveways.platform.misfits import RESERVED, misfits
from fiveways.platform.model import Deployment, load, validate

KEY = "sha256:" + "0" * 64
FITTING = f"""\
organisations: {{RXN: {{name: Northshire}}}}
applications:
  ward: {{organisation: RXN, products: [all], api_keys: ['{KEY}']}}
  theatre: {{organisation: RXN, client_id: theatre-1, products: [all]}}
products: {{all: {{apis: [fhir, other]}}}}
apis:
  fhir:
    pattern: pass-through
    at: /fhir/R4
    target: {{url: 'http://b'}}
    model: {{fhir: {{version: R4}}}}
    security: [api-key]
    operations: [{{match: Patient.create, idempotent: false, deduplicate: {{by: X-Request-ID}}}}]
  other:
    pattern: pass-through
    at: /fhir/R4/other
    target: {{url: 'http://b'}}
    security: [api-key]
"""


def said(text: str) -> list[str]:
    with pytest.raises(DeploymentError) as refused:
        validate(document.parse(text, "d.yaml"))
    return str(refused.value).splitlines()


def test_parts_that_fit_are_taken() -> None:
    assert list(misfits(validate(document.parse(FITTING)))) == []


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        (
            "ward: {organisation: RXN",
            "ward: {organisation: ABC",
            "3:10: applications.ward.organisation",
            "found 'ABC', expected one of organisations:",
        ),
        (
            "products: [all], api",
            "products: [all, none], api",
            "3:45: applications.ward.products[1]",
            "found 'none', expected one of products:",
        ),
        ("apis: [fhir, other]", "apis: [fhir, ohter]", "5:31: products.all.apis[1]", "found 'ohter', expected one of apis:"),
        ("client_id: theatre-1", "client_id: ward", "", "client_id 'ward' belongs to another application too"),
        ("client_id: theatre-1", f"api_keys: ['{KEY}']", "", "this key belongs to another application too"),
        ("at: /fhir/R4/other", "at: /fhir/R4", "16:5: apis.other.at", "found '/fhir/R4', which is where fhir is"),
        (
            "model: {fhir: {version: R4}}",
            "model: {other: x}",
            "13:19: apis.fhir.operations[0].match",
            "found 'Patient.create', expected a method and path",
        ),
        (
            "security: [api-key]\n    operations",
            "security: [api-key, open]\n    operations",
            "13:",
            "repeats are recognised per consumer, but open access has none",
        ),
        ("idempotent: false,", "security: [open],", "13:", "repeats are recognised per consumer, but open access has none"),
        *(
            ("at: /fhir/R4/other", f"at: {path}", "16:5: apis.other.at", f"found '{path}', which belongs to the platform itself")
            for path in (*RESERVED, "/oauth2/deeper")
        ),
    ],
)
def test_a_misfit_is_refused_with_its_place(old: str, new: str, where: str, what: str) -> None:
    assert FITTING.count(old) == 1
    lines = said(FITTING.replace(old, new))
    assert any(line.startswith(f"d.yaml:{where}") and what in line for line in lines), lines


def test_what_two_share_is_said_of_both() -> None:
    lines = said(FITTING.replace("client_id: theatre-1", f"api_keys: ['{KEY}']"))
    assert [line.split(": ")[1] for line in lines] == ["applications.ward.api_keys[0]", "applications.theatre.api_keys[0]"]


@pytest.mark.parametrize("path", ["/oauth", "/oauth2x", "/metricsx", "/a/oauth2", "/_pings"])
def test_what_only_looks_like_the_platform_s_own_is_free(path: str) -> None:
    validate(document.parse(FITTING.replace("at: /fhir/R4/other", f"at: {path}")))


def test_all_misfits_are_said_at_once() -> None:
    text = FITTING.replace("organisation: RXN", "organisation: ABC").replace("/fhir/R4/other", "/metrics")
    assert len(said(text)) == 3


def test_the_same_key_twice_in_one_application_is_no_misfit() -> None:
    validate(document.parse(FITTING.replace(f"['{KEY}']", f"['{KEY}', '{KEY}']")))


def test_an_empty_file_is_a_deployment_with_a_listener(tmp_path: Path) -> None:
    (tmp_path / "d.yaml").write_text("")
    deployment, _ = load(tmp_path / "d.yaml")
    assert deployment == Deployment()
    assert [listener.url for listener in deployment.listeners.values()] == ["http://127.0.0.1:8080"]


FEED = """
listeners: {main: {http: "127.0.0.1:8080"}, adt: {mllp: "127.0.0.1:2575", %s}}
organisations: {RXN: {name: Northshire}}
applications: {pas: {organisation: RXN, products: [all]}}
products: {all: {apis: [adt]}}
apis:
  plain: {pattern: pass-through, at: /plain, target: {url: "http://127.0.0.1:9"}, security: [open]}
  adt:
    pattern: transformation
    at: /adt
    transform: {by: hl7v2-to-fhir}
    %s
    security: [%s]
"""


@pytest.mark.parametrize(
    ("listener", "behind", "security", "said"),
    [
        ("api: adt, as: pas", 'target: {url: "http://127.0.0.1:9"}', "signed-jwt", ""),
        ("api: none, as: pas", 'target: {url: "http://127.0.0.1:9"}', "signed-jwt", "expected one of apis:"),
        ("api: plain, as: pas", 'target: {url: "http://127.0.0.1:9"}', "signed-jwt", "whose pattern is transformation"),
        ("api: adt, as: nobody", 'target: {url: "http://127.0.0.1:9"}', "signed-jwt", "expected one of applications:"),
        ("api: adt, as: pas", 'target: {url: "http://127.0.0.1:9"}', "api-key", "does not take signed-jwt"),
        ("api: adt", 'target: {url: "http://127.0.0.1:9"}', "signed-jwt", "mllp needs as:"),
        ("as: pas", 'target: {url: "http://127.0.0.1:9"}', "signed-jwt", "mllp needs api:"),
        ("api: adt, as: pas", "mailbox: {from: A, to: B, workflow: W}", "signed-jwt", "expected one of mailboxes:"),
        ("api: adt, as: pas", "", "signed-jwt", "one of target:, mllp: and mailbox:"),
        ("api: adt, as: pas", 'mllp: {address: "127.0.0.1:99999"}', "signed-jwt", "expected a port"),
        ("api: adt, as: pas", "mailbox: {from: A, to: B, workflow: W}\n    promise: {}", "signed-jwt", "nothing beside mailbox:"),
    ],
)
def test_feeds_that_nobody_could_send_to(tmp_path: Path, listener: str, behind: str, security: str, said: str) -> None:
    file = tmp_path / "deployment.yaml"
    file.write_text(FEED % (listener, behind, security))
    if not said:
        assert load(file)[0].listeners["adt"].url == "mllp://127.0.0.1:2575"
        return
    with pytest.raises(DeploymentError) as refused:
        load(file)
    assert said in str(refused.value)


BULK = """\
listeners: {files: {sftp: '127.0.0.1:2222'}}
organisations: {RXN: {name: Northshire}}
mailboxes: {A: {organisation: RXN, password: env:A}, B: {organisation: RXN, password: env:B}}
messaging: {shared_key: env:K, open_workflows: true}
outbound: {allow: [sink.test]}
partners:
  north: {organisation: RXN, access: {keys: ['file:north.pub']}, server: {host: n, user: u, key: file:k, host_keys: ['SHA256:%s']}}
feeds:
  first: {from: north, records: {columns: {id: {type: integer}}}}
  second:
    from: north
    records: {columns: {id: {references: {feed: first, column: id}}}}
    deliver_to: [{http: 'https://sink.test/in'}, {mailbox: {from: A, to: B, workflow: X}}]
    to: [{partner: north}]
errands: {out: {do: push, partner: north, from: /first, to: out}}
""" % ("A" * 43)  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "where", "what"),
    [
        ("north: {organisation: RXN", "north: {organisation: ABC", "partners.north.organisation", "expected one of organisations:"),
        ("sftp: '127.0.0.1:2222'", "http: '127.0.0.1:2222'", "partners.north.access", "no listener takes files"),
        ("first: {from: north", "first: {from: south", "feeds.first.from", "found 'south', expected one of partners:"),
        (
            "{feed: first, column",
            "{feed: third, column",
            "feeds.second.records.columns.id.references.feed",
            "expected one of feeds:",
        ),
        ("https://sink.test/in", "https://other.test/in", "feeds.second.deliver_to[0].http", "outbound: says what may be called"),
        ("to: B, workflow", "to: C, workflow", "feeds.second.deliver_to[1].mailbox.to", "expected one of mailboxes:"),
        ("to: [{partner: north}]", "to: [{partner: west}]", "feeds.second.to[0].partner", "expected one of partners:"),
        ("partner: north, from: /first", "partner: west, from: /first", "errands.out.partner", "expected one of partners:"),
        ("server: {host: n, user: u, key: file:k, host_keys", "title: x, quota: {files: 1}, x: {host_keys", "", "x: "),
    ],
)
def test_a_misfit_of_bulk_transfer_is_refused_with_its_place(old: str, new: str, where: str, what: str) -> None:
    validate(document.parse(BULK))
    assert BULK.count(old) == 1
    lines = said(BULK.replace(old, new))
    assert any(where in line and what in line for line in lines), lines
