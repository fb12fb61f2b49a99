"""`fiveways certs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.clock import SystemClock
from fiveways.security.certificates import issue_client, issue_server, make_authority

console = Console(highlight=False, soft_wrap=True)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put them.")] = Path("tls"),
    host: Annotated[list[str] | None, typer.Option("--host", help="A name or address of the server (repeatable).")] = None,
    client: Annotated[list[str] | None, typer.Option("--client", help="The name of a client certificate (repeatable).")] = None,
) -> None:
    """Make a local certificate authority with a server certificate and client certificates, for trying out and testing.

    Files in DIR: ca.pem, server.pem, NAME.pem for every client, and to each its key: NAME.key.pem. Nothing is overwritten.
    """
    clock = SystemClock()
    folder.mkdir(parents=True, exist_ok=True)
    authority = make_authority("Fiveways local authority", clock)
    made = [authority.write(folder, "ca")]
    hosts = tuple(host or ("localhost", "127.0.0.1", "::1"))
    made.append(issue_server(authority, clock, names=hosts).write(folder, "server"))
    made += [issue_client(authority, clock, name=name).write(folder, name) for name in client or ["client"]]
    for certificate, private in made:
        console.print(f"{certificate}  {private}")
