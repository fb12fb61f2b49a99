"""`fiveways workflow`: who may send what to whom, and who deals with what fails."""

from __future__ import annotations

from typing import Annotated

import typer

from fiveways.cli.entries import administer, everything, print_entry
from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName
from fiveways.cli.printing import AsJson, Shown, console, print_json, print_table

commands = typer.Typer(help="Workflows: who may send what to whom.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="WORKFLOW", help="The workflow's id.")]
Senders = Annotated[
    list[str] | None, typer.Option("--from", metavar="MAILBOX", help="A mailbox that may send it (repeatable). Default: all.")
]
Receivers = Annotated[
    list[str] | None, typer.Option("--to", metavar="MAILBOX", help="A mailbox that it may be sent to (repeatable). Default: all.")
]
AcknowledgedBy = Annotated[
    str | None, typer.Option("--acknowledged-by", metavar="WORKFLOW", help="The workflow in which its receivers answer.")
]
CorrelatedBy = Annotated[
    str | None,
    typer.Option(
        "--correlated-by", metavar="WHAT", help="What an answer repeats of the request: local-id, message-header or correlation-id."
    ),
]
UndeliveredAfter = Annotated[
    str | None,
    typer.Option(
        "--undelivered-after", metavar="TIME", help="How long a message waits, such as 2d. Default: messaging.collect_within."
    ),
]
Told = Annotated[
    list[str] | None,
    typer.Option("--told", metavar="MAILBOX", help="A mailbox that is told of failures besides the sender (repeatable)."),
]
WorkedBy = Annotated[
    str | None, typer.Option("--worked-by", metavar="WHO", help="Who works what failed, and how they are reached.")
]
Payload = Annotated[
    str | None,
    typer.Option("--payload", metavar="WHAT", help="What its messages must be: fhir-message, or else they are refused by REPORT."),
]


@commands.command("list")
def list_(deployment: DeploymentFile = DEFAULT, as_json: AsJson = False, data: DataFolder = None, node: NodeName = "") -> None:
    """List the workflows, those of the deployment file and those registered since."""
    found = administer(deployment, data, node, lambda administration, _: everything(administration, "workflow"))
    if as_json:
        print_json(found)
        return
    print_table(("workflow", "from", "to", "undelivered after", "worked by", "declared in"), [_row(each) for each in found])


@commands.command("add")
def add(
    workflow: Id,
    deployment: DeploymentFile = DEFAULT,
    senders: Senders = None,
    receivers: Receivers = None,
    acknowledged_by: AcknowledgedBy = None,
    correlated_by: CorrelatedBy = None,
    undelivered_after: UndeliveredAfter = None,
    told: Told = None,
    worked_by: WorkedBy = None,
    payload: Payload = None,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Register a workflow. Running processes know it within a second, and restarts change nothing."""
    said: Shown = {"from": senders or [], "to": receivers or []}
    beside = {"acknowledged_by": acknowledged_by, "correlated_by": correlated_by, "undelivered_after": undelivered_after}
    beside["payload"] = payload
    said |= {name: value for name, value in beside.items() if value is not None}
    failures = {name: value for name, value in (("told", told), ("worked_by", worked_by)) if value}
    if failures:
        said["failures"] = failures
    shown = administer(deployment, data, node, lambda administration, by: administration.add("workflow", workflow, said, by))
    (print_json if as_json else print_entry)(shown)


@commands.command("remove")
def remove(workflow: Id, deployment: DeploymentFile = DEFAULT, data: DataFolder = None, node: NodeName = "") -> None:
    """Remove a registered workflow. What was sent under it is collected as before."""
    administer(deployment, data, node, lambda administration, by: administration.remove("workflow", workflow, by))
    console.print(f"removed: {workflow}", markup=False)


def _row(shown: Shown) -> tuple[str, ...]:
    failures = shown.get("failures", {})
    after = shown.get("undelivered_after", "-")
    return shown["id"], _all(shown["from"]), _all(shown["to"]), after, failures.get("worked_by", "-"), shown["declared_in"]


def _all(mailboxes: list[str]) -> str:
    return ", ".join(mailboxes) or "all"
