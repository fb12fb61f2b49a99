"""JSON reaches readers of every kind, however whoever published it has written it."""

from __future__ import annotations

import json

import httpx
import pytest
from tests.acceptance.realtime.conftest import Estate, Heard, until

pytestmark = pytest.mark.anyio
SPREAD = b'{\r\n  "text": "over\\nlines",\n\r  "beds": [\n    1\n  ]\n}\n'


@pytest.fixture
def anyio_backend() -> str:
    """The client is of asyncio."""
    return "asyncio"


async def test_what_was_written_over_several_lines_is_one_message(estate: Estate) -> None:
    heard = Heard()
    client = estate.client()
    await client.connect()
    subscription = client.new_subscription("brief:spread", events=heard)
    await subscription.subscribe()
    await subscription.ready(timeout=5)
    headers = {**estate.served.bearer("ward"), "content-type": "application/json"}
    async with httpx.AsyncClient(base_url=estate.events, timeout=10) as reader:
        async with reader.stream("GET", "/channels/brief:spread/events", headers=estate.served.bearer("ward")) as events:
            lines = events.aiter_lines()
            while "joined" not in await anext(lines):
                pass
            answer = estate.served.call("POST", "/realtime/channels/brief:spread/messages", content=SPREAD, headers=headers)
            assert answer.status_code == 201
            said = [await anext(lines) for _ in range(4)]
    (data,) = (line.removeprefix("data: ") for line in said if line.startswith('data: {"data"'))
    assert json.loads(data)["data"] == json.loads(SPREAD)
    await until(lambda: heard.said == [json.loads(SPREAD)])


async def test_one_of_many_that_is_not_utf_8_is_refused_and_the_others_are_published(estate: Estate) -> None:
    body = b'{"messages":[{"channel":"brief:many","data":"\xff"},{"channel":"brief:many","data":"fine"}]}'
    answer = estate.served.call("POST", "/realtime/messages", content=body, headers=estate.served.bearer("ward"))
    assert answer.status_code == 200
    first, second = answer.json()["results"]
    assert (first["error"]["status"], second["offset"]) == (400, 1)
