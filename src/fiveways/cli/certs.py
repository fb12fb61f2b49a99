"""`fiveways certs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.clock import SystemClock
from fiveways.security.certificates import KeyPair, issue_client, issue_server, make_authority

console = Console(highlight=False, soft_wrap=True)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to put them.")] = Path("tls"),
    host: Annotated[list[str] | None, typer.Option("--host", help="A name or address of the server (repeatable).")] = None,
    client: Annotated[list[str] | None, typer.Option("--client", help="The name of a client certificate (repeatable).")] = None,
) -> None:
    """Make a local certificate authority with a server certificate and client certificates, for trying out and testing.

    Files in DIR: ca.pem, server.pem, NAME.pem for every client, and to each its key: NAME.key.pem. What is there is kept:
    run it again with another --client to have the same authority issue one more.
    """
    clock = SystemClock()
    made = []
    authority = _kept(folder, "ca")
    if authority is None:
        authority = make_authority("Fiveways local authority", clock)
        made.append(authority.write(folder, "ca"))
    if _kept(folder, "server") is None:
        hosts = tuple(host or ("localhost", "127.0.0.1", "::1"))
        made.append(issue_server(authority, clock, names=hosts).write(folder, "server"))
    missing = [name for name in client or ["client"] if _kept(folder, name) is None]
    made += [issue_client(authority, clock, name=name).write(folder, name) for name in missing]
    for certificate, private in made:
        console.print(f"{certificate}  {private}")
    if not made:
        console.print(f"everything asked for is in {folder} already")


def _kept(folder: Path, name: str) -> KeyPair | None:
    """What an earlier run has left."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key.pem"
    return KeyPair(certificate.read_bytes(), key.read_bytes()) if certificate.exists() and key.exists() else None
