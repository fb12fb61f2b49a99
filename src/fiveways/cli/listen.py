"""`fiveways mailbox listen` and `fiveways mailbox folders`: the consumer's half for those who don't write Python.

What needs the extra `client` is imported where it is used, so that the other commands do without it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fiveways.client.errors import ClientError
from fiveways.client.ledger import Ledger
from fiveways.client.schedule import Retry, Schedule
from fiveways.deployment.settings import parse_duration

Url = Annotated[str, typer.Argument(metavar="URL", help="Where MESH is, such as http://127.0.0.1:8700 for a sandbox.")]
Id = Annotated[str, typer.Argument(metavar="MAILBOX", help="The mailbox's id.")]
LedgerFile = Annotated[
    Path, typer.Option("--ledger", metavar="FILE", help="The ledger of open requests; made where there is none.")
]
PasswordFile = Annotated[
    Path | None, typer.Option("--password-file", metavar="FILE", help="Holds the mailbox's password. Default: MESH_PASSWORD.")
]
KeyFile = Annotated[
    Path | None, typer.Option("--shared-key-file", metavar="FILE", help="Holds the shared key. Default: MESH_SHARED_KEY.")
]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Certificate authorities (PEM). Default: the system's.")]
Cert = Annotated[Path | None, typer.Option("--cert", metavar="FILE", help="Our certificate (PEM), where MESH wants one.")]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Its private key (PEM).")]
Every = Annotated[str, typer.Option("--every", metavar="DURATION", help="Look so often while messages come: 5m or longer.")]
InSandbox = Annotated[bool, typer.Option("--sandbox", help="It is a sandbox: `--every` may be shorter than MESH allows.")]
Once = Annotated[bool, typer.Option("--once", help="Look once, deal with what waits, and end; exit code 1 if something failed.")]

if TYPE_CHECKING:
    from fiveways.client.mailbox import Mailbox

_SECRETS = {"password": ("MESH_PASSWORD",), "shared-key": ("MESH_SHARED_KEY", "MESH_CLIENT_SHARED_KEY")}


def listen(
    url: Url,
    mailbox: Id,
    command: Annotated[
        str,
        typer.Option("--exec", metavar="COMMAND", help="Run this for each message; {file} is its content's path, or else stdin."),
    ],
    workflow: Annotated[str, typer.Option("--workflow", help="Only these messages: W, !W, W*, !W*, *W* or !*W*.")] = "",
    every: Every = "5m",
    sandbox: InSandbox = False,
    once: Once = False,
    attempts: Annotated[
        int, typer.Option("--attempts", min=1, help="How often a message is tried before it is a dead letter.")
    ] = 5,
    retry_after: Annotated[
        str, typer.Option("--retry-after", metavar="DURATION", help="After a first failure; then twice that.")
    ] = "30s",
    patience: Annotated[str, typer.Option("--patience", metavar="DURATION", help="A command that takes longer has failed.")] = "1h",
    ledger: LedgerFile = Path("ledger.sqlite"),
    dead_letters: Annotated[
        Path | None, typer.Option("--dead-letters", metavar="DIR", help="Where dead letters are kept. Default: beside the ledger.")
    ] = None,
    keep_dead: Annotated[bool, typer.Option("--keep-dead", help="Leave dead letters in the inbox too.")] = False,
    password_file: PasswordFile = None,
    shared_key_file: KeyFile = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
) -> None:
    """Run a command for each message that comes, and acknowledge those for which it ends with exit code 0.

    The command finds the message's facts in MESH_MESSAGE_ID, MESH_FROM, MESH_WORKFLOW, MESH_LOCAL_ID, MESH_ATTEMPT and so on, and
    as JSON in the file that MESH_SIDECAR names. A message for which it fails is tried again, less and less often, and is then a
    dead letter. The same message may come twice, after a crash: MESH_MESSAGE_ID tells.
    """
    from fiveways.client.command import Command
    from fiveways.client.listener import Listener

    handler = Command(shlex.split(command))
    schedule = Schedule(duration("--every", every), sandbox=sandbox)
    first = duration("--retry-after", retry_after)
    retry = Retry(attempts, first, max(first, timedelta(hours=1)))

    async def work() -> None:
        async with _mailbox(url, mailbox, ledger, password_file, shared_key_file, ca, cert, key) as opened:
            listener = Listener(
                opened,
                handler,
                schedule=schedule,
                retry=retry,
                workflow=workflow,
                dead_letters=dead_letters,
                keep_dead=keep_dead,
                patience=duration("--patience", patience),
            )
            if not once:
                await listener.run()
            seen = await listener.once()
            if seen.put_off or seen.dead:
                raise typer.Exit(1)

    _run(work())


def folders(
    url: Url,
    mailbox: Id,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of in, out, sent and failed; made where it is not.")],
    to: Annotated[str, typer.Option("--to", metavar="MAILBOX", help="Where files without a NAME.mesh.json go.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", help="And their workflow.")] = "",
    every: Every = "5m",
    sandbox: InSandbox = False,
    once: Once = False,
    still: Annotated[
        str, typer.Option("--still", metavar="DURATION", help="Send a file once nothing has happened to it for so long.")
    ] = "5s",
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="FILE", help="The ledger of open requests. Default: DIR/ledger.sqlite.")
    ] = None,
    password_file: PasswordFile = None,
    shared_key_file: KeyFile = None,
    ca: Ca = None,
    cert: Cert = None,
    key: Key = None,
) -> None:
    """Send what is put into DIR/out, and put what arrives into DIR/in.

    NAME.mesh.json beside a file says how it is sent: {"to": "A81001-IN", "workflow": "DISCHARGE", "answer_within": "5d"}. What was
    sent is in DIR/sent with its message id, what was refused or reported undelivered in DIR/failed with the reason. No file is sent
    twice, whatever happens.
    """
    from fiveways.client.folders import Folders

    schedule = Schedule(duration("--every", every), sandbox=sandbox)

    async def work() -> None:
        kept = ledger or folder / "ledger.sqlite"
        async with _mailbox(url, mailbox, kept, password_file, shared_key_file, ca, cert, key) as opened:
            exchanged = Folders(opened, folder, to=to, workflow=workflow, still=duration("--still", still))
            if not once:
                await exchanged.run(schedule)
            seen = await exchanged.once(schedule)
            if seen.put_off or seen.dead:
                raise typer.Exit(1)

    _run(work())


def duration(option: str, said: str) -> timedelta:
    """An option's length of time. Raises ClientError for what is none."""
    try:
        return parse_duration(said)
    except ValueError as error:
        raise ClientError(f"{option}: found {said!r}, {error}") from None


@asynccontextmanager
async def _mailbox(
    url: str,
    id_: str,
    ledger: Path,
    password_file: Path | None,
    shared_key_file: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> AsyncIterator[Mailbox]:
    from fiveways.client.mailbox import Mailbox

    if (cert is None) != (key is None):
        raise ClientError("--cert and --key go together")
    password, shared_key = _secret("password", password_file), _secret("shared-key", shared_key_file)
    pair = (cert, key) if cert is not None and key is not None else None
    with Ledger(ledger) as noted:
        async with Mailbox(url, id_, password, shared_key, noted, verify=ca, cert=pair) as opened:
            yield opened


def _secret(name: str, file: Path | None) -> str:
    if file is not None:
        return file.read_text().strip()
    for variable in _SECRETS[name]:
        if said := os.environ.get(variable):
            return said
    raise ClientError(f"no {name}: set {_SECRETS[name][0]}, or name a file with --{name}-file")


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run until done, or until SIGTERM or Ctrl-C: what is under way is broken off, and is as it would be after a crash."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # what it retries succeeds, or is told of by us

    async def until_stopped() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(until_stopped())
