"""A batch of messages over HTTP, where the store takes some of them and not others: a fault that cannot be caused otherwise."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import msgspec
import pytest

from fiveways.correlation import Correlation
from fiveways.errors import StoreError
from fiveways.methods.realtime.participation import Participation
from fiveways.methods.realtime.routes import RealtimeRoutes
from fiveways.methods.realtime.service import Published
from fiveways.types import Consumer, Interaction

pytestmark = pytest.mark.anyio


class Failing:
    """Takes one message, and then the disk is full."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def publish(self, consumer: Consumer, name: str, data: bytes, **said: Any) -> Published:
        """The first message is published."""
        if self.taken:
            raise StoreError("database or disk is full")
        self.taken.append(name)
        return Published(1, "e")


async def test_of_a_batch_each_message_is_told_what_became_of_it(anyio_backend: str) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"messages": [{"channel": "a", "data": 1, "id": "x"}, {"channel": "b", "data": 2, "id": "y"}]}'

    routes = RealtimeRoutes(cast(Participation, Failing()), cast(Any, None), cast(Any, None), lambda _: Consumer("ward"))
    asked = Interaction("1", "POST", b"/realtime/messages", b"", [], {}, body(), None, Correlation(None, None), 0)
    outcome = await routes(asked)
    first, second = msgspec.json.decode(cast(bytes, outcome.body))["results"]
    assert (outcome.status, first) == (200, {"offset": 1, "epoch": "e", "again": False})
    assert (second["error"]["status"], second["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert "disk" not in second["error"]["detail"]
