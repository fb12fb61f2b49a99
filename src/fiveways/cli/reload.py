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
        pid = int((folder / "fiveways.pid").read_text())
        result = folder / "reload.json"
        before = result.stat().st_mtime_ns if result.exists() else 0
        os.kill(pid, signal.SIGHUP)
    except (OSError, ValueError) as error:
        raise DeploymentError(f"no platform is running with the data folder {folder}") from error
    deadline = time.monotonic() + PATIENCE
    while not result.exists() or result.stat().st_mtime_ns == before:
        if time.monotonic() > deadline:
            raise DeploymentError(f"process {pid} did not answer within {PATIENCE:g} s; see its log")
        time.sleep(0.05)
    came = json.loads(result.read_text())
    if not came["ok"]:
        raise DeploymentError(f"the old deployment goes on: {came['message']}")
    typer.echo(came["message"])
