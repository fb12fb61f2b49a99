"""Rules over several deployments together, and how what they find is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.linter.estate_cases import ESTATE, EstateCase, at, named
from typer.testing import CliRunner

from fiveways.cli import cli
from fiveways.linter import Finding, labels, lint, lint_all
from fiveways.linter.report import as_json, as_sarif

SAME = at("http://b.internal/x")


def written(folder: Path, *texts: str) -> list[Path]:
    """Deployment files, each in a folder of its own."""
    files = [folder / f"d{index}" / "deployment.yaml" for index in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.parent.mkdir()
        file.write_text(text)
    return files


def of(rule: str, findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.rule == rule]


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule, cases in ESTATE.items() for case in cases])
def test_a_rule_finds_what_several_deployments_break_and_nothing_else(tmp_path: Path, rule: str, case: EstateCase) -> None:
    found = lint_all(written(tmp_path, *case.texts))
    places = [(index, each.line, each.path) for index, findings in enumerate(found.values()) for each in of(rule, findings)]
    assert tuple(places) == case.found


def test_each_file_is_found_what_is_found_in_it_alone_too(tmp_path: Path) -> None:
    files = written(tmp_path, SAME, at("http://c.internal"), SAME)
    together = lint_all(files)
    for file in files:
        assert [each for each in together[file] if not each.rule.startswith("ES")] == lint(file)


def test_the_others_are_named_by_what_tells_them_apart(tmp_path: Path) -> None:
    first, second, third = written(tmp_path, SAME, SAME, SAME)
    (finding,) = of("ES01", lint_all([first, second, third])[first])
    assert finding.message == "apis.a of d1/deployment.yaml and apis.a of d2/deployment.yaml lead to the same back end"
    assert labels([first]) == {first: "deployment.yaml"}
    other = first.with_name("other.yaml")
    assert labels([first, other]) == {first: "deployment.yaml", other: "other.yaml"}


def test_of_very_many_a_few_are_named(tmp_path: Path) -> None:
    many = "apis:\n" + "".join(
        f"  a{index}: {{pattern: pass-through, at: /a{index}, target: {{url: 'http://b.internal/x/{index}'}}, security: [open]}}\n"
        for index in range(500)
    )
    first, _ = files = written(tmp_path, SAME, many)
    (finding,) = of("ES01", lint_all(files)[first])
    assert finding.message.endswith("and 497 more lead to the same back end")
    assert len(finding.message) < 300


def test_a_back_end_on_the_machine_itself_may_be_another_on_each(tmp_path: Path) -> None:
    files = written(tmp_path, *[at("http://localhost:81")] * 2, *[at("http://b.internal:81")] * 2)
    severities = [each.severity for findings in lint_all(files).values() for each in of("ES01", findings)]
    assert severities == ["note", "note", "warning", "warning"]


def test_a_programme_says_what_it_puts_up_with_in_its_own_file(tmp_path: Path) -> None:
    suppressed = "linting: {suppress: [{rule: ES01, at: apis.a, reason: moving, until: 2099-01-01}]}\n" + SAME
    first, second = files = written(tmp_path, suppressed, "linting: {severities: {ES01: error}}\n" + SAME)
    found = lint_all(files)
    assert not of("ES01", found[first])
    assert [each.severity for each in of("ES01", found[second])] == ["error"]


def test_what_is_put_up_with_is_not_missed_where_nobody_looked(tmp_path: Path) -> None:
    said = "linting: {suppress: [{rule: ES01, at: apis.a, reason: moving, until: 2099-01-01}]}\n"
    first, second = written(tmp_path, said + SAME, at("http://c.internal"))
    assert not of("LINT", lint(first))
    assert [each.path for each in of("LINT", lint_all([first, second])[first])] == ["linting.suppress[0]"]


def test_findings_of_several_are_in_text_json_and_sarif(tmp_path: Path) -> None:
    files = written(tmp_path, named("Northshire"), named("Southshire"))
    found = lint_all(files)
    told = json.loads(as_json(found))
    assert [(each["file"], each["rule"]) for each in told] == [(str(file), "ES02") for file in files]
    run = json.loads(as_sarif(found))["runs"][0]
    assert [each["ruleId"] for each in run["results"]] == ["ES02", "ES02"]
    assert {"ES01", "ES02", "ES03"} <= {each["id"] for each in run["tool"]["driver"]["rules"]}
    text = CliRunner().invoke(cli, ["check", *map(str, files)]).output
    assert "d0/deployment.yaml:1:" in text
    assert "RXN is called 'Southshire' in d1/deployment.yaml" in text
    strict = CliRunner().invoke(cli, ["check", "--strict", *map(str, files)])
    assert strict.exit_code == 1
    assert CliRunner().invoke(cli, ["check", *map(str, files)]).exit_code == 0


def test_a_file_that_is_named_twice_is_one(tmp_path: Path) -> None:
    (file,) = written(tmp_path, SAME)
    output = CliRunner().invoke(cli, ["check", str(file), str(file.parent), "--format", "json"]).output
    assert "ES01" not in output
