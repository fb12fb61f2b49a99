"""A front on a real socket, with an application that records what reaches it and answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from fiveways.platform.http1 import listener as listening
from fiveways.platform.http1.listener import Http1Listener

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass
class Asked:
    """A request as it reached the application."""

    scope: MutableMapping[str, Any]
    body: bytes = b""
    whole: bool = False
    gone: bool = False
    """Whether the application was told that the client has left."""

    @property
    def line(self) -> tuple[str, bytes, bytes, str]:
        """Method, path, query and version."""
        return self.scope["method"], self.scope["raw_path"], self.scope["query_string"], self.scope["http_version"]

    async def read(self, receive: Receive) -> None:
        """Take all of the body."""
        while not self.whole and not self.gone:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.gone = True
            else:
                self.body += message["body"]
                self.whole = not message["more_body"]


Application = Callable[[Asked, Receive, Send], Awaitable[None]]


async def answer(send: Send, body: bytes = b"", *headers: tuple[bytes, bytes], status: int = 200) -> None:
    """Send a whole answer of known length."""
    fields = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def echo(asked: Asked, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    await asked.read(receive)
    await answer(send, asked.body)


@dataclass
class Front:
    """A listener, what reached its application, and what went wrong unseen."""

    asked: list[Asked] = field(default_factory=list)
    application: Application = echo
    failures: list[Any] = field(default_factory=list)
    listener: Http1Listener = field(init=False)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """The ASGI application."""
        asked = Asked(scope)
        self.asked.append(asked)
        await self.application(asked, receive, send)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        server = self.listener._server
        assert server is not None
        host, port = server.sockets[0].getsockname()[:2]
        return host, port

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Client]:
        """A client's connection."""
        client = Client(*await asyncio.open_connection(*self.address))
        try:
            yield client
        finally:
            client.writer.close()
            with suppress(OSError):
                await client.writer.wait_closed()

    async def say(self, *pieces: bytes) -> bytes:
        """What comes back, until the connection ends, for bytes sent in pieces."""
        async with self.connect() as client:
            return await client.say(*pieces)

    async def until(self, condition: Callable[[], object], seconds: float = 5) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)


@dataclass
class Client:
    """A client's end of a connection, to be written on by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes at once, in a packet of their own."""
        self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)

    async def say(self, *pieces: bytes) -> bytes:
        """Send, and return all that comes until the connection ends."""
        for piece in pieces:
            with suppress(ConnectionError):
                await self.send(piece)
        return await self.rest()

    async def rest(self, seconds: float = 5) -> bytes:
        """All that still comes until the connection ends."""
        got = b""
        async with asyncio.timeout(seconds):
            with suppress(ConnectionError):
                while piece := await self.reader.read(2**18):
                    got += piece
        return got

    async def head(self) -> bytes:
        """The next header section."""
        async with asyncio.timeout(5):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Send a request; the head and body of its answer, which has a Content-Length."""
        await self.send(request)
        head = await self.head()
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head, await self.reader.readexactly(length)


@asynccontextmanager
async def fronted(**options: Any) -> AsyncIterator[Front]:
    """A front while the block lasts; afterwards nothing has failed unseen, and nothing is left over."""
    front = Front()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: front.failures.append(context))
    with capture_logs() as logs:
        front.listener = Http1Listener(("127.0.0.1", 0), front, **options)
        await front.listener.start()
        try:
            yield front
        finally:
            await front.listener.stop()
            await front.until(lambda: not front.listener.connections)
    assert front.failures == []
    assert [entry for entry in logs if entry["log_level"] == "error"] == []
    assert not front.listener.tasks


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener looks often for clients that say nothing."""
    monkeypatch.setattr(listening, "SWEEP", 0.02)


@pytest.fixture
async def front(quick_sweeps: None) -> AsyncIterator[Front]:
    """A front with an echo behind it."""
    async with fronted() as made:
        yield made
