"""OpenSSH's own clients against the server."""

from __future__ import annotations

import asyncio
import os
import random
import unicodedata
from pathlib import Path
from typing import Final

import pytest
from tests.acceptance.bulk.sftp.conftest import Start

from fiveways.methods.bulk.sftp.settings import SftpSettings

pytestmark = pytest.mark.anyio
CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr")


def _content(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("hot_path", [True, False])
async def test_a_file_there_and_back_is_the_same_through_many_changes_of_keys(
    start: Start, tmp_path: Path, cipher: str, hot_path: bool
) -> None:
    sent = _content(3_000_017)
    (tmp_path / "sent").write_bytes(sent)
    settings = SftpSettings(ciphers=CIPHERS, rekey_after=2**18, hot_path=hot_path)
    options = ("-o", f"Ciphers={cipher}", "-o", "RekeyLimit=300K")
    async with start(settings) as server:
        await server.sftp("put sent there", "get there got", options=options)
        assert server.tree.kept == ["/there"]
        assert (tmp_path / "files" / "there").read_bytes() == sent
        assert (tmp_path / "got").read_bytes() == sent
        await server.until(lambda: server.events("bulk.session.closed"))
        session = server.events("bulk.session.opened")[0].session
        assert session is not None
        assert (session.partner, session.cipher, session.cipher_back, session.by) == ("trust", cipher, cipher, "key")
        assert session.key == next(iter(server.partners["trust"].keys.values()))
        assert session.client.startswith("SSH-2.0-OpenSSH")
        closed = server.events("bulk.session.closed")[0].details
        assert (closed["bytes_in"], closed["bytes_out"], closed["kept"]) == (len(sent), len(sent), 1)


async def test_what_clients_do_with_files_and_folders(start: Start, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "two").write_bytes(b"two")
    async with start() as server:
        said = await server.sftp(
            "mkdir inbox", "cd inbox", "pwd", "put one", "put -p two", "ls -l", "rename one three", "rename two three", "ls -1",
            "df", "get three back", "-rm one", "rm three", "cd ..", "rmdir inbox", "ls -la",
        )  # fmt: skip
        assert "Remote working directory: /inbox" in said
        assert "-rw-r-----" in said
        assert (tmp_path / "back").read_bytes() == b"two"  # renamed over what was there
        assert list((tmp_path / "files").iterdir()) == []


async def test_scp_speaks_sftp_and_is_told_so_where_it_does_not(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(b"content")
    async with start() as server:
        where = ("-F", str(tmp_path / "client"), "-P", str(server.port))
        await server.run("scp", *where, str(tmp_path / "sent"), "trust@127.0.0.1:/there")
        await server.run("scp", *where, "trust@127.0.0.1:/there", str(tmp_path / "got"))
        assert (tmp_path / "got").read_bytes() == b"content"
        said = await server.run("scp", "-O", *where, str(tmp_path / "sent"), "trust@127.0.0.1:/other", expect=1)
        assert "without -O" in said
        assert not (tmp_path / "files" / "other").exists()


async def test_there_is_no_shell_no_command_and_no_forwarding(start: Start, tmp_path: Path) -> None:
    async with start() as server:
        where = ("-F", str(tmp_path / "client"), "-p", str(server.port), "trust@127.0.0.1")
        assert "SFTP only" in await server.run("ssh", *where, "id", expect=1)
        assert "SFTP only" in await server.run("ssh", *where, expect=1)
        assert "PTY allocation request failed" in await server.run("ssh", "-tt", *where, expect=None)
        forwarded = await server.run("ssh", "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:9", *where, expect=255)
        assert "forward" in forwarded
        assert await server.run("ssh", "-W", "127.0.0.1:22", *where, expect=255)
        await server.run("ssh", "-o", "SendEnv=LC_ALL", "-s", *where, "shell", expect=255)


async def test_a_client_killed_in_the_middle_keeps_nothing_and_resumes(start: Start, tmp_path: Path) -> None:
    sent = _content(6_000_000)
    (tmp_path / "sent").write_bytes(sent)
    async with start() as server:
        batch = tmp_path / "batch"
        batch.write_text("put sent there\n")
        process = await asyncio.create_subprocess_exec(
            "sftp", "-F", str(tmp_path / "client"), "-l", "8000", "-P", str(server.port), "-b", str(batch), "trust@127.0.0.1",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, cwd=tmp_path, start_new_session=True,
        )  # fmt: skip
        part = server.tree.partial("/there")
        await server.until(lambda: part.exists() and part.stat().st_size > 300_000)
        os.killpg(process.pid, 9)
        await process.wait()
        await server.until(lambda: server.tree.abandoned == ["/there"])
        assert server.tree.kept == []
        assert not (tmp_path / "files" / "there").exists()
        (tmp_path / "files" / "there").write_bytes(part.read_bytes())  # as the store has it: what is kept of it may be resumed
        await server.sftp("reput sent there")
        assert (tmp_path / "files" / "there").read_bytes() == sent
        (tmp_path / "got").write_bytes(sent[:1_234_567])
        await server.sftp("reget there got")
        assert (tmp_path / "got").read_bytes() == sent


async def test_many_small_files_both_ways(start: Start, tmp_path: Path) -> None:
    small, got = tmp_path / "small", tmp_path / "got"
    small.mkdir()
    got.mkdir()
    for index in range(300):
        (small / f"{index:04}").write_bytes(_content(4096, index))
    async with start() as server:
        await server.sftp("mkdir small", f"lcd {small}", "cd small", "put *", f"lcd {got}", "get *")
        assert len(server.tree.kept) == 300
        sent = {each.name: each.read_bytes() for each in small.iterdir()}
        assert {each.name: each.read_bytes() for each in got.iterdir()} == sent


async def test_names_are_kept_as_they_are_sent_composed_or_not(start: Start, tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "Œuvre à Żółć 患者 🏥 ok") for form in ("NFC", "NFD")]
    assert names[0] != names[1]
    (tmp_path / "sent").write_bytes(b"x")
    async with start() as server:
        await server.sftp(*(f'put sent "{name}"' for name in names), *(f'get "{name}" got{at}' for at, name in enumerate(names)))
        assert sorted(server.tree.kept) == sorted(f"/{name}" for name in names)
        said = await server.sftp("ls -1")
        assert all(name in said for name in names)


async def test_a_huge_folder_is_listed_whole(start: Start, tmp_path: Path) -> None:
    async with start() as server:
        expected = {f"{index:05}-{'x' * 60}.csv" for index in range(5000)}
        for name in expected:
            (tmp_path / "files" / name).touch()
        said = await server.sftp("ls -1")
        assert expected <= set(said.split())


async def test_paths_never_lead_out_of_the_root(start: Start, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "sent").write_bytes(b"x")
    async with start() as server:
        said = await server.sftp(
            "cd ../../..", "pwd", "-get ../secret got", "-get /../secret got", "put sent ../../up", "-ls /files"
        )
        assert "Remote working directory: /\n" in said
        assert not (tmp_path / "got").exists()
        assert server.tree.kept == ["/up"]
        assert (tmp_path / "files" / "up").exists()


async def test_links_are_refused(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(b"x")
    async with start() as server:
        said = await server.sftp("put sent", "-ln -s /etc/passwd link", "-ln sent hard", "ls -1")
        assert "nsupported" in said
        assert [each.name for each in (tmp_path / "files").iterdir()] == ["sent"]


async def test_parallel_sessions_and_two_uploads_of_one_name(start: Start, tmp_path: Path) -> None:
    for index in range(6):
        (tmp_path / f"sent{index}").write_bytes(_content(500_000, index))
    async with start() as server:
        await asyncio.gather(*(server.sftp(f"put sent{index} there{index}", f"get there{index} got{index}") for index in range(6)))
        for index in range(6):
            assert (tmp_path / f"got{index}").read_bytes() == (tmp_path / f"sent{index}").read_bytes()


async def test_a_full_quota_is_told_and_nothing_is_kept(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(_content(1_000_000))
    async with start(quota=600_000) as server:
        await server.sftp("put sent there", expect=1)
        await server.until(lambda: server.tree.abandoned == ["/there"])
        assert server.tree.kept == []


async def test_a_slow_store_holds_the_client_back_and_loses_nothing(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(_content(5_000_000))
    async with start(slow=0.005) as server:
        await server.sftp("put sent there", "get there got")
        assert (tmp_path / "got").read_bytes() == (tmp_path / "sent").read_bytes()
