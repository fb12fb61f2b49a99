"""A partner's own server: asyncssh's, over a folder, which does now and then what a server should not."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from fiveways.methods.bulk.errands.settings import Server

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
OUR_KEY = asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class Partner:
    """A server that is running, and its files."""

    root: Path
    base: Path
    """Where the deployment file would be."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    """What was asked of it, in order: `write 0`, `rename`, …"""
    on: Callable[[Partner, str], None] | None = None
    """Called with each of those before it is done."""
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)
    extra: dict[bytes, bytes] = field(default_factory=dict)
    """More names in its listings, and the size of each as text."""

    @property
    def server(self) -> Server:
        """The settings by which it is reached."""
        return self.reached()

    def reached(self, **settings: Any) -> Server:
        """The same, some of it otherwise."""
        said: dict[str, Any] = {
            "host": "127.0.0.1", "port": self.port, "user": "fiveways", "key": "file:key",
            "host_keys": [HOST_KEY.export_public_key().decode()], "idle": "5s", "connect": "5s", **settings,
        }  # fmt: skip
        return Server.model_validate(said)

    def put(self, name: str, content: bytes, modified: int = 1_700_000_000) -> Path:
        """A file of its own."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        os.utime(path, (modified, modified))
        return path

    def files(self, folder: str = "") -> dict[str, bytes]:
        """The files of a folder."""
        return {path.name: path.read_bytes() for path in sorted((self.root / folder).iterdir()) if path.is_file()}

    def cut(self) -> None:
        """Cut every line."""
        for connection in self.connections:
            connection.abort()
        self.connections.clear()

    def happens(self, what: str) -> None:
        """Something is asked of it."""
        self.asked.append(what)
        if self.on is not None:
            self.on(self, what)


class _Door(asyncssh.SSHServer):
    def __init__(self, partner: Partner) -> None:
        self._partner = partner

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._partner.connections.append(conn)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == "fiveways" and key.public_data == OUR_KEY.public_data

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("fiveways", "open sesame")


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, partner: Partner) -> None:
        super().__init__(channel, chroot=os.fsencode(partner.root))
        self._partner = partner

    def read(self, file_obj: object, offset: int, size: int) -> bytes:
        self._partner.happens(f"read {offset}")
        return super().read(file_obj, offset, size)  # type: ignore[return-value]

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        self._partner.happens(f"write {offset}")
        return super().write(file_obj, offset, data)  # type: ignore[return-value]

    def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
        self._partner.happens(f"open {pflags}")
        return super().open(path, pflags, attrs)

    def rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._partner.happens("rename")
        return super().rename(oldpath, newpath)

    def posix_rename(self, oldpath: bytes, newpath: bytes) -> Any:
        self._partner.happens("replace")
        return super().posix_rename(oldpath, newpath)

    def remove(self, path: bytes) -> Any:
        self._partner.happens("remove")
        return super().remove(path)

    async def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
        self._partner.happens("list")
        for name, size in self._partner.extra.items():
            attrs = asyncssh.SFTPAttrs(size=int(size), permissions=stat.S_IFREG | 0o644, atime=0, mtime=1_700_000_000)
            yield asyncssh.SFTPName(name, attrs=attrs)
        async for each in super().scandir(path):
            yield each


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Partner]:
    """A partner's server, over a folder."""
    partner = Partner(folder / "theirs", folder)
    partner.root.mkdir(exist_ok=True)
    (folder / "key").write_bytes(OUR_KEY.export_private_key())
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: _Door(partner), server_host_keys=[HOST_KEY],
        sftp_factory=lambda channel: _Files(channel, partner), compression_algs=None, keepalive_interval=0,
    )  # fmt: skip
    partner.port = server.get_port()
    try:
        yield partner
    finally:
        partner.cut()
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)
