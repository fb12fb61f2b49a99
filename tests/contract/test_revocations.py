"""Revocations hold on every store, with the tables as migrated: across restarts, and between nodes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fiveways.clock import SystemClock
from fiveways.security.revocations import Revocation
from fiveways.security.revoked import StoredRevocations
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio


async def test_what_one_node_revokes_another_knows_at_its_next_look_and_after_a_restart(
    database: Database, group: GroupWriter
) -> None:
    clock = SystemClock()
    here, there = StoredRevocations(database, group, clock), StoredRevocations(database, group, clock)
    await there.load()
    await here.revoke(Revocation("ward-tablet", clock.time() + 600, jti="one"))
    await here.revoke(Revocation("ward-tablet", clock.time() + 600, issued_before=clock.time()))
    assert (len(here.memory), len(there.memory)) == (2, 0)
    await there.refresh()
    assert len(there.memory) == 2
    restarted = StoredRevocations(database, group, clock)
    await restarted.load()
    assert len(restarted.memory) == 2
    assert await restarted.purge(clock.now()) == 0
    assert await restarted.purge(clock.now() + timedelta(minutes=11)) == 2
