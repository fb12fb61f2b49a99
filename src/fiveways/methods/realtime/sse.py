"""Server-Sent Events: a channel as a feed that any browser reads, without a library, and goes on with where it was (Last-Event-ID).

    GET /channels/{channel}/events      Authorization: Bearer … or, as EventSource sends no header, ?access_token=… (RFC 6750 §2.3)

The id of an event is `epoch:offset`. Where what came since is not kept any more, an event `reset` says so before what follows.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs, unquote

from fiveways.errors import AccessDenied, Fault, StoreError
from fiveways.methods.realtime.centrifugo.session import Means
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.service import Channel, Position
from fiveways.methods.realtime.streams import Joined

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]

_PATH: Final = re.compile(r"/channels/([^/]{1,1000})/events")
_ID: Final = re.compile(r"([0-9a-f]{1,64}):([0-9]{1,18})")
_QUIET: Final = 15.0
"""Seconds of silence after which a comment is sent, so that whoever stands between does not take the connection for dead."""


def form(message: Message) -> bytes:
    """A message as an event."""
    if message.happening in ("arrive", "depart"):
        return b"event: %b\ndata: %b\n\n" % (b"join" if message.happening == "arrive" else b"leave", message.data)
    return _event(message)


def _event(message: Message, *, snapshot: bool = False) -> bytes:
    id_ = b"id: %b:%d\n" % (message.epoch.encode(), message.number) if message.number else b""
    name = b"event: snapshot\n" if snapshot else b""
    return b"%b%bdata: %b\n\n" % (id_, name, message.publication(snapshot=snapshot))


class _Stream:
    """What is on its way to one reader (`hub.Reader`)."""

    form = staticmethod(form)

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: list[bytes] = []
        self._size = 0
        self.news = asyncio.Event()
        self.stale = False
        """Whether it was too slow for changes, and is to have the whole."""
        self.over = ""
        """Why there is nothing more; '' while there is."""

    def take(self, channel: str, data: bytes, merged: bool) -> None:
        """Keep this until it is sent."""
        if self.stale:
            return
        if self._size + len(data) > self._most:
            self._waiting.clear()
            self._size = 0
            self.stale, self.over = merged, "" if merged else "slow"
        else:
            self._waiting.append(data)
            self._size += len(data)
        self.news.set()

    def lose(self, channel: str) -> None:
        """The channel is another one now: have it joined again."""
        self.over = "insufficient state"
        self.news.set()

    def review(self, channel: str) -> None:
        """Have it joined again: then it is found out whether it may be read still."""
        self.over = self.over or "review"
        self.news.set()

    def end(self) -> None:
        """The server stops."""
        self.over = self.over or "shutdown"
        self.news.set()

    def taken(self) -> bytes:
        """What waits, which does so no longer."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        self.news.clear()
        return b"".join(waiting)


class Events:
    """The ASGI application of real-time listeners, for what is no WebSocket."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._streams: set[_Stream] = set()

    def end(self) -> None:
        """The server stops: readers are to come back, to another node or to this one later."""
        for stream in list(self._streams):
            stream.end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        match = _PATH.fullmatch(scope["path"]) or _PATH.fullmatch(scope.get("raw_path", b"").decode("latin-1"))
        if match is None:
            await _say(send, 404, "Here are /connection/websocket, and /channels/{channel}/events for Server-Sent Events")
        elif scope["method"] != "GET":
            await _say(send, 405, "Events are read with GET", (b"allow", b"GET"))
        else:
            try:
                await self._read(unquote(match[1]), scope, receive, send)
            except Fault as fault:
                more = ((b"www-authenticate", b"Bearer"),) if fault.status == 401 else ()
                await _say(send, fault.status, fault.diagnostics, *more)
            except StoreError:
                await _say(send, 503, "The store cannot be reached: try again", (b"retry-after", b"5"))

    async def _read(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        means, asked = self._means, parse_qs(scope["query_string"].decode("latin-1"))
        fields = dict(scope["headers"])
        consumer, expires = means.verify(_token(fields, asked))
        channel = (await means.participation.joining(consumer, name)).channel
        stream = _Stream(means.participation.plan().settings.unsent)
        since = _since(fields, asked)
        joined = await means.streams.join(channel, stream, since)
        self._streams.add(stream)
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._tell(channel, joined, since, stream, gone, expires, send)
        finally:
            gone.cancel()
            self._streams.discard(stream)
            means.streams.leave(name, stream)

    async def _tell(
        self, channel: Channel, joined: Joined, since: Position | None, stream: _Stream, gone: asyncio.Future[None],
        expires: float, send: Send,
    ) -> None:  # fmt: skip
        position, clock = joined.position, self._means.participation.channels.clock
        first = b"retry: 2000\n"
        if position.epoch and not joined.missed:  # whoever comes back before anything was said goes on from here
            first += b"id: %b:%d\n" % (position.epoch.encode(), position.top)
        first += b"event: joined\ndata: {}\n\n"
        if since is not None and not joined.recovered and not joined.whole:
            first += b"event: reset\ndata: {}\n\n"
        await _send(send, first + b"".join(_event(_of(each, position), snapshot=joined.whole) for each in joined.missed))
        while not gone.done():
            if not stream.news.is_set() and not await _news(stream, gone):
                await _send(send, b":\n\n")
            if said := stream.taken():
                await _send(send, said)
            if stream.stale:
                stream.stale = False
                if (whole := await self._means.streams.snapshot(channel.name)) is not None:
                    await _send(send, _event(_of(whole, position), snapshot=True))
            if stream.over or clock.time() >= expires:
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})


_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")
]  # fmt: skip


async def _send(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _news(stream: _Stream, gone: asyncio.Future[None]) -> bool:
    """Wait until there is news, or the reader has gone; False after so long without either."""
    news = asyncio.ensure_future(stream.news.wait())
    try:
        await asyncio.wait((news, gone), timeout=_QUIET, return_when=asyncio.FIRST_COMPLETED)
        return news.done() or gone.done()
    finally:
        news.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _token(fields: dict[bytes, bytes], asked: dict[str, list[str]]) -> bytes:
    scheme, _, token = fields.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip()
    if "access_token" not in asked:
        raise AccessDenied("This needs an access token (Authorization: Bearer …, or ?access_token=…)")
    return asked["access_token"][0].encode()


def _since(fields: dict[bytes, bytes], asked: dict[str, list[str]]) -> Position | None:
    said = fields.get(b"last-event-id", b"").decode("latin-1") or asked.get("since", [""])[0]
    found = _ID.fullmatch(said)
    return Position(found[1], int(found[2])) if found is not None else None


def _of(message: Message, position: Position) -> Message:
    return message if message.epoch else message.of(position.epoch)


async def _say(send: Send, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
    body = f"{why}\n".encode()
    told = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
