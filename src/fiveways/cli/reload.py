"""`fiveways reload`."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import typer

from fiveways.cli.options import DataFolder, DeploymentFile, data_folder, deployment_file
from fiveways.errors import DeploymentError
from fiveways.platform.model import load
from fiveways.platform.serve import reload_result

PATIENCE = 15.0
"""Seconds to wait for the running platform to say what came of it."""


def command(deployment: DeploymentFile = Path("deployment.yaml"), data: DataFolder = None) -> None:
    """Have the running platform swap to the deployment file as it is now.

    The file is checked first, and again by the platform: where it is wrong the old deployment goes on, and this says why.
    """
    file = deployment_file(deployment)
    folder = data_folder(data, file)
    load(file)
    try:
        main, *children = (int(pid) for pid in (folder / "fiveways.pid").read_text().split())
        awaited = {reload_result(folder, pid) for pid in children or [main]}
        before = {result: _written(result) for result in awaited}
        os.kill(main, signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise DeploymentError(f"no platform is running with the data folder {folder}") from error
    deadline = time.monotonic() + PATIENCE
    while any(_written(result) == before[result] for result in awaited):
        if time.monotonic() > deadline:
            raise DeploymentError(f"process {main} did not answer within {PATIENCE:g} s; see its log")
        time.sleep(0.05)
    came = [json.loads(result.read_text()) for result in awaited]
    for each in came:
        if not each["ok"]:
            raise DeploymentError(f"the old deployment goes on: {each['message']}")
    typer.echo(came[0]["message"])


def _written(result: Path) -> int:
    """When a result was written, in nanoseconds; 0 where there is none yet."""
    return result.stat().st_mtime_ns if result.exists() else 0
