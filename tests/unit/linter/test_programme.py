"""What a programme says to the linter: how grave it holds what, what it puts up with and until when; and findings for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any

import pytest

from fiveways.errors import DeploymentError
from fiveways.linter import lint
from fiveways.linter.report import as_json, as_sarif

DEPLOYMENT = """
organisations: {RXN: {name: Northshire}}
linting: {$linting}
apis:
  greetings: {pattern: pass-through, at: /hello, security: [open], target: {url: "http://127.0.0.1:1"}}
"""
TOMORROW, YESTERDAY = (datetime.now(UTC).date() + timedelta(days=days) for days in (1, -1))


def found(folder: Path, linting: str = "") -> list[Any]:
    """What is found."""
    file = folder / "deployment.yaml"
    file.write_text(Template(DEPLOYMENT).substitute(linting=linting))
    return lint(file)


def test_a_programme_holds_a_rule_graver_or_less_grave(tmp_path: Path) -> None:
    usual = found(tmp_path)
    assert usual
    rule = usual[0].rule
    for severity in ("error", "note"):
        assert {each.severity for each in found(tmp_path, f"severities: {{{rule}: {severity}}}") if each.rule == rule} == {severity}


def test_what_is_put_up_with_is_not_told_until_its_day_is_over(tmp_path: Path) -> None:
    first = found(tmp_path)[0]
    said = f"rule: {first.rule}, at: apis.greetings, reason: a visitor is greeted"
    assert first.rule not in {each.rule for each in found(tmp_path, f"suppress: [{{{said}, until: {TOMORROW}}}]")}
    late = found(tmp_path, f"suppress: [{{{said}, until: {YESTERDAY}}}]")
    assert {first.rule, "LINT"} <= {each.rule for each in late}
    assert "a visitor is greeted" in next(each.message for each in late if each.rule == "LINT")


def test_what_is_put_up_with_and_is_not_there_is_told(tmp_path: Path) -> None:
    first = found(tmp_path)[0]
    said = f"rule: {first.rule}, at: apis.greet, reason: x, until: {TOMORROW}"
    assert {first.rule, "LINT"} <= {each.rule for each in found(tmp_path, f"suppress: [{{{said}}}]")}


@pytest.mark.parametrize(
    "said", ["rule: SY04, at: apis", "rule: SY04, at: apis, reason: x", "rule: nothing, at: a, reason: x, until: 2030-01-01"]
)
def test_a_reason_and_a_day_are_required(tmp_path: Path, said: str) -> None:
    with pytest.raises(DeploymentError):
        found(tmp_path, f"suppress: [{{{said}}}]")


def test_findings_for_programs(tmp_path: Path) -> None:
    file, findings = tmp_path / "deployment.yaml", found(tmp_path)
    told = json.loads(as_json({file: findings}))
    assert [each["rule"] for each in told] == [each.rule for each in findings]
    sarif = json.loads(as_sarif({file: findings}))
    run = sarif["runs"][0]
    assert [each["ruleId"] for each in run["results"]] == [each.rule for each in findings]
    assert {each["ruleId"] for each in run["results"]} <= {each["id"] for each in run["tool"]["driver"]["rules"]} | {"REF", "LINT"}
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] == findings[0].line
