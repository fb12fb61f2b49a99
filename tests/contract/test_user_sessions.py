"""Sessions of people hold on every store: each transition is made once, whoever else would make it at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fiveways.clock import Clock, ManualClock, micros
from fiveways.correlation import new_id
from fiveways.security.users.records import Records, Session, digest
from fiveways.security.users.states import TRANSITIONS, State
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def records(database: Database, group: GroupWriter, clock: ManualClock) -> Records:
    return Records(database, group, clock)


def session(clock: Clock, **said: Any) -> Session:
    made = Session(
        id=new_id(), state=State.OFFERED.value, access="combined", application="ward", provider="cis2", subject="555021935107",
        sid="s1", assurance="aal3", person="sealed", started_at=micros(clock), ends_at=micros(clock) + 300_000_000,
        code=digest("code"), code_until=micros(clock) + 300_000_000,
    )  # fmt: skip
    return replace(made, **said)


async def test_a_code_is_redeemed_once_though_two_come_at_the_same_moment(
    database: Database, group: GroupWriter, clock: ManualClock
) -> None:
    here, there = Records(database, group, clock), Records(database, group, clock)
    await here.add(session(clock))
    found = [await each.by_code("code") for each in (here, there)]
    later = micros(clock) + 1_000_000_000

    async def redeem(records: Records, of: Session | None, name: str) -> bool:
        assert of is not None
        return await records.redeem(of, family=digest(name), refresh=digest(name), refresh_until=later, ends_at=later)

    made = await asyncio.gather(redeem(here, found[0], "a"), redeem(there, found[1], "b"))
    assert sorted(made) == [False, True]
    kept = await here.by_family("a" if made[0] else "b")
    assert kept is not None
    assert (kept.state, kept.ends_at) == (State.ACTIVE.value, later)
    assert await here.by_family("b" if made[0] else "a") is None


async def test_a_refresh_token_is_used_once_though_many_come_at_the_same_moment(records: Records, clock: ManualClock) -> None:
    active = session(clock, state=State.ACTIVE.value, code=None, family=digest("family"), refresh=digest("first"))
    await records.add(active)
    made = await asyncio.gather(
        *(records.renew(active, refresh=digest(str(n)), refresh_until=active.ends_at, ends_at=active.ends_at) for n in range(8))
    )
    assert sum(made) == 1
    kept = await records.by_family("family")
    assert kept is not None
    assert (kept.refresh, kept.refreshes) == (digest(str(made.index(True))), 1)
    assert not await records.renew(active, refresh=digest("x"), refresh_until=1, ends_at=1), "the first one is used up"


@pytest.mark.parametrize("state", list(State))
async def test_what_is_not_in_the_table_does_not_happen(records: Records, clock: ManualClock, state: State) -> None:
    kept = session(clock, state=state.value, family=digest("family"), refresh=digest("refresh"))
    await records.add(kept)
    moments = {"refresh_until": kept.ends_at, "ends_at": kept.ends_at}
    happenings: dict[str, Callable[[], Awaitable[bool]]] = {
        "redeem": lambda: records.redeem(kept, family=digest("family"), refresh=digest("refresh"), **moments),
        "renew": lambda: records.renew(kept, refresh=digest("refresh"), **moments),
        "end": lambda: records.end(kept.id, "because"),
    }
    for happening, happen in happenings.items():
        if (state, happening) in TRANSITIONS:
            continue
        assert not await happen()
        found = await records.by_id(kept.id)
        assert found is not None
        assert found.state == state.value
    for happening, happen in happenings.items():
        if (state, happening) in TRANSITIONS:
            assert await happen()
            found = await records.by_id(kept.id)
            assert found is not None
            assert found.state == TRANSITIONS[state, happening].value
            return


async def test_sessions_are_found_while_they_last(records: Records, clock: ManualClock) -> None:
    for name, changes in (
        ("one", {}), ("two", {"sid": "s2"}), ("other", {"provider": "login"}), ("ended", {"state": State.ENDED.value}),
        ("short", {"ends_at": micros(clock) + 1_000_000}),
    ):  # fmt: skip
        await records.add(session(clock, subject=name, code=digest(name), **changes))

    async def subjects(**wanted: str) -> set[str]:
        return {each.subject for each in await records.find(**wanted)}

    assert await subjects() == {"one", "two", "other", "short"}
    assert await subjects(provider="cis2", sid="s1") == {"one", "short"}
    clock.advance(timedelta(seconds=2))
    assert await subjects(provider="cis2", sid="s1") == {"one"}


async def test_what_has_run_out_is_forgotten_a_day_later(records: Records, clock: ManualClock) -> None:
    """Until then its codes and tokens are known to be used up, and its period to be over."""
    await records.add(session(clock))
    clock.advance(timedelta(hours=20))
    assert await records.purge() == 0
    clock.advance(timedelta(hours=5))
    assert await records.purge() == 1
    assert await records.by_code("code") is None
