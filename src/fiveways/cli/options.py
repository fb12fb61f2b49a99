"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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


def deployment_file(given: Path) -> Path:
    """The deployment file named, or `deployment.yaml` in the folder named."""
    return (given / "deployment.yaml" if given.is_dir() else given).absolute()


def data_folder(given: Path | None, file: Path) -> Path:
    """The data folder named, or `data` beside the deployment file."""
    return (given if given is not None else file.parent / "data").absolute()


def wide_console() -> Console:
    """A console for tables that are read by people and by programs alike: no cell is ever cut to the width of a window."""
    return Console(width=400, highlight=False, soft_wrap=True)
