"""Revocations outlive the process and reach other nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from fiveways.clock import ManualClock
from fiveways.errors import StoreError
from fiveways.security.revocations import Revocation
from fiveways.security.revoked import StoredRevocations
from fiveways.security.revoked import revocations as table
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter


@asynccontextmanager
async def node(path: Path, clock: ManualClock) -> AsyncIterator[StoredRevocations]:
    database = Database.open(f"sqlite:///{path}", clock)
    async with database.write() as connection:
        await connection.run_sync(lambda sync: table.create(sync, checkfirst=True))
    group = GroupWriter(database)
    try:
        yield StoredRevocations(database, group, clock)
    finally:
        await group.close()
        await database.close()


@pytest.mark.anyio
async def test_a_revocation_survives_a_restart(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as stored:
        await stored.revoke(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        await stored.revoke(Revocation("ward-tablet", clock.time() + 600, issued_before=clock.time()))
        assert len(stored.memory) == 2
    async with node(tmp_path / "db", clock) as stored:
        await stored.load()
        assert len(stored.memory) == 2


@pytest.mark.anyio
async def test_another_node_hears_of_it_at_its_next_look(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as here, node(tmp_path / "db", clock) as there:
        await there.load()
        clock.advance(timedelta(seconds=30))
        await here.revoke(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        assert len(there.memory) == 0
        clock.advance(timedelta(seconds=1))
        await there.refresh()
        await there.refresh()
        assert len(there.memory) == 1


@pytest.mark.anyio
async def test_a_node_whose_clock_is_behind_is_heard_too(tmp_path: Path, clock: ManualClock) -> None:
    behind = ManualClock(clock.now() - timedelta(minutes=1))
    async with node(tmp_path / "db", behind) as here, node(tmp_path / "db", clock) as there:
        await there.refresh()
        await here.revoke(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        await there.refresh()
        assert len(there.memory) == 1


@pytest.mark.anyio
async def test_what_no_longer_matters_is_dropped_everywhere(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as stored:
        await stored.revoke(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        clock.advance(timedelta(minutes=11))
        await stored.refresh()
        assert len(stored.memory) == 0
        assert await stored.purge(clock.now()) == 1
        assert await stored.purge(clock.now()) == 0


@pytest.mark.anyio
async def test_what_cannot_be_kept_is_not_acknowledged(tmp_path: Path, clock: ManualClock) -> None:
    async with node(tmp_path / "db", clock) as stored:
        await stored._group.close()
        with pytest.raises(StoreError):
            await stored.revoke(Revocation("ward-tablet", clock.time() + 600, jti="one"))
        assert len(stored.memory) == 0
