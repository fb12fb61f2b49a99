"""`fiveways key`: API keys and platform keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli.options import DataFolder, DeploymentFile, data_folder, deployment_file
from fiveways.clock import SystemClock
from fiveways.platform.model import load
from fiveways.security.apikeys import generate
from fiveways.security.keys import PlatformKeys

console = Console(highlight=False, soft_wrap=True)
commands = typer.Typer(help="API keys for consumers, and the keys this platform signs with.", no_args_is_help=True)


@commands.command("new")
def new() -> None:
    """Make an API key: the key for the consumer, and its hash for the deployment file. The key is shown once."""
    made = generate()
    console.print(f"key (give it to the consumer, it is not kept):  {made.key}")
    console.print(f"hash (put it under api_keys:):                  {made.stored}")


@commands.command("rotate")
def rotate(
    deployment: DeploymentFile = Path("deployment.yaml"),
    data: DataFolder = None,
    now: Annotated[bool, typer.Option("--now", help="Have the new key sign at once, without its lead time.")] = False,
) -> None:
    """Make the next platform key. It is published now and signs after its lead time; running nodes notice by themselves."""
    file = deployment_file(deployment)
    declared, _ = load(file)
    lead = declared.identity.tokens.key_lead
    keys = PlatformKeys.open(data_folder(data, file) / "keys" / "platform", SystemClock(), lead=lead)
    made = keys.rotate(lead=lead * 0) if now else keys.rotate()
    console.print(f"key {made.kid} {'signs now' if now else f'signs in {lead}'}")
