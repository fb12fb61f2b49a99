"""One process per role: who is connected is in one, who publishes over HTTP comes to another, and the store is between them."""

from __future__ import annotations

import asyncio

import pytest
from centrifuge import Client  # type: ignore[import-untyped]
from tests.acceptance.conftest import Serve, free_port
from tests.acceptance.realtime.conftest import Heard, until

DEPLOYMENT = """
listeners: {main: {http: "127.0.0.1:%d"}, live: {realtime: "127.0.0.1:%d"}}
organisations: {RXN: {name: Northshire Hospitals}}
applications: {ward: {organisation: RXN, jwks: file:keys/ward.json}}
channels: {news: {name: news, kind: broadcast, join: [{anyone: true}], publish: [{anyone: true}]}}
"""
pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The client is of asyncio."""
    return "asyncio"


async def test_what_is_published_in_one_process_is_heard_in_another(serve: Serve) -> None:
    main, live = free_port(), free_port()
    with serve(DEPLOYMENT % (main, live), "--processes", http="") as served:
        heard = Heard()
        client = Client(f"ws://127.0.0.1:{live}/connection/websocket", token=served.token("ward"))
        await client.connect()
        subscription = client.new_subscription("news", events=heard)
        await subscription.subscribe()
        await subscription.ready(timeout=20)
        for number in range(3):
            path = "/realtime/channels/news/messages"
            answer = await asyncio.to_thread(served.call, "POST", path, json=number, headers=served.bearer("ward"))
            assert answer.status_code == 201
        await until(lambda: heard.said == [0, 1, 2], seconds=20)
        await client.disconnect()
