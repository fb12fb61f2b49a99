"""Arguments that several commands share, and the desks of the platform that they lead to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

DeploymentFile = Annotated[
    Path, typer.Argument(metavar="DEPLOYMENT", help="The deployment file, or the folder it is in.", show_default="deployment.yaml")
]
DataFolder = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where rows, payloads and keys are. Default: data beside the file.")
]
NodeName = Annotated[
    str,
    typer.Option("--node", envvar="FIVEWAYS_NODE", help="This node's name among those that share a store. Default: the host's."),
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: the audit keeps it, and your account.")]
DEFAULT: Final = Path("deployment.yaml")

_Desk = TypeVar("_Desk")
_Found = TypeVar("_Found")


def deployment_file(given: Path) -> Path:
    """The deployment file named, or `deployment.yaml` in the folder named."""
    return (given / "deployment.yaml" if given.is_dir() else given).absolute()


def data_folder(given: Path | None, file: Path) -> Path:
    """The data folder named, or `data` beside the deployment file."""
    return (given if given is not None else file.parent / "data").absolute()


def at(
    desk: Callable[[Path, Path, str], AbstractAsyncContextManager[_Desk]],
    deployment: Path,
    data: Path | None,
    node: str,
    work: Callable[[_Desk], Awaitable[_Found]],
) -> _Found:
    """Do some work at a desk that is opened for it, beside the running platform."""
    file = deployment_file(deployment)

    async def done() -> _Found:
        async with desk(file, data_folder(data, file), node) as opened:
            return await work(opened)

    return asyncio.run(done())
