"""A sender that goes away while its message is being committed: the message is there whole, or not at all (A10)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from tests.contract.test_messaging import content, draft, inbox, messaging  # noqa: F401 - `messaging` is a fixture

from fiveways.methods.messaging.service import Messaging
from fiveways.methods.messaging.states import State

pytestmark = pytest.mark.anyio

LARGE = bytes(70_000)
"""More than is kept in a row."""


def cancelled_when_written() -> Callable[[], Callable[[bool], None]]:
    """Stands for a client's going: the exchange is cancelled when the store begins to write (`Gateway` does so)."""
    task = asyncio.current_task()
    assert task is not None

    def attest() -> Callable[[bool], None]:
        asyncio.get_running_loop().call_soon(task.cancel)
        return lambda made: None

    return attest


async def test_a_message_whose_sender_goes_away_at_its_commit_is_whole_or_not_there(messaging: Messaging) -> None:  # noqa: F811
    async def send() -> None:
        await messaging.send(draft(), LARGE, None, cancelled_when_written())

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(send())
    await messaging._group.flush()
    for id_ in await inbox(messaging):
        assert await content(messaging, "BOB", id_) == LARGE


async def test_a_last_chunk_whose_sender_goes_away_at_its_commit_completes_the_message_or_does_not(
    messaging: Messaging,  # noqa: F811
) -> None:
    await messaging.send(draft(chunks=2, local_id="mine"), LARGE, None)
    (begun,) = await messaging.by_local_id("ALICE", "mine", None)
    id_ = begun.id

    async def add() -> State:
        return await messaging.add_chunk("ALICE", id_, 2, 2, "gzip", LARGE, None, cancelled_when_written())

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(add())
    await messaging._group.flush()
    if id_ not in await inbox(messaging):
        await messaging.add_chunk("ALICE", id_, 2, 2, "gzip", LARGE, None)
    assert await content(messaging, "BOB", id_, 2) == LARGE
