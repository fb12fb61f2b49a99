"""Requests as the deployment wants them: with our credentials and both ids, sent again where that is safe, and always bounded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from pyreqwest.response import Response

from fiveways.client import fields
from fiveways.client.access import Access, Certificate, Door
from fiveways.client.answer import Answer
from fiveways.client.errors import Unavailable
from fiveways.client.origins import Origins
from fiveways.client.resending import Resend, may_repeat
from fiveways.client.tracing import traced
from fiveways.client.transport import Asked, NotSent, Pairs, Transport, header_fields, whole
from fiveways.clock import Clock

REQUEST_ID, CORRELATION_ID, WAIT = "X-Request-ID", "X-Correlation-ID", "X-Sync-Wait"
_MARGIN = 0.5
"""Seconds before the end of our patience at which the deployment is to give up waiting, so that its answer is here in time."""
_SHORTEST_WAIT = 0.25
"""Seconds of X-Sync-Wait that a deployment may refuse to go below."""

Read = Callable[[Response, asyncio.Timeout], Awaitable[Answer]]
"""Reads an answer; it may put off the time-out that it runs under."""


class Caller:
    """Sends requests. `largest`: bytes of an answer's body that are read before it is TooLarge."""

    def __init__(
        self, origins: Origins, access: Sequence[Access], clock: Clock, resend: Resend, timeout: timedelta, largest: int
    ) -> None:
        self.origins, self.clock, self.timeout, self.largest = origins, clock, timeout, largest
        self._access, self._resend = access, resend
        shown = next((each for each in access if isinstance(each, Certificate)), Certificate())
        self._transport = Transport(shown.cert, shown.key, shown.ca)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transport.close()

    async def once(self, asked: Asked, ids: Pairs, *, timeout: timedelta | None = None) -> Answer:
        """Send a request once, and once more with a new token where the first was refused. Raises Unavailable."""
        try:
            async with asyncio.timeout((timeout or self.timeout).total_seconds()) as bound:
                return await self._sent(asked, ids, [], self._whole(ids), bound)
        except TimeoutError:
            raise Unavailable("there was no answer in time") from None

    async def call(
        self, asked: Asked, ids: Pairs, *, timeout: timedelta | None = None, wait: timedelta | None = None, read: Read | None = None
    ) -> Answer:
        """Send a request until it is answered for good, or `timeout` is over: then the last answer, or Unavailable if none came.

        `wait`: how long a sync-wrap is asked to wait for the outcome each time. `read` reads the answer, otherwise as bytes.
        """
        end = self.clock.monotonic() + (timeout or self.timeout).total_seconds()
        failures, last, error = 0, None, Unavailable("there was no answer in time")
        while (left := end - self.clock.monotonic()) > 0:
            pause: timedelta | None = None
            try:
                async with asyncio.timeout(left) as bound:
                    last = await self._sent(asked, ids, _wait(wait, left), read or self._whole(ids), bound)
                asked_for = fields.retry_after(last.headers.get("retry-after"), self.clock.now())
                if asked.body.once or not may_repeat(asked.method, last.status, asked_for):
                    return last
                failures += asked_for is None
                pause = self._resend.after(max(1, failures), asked_for, random.random)
            except TimeoutError:
                last = None  # it may have been taken, whatever the answer before said
                break
            except Unavailable as failure:
                error, failures = failure, failures + 1
                if asked.body.once or not (isinstance(failure, NotSent) or may_repeat(asked.method, 503, None)):
                    raise
                last, pause = None, self._resend.after(failures, None, random.random)
            if failures >= self._resend.attempts or pause.total_seconds() >= end - self.clock.monotonic():
                break
            await asyncio.sleep(pause.total_seconds())
        if last is None:
            raise error
        return last

    async def _sent(self, asked: Asked, ids: Pairs, added: Pairs, read: Read, bound: asyncio.Timeout) -> Answer:
        for renewed in (False, True):
            async with self._opened(asked, [*ids, *added]) as response:
                if response.status != 401 or renewed or asked.body.once or not asked.place.own or not self._others():
                    return await read(response, bound)
        raise AssertionError("unreachable")

    def _others(self) -> bool:
        """Whether other credentials may be had; each is told of the refusal."""
        return any([each.refused() for each in self._access])  # noqa: C419 - all of them are told

    @asynccontextmanager
    async def _opened(self, asked: Asked, added: Pairs) -> AsyncIterator[Response]:
        shown = [pair for each in self._access for pair in await each.fields(self._door())] if asked.place.own else []
        with traced(asked.method, asked.place) as (carried, answered):
            async with self._transport.open(asked, [*added, *shown, *carried]) as response:
                answered(response.status)
                yield response

    def _door(self) -> Door:
        return Door(self._transport, self.origins.base, self.clock, self.timeout)

    def _whole(self, ids: Pairs) -> Read:
        async def read(response: Response, _: asyncio.Timeout) -> Answer:
            return answer(response, ids, await whole(response, self.largest))

        return read


def answer(response: Response, ids: Pairs, content: bytes) -> Answer:
    """An answer of whose request the ids are these."""
    said = dict(ids)
    return Answer(response.status, header_fields(response), content, said.get(REQUEST_ID, ""), said.get(CORRELATION_ID, ""))


def _wait(wait: timedelta | None, left: float) -> Pairs:
    if wait is None:
        return []
    seconds = max(min(wait.total_seconds(), left - _MARGIN), _SHORTEST_WAIT)
    return [(WAIT, f"{seconds:.3f}".rstrip("0").rstrip("."))]
