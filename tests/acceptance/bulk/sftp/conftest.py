"""The SFTP server over a folder, and real clients: keys, OpenSSH's programs, and what the server told the audit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.acceptance.bulk.sftp.folder_tree import FolderTree

from fiveways.clock import Clock, SystemClock
from fiveways.methods.bulk.sftp.host_keys import host_keys
from fiveways.methods.bulk.sftp.partners import Partner, resolve
from fiveways.methods.bulk.sftp.server import SftpListener
from fiveways.methods.bulk.sftp.sessions import Event, Session
from fiveways.methods.bulk.sftp.settings import Access, SftpSettings

CLIENT = """\
Host *
 StrictHostKeyChecking no
 UserKnownHostsFile /dev/null
 IdentityFile {key}
 IdentitiesOnly yes
 LogLevel ERROR
 ConnectTimeout 10
"""


@dataclass
class Told:
    """An event, as the server told it."""

    event: Event
    partner: str
    address: str
    session: Session | None
    details: dict[str, str | int]


@dataclass
class Running:
    """A server, and what is known of it."""

    listener: SftpListener
    tree: FolderTree
    folder: Path
    partners: dict[str, Partner]
    told: list[Told] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.listener.port

    def events(self, event: Event) -> list[Told]:
        return [each for each in self.told if each.event == event]

    async def until(self, holds: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)

    async def run(self, *command: str, expect: int | None = 0, cwd: Path | None = None, seconds: float = 60.0) -> str:
        """Run a program; what it said. Its outputs are apart: ssh puts its own into a mode in which sftp loses lines."""
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=cwd or self.folder, env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        try:
            said = b"".join(await asyncio.wait_for(process.communicate(), seconds))
        except BaseException:
            process.kill()
            await process.wait()
            raise
        text = said.decode(errors="replace")
        assert expect is None or process.returncode == expect, text
        return text

    async def sftp(self, *commands: str, expect: int | None = 0, user: str = "trust", options: tuple[str, ...] = ()) -> str:
        """OpenSSH's sftp with a batch of commands."""
        batch = self.folder / f"batch-{os.urandom(4).hex()}"
        batch.write_text("\n".join(commands) + "\n")
        where = ("-P", str(self.port), "-b", str(batch), f"{user}@127.0.0.1")
        return await self.run("sftp", "-F", str(self.folder / "client"), *options, *where, expect=expect)

    def client(self, **options: Any) -> Any:
        """asyncssh's client, logged in."""
        chosen = {"username": "trust", "client_keys": [str(self.folder / "key")], **options}
        return asyncssh.connect("127.0.0.1", self.port, known_hosts=None, config=None, agent_path=None, **chosen)


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture(scope="session")
def server_keys(tmp_path_factory: pytest.TempPathFactory) -> list[asyncssh.SSHKey]:
    """Made once: an RSA key takes some time."""
    return host_keys(tmp_path_factory.mktemp("host-keys"))


@pytest.fixture
def start(tmp_path: Path, server_keys: list[asyncssh.SSHKey]) -> Start:
    """Start a server; `access` of partners beside `trust`, who comes with the key `tmp_path/key`."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "key").write_bytes(key.export_private_key())
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "key.pub").write_bytes(key.export_public_key())
    (tmp_path / "client").write_text(CLIENT.format(key=tmp_path / "key"))

    @asynccontextmanager
    async def started(
        settings: SftpSettings | None = None,
        access: dict[str, Access] | None = None,
        clock: Clock | None = None,
        host: str = "127.0.0.1",
        **tree: Any,
    ) -> AsyncIterator[Running]:
        folder = FolderTree(tmp_path / "files", **tree)
        given = {"trust": Access(keys=("file:key.pub",)), **(access or {})}
        partners = {name: resolve(name, each, tmp_path) for name, each in given.items()}
        told: list[Told] = []

        async def record(event: Event, partner: str, address: str, session: Session | None, details: dict[str, str | int]) -> None:
            told.append(Told(event, partner, address, session, details))

        listener = SftpListener(
            (host, 0), settings or SftpSettings(), host_keys=server_keys, accounts=lambda: partners,
            tree=lambda name, session: folder, record=record, clock=clock or SystemClock(),
        )  # fmt: skip
        await listener.start()
        try:
            yield Running(listener, folder, tmp_path, partners, told)
        finally:
            await listener.stop(0)
            assert folder.open == 0, "files were left open"

    return started
