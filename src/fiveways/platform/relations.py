"""Whether somebody has a relationship with whom a channel is about: asked of those who know, and known for a minute."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import msgspec
import structlog
from pyreqwest.client import ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from fiveways.clock import Clock
from fiveways.delivery.guard import Guard, Refused, Unresolved
from fiveways.types import Consumer

log = structlog.get_logger("fiveways.relations")

PATIENCE: Final = timedelta(seconds=3)
_KNOWN: Final = 60.0
_MOST: Final = 100_000


class _Answer(msgspec.Struct):
    allowed: bool = False


class Relations:
    """What those who know have said. Only who is on the allow-list of `outbound:` is asked."""

    def __init__(self, clock: Clock, guard: Callable[[], Guard]) -> None:
        self._clock = clock
        self._guard = guard
        self._said: dict[tuple[str, str, str, str], tuple[float, bool]] = {}

    async def ask(self, url: str, channel: str, consumer: Consumer) -> bool:
        """Whether a consumer may join a channel; no, where nobody answers."""
        key = (url, channel, consumer.application, consumer.subject)
        known = self._said.get(key)
        now = self._clock.monotonic()
        if known is not None and now - known[0] < _KNOWN:
            return known[1]
        body = msgspec.json.encode({
            "channel": channel, "application": consumer.application, "organisation": consumer.organisation,
            "person": consumer.subject, "roles": dict(consumer.roles), "organisations": list(consumer.organisations),
        })  # fmt: skip
        try:
            found = await self._guard().destination(url)
            builder = ClientBuilder().no_proxy().follow_redirects(False).timeout(PATIENCE).error_for_status(True)
            async with builder.resolve(found.host, str(found.addresses[0]), found.port).build() as client:
                request = client.post(url).headers({"content-type": "application/json"}).body_bytes(body)
                answer = await request.build().send()
                allowed = msgspec.json.decode(await answer.bytes(), type=_Answer).allowed
        except (PyreqwestError, msgspec.MsgspecError, Refused, Unresolved) as error:
            log.warning("a relationship could not be asked for", url=url, reason=type(error).__name__)
            return False
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[key] = (now, allowed)
        return allowed
