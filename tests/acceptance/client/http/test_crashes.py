"""A consumer that dies at any point loses nothing, and sends nothing under a second id."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from tests.acceptance.client.http.backend import Backend, Reply

from fiveways.client import Ledger

pytestmark = pytest.mark.anyio
PROGRAM = Path(__file__).with_name("dying.py")


async def consumer(backend: Backend, ledger: Path, point: str) -> tuple[int | None, str]:
    """Run it to its end: exit code, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), backend.origin, str(ledger), point, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(20):
        printed, _ = await process.communicate()
    return process.returncode, printed.decode()


@pytest.mark.parametrize(("point", "sent"), [("noted", 0), ("tried", 0), ("sent", 1), ("accepted", 1), ("outcome", 1), ("kept", 1)])
async def test_whoever_dies_goes_on_where_it_was(backend: Backend, tmp_path: Path, point: str, sent: int) -> None:
    file = tmp_path / "ledger.sqlite"
    backend.finish(Reply(201, body=b"done"))
    assert await consumer(backend, file, point) == (-signal.SIGKILL, "")
    assert len(backend.of("POST")) == sent
    with Ledger(file) as ledger:
        noted = ledger.find(own="", local_id="one", method="exchange")
    assert noted is not None
    code, printed = await consumer(backend, file, "never")
    assert (code, printed) == (0, f"201 {noted.id} done\n")
    assert {asked.id for asked in backend.of("POST")} == {noted.id}
    assert list(backend.jobs) == [noted.id]
    assert len(backend.of("POST")) == (2 if point == "sent" else 1)
    if point == "kept":
        assert len(backend.of("GET")) == 1  # what was kept is not asked for again
