"""`fiveways exchange`: jobs of HTTP exchanges, and what a person or a batch process does about them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from fiveways.cli.options import DEFAULT, DataFolder, DeploymentFile, NodeName, Reason, at
from fiveways.cli.printing import AsJson, console, moment, print_found, print_life
from fiveways.methods.exchange.states import State
from fiveways.platform.jobdesk import job_desk

commands = typer.Typer(
    help="Jobs of HTTP exchanges: requests that were accepted, and have their outcome later.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id: the end of its status URL.", show_default=False)]


@commands.command("list")
def list_(
    deployment: DeploymentFile = DEFAULT,
    api: Annotated[str, typer.Option("--api", metavar="NAME", help="Only of this API.")] = "",
    state: Annotated[State | None, typer.Option("--state", help="Only in this state.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=10_000, help="How many at most, newest first.")] = 100,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """List jobs, newest first."""
    found = at(job_desk, deployment, data, node, lambda desk: desk.list(api, state or "", most))
    shown = [
        {
            "id": row.id, "api": row.api, "application": row.application, "state": row.state, "since": moment(row.since),
            "progress": row.progress, "status": row.status or "",
        }
        for row in found
    ]  # fmt: skip
    print_found(shown, as_json, "no jobs")


@commands.command("show")
def show(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Show a job and everything that happened to it; not its outcome, which is its consumer's."""
    job, events = at(job_desk, deployment, data, node, lambda desk: desk.show(id))
    said = {
        "id": job.id, "api": job.api, "application": job.application, "correlation": job.correlation, "state": job.state.value,
        "progress": job.progress, "status": job.status, "size": job.size, "url": job.url, "expires": moment(job.expires),
    }  # fmt: skip
    print_life(said, events, as_json)


@commands.command("complete")
def complete(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    body: Annotated[str, typer.Option("--body", metavar="FILE", help="The outcome: a file, or - for standard input.")] = "",
    content_type: Annotated[str, typer.Option("--content-type", metavar="TYPE", help="What it is.")] = "application/json",
    status: Annotated[
        int, typer.Option("--status", min=200, max=599, help="Its HTTP status; from 400 on the job has failed.")
    ] = 200,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Give a job its outcome, as the batch process does that a provider has in place of an answer."""
    content = b"" if not body else sys.stdin.buffer.read() if body == "-" else Path(body).read_bytes()
    at(job_desk, deployment, data, node, lambda desk: desk.complete(id, status, content_type, content))
    console.print(f"{'completed' if status < 400 else 'failed'}: {id}, status {status}", markup=False)


@commands.command("cancel")
def cancel(
    id: Id,  # noqa: A002
    reason: Reason,
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """End a job without an outcome: its consumer is told 404."""
    at(job_desk, deployment, data, node, lambda desk: desk.cancel(id, reason))
    console.print(f"cancelled: {id}", markup=False)


@commands.command("ping")
def ping(
    api: Annotated[str, typer.Argument(metavar="API", help="The API's name.", show_default=False)],
    consumer: Annotated[str, typer.Argument(metavar="APPLICATION", help="Who is called back.", show_default=False)],
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Call a consumer's receiver with nothing to tell, signed as every call is: whether it is there, and knows the secret."""
    url = at(job_desk, deployment, data, node, lambda desk: desk.ping(api, consumer))
    console.print(f"taken: {url}", markup=False)
