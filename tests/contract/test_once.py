"""Duplicates and replays: once is once, whoever asks, however often, and after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fiveways.clock import ManualClock, SystemClock
from fiveways.errors import StoreError
from fiveways.ledger.idempotency import Answered, Duplicates, Fresh, InFlight, Unknown
from fiveways.ledger.replay import ReplayGuard
from fiveways.store.database import Database
from fiveways.store.group import GroupWriter

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)
DAY = timedelta(days=1)
HEADERS = [(b"content-type", b"text/plain"), (b"x-odd", b"\xe9"), (b"x-odd", b"again")]


@pytest.fixture
async def other(url: str) -> AsyncIterator[GroupWriter]:
    """Another process's group writer on the same database."""
    database = Database.open(url, SystemClock())
    writer = GroupWriter(database)
    yield writer
    await writer.close()
    await database.close()


async def test_a_repeat_gets_the_first_answer_in_any_process(group: GroupWriter, other: GroupWriter) -> None:
    clock = ManualClock()
    begun = await Duplicates(group, clock).begin("app", "orders", "id-1", LEASE)
    assert isinstance(begun, Fresh)
    expires = clock.now() + DAY
    await Duplicates(group, clock).complete(begun.claim, b"print", 422, HEADERS, b"\x00body", payload="p", expires=expires)
    again = await Duplicates(other, clock).begin("app", "orders", "id-1", LEASE)
    assert isinstance(again, Answered)
    assert (again.answer.status, again.answer.headers, again.answer.body) == (422, HEADERS, b"\x00body")
    assert (again.answer.payload, again.expires) == ("p", expires)
    assert again.same_request(b"print")
    assert not again.same_request(b"other")


async def test_of_many_at_once_one_is_carried_out(group: GroupWriter, other: GroupWriter) -> None:
    clock = ManualClock()
    begun = await asyncio.gather(
        *(Duplicates(writer, clock).begin("app", "orders", "id", LEASE) for writer in (group, other) for _ in range(20))
    )
    assert sum(isinstance(one, Fresh) for one in begun) == 1
    assert sum(isinstance(one, InFlight) for one in begun) == 39


async def test_ids_belong_to_their_consumer_and_api(group: GroupWriter) -> None:
    duplicates = Duplicates(group, ManualClock())
    for consumer, api in (("a", "x"), ("a", "y"), ("b", "x")):
        assert isinstance(await duplicates.begin(consumer, api, "id", LEASE), Fresh)


async def test_an_abandoned_id_is_free_again_and_a_completed_one_is_not(group: GroupWriter) -> None:
    clock = ManualClock()
    duplicates = Duplicates(group, clock)
    begun = await duplicates.begin("app", "orders", "id", LEASE)
    assert isinstance(begun, Fresh)
    await duplicates.abandon(begun.claim)
    second = await duplicates.begin("app", "orders", "id", LEASE)
    assert isinstance(second, Fresh)
    with pytest.raises(StoreError):
        await duplicates.complete(begun.claim, b"", 200, [], expires=clock.now() + DAY)
    await duplicates.complete(second.claim, b"", 200, [], expires=clock.now() + DAY)
    await duplicates.abandon(second.claim)
    assert isinstance(await duplicates.begin("app", "orders", "id", LEASE), Answered)


async def test_a_dead_owners_request_has_an_unknown_outcome_and_is_never_carried_out_again(group: GroupWriter) -> None:
    clock = ManualClock()
    duplicates = Duplicates(group, clock)
    begun = await duplicates.begin("app", "orders", "id", LEASE, keep=DAY)
    assert isinstance(begun, Fresh)
    clock.advance(timedelta(seconds=29))
    assert await duplicates.renew(begun.claim, LEASE)
    clock.advance(timedelta(seconds=29))
    assert isinstance(await duplicates.begin("app", "orders", "id", LEASE), InFlight)
    clock.advance(timedelta(seconds=2))
    assert isinstance(await duplicates.begin("app", "orders", "id", LEASE), Unknown)
    clock.advance(timedelta(hours=23))
    assert isinstance(await duplicates.begin("app", "orders", "id", LEASE), Unknown)


async def test_a_late_answer_is_still_remembered(group: GroupWriter) -> None:
    clock = ManualClock()
    duplicates = Duplicates(group, clock)
    begun = await duplicates.begin("app", "orders", "id", LEASE)
    assert isinstance(begun, Fresh)
    clock.advance(timedelta(minutes=1))
    await duplicates.complete(begun.claim, b"", 201, [], b"late", expires=clock.now() + DAY)
    assert isinstance(await duplicates.begin("app", "orders", "id", LEASE), Answered)


async def test_after_its_expiry_an_id_is_new_purged_or_not(group: GroupWriter) -> None:
    clock = ManualClock()
    duplicates = Duplicates(group, clock)
    for purge in (False, True):
        begun = await duplicates.begin("app", "orders", "id", LEASE)
        assert isinstance(begun, Fresh)
        await duplicates.complete(begun.claim, b"", 200, [], payload="big", expires=clock.now() + DAY)
        assert await duplicates.purge(clock.now()) == []
        clock.advance(DAY)
        if purge:
            assert await duplicates.purge(clock.now()) == ["big"]
    assert isinstance(await duplicates.begin("app", "orders", "id", LEASE), Fresh)


async def test_a_value_is_claimed_once_in_its_namespace(group: GroupWriter, other: GroupWriter) -> None:
    until = ManualClock().now()
    claims = await asyncio.gather(
        *(ReplayGuard(writer).claim("jti", "value", until) for writer in (group, other) for _ in range(20))
    )
    assert sum(claims) == 1
    assert await ReplayGuard(group).claim("other", "value", until)
    assert await ReplayGuard(other).claim("jti", "another", until)


async def test_expired_claims_are_purged_and_others_are_not(group: GroupWriter) -> None:
    guard, clock = ReplayGuard(group), ManualClock()
    await guard.claim("jti", "old", clock.now() + timedelta(minutes=5))
    await guard.claim("jti", "new", clock.now() + timedelta(minutes=15))
    clock.advance(timedelta(minutes=10))
    assert await guard.purge(clock.now()) == 1
    assert await guard.claim("jti", "old", clock.now())
    assert not await guard.claim("jti", "new", clock.now())


async def test_a_store_that_cannot_be_written_refuses(url: str) -> None:
    database = Database.open(url, SystemClock())
    async with database.write() as connection:
        await connection.exec_driver_sql("DROP TABLE replays")
        await connection.exec_driver_sql("DROP TABLE duplicates")
    writer = GroupWriter(database)
    with pytest.raises(StoreError):
        await ReplayGuard(writer).claim("jti", "value", ManualClock().now())
    with pytest.raises(StoreError):
        await Duplicates(writer, ManualClock()).begin("app", "orders", "id", LEASE)
    await writer.close()
    await database.close()
