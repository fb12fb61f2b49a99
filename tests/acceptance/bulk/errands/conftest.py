"""What errands are tried with: a partner's server, a folder of our own, a ledger in SQLite."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.acceptance.bulk.errands import partner as partners
from tests.acceptance.bulk.errands.partner import Partner

from fiveways.clock import SystemClock
from fiveways.delivery.engine import Deliveries
from fiveways.methods.bulk.errands.book import Book
from fiveways.methods.bulk.errands.errands import Errands
from fiveways.methods.bulk.errands.folder import Folder
from fiveways.methods.bulk.errands.settings import Errand
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter
from fiveways.store.payloads import open_payloads
from fiveways.store.tables import metadata

Make = Callable[..., Errands]
"""Errands of one name, `errand`, as settings say it."""


@pytest.fixture
async def partner(tmp_path: Path) -> AsyncIterator[Partner]:
    """A partner's server."""
    async with partners.running(tmp_path) as partner:
        for folder in ("in", "out"):
            (partner.root / folder).mkdir()
        yield partner


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """Our side of an errand."""
    folder = tmp_path / "ours"
    folder.mkdir()
    return folder


@pytest.fixture
async def group(tmp_path: Path) -> AsyncIterator[GroupWriter]:
    """A store of rows."""
    database = Database.open(f"sqlite:///{tmp_path}/fiveways.db")
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    group = GroupWriter(database)
    yield group
    await group.close()
    await database.close()


@pytest.fixture
def book(group: GroupWriter) -> Book:
    """The ledger."""
    return Book(group, SystemClock(), "north")


@pytest.fixture
def deliveries(group: GroupWriter) -> Deliveries:
    """What runs are promised in."""
    return Deliveries(group, open_payloads("memory://"), LocalBus(), SystemClock(), "north")


@pytest.fixture
def errands(partner: Partner, ours: Path, book: Book, deliveries: Deliveries) -> Make:
    """Makes errands."""

    def make(do: str, server: dict[str, Any] | None = None, **settings: Any) -> Errands:
        where = {"from": "/", "to": "/in"} if do == "push" else {"from": "/out", "to": "/", "complete_when": {"still_for": "0s"}}
        errand = TypeAdapter(Errand).validate_python({"do": do, "partner": "rxn", **where, **settings})
        reached = partner.reached(**(server or {}))
        return Errands(
            {"errand": errand}, lambda name: reached if name == "rxn" else None, lambda name, secured: Folder(ours), book,
            deliveries, SystemClock(), partner.base, rest=0.01,
        )  # fmt: skip

    return make
