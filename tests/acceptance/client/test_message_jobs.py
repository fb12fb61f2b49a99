"""A message as a job: sent by one process, its answer found by a listener, its content kept for whoever awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from mesh_client import MeshClient
from tests.acceptance.client.conftest import Open
from tests.acceptance.messaging.conftest import Sandbox

from fiveways.client import ClientError, Fiveways, Ledger, Listener, Message, Pace, Refused, StillRunning, Unavailable
from fiveways.client.states import State

pytestmark = pytest.mark.anyio
SOON = timedelta(seconds=5)
QUICK = Pace(look=timedelta(milliseconds=20))


async def ignore(_: Message) -> None:
    """Whoever awaits the job is told by the ledger."""


async def test_the_outcome_of_a_message_is_its_answers_content(
    sandbox: Sandbox, mailbox: Open, ledgers: Callable[[str], Ledger], public: Callable[[str], MeshClient]
) -> None:
    async with mailbox("ALICE") as alice, Fiveways(sandbox.url, ledger=ledgers("ALICE"), pace=QUICK) as five:
        with pytest.raises(ClientError, match="attach"):
            await five.submit_message("BOB", b"?", workflow="X")
        five.attach(alice)
        job = await five.submit_message("BOB", b"a question", workflow="X", local_id="one", label="a label")
        assert (await five.submit_message("BOB", b"a question", workflow="X", local_id="one")).id == job.id
        assert (len(public("BOB").list_messages()), job.state) == (1, State.SENT)
        assert [each.id for each in await five.open_jobs()] == [job.id]
        with pytest.raises(StillRunning):
            await job.outcome(timedelta(milliseconds=50))
        waiting = asyncio.create_task(job.outcome(SOON))
        public("BOB").send_message("ALICE", b"the answer", workflow_id="X_ACK", local_id="one", content_type="text/plain")
        with Ledger(alice.ledger.path) as elsewhere:  # as another process would
            listening = mailbox("ALICE")
            listening.ledger = elsewhere
            assert (await Listener(listening, ignore).once()).handled == 1
            await listening.close()
        answer = await waiting
        assert (answer.status, answer.content, answer.headers["mex-from"]) == (200, b"the answer", "BOB")
        assert (await five.job("one").outcome()).content == b"the answer"


async def test_a_message_that_cannot_be_delivered_is_refused(
    sandbox: Sandbox, mailbox: Open, ledgers: Callable[[str], Ledger]
) -> None:
    async with mailbox("ALICE") as alice, Fiveways(sandbox.url, ledger=ledgers("ALICE"), pace=QUICK) as five:
        five.attach(alice)
        with pytest.raises(Refused):
            await five.submit_message("NOBODY", b"?", workflow="X", local_id="one")
        with pytest.raises(Refused):
            await five.job("one").outcome()
    async with mailbox("BOB") as bob, Fiveways(sandbox.url, ledger=ledgers("ALICE")) as other:
        with pytest.raises(ClientError, match="another ledger"):
            other.attach(bob)


async def test_messages_that_may_not_have_been_sent_are_sent_again(
    sandbox: Sandbox, mailbox: Open, ledgers: Callable[[str], Ledger], public: Callable[[str], MeshClient]
) -> None:
    async with Fiveways(sandbox.url, ledger=ledgers("ALICE"), pace=QUICK) as five:
        async with mailbox("ALICE", url="http://127.0.0.1:1") as unreachable:
            five.attach(unreachable)
            with pytest.raises(Unavailable):
                await five.submit_message("BOB", b"?", workflow="X", local_id="one")
        async with mailbox("ALICE") as alice:
            five.attach(alice)
            job = await five.submit_message("BOB", b"?", workflow="X", local_id="one")
            assert (len(public("BOB").list_messages()), job.state) == (1, State.SENT)
