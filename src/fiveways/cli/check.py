"""`fiveways check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli.options import DeploymentFile, deployment_file
from fiveways.linter import lint

console = Console(highlight=False, soft_wrap=True)
_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def command(
    deployment: DeploymentFile = Path("deployment.yaml"),
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
) -> None:
    """Check a deployment file: that it is right, that what it refers to is there, and that it is no anti-pattern.

    Exit code 0: clean, or warnings only; 1: wrong, or a rule of severity error is broken (with --strict, or a warning).
    """
    file = deployment_file(deployment)
    findings = lint(file)
    for finding in findings:
        colour = _COLOURS[finding.severity]
        where = f"{file.name}:{finding.line}:{finding.column}"
        console.print(f"{where}: [{colour}]{finding.severity}[/] {finding.rule} {finding.path}: {finding.message}")
        console.print(f"    {finding.advice}", style="dim")
    worst = {finding.severity for finding in findings}
    if not findings:
        console.print(f"{file.name}: no findings")
    if "error" in worst or (strict and "warning" in worst):
        raise typer.Exit(1)
