"""The consumer's half against the real platform: polled, sent elsewhere, held, brought, cancelled, and called."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.acceptance.conftest import API_KEY, Backend, Serve, after, free_port, response
from tests.acceptance.exchange.conftest import SECRET, Exchanged, deployment

from fiveways.client import ApiKey, Fiveways, Gone, Ledger, Pace, Receiver, serve_callbacks
from fiveways.client.states import State

pytestmark = pytest.mark.anyio
SOON = timedelta(seconds=15)
DONE = response(201, b'{"score":7}', ("Content-Type", "application/json"))


@pytest.fixture(scope="module")
def ports() -> tuple[int, int, int]:
    """Of the platform, of its listener for long polls, and of our receiver."""
    return free_port(), free_port(), free_port()


@pytest.fixture(scope="module")
def platform(serve: Serve, ports: tuple[int, int, int]) -> Iterator[Exchanged]:
    """The platform, which calls us back."""
    backend = Backend()
    text = deployment(backend.url, f"http://127.0.0.1:{ports[2]}", (ports[0], ports[1]))
    with serve(text, http="", environment={"CALLBACK_SECRET": SECRET}) as served:
        yield Exchanged(served, backend, backend)
    backend.stop()


@pytest.fixture(scope="module")
def receiving(ports: tuple[int, int, int], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A receiver in a thread of its own, and where its ledger is."""
    file, loop = tmp_path_factory.mktemp("receiver") / "ledger.sqlite", asyncio.new_event_loop()
    ledger = Ledger(file)
    task = loop.create_task(serve_callbacks(Receiver(ledger, [SECRET.encode()]), port=ports[2]))

    def run() -> None:
        loop.run_until_complete(asyncio.wait([task]))

    thread = threading.Thread(target=run)
    thread.start()
    yield file
    loop.call_soon_threadsafe(task.cancel)
    thread.join()
    loop.close()
    ledger.close()


async def test_every_way_to_an_outcome(platform: Exchanged, ports: tuple[int, int, int], receiving: Path) -> None:
    url, held = platform.served.url, f"http://127.0.0.1:{ports[1]}"
    pace = Pace(timedelta(seconds=1), timedelta(seconds=2), slow=timedelta(minutes=5))
    with Ledger(receiving) as ledger:
        async with Fiveways(url, ApiKey(API_KEY), ledger=ledger, pace=pace, long_poll=True, also_at=[held]) as five:
            began = time.monotonic()
            jobs = {}
            for api in ("risk", "elsewhere", "held", "called"):
                where = platform.backend.at(after(0.6, DONE))
                path = f"/risk/FHIR/R4/RiskAssessment?of={where}" if api == "risk" else f"/{api}{where}"
                jobs[api] = await five.submit("POST", path, {"of": where}, callback=api == "called")
            answers = dict(zip(jobs, await asyncio.gather(*(job.outcome(SOON) for job in jobs.values())), strict=True))
            assert {api: (answer.status, answer.content) for api, answer in answers.items()} == dict.fromkeys(
                jobs, (201, b'{"score":7}')
            )
            assert time.monotonic() - began < 10  # what is brought is not waited for until it is polled
            assert [reason for _, happening, *_, reason in ledger.history(jobs["called"].id) if happening == "answer"] == [
                "callback"
            ]
            assert {job.state for job in jobs.values()} == {State.ANSWERED}
            assert answers["risk"].request_id == jobs["risk"].id


async def test_the_same_job_is_submitted_once_and_may_be_cancelled(platform: Exchanged, ledger: Ledger) -> None:
    where = platform.backend.at(after(3, DONE))
    async with Fiveways(platform.served.url, ApiKey(API_KEY), ledger=ledger) as five:
        job = await five.submit("POST", f"/elsewhere{where}", {"of": where}, local_id="one")
    async with Fiveways(platform.served.url, ApiKey(API_KEY), ledger=ledger) as five:
        wanted = {"Prefer": "respond-async"}
        again = await five.call("POST", f"/elsewhere{where}", body={"of": where}, headers=wanted, request_id=job.id)
        assert again.status == 202  # as after a crash: the platform knows it by its id
        same = five.job("one")
        assert (await same.status()).state is State.SENT
        assert same.step.said
        await same.cancel()
        with pytest.raises(Gone):
            await same.outcome(SOON)
    assert len(platform.backend.requests(where)) <= 1
