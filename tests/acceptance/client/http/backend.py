"""A back end that does FHIR's asynchronous pattern over real sockets, and that can be told to misbehave.

POST makes a job, GET on /status/N says how it is, DELETE cancels it; a request that comes again under its X-Request-ID is
answered as the first was. `script` replaces answers: of a method and path, in order, before anything else is thought of.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec
from tests.listening import listening

REASONS = {200: "OK", 202: "Accepted", 303: "See Other"}


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its X-Request-ID."""
        return self.headers.get("x-request-id", "")


@dataclass
class Reply:
    """What is answered: `after` so many seconds, and where `cut` is given, broken off after so many bytes of the body."""

    status: int = 200
    headers: dict[str, str] | list[tuple[str, str]] = field(default_factory=dict)
    body: bytes = b""
    after: float = 0.0
    cut: int | None = None

    def head(self) -> bytes:
        """Status line and header fields."""
        said = list(self.headers.items() if isinstance(self.headers, dict) else self.headers)
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in said]
        if self.status not in (204, 304):
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


DROP = Reply(status=0)
"""The connection is closed without a byte of an answer."""
Handler = Callable[[Asked], Awaitable[Reply]]


def json_reply(said: Any, status: int = 200, **headers: str) -> Reply:
    """An answer in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, {"Content-Type": "application/fhir+json", **named}, msgspec.json.encode(said))


class Backend:
    """The back end; `origin` once it listens."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.script: defaultdict[tuple[str, str], deque[Reply | Handler]] = defaultdict(deque)
        self.jobs: dict[str, str] = {}
        """Job numbers by X-Request-ID."""
        self.over: dict[str, Reply] = {}
        """Outcomes by job number."""
        self.progress = ""
        self.retry_after = "0"
        self.submitted: dict[str, str] = {}
        """Further header fields of a 202."""
        self.origin = ""
        self._numbers = itertools.count(1)
        self._waiting: list[tuple[Callable[[], bool], asyncio.Event]] = []

    def of(self, method: str, path: str = "") -> list[Asked]:
        """The requests of a method, to a path that begins so."""
        return [asked for asked in self.asked if asked.method == method and asked.path.startswith(path)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something is true, as it may be after a request."""
        event = asyncio.Event()
        self._waiting.append((condition, event))
        self._look()
        async with asyncio.timeout(10):
            await event.wait()

    def finish(self, reply: Reply, number: str = "1") -> None:
        """A job has its outcome."""
        self.over[number] = reply

    @asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[None]:
        """Listen in the block."""
        async with listening(self._connection, port=port) as bound:
            self.origin = f"http://127.0.0.1:{bound}"
            yield

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (asked := await _read(reader)) is not None:
            self.asked.append(asked)
            self._look()
            reply = await self._reply(asked)
            await asyncio.sleep(reply.after)
            if reply.status == 0:
                return
            content = b"" if asked.method == "HEAD" else reply.body
            writer.write(reply.head() + (content if reply.cut is None else content[: reply.cut]))
            await writer.drain()
            if reply.cut is not None:
                return

    async def _reply(self, asked: Asked) -> Reply:
        scripted = self.script[asked.method, urlsplit(asked.path).path]
        if scripted:
            found = scripted.popleft() if len(scripted) > 1 or isinstance(scripted[0], Reply) else scripted[0]
            return found if isinstance(found, Reply) else await found(asked)
        if asked.path.startswith("/status/"):
            number = asked.path.removeprefix("/status/")
            if asked.method == "DELETE":
                self.over[number] = Reply(404)
                return Reply(202)
            running = {"Retry-After": self.retry_after, **({"X-Progress": self.progress} if self.progress else {})}
            return self.over.get(number) or Reply(202, running)
        if "respond-async" in asked.headers.get("prefer", ""):
            number = self.jobs.get(asked.id) or self.jobs.setdefault(asked.id, str(next(self._numbers)))
            where = {"Content-Location": f"/status/{number}", "Retry-After": self.retry_after}
            return Reply(202, {**where, **self.submitted})
        return json_reply({"path": asked.path, "body": asked.body.decode()})

    def _look(self) -> None:
        for condition, event in self._waiting:
            if condition():
                event.set()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = bytearray()
    if headers.get("transfer-encoding") == "chunked":
        while size := int((await reader.readline()).strip(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readline()
    else:
        body += await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, bytes(body))
