"""The advisor's page, from what it decides by: its questions, its table, the table as a drawing, and what the command prints."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from drawing import Step, ladder
from reference_pages import describe, stacked, table
from typer.testing import CliRunner

from fiveways.advisor.profile import need, of_arguments
from fiveways.advisor.starting import start
from fiveways.advisor.table import Rule, Value
from fiveways.advisor.table import table as decisions
from fiveways.advisor.verdict import KEYS, advise, values
from fiveways.cli import cli
from fiveways.deployment.need import Need

_FIGURES = {"latency_budget": "a duration", "expected_latency": "a duration", "availability": "a percentage"}
"""Questions that are answered in figures."""


def questions(_: Path) -> str:
    """Every question, its answers, the first of them the one that is assumed, and the rules that hang on it."""
    rows = []
    for key in Need.model_fields:
        assumed = Need.model_fields[key].default
        answers = (
            [f"`{_written(assumed)}`", *(f"`{_written(each)}`" for each in values(key) if each != assumed)] if key in KEYS else []
        )
        rows.append((f"`{key}`", describe(Need, key), ", ".join(answers) or _FIGURES[key], ", ".join(_asking(key)) or "–"))
    return stacked(("Question", "Meaning", "Answers", "Rules"), rows)


def rules(_: Path) -> str:
    """The table: when a rule fits, what is advised then, and what is said with it."""
    rows = []
    for rule in decisions().rules:
        fits = f"**{rule.title}**<br>{' or '.join(_when(rule))}"
        if rule.not_for_care:
            fits += "<br>unless information is asked for to give direct care"
        advised = f"{rule.method}, {rule.pattern or 'a façade'}"
        if rule.other is not None:
            advised += f"; or {rule.other.method}, {rule.other.pattern}"
        said = [f"try first: {each}" for each in rule.try_first] + list(rule.warnings)
        said += [f"target: {rule.target}"] if rule.target else []
        rows.append(
            (f'<a id="{rule.rule.lower()}"></a>{rule.rule}', fits, advised, "; ".join(said) or "–", ", ".join(rule.statements))
        )
    return stacked(("Rule", "When", "Advice", "With it", "Statements"), rows)


def facades(_: Path) -> str:
    """Which façade a back end stands behind, where the table leaves that open."""
    said = decisions()
    rows = []
    for backend, facade in said.facades.items():
        notes = [*facade.warnings, *((f"try first: {said.debt.try_first}", said.debt.warning) if facade.debt else ())]
        pattern = f"{facade.pattern} {facade.where}".strip()
        rows.append((f"`{backend}`", pattern, "; ".join(notes) or "–", ", ".join(facade.statements)))
    return table(("`backend`", "Façade", "With it", "Statements"), rows)


def ways(_: Path) -> str:
    """What a consumer builds for each way."""
    patterns = sorted(decisions().consumers.items(), key=lambda each: len(each[1]))
    return table(("Way", "What a consumer builds"), [(pattern, "; ".join(parts)) for pattern, parts in patterns])


def diagram(_: Path) -> str:
    """The table as a drawing: from the top, the first that fits."""
    steps = [Step(each.rule, each.title, each.method, _how(each), dashed=each.not_for_care) for each in decisions().rules]
    after = [
        (f"backend: {backend}", f"{each.pattern} {each.where}".strip() + (", with a debt plan" if each.debt else ""))
        for backend, each in decisions().facades.items()
    ]
    caption = (
        "From the top: the first that fits decides. Where information is asked for to give direct care, the dashed ones are passed "
        "over. At the bottom: which façade it is, where the advice leaves that open."
    )
    return ladder(steps, after, caption)


def _how(rule: Rule) -> str:
    """A rule's pattern, and the other way that is as good."""
    pattern = rule.pattern or "façade, see below"
    return f"{pattern}, or {rule.other.method} {rule.other.pattern}" if rule.other is not None else pattern


EXAMPLES: Mapping[str, str] = {
    "example": "intent=update human_actor=true",
    "example-slow": "intent=command slow=true fixed_constraint=true",
    "example-markdown": "intent=create payload=bulk purpose=background --markdown",
}
"""What is asked on the page."""


def example(_: Path, said: str) -> str:
    """What `fiveways advise` prints where this is said."""
    ran = CliRunner().invoke(cli, ["advise", *said.split()])
    if ran.exit_code:
        raise RuntimeError(f"advise {said}: {ran.output}")
    advice = re.split(r"^(?:## )?A deployment to start from$", ran.stdout, maxsplit=1, flags=re.MULTILINE)[0]
    return f"```console\n$ fiveways advise {said}\n{advice.rstrip()}\n```"


def beginning(_: Path, said: str) -> str:
    """The deployment that is given to start from, for a need that has no key in it."""
    asked = need(of_arguments(said.split()))
    return f"```yaml\n{start(advise(asked), asked, datetime.now(UTC).date()).deployment.rstrip()}\n```"


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else value


def _asking(key: str) -> Iterator[str]:
    """The rules that ask a question."""
    for rule in decisions().rules:
        if any(key in when for when in rule.when) or (key == "backend" and rule.facade):
            yield rule.rule


def _when(rule: Rule) -> Iterator[str]:
    for when in rule.when:
        said = (f"`{key}: {_wanted(wanted)}`" for key, wanted in when.items())
        yield ", ".join(said) or "nothing else fits"


def _wanted(wanted: Value | list[Value]) -> str:
    return " or ".join(map(_written, wanted)) if isinstance(wanted, list) else _written(wanted)
