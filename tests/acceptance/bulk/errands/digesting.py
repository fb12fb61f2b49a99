"""A partner's server that computes digests (check-file) and has no extension of OpenSSH's: paramiko's, with SHA-256."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko  # type: ignore[import-untyped]
from paramiko.common import AUTH_FAILED, AUTH_SUCCESSFUL, OPEN_SUCCEEDED  # type: ignore[import-untyped]
from tests.acceptance.bulk.errands.partner import HOST_KEY, OUR_KEY


@dataclass
class Digesting:
    """The server, and what was asked of it."""

    root: Path
    spoil: bool
    """Whether what is written and read is spoilt."""
    port: int = 0
    asked: list[tuple[bytes, int, int]] = field(default_factory=list)
    """The digests that it was asked for: algorithm, start, length."""
    begun: list[int] = field(default_factory=list)
    """Where writing or reading a file began."""
    cutting: list[Any] = field(default_factory=list)
    transports: list[paramiko.Transport] = field(default_factory=list)

    def cut(self, what: str, number: int) -> None:
        """Cut the line when this is asked for the so-manieth time."""
        self.cutting = [what, number]

    def happens(self, what: str) -> None:
        """Something is asked of it."""
        if self.cutting and self.cutting[0] == what:
            self.cutting[1] -= 1
            if not self.cutting[1]:
                self.cutting = []
                for transport in self.transports:
                    transport.close()


class _Door(paramiko.ServerInterface):  # type: ignore[misc]
    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> Any:
        return AUTH_SUCCESSFUL if key.get_base64() in OUR_KEY.export_public_key().decode() else AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> Any:
        return OPEN_SUCCEEDED


class _Handle(paramiko.SFTPHandle):  # type: ignore[misc]
    def __init__(self, flags: int, file: Any, server: Digesting) -> None:
        super().__init__(flags)
        self.readfile = self.writefile = file
        self._server = server
        self._touched = False

    def stat(self) -> Any:
        return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    def _touch(self, what: str, offset: int) -> None:
        self._server.happens(what)
        if not self._touched:
            self._touched = True
            self._server.begun.append(offset)

    def write(self, offset: int, data: bytes) -> Any:
        self._touch("write", offset)
        self.writefile.seek(offset)
        self.writefile.write(data[:-1] + b"!" if self._server.spoil else data)
        self.writefile.flush()
        return paramiko.SFTP_OK

    def read(self, offset: int, length: int) -> Any:
        self._touch("read", offset)
        data = os.pread(self.readfile.fileno(), length, offset)
        return (data[:-1] + b"!" if self._server.spoil else data) if data else paramiko.SFTP_EOF


class _Files(paramiko.SFTPServerInterface):  # type: ignore[misc]
    def __init__(self, server: Any, digesting: Digesting) -> None:
        super().__init__(server)
        self._digesting = digesting

    def _at(self, path: str) -> Path:
        return self._digesting.root / path.strip("/")

    def list_folder(self, path: str) -> Any:
        return [paramiko.SFTPAttributes.from_stat(each.lstat(), each.name) for each in self._at(path).iterdir()]

    def lstat(self, path: str) -> Any:
        try:
            return paramiko.SFTPAttributes.from_stat(self._at(path).lstat())
        except FileNotFoundError:
            return paramiko.SFTP_NO_SUCH_FILE

    def open(self, path: str, flags: int, attr: Any) -> Any:
        try:
            descriptor = os.open(self._at(path), flags, 0o644)
        except OSError as error:
            return paramiko.SFTPServer.convert_errno(error.errno)
        return _Handle(flags, os.fdopen(descriptor, "wb" if flags & os.O_WRONLY else "rb"), self._digesting)

    def rename(self, oldpath: str, newpath: str) -> Any:
        self._at(oldpath).rename(self._at(newpath))
        return paramiko.SFTP_OK

    def remove(self, path: str) -> Any:
        self._at(path).unlink()
        return paramiko.SFTP_OK


class _Protocol(paramiko.SFTPServer):  # type: ignore[misc]
    """paramiko's own check-file knows no SHA-2, and does not come to an end with large files."""

    def _send_server_version(self) -> int:
        self._read_packet()
        told = paramiko.Message()
        told.add_int(3)
        told.add(b"check-file", b"sha1,sha256")
        self._send_packet(2, told)
        return 3

    def _check_file(self, request_number: int, msg: paramiko.Message) -> None:
        handle, algorithm = self.file_table[msg.get_binary()], msg.get_binary()
        start, length, _ = struct.unpack(">QQI", msg.get_remainder())
        self.server._digesting.asked.append((algorithm, start, length))
        data = os.pread(handle.readfile.fileno(), length, start)
        told = paramiko.Message()
        told.add_int(request_number)
        told.add_string("check-file")
        told.add_string(algorithm)
        told.add_bytes(hashlib.new(algorithm.decode(), data).digest())
        self._send_packet(201, told)


@contextmanager
def digesting(root: Path, *, spoil: bool = False) -> Iterator[Digesting]:
    """The server, over a folder."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = Digesting(root, spoil, listening.getsockname()[1])

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            server.transports.append(transport)
            transport.add_server_key(paramiko.Ed25519Key.from_private_key(io.StringIO(HOST_KEY.export_private_key().decode())))
            transport.set_subsystem_handler("sftp", _Protocol, _Files, server)
            transport.start_server(server=_Door())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)
        for transport in server.transports:
            transport.close()
