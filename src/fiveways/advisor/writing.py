"""A verdict, written: JSON for programs, Markdown for a decision record, and text for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fiveways.advisor.starting import Start
from fiveways.advisor.table import table
from fiveways.advisor.verdict import Change, Verdict, paraphrase

_COMPARED = {"SYNC": ("sync-wrap", "promise"), "EXCHANGE": ("short-poll", "callback", "long-poll")}
"""What else a consumer may be asked to build, by method."""


def as_json(verdict: Verdict, found: Sequence[Change], start: Start) -> dict[str, Any]:
    """All of it."""
    return {
        "rule": verdict.rule, "method": verdict.method, "pattern": verdict.pattern, "title": verdict.title,
        "where": verdict.where, "paradigm": verdict.paradigm, "try_first": list(verdict.try_first),
        "warnings": list(verdict.warnings), "target": verdict.target, "statements": list(verdict.statements),
        "paraphrases": {each: paraphrase(each) for each in verdict.statements},
        "alternative": {"method": verdict.other[0], "pattern": verdict.other[1]} if verdict.other is not None else None,
        "consumer": {pattern: list(parts) for pattern, parts in candidates(verdict)},
        "changes": [
            {"key": each.key, "value": each.value, "rule": each.rule, "method": each.method, "pattern": each.pattern}
            for each in found
        ],
        "deployment": start.deployment, "beside": start.beside, "references": start.references,
    }  # fmt: skip


def candidates(verdict: Verdict) -> list[tuple[str, tuple[str, ...]]]:
    """What a consumer has to build for what is advised, and for what it may be compared with: the least first."""
    patterns = [verdict.pattern, *(each for each in _COMPARED.get(verdict.method, ()) if each != verdict.pattern)]
    if verdict.other is not None:
        patterns.append(verdict.other[1])
    if verdict.method != "SYNC":
        patterns.append("pass-through")
    found = {pattern: tuple(table().consumers[pattern]) for pattern in patterns}
    return sorted(found.items(), key=lambda each: (len(each[1]), each[0] != verdict.pattern))


def as_markdown(verdict: Verdict, found: Sequence[Change], start: Start) -> str:
    """For a decision record."""
    lines = [f"# {verdict.method}: {pattern_of(verdict)}", "", f"Rule {verdict.rule}: {verdict.title}.", ""]
    lines += _section("Try first", verdict.try_first)
    if verdict.other is not None:
        lines += [f"As good: **{verdict.other[0]}**, {verdict.other[1]}.", ""]
    if verdict.paradigm:
        lines += [f"FHIR paradigm: {verdict.paradigm}.", ""]
    if verdict.target:
        lines += [f"Target: {verdict.target}.", ""]
    lines += _section("Warnings", verdict.warnings)
    lines += ["## What a consumer builds", ""]
    for pattern, parts in candidates(verdict):
        lines.append(f"- {pattern}: {len(parts)} ({'; '.join(parts)})")
    lines += ["", *_section("It rests on", [f"{each}: {paraphrase(each)}" for each in verdict.statements])]
    lines += _section("What would change it", [change_of(each) for each in found])
    lines += ["## A deployment to start from", "", "```yaml", start.deployment.rstrip(), "```", ""]
    for name, text in start.beside.items():
        lines += [f"`{name}`:", "", "```python", text.rstrip(), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def pattern_of(verdict: Verdict) -> str:
    """How, in a word or two."""
    return f"{verdict.pattern} {verdict.where}".strip()


def change_of(change: Change) -> str:
    """Another answer, and where it leads."""
    value = str(change.value).lower()
    return f"{change.key}={value}: {change.method}, {change.pattern} ({change.rule})"


def _section(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []
