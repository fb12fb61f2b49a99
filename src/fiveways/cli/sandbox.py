"""`fiveways sandbox`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli import certs, serve
from fiveways.deployment.settings import Reference
from fiveways.platform.listeners import ClientCertificates, Listener
from fiveways.platform.serve import PidFile
from fiveways.platform.serve import serve as run_platform
from fiveways.security.certificates import LOCAL_NAMES

console = Console(highlight=False, soft_wrap=True)

_DEPLOYMENT = """\
# The sandbox's deployment: change it as you like, and `fiveways reload DIR`. `fiveways schema` prints what may stand in it.

messaging: {shared_key: file:secrets/shared-key, open_workflows: true, sandbox: true}

organisations:
  X26: {name: Test organisation X26}
  X27: {name: Test organisation X27}

mailboxes:
  X26ABC1: {organisation: X26, name: TESTMB1, password: file:secrets/password}
  X26ABC2: {organisation: X26, name: TESTMB2, password: file:secrets/password}
  X26ABC3: {organisation: X27, name: TESTMB3, password: file:secrets/password}
  ALICE: {organisation: X26, name: TESTMB1, password: file:secrets/password}
  BOB: {organisation: X26, name: TESTMB2, password: file:secrets/password}
  BARRY: {organisation: X27, name: TESTMB3, password: file:secrets/password}

workflows:
  TEST_WORKFLOW: {from: [X26ABC1], to: [X26ABC2]}
  TEST_WORKFLOW_ACK: {from: [X26ABC2], to: [X26ABC1, X26ABC3]}
  TEST_WORKFLOW2: {from: [X26ABC1], to: [X26ABC1, X26ABC2, X26ABC3]}
  RESTRICTED_WORKFLOW: {from: [ALICE], to: [BOB]}
  ANOTHER_WORKFLOW: {from: [BOB], to: [BARRY, ALICE]}
"""
_SECRETS = {"shared-key": "TestKey", "password": "password"}
"""Known to all who test, and worth nothing."""


def command(
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Listen here (port 0: any).")] = "127.0.0.1:8700",
    https: Annotated[
        str | None,
        typer.Option("--https", metavar="HOST:PORT", help="Listen here with TLS too, and take client certificates."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option("--host", metavar="NAME", help="A further name of this machine in the certificate of --https (repeatable)."),
    ] = None,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Where it keeps its file and messages.")] = Path("sandbox"),
) -> None:
    """Run a MESH sandbox: mailboxes X26ABC1 to X26ABC3, ALICE, BOB and BARRY, password `password`, shared key `TestKey`.

    It speaks MESH's protocol, so that mesh-client works as it is: MeshClient("http://127.0.0.1:8700", "ALICE", "password",
    shared_key=b"TestKey"). DIR/deployment.yaml has its mailboxes and workflows: change it, and `fiveways reload DIR`.

    Certificates for --https are made in DIR/tls on first start: ca.pem for clients to trust, client.pem with client.key.pem for
    them to show. `fiveways certs DIR/tls --client NAME` makes more.

    Tests control it over HTTP, with JSON and without a password:

    - `DELETE /admin/reset`: forget all messages and everything below. `DELETE /admin/reset/BOB`: the messages for BOB.

    - `POST /admin/clock {"advance": "6d"}`: let time pass for messages; they expire, REPORTs arrive, old ones are removed.

    - `POST /admin/failures {"times": 2, "operation": "send", "answer": 503, "done": true}`: have the next two sends answered 503,
    with the work done. `answer` may be "cut", "own"; `mailbox`, `delay` may be said. `DELETE /admin/failures` takes it back.

    - `PUT /admin/certificates {"demanded": ["ALICE"]}`: demand client certificates for ALICE (true: for all; false: for none).
    """
    folder = data.absolute()
    file = _prepared(folder)
    listener = serve.listener_at(http)
    listeners = {"main": listener}
    if https is not None:
        listeners["tls"] = _secure(https, folder, host or [])

    def ready(_: object) -> None:
        if "tls" in listeners:
            tls = folder / "tls"
            shown = f"{tls / 'client.pem'} with {tls / 'client.key.pem'}"
            console.print(f"ready: {listeners['tls'].url}  (trust {tls / 'ca.pem'}; to show: {shown})")
        console.print(f"ready: {listener.url}  (MESH sandbox; ALICE, BOB, BARRY, X26ABC1 to X26ABC3; {file})")

    with PidFile(folder / "data"):  # where `fiveways reload DIR` and the other commands look for it
        serve.run(run_platform(file, folder / "data", listeners=listeners, ready=ready))


def _secure(address: str, folder: Path, names: list[str]) -> Listener:
    """A listener with TLS at HOST:PORT that takes client certificates; its certificates are made where there are none."""
    found = serve.listener_at(address)
    tls = folder / "tls"
    own = {*LOCAL_NAMES, found.address[0], *names} - {"0.0.0.0", "::"}  # noqa: S104 - of those nobody asks
    certs.make(tls, sorted(own), ["client"])
    return Listener(
        https=found.http,
        certificate=Reference.parse("file:tls/server.pem"),
        key=Reference.parse("file:tls/server.key.pem"),
        client_certificates=ClientCertificates(ca=Reference.parse("file:tls/ca.pem")),
    )


def _prepared(folder: Path) -> Path:
    """The deployment file in `folder`, made with its secrets where there is none."""
    file = folder / "deployment.yaml"
    if not file.exists():
        (folder / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, value in _SECRETS.items():
            (folder / "secrets" / name).write_text(value)
        file.write_text(_DEPLOYMENT)
    return file
