"""A back end of the test's own, a ledger, and the client on both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.client.http.backend import Backend

from fiveways.client import ApiKey, Fiveways, Ledger, Pace, Resend

Open = Callable[..., Fiveways]
QUICK = Pace(timedelta(milliseconds=20), timedelta(milliseconds=100), look=timedelta(milliseconds=20))


@pytest.fixture(autouse=True)
def clean() -> None:
    """There is no sandbox here."""


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """A back end that listens."""
    made = Backend()
    async with made.serving():
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
async def open_(backend: Backend, ledger: Ledger) -> AsyncIterator[Open]:
    """Opens the client on the back end, in a hurry unless said otherwise; closed after the test."""
    opened: list[Fiveways] = []

    def make(url: str = "", access: Any = None, **said: Any) -> Fiveways:
        given = {"ledger": ledger, "pace": QUICK, "resend": Resend(4, timedelta(milliseconds=20)), **said}
        opened.append(Fiveways(url or backend.origin, access or ApiKey("secret-key"), **given))
        return opened[-1]

    yield make
    for each in opened:
        await each.close()


@pytest.fixture
def five(open_: Open) -> Fiveways:
    """The client on the back end."""
    return open_()
