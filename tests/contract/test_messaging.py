"""Mailboxes over every store: what is taken in is there, in order, once, and ends once (A10, MS03)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fiveways.clock import SystemClock, micros
from fiveways.errors import PayloadTooLarge
from fiveways.ledger.ledger import Ledger
from fiveways.ledger.replay import claim, use
from fiveways.methods.messaging.records import Details, Draft, Sent
from fiveways.methods.messaging.refusals import (
    Empty,
    EncodingChanged,
    Gone,
    LocalIdUsed,
    NotYours,
    Reused,
    TooManyChunks,
    Unknown,
    Whole,
)
from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.states import State
from fiveways.store.bus import LocalBus
from fiveways.store.database import Database
from fiveways.store.payloads import open_payloads

pytestmark = pytest.mark.anyio


@pytest.fixture
async def messaging(database: Database, tmp_path: Path) -> AsyncIterator[Messaging]:
    clock = SystemClock()
    payloads = open_payloads(f"file://{tmp_path}/payloads")
    ledger = await Ledger.open(tmp_path, database, payloads, LocalBus(), clock, "node")
    yield Messaging(ledger, clock)
    await ledger.close()


def draft(**more: Any) -> Draft:
    fields = {"sender": "ALICE", "recipient": "BOB", "workflow": "NOTE", "local_id": "", "chunks": 1, "correlation": ""}
    return Draft(**{**fields, "details": Details(content_encoding="gzip"), **more})


def mine(value: bytes) -> Any:
    """A claim on a token, good for now."""
    return claim, use("test", value, micros(SystemClock()))


async def content(messaging: Messaging, mailbox: str, message_id: str, number: int = 1) -> bytes:
    _, chunk = await messaging.collect(mailbox, message_id, number, None)
    assert chunk is not None
    body = messaging.content(chunk)
    return body if isinstance(body, bytes) else b"".join([piece async for piece in body])


async def inbox(messaging: Messaging, mailbox: str = "BOB") -> list[str]:
    return (await messaging.waiting(mailbox, None, limit=500)).messages


@pytest.mark.parametrize("size", [1, 65536, 65537, 3_000_000])
async def test_what_is_sent_waits_is_collected_whole_and_leaves_when_acknowledged(messaging: Messaging, size: int) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, size, 50_000):
            yield bytes(min(50_000, size - start))

    first = (await messaging.send(draft(local_id="mine"), pieces(), None)).id
    second = (await messaging.send(draft(), b"two", None)).id
    assert await inbox(messaging) == [first, second]
    assert await content(messaging, "BOB", first) == bytes(size)
    assert await messaging.size(first) == size
    await messaging.acknowledge("BOB", first, None)
    assert await inbox(messaging) == [second]
    message = await messaging.message(first)
    assert message is not None
    assert [event.state for event in message.events] == [State.ACCEPTED, State.ACKNOWLEDGED]
    assert await content(messaging, "BOB", first) == bytes(size), "it may be read again"
    assert await messaging.by_local_id("ALICE", "mine", None) == [message]


async def test_a_message_without_content_is_none(messaging: Messaging) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for _ in range(0):
            yield b""

    with pytest.raises(Empty):
        await messaging.send(draft(), nothing(), None)
    upload = (await messaging.send(draft(chunks=2), b"one", None)).id
    with pytest.raises(Empty):
        await messaging.add_chunk("ALICE", upload, 2, 2, "gzip", nothing(), None)
    assert await inbox(messaging) == []


async def test_a_message_sent_again_under_its_local_id_is_the_one_sent_before(messaging: Messaging) -> None:
    day = timedelta(days=1)

    async def send(content: bytes = b"x" * 100_000, **more: Any) -> Sent:
        return await messaging.send(draft(local_id="mine", **more), content, None, once_within=day)

    several = await asyncio.gather(*(send() for _ in range(5)))
    assert sorted(sent.repeated for sent in several) == [False, True, True, True, True]
    assert len({sent.id for sent in several}) == 1
    assert await inbox(messaging) == [several[0].id]
    for other in ({"content": b"y"}, {"workflow": "OTHER"}, {"recipient": "CAROL"}):
        with pytest.raises(LocalIdUsed):
            await send(**other)
    assert not (await send(sender="BOB")).repeated, "another sender's local ids are its own"
    again = await messaging.send(draft(local_id="mine"), b"x", None)
    assert not again.repeated, "nobody has asked for it"
    kept = [ref async for ref in messaging._ledger.payloads.list()]
    assert len(kept) == 2, "what was not taken in leaves no payload"


async def test_a_token_used_again_does_not_take_a_local_id(messaging: Messaging) -> None:
    day = timedelta(days=1)
    await messaging.send(draft(local_id="one"), b"x", mine(b"a"), once_within=day)
    with pytest.raises(Reused):
        await messaging.send(draft(local_id="two"), b"x", mine(b"a"), once_within=day)
    assert not (await messaging.send(draft(local_id="two"), b"x", mine(b"b"), once_within=day)).repeated


async def test_a_message_is_bounded_over_all_its_chunks(messaging: Messaging) -> None:
    messaging._contents._largest = 250_000
    with pytest.raises(PayloadTooLarge):
        await messaging.send(draft(), bytes(250_001), None)
    upload = (await messaging.send(draft(chunks=3), bytes(100_000), None)).id
    await messaging.add_chunk("ALICE", upload, 2, 3, "gzip", bytes(100_000), None)
    with pytest.raises(PayloadTooLarge):
        await messaging.add_chunk("ALICE", upload, 3, 3, "gzip", bytes(50_001), None)
    assert await messaging.add_chunk("ALICE", upload, 3, 3, "gzip", bytes(50_000), None) is State.ACCEPTED
    assert len([ref async for ref in messaging._ledger.payloads.list()]) == 2


async def test_acknowledging_again_changes_nothing(messaging: Messaging) -> None:
    id_ = (await messaging.send(draft(), b"x", None)).id
    assert await messaging.count("BOB") == 1
    await asyncio.gather(*(messaging.acknowledge("BOB", id_, None) for _ in range(10)))
    message = await messaging.message(id_)
    assert message is not None
    assert len(message.events) == 2
    assert await messaging.count("BOB") == 0


async def test_a_message_is_for_its_recipient_alone(messaging: Messaging) -> None:
    id_ = (await messaging.send(draft(), b"x", None)).id
    for other in ("ALICE", "CAROL"):
        with pytest.raises(NotYours):
            await messaging.collect(other, id_, 1, None)
        with pytest.raises(NotYours):
            await messaging.acknowledge(other, id_, None)
    with pytest.raises(NotYours):
        await messaging.add_chunk("CAROL", id_, 2, 2, "", b"x", None)
    assert await inbox(messaging) == [id_]


async def test_what_is_not_there_is_unknown(messaging: Messaging) -> None:
    for asked in (messaging.collect("BOB", "NONE", 1, None), messaging.acknowledge("BOB", "NONE", None)):
        with pytest.raises(Unknown):
            await asked
    with pytest.raises(Unknown):
        await messaging.add_chunk("ALICE", "NONE", 2, 2, "", b"x", None)
    assert await messaging.message("NONE") is None
    assert await messaging.by_local_id("ALICE", "", None) == []


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations([2, 3, 4, 5]), st.booleans())
async def test_chunks_in_any_order_make_one_whole_message(messaging: Messaging, order: list[int], at_once: bool) -> None:
    id_ = (await messaging.send(draft(chunks=5), b"1", None)).id
    assert id_ not in await inbox(messaging)
    with pytest.raises(Gone):
        await messaging.collect("BOB", id_, 1, None)
    adding = [messaging.add_chunk("ALICE", id_, number, 5, "gzip", str(number).encode(), None) for number in order]
    states = list(await asyncio.gather(*adding)) if at_once else [await each for each in adding]
    assert sorted(states) == [State.ACCEPTED, *[State.UPLOADING] * 3]
    assert (await inbox(messaging)).count(id_) == 1
    assert [await content(messaging, "BOB", id_, number) for number in range(1, 6)] == [b"1", b"2", b"3", b"4", b"5"]
    with pytest.raises(Whole):
        await messaging.add_chunk("ALICE", id_, 2, 5, "gzip", b"other", None)


async def test_a_chunk_sent_again_before_the_message_is_whole_takes_the_place_of_the_first(messaging: Messaging) -> None:
    id_ = (await messaging.send(draft(chunks=3), b"1", None)).id
    await messaging.add_chunk("ALICE", id_, 2, 3, "gzip", b"half", None)
    await messaging.add_chunk("ALICE", id_, 2, 3, "gzip", b"whole", None)
    assert id_ not in await inbox(messaging), "two of the same are not three"
    await messaging.add_chunk("ALICE", id_, 3, 3, "gzip", b"3", None)
    assert await content(messaging, "BOB", id_, 2) == b"whole"


async def test_chunks_must_be_those_that_were_announced(messaging: Messaging) -> None:
    id_ = (await messaging.send(draft(chunks=2), b"1", None)).id
    with pytest.raises(TooManyChunks):
        await messaging.add_chunk("ALICE", id_, 3, 2, "gzip", b"x", None)
    with pytest.raises(TooManyChunks):
        await messaging.add_chunk("ALICE", id_, 2, 3, "gzip", b"x", None)
    with pytest.raises(EncodingChanged):
        await messaging.add_chunk("ALICE", id_, 2, 2, "", b"x", None)


async def test_a_claim_is_made_once_whatever_is_asked_with_it(messaging: Messaging) -> None:
    sent = await asyncio.gather(*(messaging.send(draft(), b"x", mine(b"a")) for _ in range(5)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in sent) == ["Reused"] * 4 + ["Sent"]
    assert len(await inbox(messaging)) == 1
    await messaging.waiting("BOB", mine(b"b"), limit=10)
    for again in (messaging.waiting("BOB", mine(b"b"), limit=10), messaging.message("x", mine(b"b"))):
        with pytest.raises(Reused):
            await again


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 4), max_size=8))
async def test_pages_show_everything_once_while_messages_are_acknowledged(messaging: Messaging, pages: list[int]) -> None:
    for waiting in await inbox(messaging):
        await messaging.acknowledge("BOB", waiting, None)
    ids = [sent.id for sent in await asyncio.gather(*(messaging.send(draft(), b"x", None) for _ in range(12)))]
    seen: list[str] = []
    behind, more = 0, True
    for limit in [*pages, *[3] * 12]:
        if not more:
            break
        page = await messaging.waiting("BOB", None, limit=limit, behind=behind)
        seen, behind, more = seen + page.messages, page.last, page.more
        await messaging.acknowledge("BOB", page.messages[0], None)
    assert sorted(seen) == sorted(ids)
    assert seen[0] == ids[0]


class Witness:
    """Stands for the audit: what it was told of each write that was attested."""

    def __init__(self) -> None:
        self.told: list[bool] = []

    def __call__(self) -> Callable[[bool], None]:
        return self.told.append


async def test_what_is_attested_is_said_to_be_made_only_where_it_was(messaging: Messaging) -> None:
    once = mine(b"token")
    sending, acknowledging, adding = Witness(), Witness(), Witness()
    id_ = (await messaging.send(draft(), b"x", once, sending)).id
    with pytest.raises(Reused):
        await messaging.send(draft(), b"x", once, sending)
    assert sending.told == [True, False]
    with pytest.raises(NotYours):
        await messaging.acknowledge("CAROL", id_, None, acknowledging)
    with pytest.raises(Unknown):
        await messaging.acknowledge("BOB", "NONE", None, acknowledging)
    await messaging.acknowledge("BOB", id_, None, acknowledging)
    await messaging.acknowledge("BOB", id_, None, acknowledging)
    assert acknowledging.told == [False, False, True, True]
    uploading = (await messaging.send(draft(chunks=2), b"1", None)).id
    last = [messaging.add_chunk("ALICE", uploading, 2, 2, "gzip", b"2", None, adding) for _ in range(2)]
    came = await asyncio.gather(*last, return_exceptions=True)
    assert sorted(type(each).__name__ for each in came) == ["State", "Whole"]
    assert sorted(adding.told) == [False, True]
