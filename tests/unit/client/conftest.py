"""A ledger on a clock of the test's own, and messages that nobody sent."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fiveways.client import Ledger, Message
from fiveways.clock import ManualClock

Arrive = Callable[..., Message]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger(tmp_path / "ledger.sqlite", clock) as opened:
        yield opened


@pytest.fixture
def arrive() -> Arrive:
    """Makes a message to ALICE, from BOB unless said otherwise; each has an id of its own."""
    return arrival


def arrival(content: bytes = b"", id_: str = "", **fields: str) -> Message:
    """A message to ALICE."""
    said = {"from": "BOB", "messagetype": "DATA", **fields}
    return Message(id=id_ or f"M{next(_numbers)}", recipient="ALICE", content=io.BytesIO(content), fields=said)


_numbers = iter(range(10**9))
