"""`fiveways sandbox`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fiveways.cli import serve
from fiveways.platform.serve import PidFile
from fiveways.platform.serve import serve as run_platform

console = Console(highlight=False, soft_wrap=True)

_DEPLOYMENT = """\
# The sandbox's deployment: change it as you like, and `fiveways reload` it. `fiveways schema` prints what may stand in it.

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
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Where it keeps its file and messages.")] = Path("sandbox"),
) -> None:
    """Run a MESH sandbox: mailboxes X26ABC1 to X26ABC3, ALICE, BOB and BARRY, password `password`, shared key `TestKey`.

    It speaks MESH's protocol, so that mesh-client works as it is: MeshClient("http://127.0.0.1:8700", "ALICE", "password",
    shared_key=b"TestKey"). `DELETE /admin/reset` forgets all messages. Its deployment file is in DIR, to be changed.
    """
    file = _prepared(data)
    listener = serve.listener_at(http)

    def ready(listeners: object) -> None:
        console.print(f"ready: {listener.url}  (MESH sandbox; ALICE, BOB, BARRY, X26ABC1 to X26ABC3; {file})")

    with PidFile(data):
        serve.run(run_platform(file, data, listeners={"main": listener}, ready=ready))


def _prepared(folder: Path) -> Path:
    """The deployment file in `folder`, made with its secrets where there is none."""
    file = folder / "deployment.yaml"
    if not file.exists():
        (folder / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, value in _SECRETS.items():
            (folder / "secrets" / name).write_text(value)
        file.write_text(_DEPLOYMENT)
    return file
