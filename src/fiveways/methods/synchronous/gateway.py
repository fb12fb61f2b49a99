"""The gateway: the only way to the back ends (S33, S34). A plain ASGI callable, because it is the hot path.

It reads a request, finds the API and the operation it is for, runs that operation's handler (its policies were wrapped around
it when the deployment was loaded) and sends the outcome. A client that goes away cancels the work done for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import ClassVar, Final

import structlog

from fiveways.clock import Clock
from fiveways.errors import Fault, InvalidValue, MalformedRequest, NotFound, PayloadTooLarge
from fiveways.methods.synchronous import paths
from fiveways.methods.synchronous.api import Api, Route
from fiveways.methods.synchronous.paths import BasePaths
from fiveways.methods.synchronous.rendering import as_problem
from fiveways.methods.synchronous.request import CLOSE, ClientGone, Receive, RequestBody, Scope, Send, read
from fiveways.types import Interaction

log: Final = structlog.get_logger("fiveways.gateway")

SWEEP: Final = 0.25
"""Seconds between looks at which exchanges last long enough to be worth watching for a client that goes away."""
SEND_PATIENCE: Final = 60.0
"""Seconds a client may take to accept one piece of a streamed answer."""


class Gateway:
    """Serves the APIs given; `platform` handles what belongs to none of them (faults, with the outer policies)."""

    def __init__(self, apis: list[Api], platform: Callable[[Fault], Route], clock: Clock) -> None:
        self._apis: BasePaths[Api] = BasePaths((api.base, api) for api in apis)
        self._platform = platform
        self._clock = clock
        self._active: dict[asyncio.Task[None], tuple[float, Interaction, Receive]] = {}
        self._watched: dict[asyncio.Task[None], asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def active(self) -> int:
        """How many exchanges are under way."""
        return len(self._active)

    def find(self, path: bytes) -> tuple[Api, bytes] | None:
        """The API a raw path belongs to and what of the path lies below its base."""
        return self._apis.find(path)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP exchange."""
        interaction, fault = read(scope, receive, self._clock)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._sweeper = self._loop.create_task(self._sweep())
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._active[task] = (interaction.started, interaction, receive)
        begun = False
        try:
            if interaction.body is not None and interaction.length is None and fault is None:
                fault = await _settle_body(interaction)
            route = self._route(interaction, fault)
            outcome = await route.handler(interaction)
            for observe in route.observers:
                observe(interaction, outcome)
            body = outcome.body
            begun = True
            await send({"type": "http.response.start", "status": outcome.status, "headers": outcome.headers})
            if type(body) is bytes:
                await send({"type": "http.response.body", "body": body})
            else:
                if _taken(interaction):
                    self._watch(task, receive)
                await _stream(body, send)  # type: ignore[arg-type]
        except ClientGone:
            if not begun:
                await self._broken_off(interaction, send)
        except asyncio.CancelledError:
            watcher = self._watched.get(task)
            if watcher is None or not watcher.done():
                raise
        finally:
            del self._active[task]
            watcher = self._watched.pop(task, None)
            if watcher is not None:
                watcher.cancel()

    def _route(self, interaction: Interaction, fault: Fault | None) -> Route:
        plain = False
        if fault is None:
            try:
                plain = paths.check(interaction.path, interaction.query)
            except Fault as refused:
                fault = refused
        if fault is not None:
            return self._refused(interaction, fault)
        found = self._apis.find(interaction.path)
        if found is None:
            return self._platform(NotFound("No API is published at this path"))
        api, interaction.below = found
        interaction.api = api.name
        route = api.route(interaction)
        interaction.route = route
        if not plain and not self._same_however_read(interaction, route):
            fault = InvalidValue("The path is spelt so that it could be read as that of another operation")
            return api.refuse(fault) if api.name else self._refused(interaction, fault)
        body = interaction.body
        if body is not None:
            limit = api.body_limit
            if interaction.length is not None and interaction.length > limit:
                return api.refuse(PayloadTooLarge(f"The body is larger than {limit} bytes"))
            if isinstance(body, RequestBody):
                body.limit = limit
                body.patience = api.body_patience
        return route

    def _refused(self, interaction: Interaction, fault: Fault) -> Route:
        """A refusal in the words of what the path leads to as the most easy-going reads it: clients of it read no others."""
        found = self._apis.find(paths.freely(interaction.path))
        if found is None:
            return self._platform(fault)
        api = found[0]
        interaction.api = api.name
        return api.refuse(fault)

    async def _broken_off(self, interaction: Interaction, send: Send) -> None:
        """Answer a body that is not framed as HTTP says; where its client simply went away, nobody reads this."""
        fault = MalformedRequest("The request's body ends before it is complete, or its framing is broken", headers=CLOSE)
        found = self._apis.find(paths.freely(interaction.path))
        outcome = (found[0].render if found is not None else as_problem)(fault, interaction.id)
        headers = [*outcome.headers, (b"x-request-id", interaction.correlation.request_id)]
        await send({"type": "http.response.start", "status": outcome.status, "headers": headers})
        await send({"type": "http.response.body", "body": outcome.body})

    def _same_however_read(self, interaction: Interaction, route: Route) -> bool:
        """Whether a back end that reads the path more freely finds an operation behind the same policies: none is spelt around."""
        below, name = interaction.below, interaction.name
        found = self._apis.find(paths.freely(interaction.path))
        if found is None:
            return False
        api, interaction.below = found
        same = api.route(interaction).handler is route.handler
        interaction.below, interaction.name = below, name
        return same

    async def _sweep(self) -> None:
        """Watch every exchange that has lasted a while; a quick one is over before it costs anything."""
        while True:
            await asyncio.sleep(SWEEP)
            old = self._clock.monotonic() - SWEEP
            for task, (started, interaction, receive) in list(self._active.items()):
                if started < old and _taken(interaction):
                    self._watch(task, receive)

    def _watch(self, task: asyncio.Task[None], receive: Receive) -> None:
        if task not in self._watched:
            self._watched[task] = asyncio.get_running_loop().create_task(_cancel_when_gone(task, receive))

    async def close(self) -> None:
        """Stop watching; exchanges under way are the server's to drain."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None


def _taken(interaction: Interaction) -> bool:
    """Whether all of the request's body was received: before that, whoever watched for the client's going would take it away."""
    body = interaction.body
    return body is None or bool(getattr(body, "complete", False))


async def _settle_body(interaction: Interaction) -> Fault | None:
    """HTTP/2 may leave out Content-Length: only the first arrival tells whether there is a body at all (RFC 9113 §8.1.1)."""
    body = interaction.body
    assert isinstance(body, RequestBody)
    try:
        if interaction.scope["http_version"] == "2" and not await body.begin():
            interaction.body, interaction.length = None, 0
    except Fault as fault:
        return fault
    return None


async def _cancel_when_gone(task: asyncio.Task[None], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    task.cancel()
    # `done` must already be true when the cancelled task looks; it runs after this returns.


async def _stream(body: AsyncIterator[bytes], send: Send) -> None:
    """Send a body piece by piece; however it ends, what feeds it is told."""
    broken: Fault | None = None
    try:
        async for chunk in body:
            async with asyncio.timeout(SEND_PATIENCE):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Fault as fault:
        broken = fault  # raised from in here, compiled, it would stay the context of whatever is raised next
    finally:
        close: Callable[[], Awaitable[None]] | None = getattr(body, "aclose", None)
        if close is not None:
            await close()
    if broken is not None:
        # The status line is out: all that is left to say is that the body is not complete.
        log.warning("answer broken off", code=broken.code, party=broken.party, reason=broken.diagnostics)
        raise BrokenOff
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class BrokenOff(Exception):
    """Makes the server cut the connection, so that the client sees that the answer is not whole."""

    expected: ClassVar[bool] = True
