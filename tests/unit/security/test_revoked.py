"""Revocations outlive the process and reach other nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from fiveways.clock import ManualClock
from fiveways.errors import StoreError
from fiveways.security.revocations import Revocation, Revocations
from fiveways.security.revoked import StoredRevocations
from fiveways.security.revoked import revocations as table
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter


@asynccontextmanager
async def node(path: Path, clock: ManualClock) -> AsyncIterator[tuple[StoredRevocations, Revocations]]:
    database = Database.open(f"sqlite:///{path}", clock)
    async with database.write() as connection:
        await connection.run_sync(lambda sync: table.create(sync, checkfirst=True))
    group = GroupWriter(database)
    known = Revocations()
    try:
        yield StoredRevocations(known, database, group, clock), known
    finally:
        await group.close()
        await database.close()


@pytest.mark.anyio
async def test_a_revocation_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as (stored, known):
        await stored(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        await stored(Revocation("ward-tablet", clock.time() + 600, issued_before=clock.time()))
        assert len(known) == 2
    async with node(tmp_path / "db", clock) as (stored, known):
        await stored.load()
        assert len(known) == 2


@pytest.mark.anyio
async def test_another_node_hears_of_it_at_its_next_poll(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as (here, _), node(tmp_path / "db", clock) as (there, known):
        await there.load()
        clock.advance(timedelta(seconds=30))
        await here(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        assert len(known) == 0
        clock.advance(timedelta(seconds=1))
        await there.poll()
        await there.poll()
        assert len(known) == 1


@pytest.mark.anyio
async def test_what_no_longer_matters_is_dropped_everywhere(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as (stored, known):
        await stored(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        clock.advance(timedelta(minutes=11))
        await stored.poll()
        assert len(known) == 0
        assert await stored.purge() == 1
        assert await stored.purge() == 0


@pytest.mark.anyio
async def test_what_cannot_be_kept_is_not_acknowledged(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as (stored, known):
        await stored._group.close()
        with pytest.raises(StoreError):
            await stored(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        assert len(known) == 0
