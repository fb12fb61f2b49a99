"""`fiveways exchange`: jobs of HTTP exchanges, and what a person or a batch process does about them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from fiveways.cli.entries import AsJson, moment, print_json, print_table
from fiveways.cli.options import DataFolder, DeploymentFile, NodeName, data_folder, deployment_file
from fiveways.methods.exchange.states import State
from fiveways.platform.jobdesk import JobDesk, job_desk

console = Console(highlight=False, soft_wrap=True)
commands = typer.Typer(
    help="Jobs of HTTP exchanges: requests that were accepted, and have their outcome later.", no_args_is_help=True
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's id: the end of its status URL.", show_default=False)]
DEFAULT = Path("deployment.yaml")
_Found = TypeVar("_Found")


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
    found = _at(deployment, data, node, lambda desk: desk.list(api, state or "", most))
    shown = [
        {
            "id": row.id, "api": row.api, "application": row.application, "state": row.state, "since": moment(row.since),
            "progress": row.progress, "status": row.status or "",
        }
        for row in found
    ]  # fmt: skip
    if as_json:
        print_json(shown)
    elif not shown:
        console.print("no jobs")
    else:
        print_table(list(shown[0]), [list(map(str, each.values())) for each in shown])


@commands.command("show")
def show(
    id: Id,  # noqa: A002
    deployment: DeploymentFile = DEFAULT,
    as_json: AsJson = False,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Show a job and everything that happened to it; not its outcome, which is its consumer's."""
    job, events = _at(deployment, data, node, lambda desk: desk.show(id))
    life = [
        {"at": moment(each.at), "happening": each.happening, "state": each.state, "by": each.by, "reason": each.reason}
        for each in events
    ]
    said = {
        "id": job.id, "api": job.api, "application": job.application, "correlation": job.correlation, "state": job.state.value,
        "progress": job.progress, "status": job.status, "size": job.size, "url": job.url, "expires": moment(job.expires),
    }  # fmt: skip
    if as_json:
        print_json({**said, "events": life})
        return
    for name, value in said.items():
        console.print(f"{name:13}{value if value != '' else '-'}", markup=False)
    print_table(list(life[0]), [list(each.values()) for each in life])


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
    _at(deployment, data, node, lambda desk: desk.complete(id, status, content_type, content))
    console.print(f"{'completed' if status < 400 else 'failed'}: {id}, status {status}", markup=False)


@commands.command("cancel")
def cancel(
    id: Id,  # noqa: A002
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: the audit keeps it, and your account.")],
    deployment: DeploymentFile = DEFAULT,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """End a job without an outcome: its consumer is told 404."""
    _at(deployment, data, node, lambda desk: desk.cancel(id, reason))
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
    url = _at(deployment, data, node, lambda desk: desk.ping(api, consumer))
    console.print(f"taken: {url}", markup=False)


def _at(deployment: Path, data: Path | None, node: str, work: Callable[[JobDesk], Awaitable[_Found]]) -> _Found:
    file = deployment_file(deployment)

    async def done() -> _Found:
        async with job_desk(file, data_folder(data, file), node) as desk:
            return await work(desk)

    return asyncio.run(done())
