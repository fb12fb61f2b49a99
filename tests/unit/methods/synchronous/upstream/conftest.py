"""A back end that says exactly the bytes it is told to, over real sockets, and an upstream to reach it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from fiveways.clock import SystemClock
from fiveways.methods.synchronous.upstream import Target, Upstream

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Everything here is shown on the standard library's loop and on the one that is served with."""
    return "asyncio", {"use_uvloop": request.param}


class Backend:
    """A listening socket. `heads` are the request header sections received, `connections` how many were accepted."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.heads: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def start(self, tls: ssl.SSLContext | None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._handler(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def read_head(self, reader: asyncio.StreamReader) -> bytes:
        """The next request's header section; IncompleteReadError at the end of the connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        return head

    async def stop(self) -> None:
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))


class Network:
    """Makes back ends and upstreams, and takes them down."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def serve(self, handler: Handler, *, tls: ssl.SSLContext | None = None) -> Backend:
        """A back end whose connections `handler` serves."""
        backend = Backend(handler)
        await backend.start(tls)
        self._stack.push_async_callback(backend.stop)
        return backend

    async def answering(self, *answers: bytes, then_close: bool = False) -> Backend:
        """A back end that answers its requests (without bodies) with these bytes in turn, the last one for good."""
        turn = 0

        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal turn
            while True:
                await backend.read_head(reader)
                writer.write(answers[min(turn, len(answers) - 1)])
                turn += 1
                await writer.drain()
                if then_close:
                    return

        backend = await self.serve(handler)
        return backend

    def upstream(self, backend: Backend | None = None, *, base: Path = Path("/"), **settings: Any) -> Upstream:
        """An upstream to `backend`, closed at the end."""
        if backend is not None:
            settings.setdefault("url", f"http://127.0.0.1:{backend.port}")
        upstream = Upstream(Target.model_validate(settings), base=base, clock=SystemClock())
        self._stack.push_async_callback(upstream.close)
        return upstream


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    async with AsyncExitStack() as stack:
        yield Network(stack)
