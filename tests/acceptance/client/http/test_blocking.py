"""The synchronous face: the same, waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from tests.acceptance.client.http.backend import Backend, Reply
from tests.acceptance.client.http.conftest import QUICK

from fiveways.client import BlockingFiveways, Fiveways, Gone, Ledger

SOON = timedelta(seconds=5)
Apart = Callable[[], Backend]


@pytest.fixture
def apart() -> Iterator[Backend]:
    """A back end in a thread of its own."""
    made, ready, loop = Backend(), threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with made.serving():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait(5)
    yield made
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_everything_is_there_and_waited_for(apart: Backend, ledger: Ledger) -> None:
    with BlockingFiveways(Fiveways(apart.origin, ledger=ledger, pace=QUICK)) as five:
        assert five.call("GET", "/x").json()["path"] == "/x"
        first, second, third = (five.submit("POST", "/x", {"n": n}, local_id=str(n)) for n in range(3))
        apart.progress = "half"
        steps = []
        for step in first.progress():
            steps.append(step.said)
            apart.finish(Reply(200, body=b"one"), "1")
        assert (steps, first.outcome(SOON).content) == (["half"], b"one")
        second.cancel()
        with pytest.raises(Gone):
            second.outcome()
        assert [job.id for job in five.open_jobs()] == [third.id]
        assert third.status().step.said == "half"
        apart.finish(Reply(200, body=b"three"), "3")
        found = {job.id: getattr(outcome, "content", None) for job, outcome in five.outcomes([first, second, third], SOON)}
        assert found == {first.id: b"one", second.id: None, third.id: b"three"}
        assert (five.job("2").id, third.state) == (third.id, "answered")
