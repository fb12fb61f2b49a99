"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DeploymentFile = Annotated[
    Path, typer.Argument(metavar="DEPLOYMENT", help="The deployment file, or the folder it is in.", show_default="deployment.yaml")
]
DataFolder = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Where rows, payloads and keys are. Default: data beside the file.")
]


def deployment_file(given: Path) -> Path:
    """The deployment file named, or `deployment.yaml` in the folder named."""
    return (given / "deployment.yaml" if given.is_dir() else given).absolute()


def data_folder(given: Path | None, file: Path) -> Path:
    """The data folder named, or `data` beside the deployment file."""
    return (given if given is not None else file.parent / "data").absolute()
