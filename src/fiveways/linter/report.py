"""Findings for programs: JSON, and SARIF 2.1.0, which code hosts and editors show where the finding is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

import fiveways
from fiveways.linter.lint import Finding, all_rules

_LEVELS: Final = {"error": "error", "warning": "warning", "note": "note"}


def as_json(found: Mapping[Path, Iterable[Finding]]) -> str:
    """A list of findings, each with its file."""
    told = [{"file": str(file), **_members(each)} for file, findings in found.items() for each in findings]
    return _written(told)


def as_sarif(found: Mapping[Path, Iterable[Finding]]) -> str:
    """A SARIF log with one run."""
    rules = [
        {
            "id": rule.id, "shortDescription": {"text": rule.anti_pattern}, "help": {"text": rule.best_practice},
            "defaultConfiguration": {"level": _LEVELS[rule.severity]}, "properties": {"statements": list(rule.statements)},
        }
        for rule in all_rules()
    ]  # fmt: skip
    results = [
        {
            "ruleId": each.rule, "level": _LEVELS[each.severity], "message": {"text": f"{each.path}: {each.message} {each.advice}"},
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": {"uri": file.as_posix()},
                    "region": {"startLine": max(1, each.line), "startColumn": max(1, each.column)},
                },
                "logicalLocations": [{"fullyQualifiedName": each.path}],
            }],
        }
        for file, findings in found.items() for each in findings
    ]  # fmt: skip
    driver = {"name": "Fiveways", "version": fiveways.__version__, "rules": rules}
    return _written({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
    })  # fmt: skip


def _members(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule, "severity": finding.severity, "path": finding.path, "line": finding.line, "column": finding.column,
        "message": finding.message, "advice": finding.advice,
    }  # fmt: skip


def _written(content: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(content)).decode() + "\n"
