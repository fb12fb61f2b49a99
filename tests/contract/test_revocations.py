"""Revocations hold on every store, with the tables as migrated: across restarts, and between nodes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from fiveways.clock import Clock, ManualClock, SystemClock
from fiveways.ledger.audit.event import decode
from fiveways.ledger.audit.tables import audit_events
from fiveways.ledger.audit.verify import verify
from fiveways.platform.platform import Platform
from fiveways.platform.revoke import revoke_application, revoke_token
from fiveways.security.revocations import Revocation
from fiveways.security.revoked import StoredRevocations
from fiveways.security.revoked import revocations as table
from fiveways.security.settings import LONGEST_LIFETIME
from fiveways.security.tokens import Grant, RevokedToken, TokenIssuer, TokenVerifier
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


def grant(application: str, issued: float) -> Grant:
    """A token's grant, as a verifier has it before it looks whether it was revoked."""
    lives = LONGEST_LIFETIME.total_seconds()
    return Grant(application, application, frozenset(), "level3", "signed-jwt", issued + lives, issued, f"{application} {issued}")


async def test_all_tokens_of_an_application_up_to_a_moment_are_revoked_on_another_node(
    database: Database, group: GroupWriter
) -> None:
    clock = ManualClock()
    here, there = StoredRevocations(database, group, clock), StoredRevocations(database, group, clock)
    await there.load()
    now = clock.time()
    await here.revoke(Revocation.of_all("ward-tablet", now))
    await there.refresh()
    assert there.memory.cover(grant("ward-tablet", now - LONGEST_LIFETIME.total_seconds() + 1))
    assert there.memory.cover(grant("ward-tablet", now - 0.001))
    assert not there.memory.cover(grant("ward-tablet", now + 0.001))
    assert not there.memory.cover(grant("another", now - 1))


async def test_an_application_revoked_time_and_again_takes_one_place_in_memory_and_none_once_its_tokens_have_expired(
    database: Database, group: GroupWriter
) -> None:
    clock = ManualClock()
    stored = StoredRevocations(database, group, clock)
    for _ in range(50):
        await stored.revoke(Revocation.of_all("ward-tablet", clock.time()))
        clock.advance(timedelta(seconds=1))
    assert len(stored.memory) == 1
    clock.advance(LONGEST_LIFETIME - timedelta(seconds=3))
    await stored.refresh()
    assert len(stored.memory) == 1, "the last ones' tokens may still be good"
    clock.advance(timedelta(seconds=3))
    await stored.refresh()
    assert len(stored.memory) == 0
    assert await stored.purge(clock.now()) == 50
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(table)) == 0


DEPLOYMENT = """
store: {{url: "{url}"}}
organisations: {{RXN: {{name: Northshire}}}}
applications: {{ward-tablet: {{organisation: RXN}}}}
"""


async def test_what_the_operator_revokes_reaches_a_running_platform_and_is_in_the_audit(url: str, tmp_path: Path) -> None:
    """One clock on SQLite; elsewhere a node's may be fast by the leeway, and what it issued bears a time to come."""
    file, data, clock = tmp_path / "deployment.yaml", tmp_path / "data", SystemClock()
    file.write_text(DEPLOYMENT.format(url=url))
    running = await Platform.open(file, data, clock=clock)
    try:
        keys, tokens = running.foundation.keys, running.deployment.identity.tokens

        def issue(at: Clock) -> bytes:
            issuer = TokenIssuer(keys, at, issuer=tokens.issuer, audience=tokens.audience, lifetime=tokens.lifetime)
            return issuer.issue("ward-tablet", "ward-tablet", frozenset()).token.encode()

        verifier = TokenVerifier(keys, running.foundation.revocations.memory, issuer=tokens.issuer, audience=tokens.audience)
        fast, faster = (issue(ManualClock(clock.now() + timedelta(seconds=ahead))) for ahead in (5, 30))
        one, another = issue(clock), issue(clock)
        revoked = await revoke_token(file, data, one, clock=clock)
        assert revoked is not None
        await running.foundation.revocations.refresh()
        with pytest.raises(RevokedToken):
            verifier.verify(one, clock.time())
        assert verifier.verify(another, clock.time()).application == "ward-tablet"
        assert await revoke_token(file, data, one, clock=clock) is None
        await revoke_application(file, data, "ward-tablet", clock=clock)
        await running.foundation.revocations.refresh()
        with pytest.raises(RevokedToken):
            verifier.verify(another, clock.time())
        if url.startswith("sqlite"):
            assert verifier.verify(fast, clock.time())
        else:
            with pytest.raises(RevokedToken):
                verifier.verify(fast, clock.time())
        assert verifier.verify(faster, clock.time())
        report = await verify(running.foundation.database, data)
        assert report.ok, report.findings
        async with running.foundation.database.read() as connection:
            bodies = (await connection.execute(select(audit_events.c.body))).scalars().all()
        told = [event for event in map(decode, bodies) if event.kind == "token.revoked"]
        assert [event.application for event in told] == ["ward-tablet", "ward-tablet"]
        assert {(event.details or {})["by"] for event in told} == {"operator"}
    finally:
        await running.close()
