"""Full disks, clients that vanish, uploads of one name at once, and readers of what is being replaced."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.bulk.conftest import Estate, estate_of, started
from tests.acceptance.conftest import Serve

FEEDS = """
  plain: {from: northshire, folder: /plain, files: "*.csv", to: [{partner: southshire}], deliver_to: [{folder: out}]}
"""
MIB = 2**20


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A file system of so many bytes. The test is skipped where none may be mounted."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_of_and_nothing_half_appears(serve: Serve, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24 * MIB) as disk:
        context, sftp, names = estate_of(serve, FEEDS, tmp_path, f"store: {{payloads: 'file://{disk}/payloads'}}")
        with context as served:
            estate = started(served, tmp_path, sftp, names)
            first, large = (estate.file(name, os.urandom(size)) for name, size in (("first", 8 * MIB), ("large.csv", 20 * MIB)))
            estate.north.sftp(f"put {first} /private/first")
            failed = estate.north.run_sftp(f"put {large} /plain/large.csv")
            assert failed.returncode
            assert "write remote" in failed.stderr, "it was told while it sent"
            assert "large.csv" not in estate.north.sftp("ls /plain")
            small = estate.file("small.csv", b"id\n1\n")
            estate.north.sftp(f"put {small} /plain/small.csv")  # what needs no room is taken all the same
            estate.ended("plain", "small.csv", "released")
            got = estate.folder / "got"
            estate.north.sftp(f"get /private/first {got}")
            assert got.read_bytes() == first.read_bytes(), "what was there stays"
            subprocess.run(["mount", "-o", f"remount,size={64 * MIB}", str(disk)], check=True)
            estate.north.sftp(f"put {large} /plain/large.csv")
            transfer = estate.ended("plain", "large.csv", "released")
            estate.until((served.folder / "out" / f"plain-{transfer['id']}.csv").exists)
            assert sorted(path.name for path in (disk / "payloads" / "incoming").iterdir()) == []


@pytest.fixture(scope="module")
def estate(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    """The platform."""
    folder = tmp_path_factory.mktemp("partners")
    context, sftp, names = estate_of(serve, FEEDS, folder)
    with context as served:
        yield started(served, folder, sftp, names)


def slowly(estate: Estate, limit: int) -> subprocess.Popen[str]:
    """OpenSSH's sftp, at so many kilobits a second."""
    north = estate.north
    return subprocess.Popen(
        ["sftp", "-l", str(limit), *north.options(), "-P", str(north.port), "-b", "-", f"{north.name}@127.0.0.1"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def ask(process: subprocess.Popen[str], *commands: str) -> None:
    """Have it do these."""
    assert process.stdin is not None
    process.stdin.write("\n".join((*commands, "")))
    process.stdin.close()


def test_a_client_that_vanishes_at_ninety_nine_per_cent_commits_nothing_and_may_go_on(estate: Estate) -> None:
    content = os.urandom(10 * MIB)
    file = estate.file("v.csv", content)
    client = slowly(estate, 40_000)  # 5 MB a second
    ask(client, f"put {file} /plain/v.csv")
    time.sleep(1.5)
    assert client.poll() is None
    client.send_signal(signal.SIGKILL)
    client.wait()
    estate.until(lambda: "v.csv" in estate.north.sftp("ls /plain"))  # what there is of it, for its sender alone
    assert 0 < size_of(estate, "v.csv") < len(content)
    assert estate.ended("plain", "v.csv", "receiving")
    assert "v.csv" not in estate.south.sftp("ls /plain", check=False)
    estate.north.sftp(f"reput {file} /plain/v.csv")
    transfer = estate.ended("plain", "v.csv", "released", "collected")
    out = estate.served.folder / "out" / f"plain-{transfer['id']}.csv"
    estate.until(out.exists)
    assert hashlib.sha256(out.read_bytes()).digest() == hashlib.sha256(content).digest()
    assert [each["state"] for each in estate.transfers("plain") if each["name"] == "v.csv"] == [transfer["state"]]


def size_of(estate: Estate, name: str) -> int:
    """What a listing says of a file."""
    lines = [line for line in estate.north.sftp("ls -l /plain").splitlines() if line.endswith(name)]
    return int(lines[0].split()[4])


def test_two_uploads_of_one_name_at_once_are_two_whole_files(estate: Estate) -> None:
    contents = [os.urandom(4 * MIB) for _ in range(2)]
    files = [estate.file(f"both{number}", content) for number, content in enumerate(contents)]
    clients = [slowly(estate, limit) for limit in (24_000, 40_000)]
    for client, file in zip(clients, files, strict=True):
        ask(client, f"put {file} /plain/both.csv")
    assert [client.wait(30) for client in clients] == [0, 0]
    got = estate.folder / "both-got"
    estate.north.sftp(f"get /plain/both.csv {got}")
    assert got.read_bytes() == contents[0], "the last to close has the name"

    def released() -> list[str]:
        return [each["id"] for each in estate.transfers("plain") if each["name"] == "both.csv" and each["state"] == "released"]

    estate.until(lambda: len(released()) == 2)
    outs = [estate.served.folder / "out" / f"plain-{id_}.csv" for id_ in released()]
    estate.until(lambda: all(path.exists() for path in outs))
    assert {path.read_bytes() for path in outs} == set(contents)


def test_who_reads_a_file_that_is_replaced_gets_the_old_one_to_its_end(estate: Estate) -> None:
    old, new = os.urandom(4 * MIB), os.urandom(1 * MIB)
    first, second = estate.file("old", old), estate.file("new", new)
    estate.north.sftp(f"put {first} /private/r")
    got = estate.folder / "r-got"
    reader = slowly(estate, 16_000)
    ask(reader, f"get /private/r {got}")
    estate.until(lambda: got.exists() and got.stat().st_size > 0)
    estate.north.sftp(f"put {second} /private/r", "rm /private/r", f"put {second} /private/r")
    assert reader.poll() is None, "it still reads"
    assert reader.wait(30) == 0
    assert got.read_bytes() == old
    estate.north.sftp(f"get /private/r {got}")
    assert got.read_bytes() == new
