"""A partner's server, while we are connected to it: its host key is one that is pinned, and what it says is bounded.

Links are never followed for what they point to: only what is itself an ordinary file is moved.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncssh

from fiveways.methods.bulk.errands.failures import FileFailed, FileRefused, LineLost, NotAdmitted, NotTrusted
from fiveways.methods.bulk.errands.settings import Server
from fiveways.methods.bulk.errands.wire import CREATE, READ, TRUNCATE, WRITE, Answer, Attributes, Kind, Unsupported, Wire, string

CIPHERS: Final = (
    "aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr", "aes128-ctr",
)  # fmt: skip
MACS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512")
_SIGNATURES: Final = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
DIGESTS: Final = ("sha256", "sha512")
"""What may be asked for of a server that computes digests (check-file), best first. What servers have that know only older ones
(paramiko's) is not to be relied on: it does not come to an end with files of more than 128 KiB."""
_SLOWEST: Final = 20 * 2**20
"""Bytes a second that a server is expected to digest at least."""


class Secured(NamedTuple):
    """How a connection is secured (B19)."""

    cipher: str
    host_key: str
    """The fingerprint of the host key that the server has shown."""


class Found(NamedTuple):
    """What is in a folder. `name` is as the server sends it."""

    name: bytes
    attributes: Attributes


class RemoteFile:
    """An open file of the server's."""

    def __init__(self, wire: Wire, handle: bytes) -> None:
        self._wire = wire
        self._handle = string(handle)
        self.block = wire.most
        """Bytes that may be read or written at once."""

    def ask(self, offset: int, size: int) -> asyncio.Future[Answer]:
        """Begin to read."""
        return self._wire.request(Kind.READ, self._handle, struct.pack(">QI", offset, size))

    async def got(self, asked: asyncio.Future[Answer], size: int) -> bytes:
        """What was read: up to `size` bytes; b'' at the end."""
        try:
            data = (await self._wire.expect(Kind.DATA, asked)).string()
        except EOFError:
            return b""
        if len(data) > size:
            raise LineLost("the server sends more than was asked for")
        return data

    async def read(self, offset: int, size: int) -> bytes:
        """So many bytes, or fewer at the end."""
        parts, missing = [], size
        while missing:
            asked = min(missing, self.block)
            data = await self.got(self.ask(offset + size - missing, asked), asked)
            if not data:
                break
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def put(self, offset: int, data: bytes) -> asyncio.Future[Answer]:
        """Begin to write."""
        return self._wire.request(Kind.WRITE, self._handle, struct.pack(">QI", offset, len(data)), data)

    async def taken(self, asked: asyncio.Future[Answer]) -> None:
        """Return when it is written."""
        await self._wire.expect(Kind.STATUS, asked)

    async def attributes(self) -> Attributes:
        """What the server says of it now."""
        return (await self._wire.expect(Kind.ATTRS, self._wire.request(Kind.FSTAT, self._handle))).attributes()

    async def sync(self) -> Attributes:
        """Have it on the server's disk, where the server can do that; what it says of it then."""
        asked = None
        if "fsync@openssh.com" in self._wire.extensions:
            asked = self._wire.extended("fsync@openssh.com", self._handle)
        also = self._wire.request(Kind.FSTAT, self._handle)  # answers come in order: both are on their way
        if asked is not None:
            with suppress(Unsupported):
                await self._wire.expect(Kind.STATUS, asked)
        return (await self._wire.expect(Kind.ATTRS, also)).attributes()

    def leave(self) -> None:
        """Close it, whatever the server has to say of that."""
        self._wire.leave(self._handle)

    async def close(self) -> None:
        """Close it; what the server has to say of that is what it says of what was written."""
        await self._wire.expect(Kind.STATUS, self._wire.request(Kind.CLOSE, self._handle))


class Remote:
    """A server that we are connected to. Paths are its own, or relative to where our account begins.

    Methods raise LineLost, FileNotFoundError, FileRefused and FileFailed.
    """

    def __init__(self, wire: Wire, secured: Secured) -> None:
        self._wire = wire
        self.secured = secured
        self._digests: tuple[str, ...] | None = None

    async def list(self, folder: str) -> AsyncGenerator[Sequence[Found], None]:
        """What is in a folder, in the server's order, some at a time; without itself and its parent."""
        handle = (await self._wire.expect(Kind.HANDLE, self._wire.request(Kind.OPENDIR, _path(folder)))).string()
        try:
            while True:
                try:
                    answer = await self._wire.expect(Kind.NAME, self._wire.request(Kind.READDIR, string(handle)))
                except EOFError:
                    return
                count = answer.number()
                if not count:
                    raise LineLost("the server's listing does not go on")
                page = []
                for _ in range(count):
                    name, _longname = answer.string(), answer.string()
                    page.append(Found(name, answer.attributes()))
                yield page
        finally:
            self._wire.leave(string(handle))

    async def stat(self, path: str) -> Attributes | None:
        """What the server says of a path, a link itself where it is one; None where there is nothing."""
        try:
            return (await self._wire.expect(Kind.ATTRS, self._wire.request(Kind.LSTAT, _path(path)))).attributes()
        except FileNotFoundError:
            return None

    @asynccontextmanager
    async def open(self, path: str, *, write: bool = False, anew: bool = False) -> AsyncIterator[RemoteFile]:
        """Open a file, to read it or to `write` it, from the beginning (`anew`) or on. On a way out by an error, what closing it
        comes to is of no interest."""
        flags = (WRITE | CREATE | (TRUNCATE if anew else 0)) if write else READ
        asked = self._wire.request(Kind.OPEN, _path(path), struct.pack(">II", flags, 0))
        file = RemoteFile(self._wire, (await self._wire.expect(Kind.HANDLE, asked)).string())
        try:
            yield file
        except BaseException:
            file.leave()
            raise
        await file.close()

    async def rename(self, old: str, new: str, *, replace: bool) -> None:
        """Give a file another name, at once where the server can. `replace`: what has that name goes."""
        both = _path(old), _path(new)
        if not replace:
            await self._wire.expect(Kind.STATUS, self._wire.request(Kind.RENAME, *both))
        elif "posix-rename@openssh.com" in self._wire.extensions:
            await self._wire.expect(Kind.STATUS, self._wire.extended("posix-rename@openssh.com", *both))
        else:
            await self.remove(new)
            await self._wire.expect(Kind.STATUS, self._wire.request(Kind.RENAME, *both))

    async def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""
        with suppress(FileNotFoundError):
            await self._wire.expect(Kind.STATUS, self._wire.request(Kind.REMOVE, _path(path)))

    async def make_folder(self, path: str) -> None:
        """Make a folder where there is none."""
        if await self.stat(path) is None:
            await self._wire.expect(Kind.STATUS, self._wire.request(Kind.MKDIR, _path(path), struct.pack(">I", 0)))

    # --- check-file -----------------------------------------------------------------------------------------------------------

    @property
    def digests(self) -> Sequence[str]:
        """Which digests the server computes for us, as far as it says, best first (draft-ietf-secsh-filexfer-extensions-00 §3)."""
        if self._digests is None:
            named = [name for name in ("check-file", "check-file-name", "check-file-handle") if name in self._wire.extensions]
            said = {each for name in named for each in self._wire.extensions[name].decode("ascii", "replace").split(",")}
            self._digests = tuple(each for each in DIGESTS if each in said)
        return self._digests

    async def digest(self, path: str, algorithm: str, start: int, length: int) -> bytes | None:
        """The server's digest of a file's bytes from `start`, `length` of them (more than none); None where it gives none."""
        if algorithm not in self.digests:
            return None
        asked = string(algorithm.encode()) + struct.pack(">QQI", start, length, 0)
        patience = length / _SLOWEST
        try:
            if "check-file-name" in self._wire.extensions or "check-file-handle" not in self._wire.extensions:
                with suppress(Unsupported):
                    request = self._wire.extended("check-file-name", _path(path), asked)
                    return _digest(await self._wire.expect(Kind.EXTENDED_REPLY, request, patience=patience), algorithm)
            name = "check-file-handle" if "check-file-handle" in self._wire.extensions else "check-file"
            opened = self._wire.request(Kind.OPEN, _path(path), struct.pack(">II", READ, 0))
            handle = string((await self._wire.expect(Kind.HANDLE, opened)).string())
            try:
                request = self._wire.extended(name, handle, asked)
                return _digest(await self._wire.expect(Kind.EXTENDED_REPLY, request, patience=patience), algorithm)
            finally:
                self._wire.leave(handle)
        except (FileFailed, FileRefused, EOFError):
            self._digests = ()  # it says that it can, and cannot
            return None


def _digest(answer: Answer, algorithm: str) -> bytes | None:
    said = answer.string()
    if said == b"check-file":  # as the draft has it; some leave it out
        said = answer.string()
    return answer.rest() if said == algorithm.encode() else None


def _path(path: str) -> bytes:
    return string(path.encode("utf-8", "surrogateescape"))


# --- connecting ----------------------------------------------------------------------------------------------------------------


class _Client(asyncssh.SSHClient):
    def __init__(self, pinned: frozenset[str]) -> None:
        self._pinned = pinned
        self.shown = ""

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        self.shown = key.get_fingerprint("sha256")
        return self.shown in self._pinned

    def validate_host_ca_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        return False


@asynccontextmanager
async def connect(server: Server, base: Path) -> AsyncIterator[Remote]:
    """Connect to a server for as long as the context lasts. `base`: the folder of the deployment file.

    Raises NotTrusted, NotAdmitted and LineLost. Nothing but what the file says is looked at: no agent, no configuration, no keys
    and no known hosts of the account that we run under.
    """
    credentials = await asyncio.to_thread(_credentials, server, base)  # a passphrase takes its time
    client = _Client(frozenset(key.fingerprint for key in server.host_keys))
    kinds = dict.fromkeys(kind for key in server.host_keys for kind in key.kinds)
    algorithms = [each for kind in kinds for each in _SIGNATURES.get(kind, (kind,))]
    options: dict[str, Any] = {
        "username": server.user, "config": None, "agent_path": None, "gss_host": None, "compression_algs": None,
        "known_hosts": _nobody, "server_host_key_algs": algorithms, "encryption_algs": CIPHERS, "mac_algs": MACS,
        "kex_algs": "-*sha1*", "x509_trusted_certs": None, "keepalive_interval": server.idle.total_seconds(),
        "client_version": "Fiveways", **credentials,
    }  # fmt: skip
    try:
        async with asyncio.timeout(server.connect.total_seconds()):
            connection = await asyncssh.connect(server.host, server.port, client_factory=lambda: client, **options)
    except TimeoutError:
        raise LineLost(f"the server did not let us in within {server.connect.total_seconds():g} s") from None
    except asyncssh.HostKeyNotVerifiable:
        shown = f"; it has shown {client.shown}" if client.shown else ""
        raise NotTrusted(f"the server's host key is none of those that are pinned{shown}") from None
    except asyncssh.PermissionDenied:
        raise NotAdmitted("the server does not take our key or password") from None
    except asyncssh.KeyExchangeFailed:
        kinds_said = ", ".join(kinds)
        raise NotTrusted(f"the server and we have no algorithm in common (host keys that are pinned: {kinds_said})") from None
    except (OSError, asyncssh.Error, ValueError) as error:
        raise LineLost(f"the server cannot be reached ({type(error).__name__})") from None
    try:
        wire = await _session(connection, server)
        try:
            cipher = str(connection.get_extra_info("send_cipher"))
            yield Remote(wire, Secured(cipher, client.shown))
        finally:
            await wire.close()
    finally:
        connection.abort()
        with suppress(Exception):
            async with asyncio.timeout(5):
                await connection.wait_closed()


async def _session(connection: asyncssh.SSHClientConnection, server: Server) -> Wire:
    idle = server.idle.total_seconds()
    try:
        async with asyncio.timeout(idle):
            writer, reader, _ = await connection.open_session(subsystem="sftp", encoding=None)
    except TimeoutError:
        raise LineLost(f"the server does not begin SFTP within {idle:g} s") from None
    except (OSError, asyncssh.Error) as error:
        raise LineLost(f"the server does not begin SFTP ({type(error).__name__})") from None
    wire = Wire(reader, writer, idle)
    try:
        await wire.begin()
    except BaseException:
        await wire.close()
        raise
    return wire


def _nobody(host: str, addr: str, port: int | None) -> tuple[list[str], list[str], list[str]]:
    """Known hosts: none, so that each host key is looked at by `_Client`."""
    return [], [], []


def _credentials(server: Server, base: Path) -> dict[str, Any]:
    """Raises NotAdmitted where what the file refers to is not there, or is no key."""
    given: dict[str, Any] = {"client_keys": None}
    methods = []
    try:
        if server.key is not None:
            phrase = server.passphrase.resolve(base).decode() if server.passphrase is not None else None
            given["client_keys"] = [asyncssh.import_private_key(server.key.resolve(base) + b"\n", phrase)]
            methods.append("publickey")
        if server.password is not None:
            given["password"] = server.password.resolve(base).decode()
            methods += ["password", "keyboard-interactive"]
    except (KeyError, OSError):
        raise NotAdmitted("our key or password is not where the deployment file says") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, UnicodeDecodeError):
        raise NotAdmitted("our private key cannot be read: it is of no known form, or its passphrase is another") from None
    given["preferred_auth"] = methods
    return given
