"""A handler that is a command: content on a file, facts in the environment and in a file beside it; exit code 0: it is done."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fiveways.client.errors import ClientError
from fiveways.client.landing import land, sidecar
from fiveways.client.message import Message

FILE = "{file}"
"""In a command, the place of the file's path; a command without one gets the content on its standard input."""
SECRETS = ("MESH_PASSWORD", "MESH_SHARED_KEY", "MESH_CLIENT_SHARED_KEY")
"""Of our environment, what a command is not given."""


class CommandFailed(ClientError):
    """The command did not end with exit code 0."""


class Command:
    """Runs `arguments` for each message, without a shell, in a folder of the message's own that is gone afterwards."""

    def __init__(self, arguments: Sequence[str]) -> None:
        if not arguments:
            raise ClientError("there is no command to run")
        self._arguments = tuple(arguments)
        self._reads = not any(FILE in argument for argument in arguments)

    async def __call__(self, message: Message) -> None:
        """Deal with a message. Raises CommandFailed; one that is waited for no longer is killed, with all that it started."""
        with tempfile.TemporaryDirectory(prefix="fiveways-") as folder:
            file = await asyncio.to_thread(land, message, Path(folder))
            arguments = [argument.replace(FILE, str(file)) for argument in self._arguments]
            with open(file if self._reads else os.devnull, "rb") as standard_input:  # noqa: ASYNC230, PTH123 (opening does not wait)
                try:
                    process = await asyncio.create_subprocess_exec(
                        *arguments, stdin=standard_input, env=_environment(message, file), start_new_session=True
                    )
                except OSError as error:
                    raise CommandFailed(f"{arguments[0]}: {error.strerror}") from error
            try:
                code = await process.wait()
            except BaseException:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
                raise
        if code != 0:
            raise CommandFailed(
                f"{arguments[0]} ended with exit code {code}" if code > 0 else f"signal {-code} ended {arguments[0]}"
            )


def _environment(message: Message, file: Path) -> dict[str, str]:
    """Ours without secrets, and MESH_… for every fact: MESH_MESSAGE_ID, MESH_FROM, MESH_WORKFLOW, MESH_LOCAL_ID, …"""
    facts = {name: str(value) for name, value in message.about().items() if not isinstance(value, dict)}
    facts |= {"attempt": str(message.attempt), "file": str(file), "sidecar": str(sidecar(file))}
    if message.request is not None:
        facts |= {"answers_local_id": message.request.local_id, "answers_message_id": message.request.message_id}
    kept = {name: value for name, value in os.environ.items() if name not in SECRETS}
    return {**kept, **{f"MESH_{name.upper()}": value for name, value in facts.items()}}
