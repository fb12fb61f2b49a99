"""A sandbox as it is run for real, consumers' processes that can be killed, and a connection that can lose an answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from mesh_client import MeshClient
from tests import forked
from tests.acceptance.messaging.conftest import Sandbox

from fiveways.client import Ledger, Mailbox

Consumer = Callable[..., subprocess.CompletedProcess[str]]
Open = Callable[..., Mailbox]
KILLED = -9


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
def environment() -> dict[str, str]:
    """What consumers' processes know."""
    return {**os.environ, "MESH_PASSWORD": "password", "MESH_SHARED_KEY": "TestKey", "COLUMNS": "200"}


@pytest.fixture
def consumer(sandbox: Sandbox, tmp_path: Path, environment: dict[str, str]) -> Consumer:
    """Runs `fiveways mailbox COMMAND URL …` to its end."""

    def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        where = () if command == "open" else (sandbox.url,)
        return forked.run(("mailbox", command, *where, *arguments), environment, tmp_path, 30)

    return run


@pytest.fixture
def program(sandbox: Sandbox, tmp_path: Path) -> Consumer:
    """Runs a program of this folder, with the sandbox's URL and a folder of the test's own, to its end."""

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(Path(__file__).with_name(name)), sandbox.url, str(tmp_path), *arguments]
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.fixture
def ledgers(tmp_path: Path) -> Iterator[Callable[[str], Ledger]]:
    """Opens the ledger of a mailbox."""
    opened: dict[str, Ledger] = {}

    def make(mailbox: str) -> Ledger:
        return opened.setdefault(mailbox, Ledger(tmp_path / f"{mailbox}.sqlite"))

    yield make
    for each in opened.values():
        each.close()


@pytest.fixture
def mailbox(sandbox: Sandbox, ledgers: Callable[[str], Ledger]) -> Open:
    """Opens a mailbox; whoever does closes it."""

    def make(name: str, url: str = "", chunk_size: int = 1024 * 1024) -> Mailbox:
        return Mailbox(url or sandbox.url, name, "password", "TestKey", ledgers(name), chunk_size=chunk_size)

    return make


@pytest.fixture
def public(sandbox: Sandbox) -> Iterator[Callable[[str], MeshClient]]:
    """Opens the public client on a mailbox: whoever does not use ours."""
    opened: list[MeshClient] = []

    def make(name: str) -> MeshClient:
        opened.append(MeshClient(sandbox.url, name, "password", shared_key=b"TestKey"))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


class Lossy:
    """Connections to the sandbox, on which the answers to `losing` requests (their first bytes) do not come back, once each."""

    def __init__(self, target: str) -> None:
        self._target = target.rpartition("/")[2].split(":")
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.losing: list[bytes] = []
        self.lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                far = socket.create_connection((self._target[0], int(self._target[1])))
                lose = threading.Event()
                threading.Thread(target=self._there, args=(near, far, lose), daemon=True).start()
                threading.Thread(target=self._back, args=(far, near, lose), daemon=True).start()

    def _there(self, near: socket.socket, far: socket.socket, lose: threading.Event) -> None:
        with suppress(OSError), near, far:
            while piece := near.recv(65536):
                if self.losing and piece.startswith(self.losing[0]):
                    self.losing.pop(0)
                    lose.set()
                far.sendall(piece)

    def _back(self, far: socket.socket, near: socket.socket, lose: threading.Event) -> None:
        with suppress(OSError):
            while piece := far.recv(65536):
                if lose.is_set():
                    self.lost += 1
                    break
                near.sendall(piece)
        for each in (near, far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def lossy(sandbox: Sandbox) -> Iterator[Lossy]:
    """A connection to the sandbox that can lose answers."""
    made = Lossy(sandbox.url)
    yield made
    made.close()
