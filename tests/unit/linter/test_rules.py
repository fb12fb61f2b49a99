"""Each lint rule, over deployments that break it and deployments that do not; and references that lead nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.linter.advice_cases import ADVICE
from tests.unit.linter.bulk_cases import BULK
from tests.unit.linter.case import Case
from tests.unit.linter.estate_cases import ESTATE
from tests.unit.linter.exchange_cases import EXCHANGE
from tests.unit.linter.facade_cases import FACADES, WRAPPER, debt, one, workflow
from tests.unit.linter.gateway_cases import GATEWAY
from tests.unit.linter.ms0_cases import MESSAGING
from tests.unit.linter.realtime_cases import REALTIME

from fiveways.linter.lint import Finding, all_rules, lint

API = "pattern: pass-through, target: {url: 'http://b'}, security: [open]"
MODEL = "model: {fhir: {version: R4}}"
POST = "match: POST /a"


def apis(*each: str) -> str:
    """A deployment of these APIs, a line each, from line 2."""
    return "apis:\n" + "".join(f"  a{index}: {{{API}, at: /a{index}, {text}}}\n" for index, text in enumerate(each))


CASES: dict[str, list[Case]] = {
    "FH01": [
        Case(apis("title: x"), ((2, "apis.a0"),)),
        Case(apis(MODEL, "title: x", "title: y"), ((3, "apis.a1"), (4, "apis.a2"))),
        Case(apis(MODEL)),
        Case(apis("model: {other: csv}", MODEL)),
        Case(""),
    ],
    "SY05": [
        Case(apis(f"operations: [{{{POST}, idempotent: false}}]"), ((2, "apis.a0.operations[0]"),)),
        Case(
            apis(MODEL, f"{MODEL}, operations: [{{{POST}}}, {{match: Patient.create, idempotent: false}}]"),
            ((3, "apis.a1.operations[1]"),),
        ),
        Case(apis(f"operations: [{{{POST}, idempotent: true}}]")),
        Case(apis(f"operations: [{{{POST}, idempotent: false}}]").replace("pass-through", "promise")),
        Case(apis(f"operations: [{{{POST}}}]")),
        Case(apis(f"operations: [{{{POST}, idempotent: false, security: [api-key], deduplicate: {{by: X-Request-ID}}}}]")),
    ],
    **ADVICE,
    **BULK,
    **EXCHANGE,
    **FACADES,
    **GATEWAY,
    **MESSAGING,
    **REALTIME,
}


@pytest.mark.parametrize(
    ("rule", "text", "severity"),
    [
        ("GW06", one(WRAPPER, debt(-1)), "error"),
        ("GW06", one(WRAPPER, debt(1)), "warning"),
        ("SY03", workflow("intent: retrieve"), "error"),
        ("SY03", workflow("intent: retrieve, purpose: background"), "warning"),
    ],
)
def test_some_findings_are_graver_than_their_rule(tmp_path: Path, rule: str, text: str, severity: str) -> None:
    assert [finding.severity for finding in linted(tmp_path, text) if finding.rule == rule] == [severity]


def linted(folder: Path, text: str) -> list[Finding]:
    (folder / "deployment.yaml").write_text(text)
    return lint(folder / "deployment.yaml")


def test_every_rule_has_cases_of_both_kinds() -> None:
    assert {rule.id for rule in all_rules()} == {*CASES, *ESTATE}
    every = [[bool(case.found) for case in cases] for cases in CASES.values()]
    for found in (*every, *([bool(case.found) for case in cases] for cases in ESTATE.values())):
        assert found.count(True) >= 2
        assert found.count(False) >= 2


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in CASES.items() for case in cases])
def test_a_rule_finds_what_breaks_it_and_nothing_else(tmp_path: Path, rule: str, case: Case) -> None:
    findings = [finding for finding in linted(tmp_path, case.text) if finding.rule == rule]
    assert tuple((finding.line, finding.path) for finding in findings) == case.found


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.id)
def test_a_rule_says_why_and_what_is_better(rule: object) -> None:
    from fiveways.linter.rule import Rule

    assert isinstance(rule, Rule)
    assert rule.anti_pattern.endswith(".")
    assert rule.best_practice.endswith(".")
    assert rule.statements
    looks = [each for each in (rule.find, rule.find_in_code, rule.observe, rule.find_across) if each is not None]
    assert looks
    assert all(each.__doc__ for each in looks)


def test_findings_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    findings = linted(tmp_path, apis(f"operations: [{{{POST}, idempotent: false}}]", "title: x"))
    assert [(finding.line, finding.rule) for finding in findings] == [
        (2, "AD02"), (2, "FH01"), (2, "GW02"), (2, "SY05"), (3, "AD02"), (3, "FH01"),
    ]  # fmt: skip


# --- REF ------------------------------------------------------------------------------------------------------------------

REFERRING = """\
organisations: {RXN: {name: x}}
applications:
  ward: {organisation: RXN, jwks: file:keys/ward.json}
