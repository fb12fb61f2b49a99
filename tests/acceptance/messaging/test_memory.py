"""Content streams through: memory stays flat however large a request or a message is, up and down."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.acceptance.conftest import Serve, Served
from tests.acceptance.messaging.wire import V2, token

MEBI = 1024 * 1024
KEY = b"SharedKey"
DEPLOYMENT = """\
store: {{payloads: "file://{payloads}"}}
messaging: {{shared_key: env:MESH_KEY, open_workflows: true}}
organisations: {{X26: {{name: Northshire}}}}
mailboxes:
  ALICE: {{organisation: X26, password: env:MESH_PASSWORD}}
  BOB: {{organisation: X26, password: env:MESH_PASSWORD}}
"""


@pytest.fixture(autouse=True)
def clean() -> None:
    """This is no sandbox: each test has a store of its own."""


@pytest.fixture
def platform(serve: Serve, tmp_path: Path) -> Iterator[Served]:
    """A platform in a process of its own, warmed up by a message, so that what it takes once is not counted as growth."""
    environment = {"MESH_KEY": KEY.decode(), "MESH_PASSWORD": "password"}
    with serve(DEPLOYMENT.format(payloads=tmp_path / "payloads"), environment=environment) as served:
        through(served, [2 * MEBI, 2 * MEBI])
        yield served
    shutil.rmtree(tmp_path)


@contextmanager
def watching(served: Served) -> Iterator[list[int]]:
    """Samples the process's resident bytes, some fifty times a second, while the block lasts."""
    seen, done = [served.memory()], threading.Event()

    def sample() -> None:
        while not done.wait(0.02):
            seen.append(served.memory())

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def content(size: int, seed: int) -> Iterator[bytes]:
    """Bytes that differ from chunk to chunk and from place to place, without costing what random ones do."""
    left, place = size, 0
    block = hashlib.sha256(b"%d" % seed).digest() * (8 * 1024)
    while left > 0:
        piece = (b"%016d" % place + block)[: min(left, len(block))]
        yield piece
        left, place = left - len(piece), place + 1


def send(connection: http.client.HTTPConnection, path: str, chunk: str, size: int, seed: int) -> tuple[int, bytes, bytes]:
    """Send a chunk; the answer's status and content, and the SHA-256 of what was sent."""
    connection.putrequest("POST", path)
    said = {"authorization": token("ALICE", key=KEY), "accept": V2, "mex-to": "BOB", "mex-workflowid": "NOTE"}
    for name, value in {**said, "mex-chunk-range": chunk, "content-length": str(size)}.items():
        connection.putheader(name, value)
    connection.endheaders()
    digest = hashlib.sha256()
    for piece in content(size, seed):
        digest.update(piece)
        connection.send(piece)
    answer = connection.getresponse()
    return answer.status, answer.read(), digest.digest()


def through(served: Served, sizes: list[int]) -> int:
    """Send a message in chunks of `sizes`, collect it and compare each chunk; by how many bytes the process grew at most."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"), timeout=120)
    path, message, sent = "/messageexchange/ALICE/outbox", "", []
    with watching(served) as memory:
        for number, size in enumerate(sizes, 1):
            at = f"{path}/{message}/{number}" if message else path
            status, answer, digest = send(connection, at, f"{number}:{len(sizes)}", size, number)
            assert status == 202, answer
            message = json.loads(answer)["message_id"]
            sent.append(digest)
        for number, size in enumerate(sizes, 1):
            said = {"authorization": token("BOB", key=KEY), "accept": V2}
            connection.request("GET", f"/messageexchange/BOB/inbox/{message}/{number}", headers=said)
            collected, back, length = connection.getresponse(), hashlib.sha256(), 0
            assert collected.status == (206 if number < len(sizes) else 200)
            while piece := collected.read(MEBI):
                back.update(piece)
                length += len(piece)
            assert (length, back.digest()) == (size, sent[number - 1])
    connection.close()
    return max(memory) - memory[0]


def test_a_message_of_100_mebibytes_in_chunks(platform: Served) -> None:
    assert through(platform, [50 * MEBI] * 2) < 25 * MEBI, "half a chunk: none was held as a whole"


@pytest.mark.long
def test_a_request_of_100_mebibytes(platform: Served) -> None:
    assert through(platform, [100 * MEBI]) < 60 * MEBI


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_message_of_20_gigabytes_in_200_chunks(platform: Served, tmp_path: Path) -> None:
    chunks = 200
    room = shutil.disk_usage(tmp_path).free // (100 * 10**6) - 10
    if room < chunks:
        pytest.skip(f"20 GB are needed on the disk that {tmp_path} is on, and there is room for {room} chunks of 100 MB")
    assert through(platform, [100 * 10**6] * chunks) < 60 * MEBI
