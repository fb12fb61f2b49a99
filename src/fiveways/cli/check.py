"""`fiveways check`."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli.options import deployment_file
from fiveways.clock import SystemClock
from fiveways.errors import DeploymentError
from fiveways.linter import Finding, labels, lint_all, report
from fiveways.linter.live import observe

console = Console(highlight=False, soft_wrap=True)
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


class Form(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def command(
    deployments: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DEPLOYMENT]...", help="Deployment files, or folders with one. Default: deployment.yaml."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    live: Annotated[
        str | None,
        typer.Option(
            "--live", metavar="URL", help="Look at what the running platform's metrics say too: http://127.0.0.1:8080/metrics."
        ),
    ] = None,
    probing: Annotated[
        bool, typer.Option("--probe", help="Try whether back ends can be reached from here, without the gateway.")
    ] = False,
    form: Annotated[Form, typer.Option("--format", help="Text for people, JSON, or SARIF 2.1.0 for code hosts.")] = Form.TEXT,
) -> None:
    """Check deployment files: that they are right, that what they refer to is there, and that they are no anti-pattern.

    Several files are looked at together too: back ends and mailboxes that two deployments have.

    Exit code 0: clean, or warnings only; 1: wrong, or a rule of severity error is broken (with --strict, or a warning).
    """
    gc.freeze()  # modules and models stay: with a large file in the making, the collector need not look at them again and again
    files = list(dict.fromkeys(deployment_file(each) for each in deployments or (Path("deployment.yaml"),)))
    if live is not None and len(files) > 1:
        raise DeploymentError("--live: name the one file that this platform runs")
    observed = observe(live, SystemClock()) if live is not None else None
    found = lint_all(files, observed=observed, probing=probing)
    if form is Form.TEXT:
        _print(found)
    else:
        typer.echo(report.as_json(found) if form is Form.JSON else report.as_sarif(found), nl=False)
    worst = {finding.severity for findings in found.values() for finding in findings}
    if "error" in worst or (strict and "warning" in worst):
        raise typer.Exit(1)


def _print(found: Mapping[Path, Sequence[Finding]]) -> None:
    names = labels(found)
    for file, findings in found.items():
        for finding in findings:
            colour = _COLOURS[finding.severity]
            where = f"{names[file]}:{finding.line}:{finding.column}"
            console.print(f"{where}: [{colour}]{finding.severity}[/] {finding.rule} {finding.path}: {finding.message}")
            console.print(f"    {finding.advice}", style="dim")
        if not findings:
            console.print(f"{names[file]}: no findings")
