"""Other clients than OpenSSH's: paramiko, rclone, lftp, asyncssh."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncssh
import paramiko  # type: ignore[import-untyped]
import pytest
from blake3 import blake3
from tests.acceptance.bulk.sftp.conftest import Running, Start

pytestmark = pytest.mark.anyio
CONTENT = random.Random(2).randbytes(1_500_001)


async def _paramiko(server: Running, work: Callable[[paramiko.SFTPClient], None]) -> None:
    def run() -> None:
        with paramiko.Transport(("127.0.0.1", server.port)) as transport:
            transport.connect(username="trust", pkey=paramiko.Ed25519Key.from_private_key_file(str(server.folder / "key")))
            client = paramiko.SFTPClient.from_transport(transport)
            assert client is not None
            with client:
                work(client)

    await asyncio.to_thread(run)


async def test_paramiko(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(CONTENT)

    def work(client: paramiko.SFTPClient) -> None:
        client.mkdir("/inbox")
        client.chdir("/inbox")
        client.put(str(tmp_path / "sent"), "there")
        assert client.stat("there").st_size == len(CONTENT)
        client.get("there", str(tmp_path / "got"))
        with client.open("there", "rb") as file:
            assert file.check("sha256") == hashlib.sha256(CONTENT).digest()
            parts = [CONTENT[at : at + 65536] for at in range(0, len(CONTENT), 65536)]
            assert file.check("sha1", block_size=65536) == b"".join(hashlib.sha1(part).digest() for part in parts)
            with pytest.raises(OSError, match="algorithms"):
                file.check("crc32")
            assert file.readv([(10, 20), (1000, 5)]) is not None
        with client.open("there", "ab") as file:
            file.write(b"more")
        assert client.stat("there").st_size == len(CONTENT) + 4
        client.truncate("there", 10)
        assert client.stat("there").st_size == 10
        client.utime("there", (1_700_000_000, 1_700_000_000))
        assert client.stat("there").st_mtime == 1_700_000_000
        client.chmod("there", 0o600)
        client.posix_rename("there", "other")
        assert client.listdir("/inbox") == ["other"]
        with pytest.raises(OSError, match="no links"):
            client.symlink("/etc/passwd", "link")
        with pytest.raises(OSError, match="no links"):
            client.readlink("other")
        with pytest.raises(FileNotFoundError):
            client.stat("none")
        with pytest.raises(OSError, match="control characters"):
            client.mkdir("a\nb")
        with pytest.raises(OSError, match="longer than 255"):
            client.mkdir("é" * 128)

    async with start() as server:
        await _paramiko(server, work)
        assert (tmp_path / "got").read_bytes() == CONTENT
        assert server.tree.digests["/inbox/there"]


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
async def test_a_client_that_is_killed_before_it_closes_has_sent_nothing(start: Start, tmp_path: Path, share: float) -> None:
    """Even where every byte has arrived and was answered: only CLOSE says that the file is whole."""
    program = f"""
import paramiko, sys, os, signal
transport = paramiko.Transport(("127.0.0.1", int(sys.argv[1])))
transport.connect(username="trust", pkey=paramiko.Ed25519Key.from_private_key_file(sys.argv[2]))
client = paramiko.SFTPClient.from_transport(transport)
file = client.open("/there", "wb")
for _ in range(int(100 * {share})):
    file.write(b"x" * 10_000)
