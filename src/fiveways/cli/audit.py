"""`fiveways audit`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli.options import DataFolder, DeploymentFile, data_folder, deployment_file
from fiveways.platform.inspect import audit_report

console = Console(highlight=False, soft_wrap=True)
commands = typer.Typer(help="The tamper-evident audit.", no_args_is_help=True)


@commands.callback()
def _audit() -> None:
    pass


@commands.command("verify")
def verify(
    deployment: DeploymentFile = Path("deployment.yaml"),
    data: DataFolder = None,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", help="Check signatures with this PEM key, kept elsewhere, not the data folder's.")
    ] = None,
    elsewhere: Annotated[
        list[str] | None, typer.Option("--elsewhere", metavar="CHAIN", help="A chain whose heads are on another node (repeatable).")
    ] = None,
) -> None:
    """Check every row of the audit against its hash chain and the signed heads kept outside the database.

    Finds any row altered, removed or reordered, the newest and a wholly recomputed chain included. A gap that a crash left is
    reported as such and is no finding. Exit code 1 where anything was found. May run while the platform does.
    """
    file = deployment_file(deployment)
    key = public_key.read_bytes() if public_key is not None else None
    report = asyncio.run(audit_report(file, data_folder(data, file), key, tuple(elsewhere or ())))
    console.print(f"{report.events} events in {len(report.chains)} chain(s): {', '.join(report.chains) or 'none'}")
    for chain, last in report.removed.items():
        console.print(f"{chain}: retention removed everything up to event {last}; checked from there on")
    for chain in report.elsewhere:
        console.print(f"{chain}: its heads are on another node; not checked here")
    for gap in report.gaps:
        lost = "an unknown number of" if gap.lost is None else str(gap.lost)
        console.print(f"{gap.chain} {gap.first}-{gap.last}: gap: a crash lost {lost} event(s) not yet written", style="yellow")
    for finding in report.findings:
        console.print(str(finding), style="bold red")
    if not report.ok:
        console.print("TAMPERED WITH: the audit is not what was written", style="bold red")
        raise typer.Exit(1)
    console.print("intact" if not report.gaps else "intact, with the gaps above", style="bold green")
