"""Long polling: a request is held open until there is an outcome (A59), at a listener of its own: the gateway holds nothing (A62).

It asks the gateway, as its consumer would, what is said of the job; while that is 202 it waits for news, up to `Prefer:
wait=SECONDS` (RFC 7240 §4.3) and what the exchange allows, and asks again. News come by the bus; and, where that does not reach
every process, from the store, which is looked at once a second, whoever waits and however many.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

import msgspec

from fiveways.clock import Clock, micros
from fiveways.methods.exchange.service import JOBS, Jobs, topic
from fiveways.store.bus import Wakes
from fiveways.types import Headers

HELD: Final = "fiveways.held"
"""The ASGI extension of a question that is asked for somebody who waits: it is not too soon."""
MOST: Final = 20_000
"""Requests that one process holds."""
_LOOK: Final = 1.0
_OVERLAP: Final = 5_000_000
"""Microseconds that the clocks of nodes may be apart."""
_PATH: Final = re.compile(rf"(.+){JOBS}/([0-9a-f-]{{36}})")
_WAIT: Final = re.compile(rb"(?:^|[,;\s])wait=([0-9]{1,4})\b")
_OWN: Final = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding"))

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]


class Answer(Protocol):
    """What the gateway has answered."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def headers(self) -> Any:
        """The header fields."""
        ...

    @property
    def content(self) -> bytes:
        """The body."""
        ...


Ask = Callable[[str, Headers, tuple[str, int], dict[str, Any]], Awaitable[Answer]]
"""Asks the gateway: path, header fields, client and ASGI extensions."""


class LongPolling:
    """The ASGI application of listeners with `long_poll`. `waiting` is how many requests are held just now."""

    def __init__(self, ask: Ask, hold: Callable[[str], float], jobs: Jobs, clock: Clock) -> None:
        """`hold`: seconds that requests for jobs of the API at a base path are held at most; 0 where they are not held here."""
        self._ask = ask
        self._hold = hold
        self._jobs = jobs
        self._clock = clock
        self._wakes: dict[str, set[Wakes]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._seen = 0
        self.waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, at once or when there is news."""
        if scope["type"] != "http":
            return
        match = _PATH.fullmatch(scope["path"])
        hold = self._hold(match[1]) if match is not None else 0.0
        if match is None or hold <= 0:
            await _say(send, 404, "Requests for the outcomes of jobs are held here, of APIs with long_poll, and nothing else is")
        elif scope["method"] != "GET":
            await _say(send, 405, "A job is waited for with GET; it is cancelled at the gateway", (b"allow", b"GET"))
        elif self.waiting >= MOST:
            await _say(send, 503, "Too many requests are held; poll the status URL meanwhile", (b"retry-after", b"10"))
        else:
            answer = await self._held(match[2], scope, receive, min(hold, _wait(scope["headers"], hold)))
            if answer is not None:
                await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
                await send({"type": "http.response.body", "body": answer.content})

    async def _held(self, job: str, scope: Scope, receive: Receive, hold: float) -> Answer | None:
        """What the gateway says at last; None where its consumer has gone."""
        until = self._clock.monotonic() + hold
        headers = [field for field in scope["headers"] if field[0] not in _OWN]
        extensions = {**(scope.get("extensions") or {}), HELD: True}
        with self._jobs.deliveries.bus.subscribe(topic(job)) as wakes:
            answer = await self._ask(scope["path"], headers, scope["client"], extensions)
            if answer.status != 202:
                return answer
            gone = _Gone(receive, wakes)
            watching = asyncio.create_task(gone.watch())
            self._register(job, wakes)
            try:
                while answer.status == 202 and (left := until - self._clock.monotonic()) > 0:
                    if await wakes.wait(left) is None:
                        break
                    if gone.gone:
                        return None
                    answer = await self._ask(scope["path"], headers, scope["client"], extensions)
            finally:
                self._unregister(job, wakes)
                watching.cancel()
            return answer

    def _register(self, job: str, wakes: Wakes) -> None:
        self.waiting += 1
        self._wakes.setdefault(job, set()).add(wakes)
        if self._looking is None or self._looking.done():
            self._seen = micros(self._clock) - _OVERLAP
            self._looking = asyncio.create_task(self._look())

    def _unregister(self, job: str, wakes: Wakes) -> None:
        self.waiting -= 1
        mine = self._wakes[job]
        mine.discard(wakes)
        if not mine:
            del self._wakes[job]

    async def _look(self) -> None:
        """Look in the store for what has happened, as long as somebody waits."""
        known: set[tuple[str, int]] = set()
        while self._wakes:
            now = micros(self._clock)
            found = await self._jobs.news(self._seen)
            for job, number in found:
                if (job, number) not in known:
                    for wakes in tuple(self._wakes.get(job, ())):
                        wakes.notify(topic(job), b"")
            known = set(found)
            self._seen = now - _OVERLAP
            await asyncio.sleep(_LOOK)


class _Gone:
    """Notices that a consumer has gone, and wakes whoever waits for it."""

    __slots__ = ("_receive", "_wakes", "gone")

    def __init__(self, receive: Receive, wakes: Wakes) -> None:
        self._receive = receive
        self._wakes = wakes
        self.gone = False

    async def watch(self) -> None:
        """Wait for the end of the connection."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self._wakes.notify("", b"")


def _wait(headers: Headers, otherwise: float) -> float:
    """What a request prefers to wait, in seconds."""
    said = b",".join(value for name, value in headers if name == b"prefer")
    match = _WAIT.search(said.lower())
    return float(match[1]) if match is not None else otherwise


async def _say(send: Send, status: int, detail: str, *headers: tuple[bytes, bytes]) -> None:
    body = msgspec.json.encode({"type": "about:blank", "status": status, "detail": detail})
    fields = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