file.flush()
assert client.stat("/").st_mode
os.kill(os.getpid(), signal.SIGKILL)
"""
    async with start() as server:
        await server.run(sys.executable, "-c", program, str(server.port), str(tmp_path / "key"), expect=-9)
        await server.until(lambda: server.tree.abandoned)
        assert server.tree.abandoned == ["/there"]
        assert server.tree.kept == []
        assert server.tree.partial("/there").stat().st_size == int(100 * share) * 10_000
        await server.until(lambda: server.events("bulk.session.closed"))
        assert server.events("bulk.session.closed")[0].details["kept"] == 0


async def test_rclone(start: Start, tmp_path: Path) -> None:
    program = str(Path(sys.executable).parent / "rclone")
    sent = tmp_path / "sent"
    (sent / "deep" / "er").mkdir(parents=True)
    for index in range(20):
        (sent / f"file {index}.csv").write_bytes(CONTENT[: index * 1000])
    (sent / "deep" / "er" / "größe.csv").write_bytes(CONTENT)
    remote = f":sftp,host=127.0.0.1,port={{}},user=trust,key_file={tmp_path / 'key'},shell_type=none:/"
    async with start() as server:
        where = remote.format(server.port)
        common = ("--config", "/dev/null", "--retries", "1", "--low-level-retries", "1", "--transfers", "4")
        await server.run(program, "copy", *common, str(sent), where)
        await server.run(program, "check", *common, "--download", str(sent), where)
        await server.run(program, "copy", *common, where, str(tmp_path / "got"))
        assert (tmp_path / "got" / "deep" / "er" / "größe.csv").read_bytes() == CONTENT
        assert "größe.csv" in await server.run(program, "lsf", *common, "-R", where)
        await server.run(program, "delete", *common, where)
        assert not [each for each in (tmp_path / "files").rglob("*") if each.is_file()]


async def test_lftp(start: Start, tmp_path: Path) -> None:
    program = shutil.which("lftp")
    if program is None:
        pytest.skip("lftp is not on this machine")
    (tmp_path / "sent").write_bytes(CONTENT)
    async with start() as server:
        connect = f"set sftp:connect-program 'ssh -a -x -F {tmp_path / 'client'}'; open -p {server.port} sftp://trust:@127.0.0.1"
        await server.run(program, "-c", f"{connect}; put sent -o there; get there -o got; ls")
        assert (tmp_path / "got").read_bytes() == CONTENT


async def test_asyncssh_copies_on_the_server_and_reads_what_is_free(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(CONTENT)
    async with start(quota=10_000_000) as server, server.client() as connection, connection.start_sftp_client() as client:
        await client.put(str(tmp_path / "sent"), "there")
        async with client.open("there", "rb") as source, client.open("copy", "wb") as target:
            await client.remote_copy(source, target)
        assert (tmp_path / "files" / "copy").read_bytes() == CONTENT
        space: Any = await client.statvfs("/")
        assert space.blocks * space.bsize == 10_000_000 // 4096 * 4096
        async with client.open("synced", "wb") as file:
            await file.write(b"content")
            await file.fsync()
        with pytest.raises(asyncssh.SFTPOpUnsupported):
            await client.link("there", "hard")
        with pytest.raises(asyncssh.SFTPFailure, match="already"):
            await client.rename("there", "copy")
        with pytest.raises(asyncssh.SFTPFailure, match="into itself"):
            await client.rename("there", "there/under")
        with pytest.raises(asyncssh.SFTPNoSuchFile):
            await client.listdir("none")
        with pytest.raises(asyncssh.SFTPPermissionDenied):
            async with client.open("new", "w+b") as file:
                await file.read(1, 0)


async def test_digests_of_a_file_are_those_of_its_content(start: Start, tmp_path: Path) -> None:
    """check-file-name and -handle, as draft-ietf-secsh-filexfer-13 has them."""
    from asyncssh.packet import String, UInt32, UInt64

    (tmp_path / "sent").write_bytes(CONTENT)
    async with start() as server, server.client() as connection, connection.start_sftp_client() as client:
        await client.put(str(tmp_path / "sent"), "there")
        handler: Any = client._handler
        handler._return_types = {**handler._return_types, b"check-file-name": 201}
        wanted = (String(b"/there"), String(b"md7,blake3,sha256"), UInt64(100), UInt64(1000), UInt32(0))
        packet: Any = await handler._make_request(b"check-file-name", *wanted)
        assert packet.get_string() == b"blake3"
        assert packet.get_remaining_payload() == blake3(CONTENT[100:1100]).digest()
