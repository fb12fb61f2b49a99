"""`fiveways token`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli.options import DataFolder, DeploymentFile, NodeName, data_folder, deployment_file
from fiveways.errors import FivewaysError
from fiveways.platform.revoke import revoke_application, revoke_token
from fiveways.security.tokens import LIMIT

console = Console(highlight=False, soft_wrap=True)
commands = typer.Typer(help="Access tokens.", no_args_is_help=True)


@commands.callback()
def _token() -> None:
    pass


@commands.command("revoke")
def revoke(
    deployment: DeploymentFile = Path("deployment.yaml"),
    application: Annotated[
        str | None, typer.Option("--application", metavar="NAME", help="All tokens that this application was issued until now.")
    ] = None,
    data: DataFolder = None,
    node: NodeName = "",
) -> None:
    """Take back an access token, or with --application all that one was issued until now. Running processes refuse them within a
    second.

    The token is read from standard input, never from the command line, where the shell's history and the list of processes would
    keep it. May run while the platform does, and while it does not; on the node whose data folder this is, for all nodes.
    """
    if deployment.name.startswith("eyJ"):
        raise FivewaysError("a token is given on standard input; on the command line it is now in your shell's history")
    file = deployment_file(deployment)
    folder = data_folder(data, file)
    if application is not None:
        moment = asyncio.run(revoke_application(file, folder, application, node))
        console.print(f"revoked: every token that {application} was issued before {_shown(moment)}")
        return
    grant = asyncio.run(revoke_token(file, folder, _from_standard_input(), node))
    if grant is None:
        console.print("nothing to revoke: this token has expired or is revoked already")
        return
    expires = datetime.fromtimestamp(grant.expires, UTC)
    console.print(f"revoked: token {grant.jti} of {grant.application}, which would have expired at {_shown(expires)}")


def _from_standard_input() -> bytes:
    """The token, without what stands around it; unseen where it is typed."""
    typed = sys.stdin.isatty()
    token = getpass.getpass("access token: ").strip().encode() if typed else sys.stdin.buffer.read(2 * LIMIT).strip()
    if not token:
        raise FivewaysError("no token on standard input:  fiveways token revoke DEPLOYMENT < FILE")
    return token


def _shown(moment: datetime) -> str:
    return moment.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC"
