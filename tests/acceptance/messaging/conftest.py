"""A sandbox as it is run for real, and the public client."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from mesh_client import MeshClient
from tests.forked import Forked


class Sandbox:
    """`fiveways sandbox`, in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.url = ""
        self._options = options
        self._process: Forked | None = None

    def start(self) -> None:
        """Start it, on the port that it had before if it was up already."""
        address = self.url.removeprefix("http://") or "127.0.0.1:0"
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder.with_name(f"{self.folder.name}.log")
        log.touch()
        said = log.stat().st_size
        command = ("sandbox", "--http", address, "--data", str(self.folder), *self._options)
        self._process = Forked(command, os.environ, None, str(log), os.devnull)
        until = time.monotonic() + 30
        while (found := re.search(r"^ready: (http://\S+)", log.read_text()[said:], re.MULTILINE)) is None:
            assert self._process.poll() is None, "the sandbox did not start"
            assert time.monotonic() < until, "the sandbox did not start in time"
            time.sleep(0.02)
        self.url = found[1]

    def kill(self) -> None:
        """As a crash does."""
        assert self._process is not None
        self._process.kill()
        self._ended()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._ended()

    def _ended(self) -> None:
        assert self._process is not None
        self._process.wait(20)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox for the tests of a module."""
    running = Sandbox(tmp_path_factory.mktemp("sandbox"))
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def clean(sandbox: Sandbox) -> None:
    """No messages when a test begins."""
    httpx.delete(f"{sandbox.url}/admin/reset").raise_for_status()


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Callable[..., MeshClient]]:
    """Opens mesh-client on a mailbox."""
    opened: list[MeshClient] = []

    def make(mailbox: str, **options: Any) -> MeshClient:
        made = MeshClient(sandbox.url, mailbox, "password", **{"shared_key": b"TestKey", **options})
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.close()


@pytest.fixture
def alice(client: Callable[..., MeshClient]) -> MeshClient:
    """Alice's mailbox; chunks of five bytes."""
    return client("ALICE", max_chunk_size=5)


@pytest.fixture
def bob(client: Callable[..., MeshClient]) -> MeshClient:
    """Bob's mailbox."""
    return client("BOB", max_chunk_size=5)
