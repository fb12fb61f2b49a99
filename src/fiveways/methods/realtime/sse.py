"""Server-Sent Events: a channel as a feed that any browser reads, without a library, and goes on with where it was (Last-Event-ID).

    GET /channels/{channel}/events      Authorization: Bearer … or, as EventSource sends no header, ?access_token=… (RFC 6750 §2.3)

The id of an event is `epoch:offset`. Where what came since is not kept any more, an event `reset` says so before what follows. A
stream ends when its token has expired or is revoked, and when its reader takes nothing for too long.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from fiveways.errors import AccessDenied, Fault, Forbidden, Overloaded, StoreError, TooManyRequests
from fiveways.methods.realtime import pages
from fiveways.methods.realtime.centrifugo.session import Means
from fiveways.methods.realtime.hub import Taken
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.service import Channel, Position
from fiveways.methods.realtime.streams import Joined

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Scope]]
Send = Callable[[Scope], Awaitable[None]]
Field = tuple[bytes, bytes]

_PATH: Final = re.compile(r"/channels/([^/]{1,1000})/events")
_ID: Final = re.compile(r"([0-9a-f]{1,64}):([0-9]{1,18})")
_QUIET: Final = 15.0
"""Seconds of silence after which a comment is sent, so that whoever stands between does not take the connection for dead; the token
is looked at again as often. Where `realtime.ping` is less, that."""
_COMMENT: Final = b":\n\n"
_HERE: Final = b"event: here\ndata: {}\n\n"
"""What is sent in its place to whoever has asked for it (`?here=true`): scripts of a page are not told of comments."""
_PATIENCE: Final = 10.0
"""Seconds that a reader has to take some of what it is sent."""
_NOWHERE: Final = Position("", 0)
"""Where a reader was that says so in words which are not ours."""


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
        self.silence = _COMMENT
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

    def take_all(self, several: Sequence[Taken]) -> None:
        """Keep these; a stream is of one channel."""
        for channel, data, merged in several:
            self.take(channel, data, merged)

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
        self._ended = False

    def __len__(self) -> int:
        return len(self._streams)

    def end(self) -> list[Callable[[], None]]:
        """The server stops: readers are to come back, to another node or to this one later. Whoever comes now is sent away at once,
        those who are here when what is returned is called."""
        self._ended = True
        return [stream.end for stream in self._streams]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        fields = dict(scope["headers"])
        match = _PATH.fullmatch(scope["path"]) or _PATH.fullmatch(scope.get("raw_path", b"").decode("latin-1"))
        try:
            shared = self._shared(fields)
        except Forbidden as fault:
            await _say(send, fault.status, fault.diagnostics)
            return
        if match is None and (page := pages.find(scope["path"])) is not None:
            await pages.show(page, scope, send)
        elif match is None:
            here = "Here are /connection/websocket, /channels/{channel}/events, /boards/{channel} and /talk/{channel}"
            await _say(send, 404, here, *shared)
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in fields:
            await _say(send, 200, "Events are read with GET", *shared, *_PREFLIGHT)
        elif scope["method"] != "GET":
            await _say(send, 405, "Events are read with GET", (b"allow", b"GET"), *shared)
        else:
            try:
                await self._read(unquote(match[1]), scope, fields, shared, receive, send)
            except Fault as fault:
                more = ((b"www-authenticate", b"Bearer"),) if fault.status == 401 else ()
                await _say(send, fault.status, fault.diagnostics, *more, *shared)
            except StoreError:
                await _say(send, 503, "The store cannot be reached: try again", (b"retry-after", b"5"), *shared)
            except TimeoutError:
                pass  # nothing is taken: the connection is cut

    def _shared(self, fields: Mapping[bytes, bytes]) -> tuple[Field, ...]:
        """What tells a browser that a page of another origin may read this (Fetch, CORS protocol). Forbidden where it may not."""
        origin = fields.get(b"origin")
        if origin is None:
            return ()
        said = origin.decode("latin-1")
        if said not in self._means.participation.plan().settings.origins and not _same(said, fields.get(b"host", b"")):
            raise Forbidden("Pages of this origin may not read events: realtime.origins says which may")
        return (b"access-control-allow-origin", origin), (b"vary", b"origin")

    async def _read(
        self, name: str, scope: Scope, fields: Mapping[bytes, bytes], shared: Sequence[Field], receive: Receive, send: Send
    ) -> None:
        means, asked = self._means, parse_qs(scope["query_string"].decode("latin-1"))
        token = _token(fields, asked)
        consumer, expires = means.verify(token)
        channel = (await means.participation.joining(consumer, name)).channel
        settings = means.participation.plan().settings
        if len(means.sessions) + len(self) >= settings.connections:
            raise Overloaded("There are as many connections as may be: come again in a minute")
        if means.streams.hub.size(name) >= channel.settings.limits.subscribers:
            raise TooManyRequests("There are as many readers of this channel as may be: try again later")
        stream = _Stream(settings.unsent)
        stream.silence = _HERE if asked.get("here") == ["true"] else _COMMENT
        since = _since(fields, asked)
        joined = await means.streams.join(channel, stream, since)
        self._streams.add(stream)
        if self._ended:
            stream.end()
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *shared]})
            await self._tell(channel, joined, since, stream, gone, token, expires, send)
        finally:
            gone.cancel()
            self._streams.discard(stream)
            means.streams.leave(name, stream)

    async def _tell(
        self, channel: Channel, joined: Joined, since: Position | None, stream: _Stream, gone: asyncio.Future[None],
        token: bytes, expires: float, send: Send,
    ) -> None:  # fmt: skip
        position, clock = joined.position, self._means.participation.channels.clock
        pause = min(_QUIET, self._means.participation.plan().settings.ping.total_seconds())
        looked = clock.time()
        first = b"retry: 2000\n"
        if position.epoch and not joined.missed:  # whoever comes back before anything was said goes on from here
            first += b"id: %b:%d\n" % (position.epoch.encode(), position.top)
        first += b"event: joined\ndata: {}\n\n"
        if since is not None and not joined.recovered and not joined.whole:
            first += b"event: reset\ndata: {}\n\n"
        await _send(send, first + b"".join(_event(_of(each, position), snapshot=joined.whole) for each in joined.missed))
        while not gone.done():
            quiet = not stream.news.is_set() and not await _news(stream, gone, min(pause, expires - clock.time()))
            if clock.time() >= expires:
                break
            if quiet or clock.time() >= looked + pause:
                looked = clock.time()
                if not self._holds(token):
                    break
            if quiet:
                await _send(send, stream.silence)
            if said := stream.taken():
                await _send(send, said)
            if stream.stale:
                stream.stale = False
                try:
                    whole = await self._means.streams.snapshot(channel.name)
                except StoreError:
                    break  # it comes back, and is given the whole then
                if whole is not None:
                    await _send(send, _event(_of(whole, position), snapshot=True))
            if stream.over:
                break
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _holds(self, token: bytes) -> bool:
        """Whether a token is good still."""
        try:
            self._means.verify(token)
        except AccessDenied:
            return False
        return True


_HEADERS: Final = [
    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")
]  # fmt: skip
_PREFLIGHT: Final[tuple[Field, ...]] = (
    (b"access-control-allow-methods", b"GET"), (b"access-control-allow-headers", b"authorization, last-event-id"),
    (b"access-control-max-age", b"600"),
)  # fmt: skip


async def _send(send: Send, data: bytes) -> None:
    async with asyncio.timeout(_PATIENCE):
        await send({"type": "http.response.body", "body": data, "more_body": True})


async def _news(stream: _Stream, gone: asyncio.Future[None], seconds: float) -> bool:
    """Wait until there is news, or the reader has gone; False after so long without either."""
    news = asyncio.ensure_future(stream.news.wait())
    try:
        await asyncio.wait((news, gone), timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        return news.done() or gone.done()
    finally:
        news.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _same(origin: str, host: bytes) -> bool:
    """Whether an origin is that of the host that was asked."""
    try:
        return bool(host) and urlsplit(origin).netloc.encode("latin-1", "replace") == host
    except ValueError:
        return False


def _token(fields: Mapping[bytes, bytes], asked: dict[str, list[str]]) -> bytes:
    scheme, _, token = fields.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip()
    if "access_token" not in asked:
        raise AccessDenied("This needs an access token (Authorization: Bearer …, or ?access_token=…)")
    return asked["access_token"][0].encode()


def _since(fields: Mapping[bytes, bytes], asked: dict[str, list[str]]) -> Position | None:
    said = fields.get(b"last-event-id", b"").decode("latin-1") or asked.get("since", [""])[0]
    if not said:
        return None
    found = _ID.fullmatch(said)
    return Position(found[1], int(found[2])) if found is not None else _NOWHERE


def _of(message: Message, position: Position) -> Message:
    return message if message.epoch else message.of(position.epoch)


async def _say(send: Send, status: int, why: str, *headers: tuple[bytes, bytes]) -> None:
    body = f"{why}\n".encode()
    told = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
