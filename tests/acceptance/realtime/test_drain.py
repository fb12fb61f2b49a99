"""A node that is told to stop sends its readers away over two seconds, tells them to come back, and loses nothing that it has
acknowledged; whoever says only then who they are is told so too, and whoever takes no notice is not waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import pytest
from tests.acceptance.conftest import Serve
from tests.acceptance.realtime.conftest import Estate, estate_of, until
from tests.acceptance.realtime.test_crash import Publishers, adds_up, history
from tests.acceptance.realtime.test_nodes import BOTH, joined
from tests.acceptance.realtime.wire import Raw

pytestmark = pytest.mark.anyio
SHUTDOWN, SECONDS = 3001, 2.0


@pytest.fixture
def anyio_backend() -> str:
    """The clients are of asyncio."""
    return "asyncio"


@pytest.fixture
async def estate(serve: Serve) -> AsyncIterator[Estate]:
    """A platform to be stopped."""
    context, live = estate_of(serve)
    with context as served:
        made = Estate(served, live)
        yield made
        await asyncio.gather(*(client.disconnect() for client in made.clients))
        assert "Traceback" not in served.log, served.log


async def ended(estate: Estate, channel: str) -> asyncio.Task[float]:
    """When a reader of events is sent away, who reads until then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", estate.live)
    token = estate.served.token("ward")
    writer.write(f"GET /channels/{channel}/events?access_token={token} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    assert b"200 OK" in await reader.readline()

    async def read() -> float:
        said = b""
        while not said.endswith(b"\r\n0\r\n\r\n"):
            piece = await reader.read(65536)
            assert piece, "cut, and not ended"
            said += piece
        writer.close()
        return time.monotonic()

    return asyncio.create_task(read())


def spread(times: list[float]) -> None:
    """Whether these moments are spread over the time there is: about evenly, whatever else a machine has to do."""
    times.sort()
    assert SECONDS / 2 < times[-1] - times[0] < 2 * SECONDS
    window, most = SECONDS / 5, len(times) / 2
    assert all(sum(at <= each < at + window for each in times) <= most for at in times), [each - times[0] for each in times]


async def test_clients_are_sent_away_one_after_another_and_nothing_that_was_acknowledged_is_lost(estate: Estate) -> None:
    estate.begin("talk:drain", *BOTH)
    members = [await joined(estate, "talk:drain", who) for who in ("ward", "second") * 12]
    reading = [await ended(estate, "brief:drain") for _ in range(24)]
    publishers = Publishers(members[:3], "talk:drain")
    await publishers.acknowledged(50)
    stopping = time.monotonic()
    assert await asyncio.to_thread(estate.served.stop) == 0
    assert time.monotonic() - stopping < 8
    await until(lambda: all(len(member.comings.codes) > 1 for member in members))
    assert [member.comings.codes[1] for member in members] == [SHUTDOWN] * len(members)
    spread([member.comings.times[1] for member in members])
    spread(await asyncio.gather(*reading))
    await asyncio.to_thread(estate.served.start)
    await publishers.acknowledged(50)
    account = await publishers.end()
    found = await history(estate, "talk:drain")
    await until(lambda: all(member.numbers[-1] == len(found) for member in members))
    adds_up(found, account, members)
    assert all(member.heard.all("subscribed")[-1].recovered for member in members)


async def test_who_comes_late_is_told_and_who_takes_no_notice_is_not_waited_for(estate: Estate) -> None:
    token = estate.served.token("ward")
    readers, late, deaf = [Raw(estate).connect(token) for _ in range(8)], Raw(estate), Raw(estate, window=4096).connect(token)
    codes: list[int] = []
    reading = [threading.Thread(target=lambda each=each: codes.append(each.code())) for each in readers]
    for each in reading:
        each.start()
    stopping = asyncio.create_task(asyncio.to_thread(estate.served.stop))
    await until(lambda: codes)
    late.connect(token)
    assert await asyncio.to_thread(late.code) == SHUTDOWN
    late.socket.close()
    begun = time.monotonic()
    assert await stopping == 0
    assert time.monotonic() - begun < 6
    for each in reading:
        each.join()
    assert codes == [SHUTDOWN] * 8
    for raw in (*readers, deaf):
        raw.socket.close()