programme:
  alerts:
    webhook: {url: "http://a", secret: env:FIVEWAYS_TEST_SECRET}
listeners:
  main:
    https: 127.0.0.1:8443
    certificate: file:tls/cert.pem
    key: file:tls/key.pem
apis:
  a: {pattern: pass-through, at: /a, target: {url: "https://b", tls: {ca: file:ca.pem}}, security: [open],
      model: {fhir: {version: R4}}, need: {}}
"""
FILES = ("keys/ward.json", "tls/cert.pem", "tls/key.pem", "ca.pem")


def test_what_a_deployment_refers_to_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FIVEWAYS_TEST_SECRET", raising=False)
    findings = linted(tmp_path, REFERRING)
    assert {(finding.rule, finding.severity) for finding in findings} == {("REF", "error")}
    assert [(finding.line, finding.path) for finding in findings] == [
        (3, "applications.ward.jwks"),
        (6, "programme.alerts.webhook.secret"),
        (10, "listeners.main.certificate"),
        (11, "listeners.main.key"),
        (13, "apis.a.target.tls.ca"),
    ]
    assert "the environment has no FIVEWAYS_TEST_SECRET" in findings[1].message
    assert f"there is no file {tmp_path / 'ca.pem'}" in findings[-1].message


def test_what_is_there_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIVEWAYS_TEST_SECRET", "x")
    for file in FILES:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert linted(tmp_path, REFERRING) == []


@pytest.mark.parametrize("policy", ["no.such.module:name", "fiveways.types:no_such_name"])
def test_a_policy_that_cannot_be_loaded_is_found(tmp_path: Path, policy: str) -> None:
    (finding,) = linted(tmp_path, apis(f"{MODEL}, need: {{}}, policies: ['fiveways.types:wrap', '{policy}']"))
    assert (finding.rule, finding.path) == ("REF", "apis.a0.policies[1]")
    assert f"{policy} cannot be loaded" in finding.message


@pytest.mark.parametrize("source", ["def broken(:\n", "raise RuntimeError('at import')\n", "import no_such_module\n"])
def test_a_policy_whose_module_breaks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    name = f"policy_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    (finding,) = linted(tmp_path, apis(f"{MODEL}, need: {{}}, policies: ['{name}:policy']"))
    assert (finding.rule, finding.path) == ("REF", "apis.a0.policies[0]")


@pytest.mark.parametrize(
    ("transform", "said"),
    [
        ("{by: hl7v2-to-fhir, options: {zone: Nowhere}}", "expected a time zone"),
        ("{by: nothing}", "expected module:Class or one of: fhir-to-hl7v2, hl7v2-to-fhir"),
        ("{by: 'nowhere:Nothing'}", "nowhere:Nothing cannot be loaded"),
        ("{by: xml, options: {consumer: fhir}}", "operations"),
    ],
)
def test_a_transformer_that_cannot_be_made(tmp_path: Path, transform: str, said: str) -> None:
    file = tmp_path / "deployment.yaml"
    debt = "{owner: i, reason: r, target: pass-through, retire_by: 2031-01-01}"
    file.write_text(
        "apis:\n  a: {pattern: transformation, at: /a, target: {url: 'https://a.test'}, security: [open], "
        f"transform: {transform}, debt: {debt}}}\n"
    )
    found = [each for each in lint(file) if each.rule == "REF"]
    assert [each.path for each in found] == ["apis.a.transform"]
    assert said in found[0].message
