"""`fiveways workflow`: who may send what to whom."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fiveways.cli.entries import AsJson, administer, console, everything, print_entry, print_json, print_table
from fiveways.cli.options import DataFolder, DeploymentFile, NodeName

commands = typer.Typer(help="Workflows: who may send what to whom.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's id.")]
Senders = Annotated[
    list[str] | None, typer.Option("--from", metavar="MAILBOX", help="A mailbox that may send it (repeatable). Default: all.")
]
Receivers = Annotated[
    list[str] | None, typer.Option("--to", metavar="MAILBOX", help="A mailbox that it may be sent to (repeatable). Default: all.")
]
DEFAULT = Path("deployment.yaml")


@commands.command("list")
def list_(deployment: DeploymentFile = DEFAULT, as_json: AsJson = False, data: DataFolder = None, node: NodeName = "") -> None:
    """List the workflows, those of the deployment file and those registered since."""
    found = administer(deployment, data, node, lambda administration, _: everything(administration, "workflow"))
    if as_json:
        print_json(found)
        return
    rows = [(each["id"], _all(each["from"]), _all(each["to"]), each["declared_in"]) for each in found]
    print_table(("workflow", "from", "to", "declared in"), rows)


@commands.command("add")
def add(
    workflow: Id,
    deployment: DeploymentFile = DEFAULT,
    senders: Senders = None,
    receivers: Receivers = None,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Register a workflow. Running processes know it within a second, and restarts change nothing."""
    said = {"from": senders or [], "to": receivers or []}
    shown = administer(deployment, data, node, lambda administration, by: administration.add("workflow", workflow, said, by))
    (print_json if as_json else print_entry)(shown)


@commands.command("remove")
def remove(workflow: Id, deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Remove a registered workflow. What was sent under it is collected as before."""
    administer(deployment, data, node, lambda administration, by: administration.remove("workflow", workflow, by))
    console.print(f"removed: {workflow}", markup=False)


def _all(mailboxes: list[str]) -> str:
    return ", ".join(mailboxes) or "all"
