"""`fiveways certs`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.clock import SystemClock
from fiveways.security.certificates import LOCAL_NAMES, KeyPair, issue_client, issue_server, make_authority

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
    made = make(folder, host or LOCAL_NAMES, client or ["client"])
    for certificate, private in made:
        console.print(f"{certificate}  {private}")
    if not made:
        console.print(f"everything asked for is in {folder} already")


def make(folder: Path, hosts: Sequence[str], clients: Sequence[str]) -> list[tuple[Path, Path]]:
    """Have an authority, a server's certificate for `hosts` and those of `clients` in a folder; the files of what was not there."""
    clock = SystemClock()
    made = []
    authority = _kept(folder, "ca")
    if authority is None:
        authority = make_authority("Fiveways local authority", clock)
        made.append(authority.write(folder, "ca"))
    if _kept(folder, "server") is None:
        made.append(issue_server(authority, clock, names=tuple(hosts)).write(folder, "server"))
    missing = [name for name in clients if _kept(folder, name) is None]
    return made + [issue_client(authority, clock, name=name).write(folder, name) for name in missing]


def _kept(folder: Path, name: str) -> KeyPair | None:
    """What an earlier run has left."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key.pem"
    return KeyPair(certificate.read_bytes(), key.read_bytes()) if certificate.exists() and key.exists() else None
