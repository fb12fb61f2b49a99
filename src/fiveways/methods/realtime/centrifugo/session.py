"""One connection that speaks Centrifugo's client protocol: commands come in, one after another; replies and pushes go out."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

import fiveways
from fiveways.correlation import new_id
from fiveways.errors import AccessDenied, Fault, StoreError
from fiveways.methods.realtime.access import member_of
from fiveways.methods.realtime.centrifugo import wire
from fiveways.methods.realtime.centrifugo.calls import SEND, Calls
from fiveways.methods.realtime.centrifugo.wire import Command, Leave, Refusal
from fiveways.methods.realtime.hub import Taken
from fiveways.methods.realtime.message import Message
from fiveways.methods.realtime.participation import Participation, data_of
from fiveways.methods.realtime.presence import Present
from fiveways.methods.realtime.service import Channel, Position
from fiveways.methods.realtime.streams import Joined, Streams
from fiveways.methods.realtime.websocket import frames
from fiveways.methods.realtime.websocket.connection import WebSocket
from fiveways.types import ANONYMOUS, Consumer

log = logging.getLogger(__name__)

Verify = Callable[[bytes], tuple[Consumer, float]]
"""Whom a token was issued to, and when it expires (seconds since the Unix epoch). Raises AccessDenied."""

_WAITING: Final = 1000
"""Commands that wait behind one, or for their client to take the answers to those before."""
_WAITING_BYTES: Final = 4 * 1024 * 1024
_AT_ONCE: Final = 64
"""Messages of one connection that are being written at once."""
_FIRST: Final = 10.0
"""Seconds in which a client has to say who it is."""
_GRACE: Final = 10.0
"""Seconds in which a token may be refreshed that has expired."""
_PING: Final = frames.text(b"{}")
_HISTORY: Final = 1000


def form(message: Message) -> bytes:
    """A message, as those who speak this protocol are sent it: a WebSocket frame."""
    if message.happening in ("arrive", "depart"):
        kind = b"join" if message.happening == "arrive" else b"leave"
        return frames.text(wire.push(message.channel, kind, b'{"info":%b}' % message.data))
    return frames.text(wire.push(message.channel, b"pub", message.publication()))


@dataclass(frozen=True, slots=True)
class Means:
    """What every session works with. `sessions` are those that are connected."""

    participation: Participation
    streams: Streams
    calls: Calls
    verify: Verify
    node: str
    sessions: set[Session]
    tasks: set[asyncio.Task[None]]

    def spawn(self, work: Coroutine[object, object, None]) -> None:
        """Have something done that nobody waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


class Session:
    """A connection (`websocket.connection.Handler`, `hub.Reader`)."""

    form = staticmethod(form)

    __slots__ = (
        "_commands", "_expires", "_means", "_ponged", "_stale", "_timer", "_token", "_under_way", "_waiting", "_working",
        "channels", "client", "consumer", "member", "socket",
    )  # fmt: skip

    def __init__(self, means: Means) -> None:
        self._means = means
        self.client = new_id()
        self.consumer = ANONYMOUS
        self.member = ""
        self.channels: dict[str, Channel] = {}
        self.socket: WebSocket
        self._token = b""
        self._expires = 0.0
        self._ponged = True
        self._stale: set[str] = set()
        self._commands: deque[tuple[Command, int]] = deque()
        self._waiting = 0
        """Bytes of them."""
        self._working = False
        self._under_way = 0
        self._timer: asyncio.TimerHandle | None = None

    # --- the connection --------------------------------------------------------------------------------------------------

    def opened(self, ws: WebSocket) -> None:
        """It is open."""
        self.socket = ws
        self._timer = asyncio.get_running_loop().call_later(_FIRST, self._leave, wire.STALE, "say who you are: connect")

    def message(self, data: bytes, text: bool) -> None:
        """Commands have come: JSON, one on each line."""
        try:
            if not text:
                raise Leave(wire.BAD_REQUEST, "this server speaks JSON: protocol 'json'")
            for line in data.split(b"\n"):
                if line and (command := wire.command(line)) != wire.PONG:
                    self._commands.append((command, len(line)))
                    self._waiting += len(line)
                    if len(self._commands) > _WAITING or self._waiting > _WAITING_BYTES:
                        raise Leave(wire.RATE, "more commands than are answered")
                elif line:
                    self._ponged = True
        except (msgspec.MsgspecError, RecursionError):
            self._leave(wire.BAD_REQUEST, "not a command of the protocol")
        except Leave as leave:
            self._leave(leave.code, str(leave))
        else:
            self._go_on()

    def drained(self) -> None:
        """What was sent was read: commands that waited for that are answered, and whoever was too slow for changes is given the
        whole."""
        self._go_on()
        stale, self._stale = self._stale, set()
        for channel in stale:
            self._means.spawn(self._whole(channel))

    def closed(self, code: int, reason: str) -> None:
        """The connection has ended."""
        self._means.sessions.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._commands.clear()
        self._waiting = 0
        channels, self.channels = self.channels, {}
        for channel in channels.values():
            self._means.streams.leave(channel.name, self)
            if channel.settings.shown:
                self._means.spawn(self._depart(channel))

    def _leave(self, code: int, reason: str) -> None:
        self.socket.close(code, reason)

    def shut_down(self) -> None:
        """The server stops: the client is told to connect again."""
        self._leave(wire.SHUTDOWN, "shutdown")

    # --- what is sent unasked --------------------------------------------------------------------------------------------

    def take(self, channel: str, data: bytes, merged: bool) -> None:
        """Send what was published."""
        socket = self.socket
        if socket.paused:
            if merged:
                self._stale.add(channel)
                return
            if socket.unsent + len(data) > self._means.participation.plan().settings.unsent:
                self._leave(wire.SLOW, "slow")
                return
        socket.send(data)

    def take_all(self, several: Sequence[Taken]) -> None:
        """Send what was published in several channels, in one write."""
        if self.socket.paused:
            for channel, data, merged in several:
                self.take(channel, data, merged)
        else:
            self.socket.send(b"".join([data for _, data, _ in several]))

    def lose(self, channel: str) -> None:
        """The channel is another one now."""
        if self.channels.pop(channel, None) is not None:
            self._means.streams.leave(channel, self)
            self._say(wire.push(channel, b"unsubscribe", b'{"code":%d,"reason":"insufficient state"}' % wire.LOST))

    def review(self, channel: str) -> None:
        """See whether it may read a channel still."""
        self._means.spawn(self._reviewed(channel))

    async def _reviewed(self, name: str) -> None:
        try:
            await self._means.participation.joining(self.consumer, name)
        except StoreError as error:
            log.warning("it could not be found out who may read a channel", extra={"reason": str(error)})
        except Fault:
            if name in self.channels:
                await self._unsubscribe(name)
                self._say(wire.push(name, b"unsubscribe", b'{"code":%d,"reason":"not open to you any more"}' % wire.ENDED))

    async def _whole(self, channel: str) -> None:
        try:
            whole = await self._means.streams.snapshot(channel)
        except StoreError:
            self._stale.add(channel)
            return
        if whole is not None and channel in self.channels:
            self._say(wire.push(channel, b"pub", whole.publication(snapshot=True)))

    def _tick(self) -> None:
        """See whether the client is there, and may be."""
        settings = self._means.participation.plan().settings
        loop = asyncio.get_running_loop()
        try:
            self._means.verify(self._token)
        except AccessDenied:
            now = self._means.participation.channels.clock.time()
            if now < self._expires:
                self._leave(wire.INVALID_TOKEN, "the token was revoked")
                return
            if now >= self._expires + _GRACE:
                self._leave(wire.EXPIRED, "the token has expired")
                return
        self._ponged = False
        self.socket.send(_PING)
        self._timer = loop.call_later(settings.pong.total_seconds(), self._tock)

    def _tock(self) -> None:
        if not self._ponged:
            self._leave(wire.NO_PONG, "no pong")
            return
        self._sleep()

    def _sleep(self) -> None:
        settings = self._means.participation.plan().settings
        pause = max(0.05, (settings.ping - settings.pong).total_seconds())
        left = self._expires + _GRACE - self._means.participation.channels.clock.time()
        self._timer = asyncio.get_running_loop().call_later(max(0.05, min(pause, left)), self._tick)

    # --- commands --------------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if self._commands and not self._working:
            self._working = True
            self._means.spawn(self._work())

    async def _work(self) -> None:
        try:
            while self._commands and not self.socket.paused:  # or answers would pile up that nobody takes
                command, size = self._commands.popleft()
                self._waiting -= size
                if self._is_kept(command) and self._under_way < _AT_ONCE:  # messages are written together, in their order
                    in_line: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    self._means.spawn(self._answer(command, in_line))
                    await in_line
                else:
                    await self._answer(command, None)
        finally:
            self._working = False

    def _is_kept(self, command: Command) -> bool:
        """Whether it is a message that has to be written before it is answered."""
        if command.publish is None:
            return command.rpc is not None and command.rpc.method == SEND
        channel = self.channels.get(command.publish.channel)
        try:
            channel = channel or self._means.participation.find(command.publish.channel).channel
        except Fault:
            return False
        return channel.settings.certainty != "ephemeral"

    async def _answer(self, command: Command, in_line: asyncio.Future[None] | None) -> None:
        """Answer a command. `in_line` is done when the next one may follow it, which is at the end at the latest."""
        number = command.id
        self._under_way += 1
        try:
            await self._reply(number, command, partial(_passed, in_line))
        except msgspec.MsgspecError as error:
            self._say(wire.error(number, Refusal(wire.BAD, str(error))))
        except Refusal as refusal:
            self._say(wire.error(number, refusal))
        except Fault as fault:
            self._say(wire.error(number, wire.refused(fault)))
        except StoreError:
            self._say(wire.error(number, Refusal(wire.INTERNAL, "The store cannot be reached: try again", temporary=True)))
        except Leave as leave:
            self._leave(leave.code, str(leave))
        except Exception as error:
            log.error("a session failed: %s", type(error).__name__, exc_info=error)
            self._leave(wire.FAILED, "internal server error")
        finally:
            self._under_way -= 1
            _passed(in_line)

    async def _reply(self, number: int, command: Command, in_line: Callable[[], None]) -> None:
        if command.connect is not None:
            self._say(wire.reply(number, b"connect", self._connect(command.connect)))
        elif not self.member:
            raise Leave(wire.BAD_REQUEST, "connect comes first")
        elif command.subscribe is not None:
            await self._subscribe(number, command.subscribe)
        elif command.publish is not None:
            await self._publish(command.publish, in_line)
            self._say(wire.reply(number, b"publish", b"{}"))
        elif command.unsubscribe is not None:
            await self._unsubscribe(command.unsubscribe.channel)
            self._say(wire.reply(number, b"unsubscribe", b"{}"))
        elif command.rpc is not None:
            result = await self._means.calls.call(self.consumer, command.rpc.method, bytes(command.rpc.data), in_line)
            self._say(wire.reply(number, b"rpc", b'{"data":%b}' % result))
        elif command.send is None:  # which has no reply, and nobody here whom it would mean anything to
            self._say(wire.reply(number, *await self._asked(command)))

    def _say(self, said: bytes) -> None:
        self.socket.send(frames.text(said))

    def _connect(self, command: wire.Connect) -> bytes:
        if self.member:
            raise Leave(wire.BAD_REQUEST, "connected already")
        ttl = self._identify(command.token)
        if self._timer is not None:
            self._timer.cancel()
        self._means.sessions.add(self)
        self._sleep()
        settings = self._means.participation.plan().settings
        return msgspec.json.encode({
            "client": self.client, "version": fiveways.__version__, "expires": True, "ttl": ttl,
            "ping": math.ceil(max(settings.ping, settings.pong).total_seconds()), "pong": True, "node": self._means.node,
        })  # fmt: skip

    def _identify(self, token: str) -> int:
        """Who it is, by a token; for how many seconds that holds."""
        try:
            consumer, expires = self._means.verify(token.encode())
        except AccessDenied as denied:
            if getattr(denied, "reason", "") == "expired":
                raise Refusal(wire.TOKEN_EXPIRED, "token expired") from None
            raise Leave(wire.INVALID_TOKEN, "invalid token") from None
        member = member_of(consumer)
        if self.member and member != self.member:
            raise Leave(wire.INVALID_TOKEN, "a token of somebody else")
        self.consumer, self.member, self._token, self._expires = consumer, member, token.encode(), expires
        return max(1, int(expires - self._means.participation.channels.clock.time()))

    async def _subscribe(self, number: int, command: wire.Subscribe) -> None:
        means, name = self._means, command.channel
        if name in self.channels:
            raise Refusal(wire.SUBSCRIBED, "already subscribed")
        if command.tf is not None:
            raise Refusal(wire.BAD, "filters of tags are not known here: have them filtered where they are read")
        if len(self.channels) >= means.participation.plan().settings.channels:
            raise Refusal(wire.LIMIT, "more channels than one connection may have")
        channel = (await means.participation.joining(self.consumer, name)).channel
        if means.streams.hub.size(name) >= channel.settings.limits.subscribers:
            raise Refusal(wire.LIMIT, "the channel is full", temporary=True)
        since = Position(command.epoch, command.offset) if command.recover else None
        joined = await means.streams.join(channel, self, since)
        if not self.socket.open:
            means.streams.leave(name, self)
            return
        self.channels[name] = channel
        self._say(wire.reply(number, b"subscribe", _subscribed(channel, joined, command.recover)))
        if channel.settings.shown:
            await self._arrive(channel)

    async def _unsubscribe(self, name: str) -> None:
        channel = self.channels.pop(name, None)
        if channel is not None:
            self._means.streams.leave(name, self)
            if channel.settings.shown:
                await self._depart(channel)

    @property
    def present(self) -> Present:
        """Who it is, as others are told."""
        return Present(self.client, self.member)

    async def _arrive(self, channel: Channel) -> None:
        present, participation = self.present, self._means.participation
        try:
            await participation.presence.arrive(channel.name, present)
            if channel.name not in self.channels:  # it has gone meanwhile
                await participation.presence.leave(channel.name, self.client)
                return
        except StoreError as error:
            log.warning("somebody came, and it could not be written down", extra={"reason": str(error)})
            return
        await participation.channels.mention(participation.channels.passing(channel.name, "arrive", self.member, present.json()))

    async def _depart(self, channel: Channel) -> None:
        participation = self._means.participation
        try:
            if await participation.presence.leave(channel.name, self.client):
                said = participation.channels.passing(channel.name, "depart", self.member, self.present.json())
                await participation.channels.mention(said)
        except StoreError as error:
            log.warning("somebody left, and it could not be written down", extra={"reason": str(error)})

    async def _publish(self, command: wire.Publish, in_line: Callable[[], None]) -> None:
        data = data_of(command.data)
        found = self._means.participation.find(command.channel)
        client_id = _named(data) if found.channel.settings.kind == "conversation" else ""
        await self._means.participation.publish(
            self.consumer, command.channel, data, client_id=client_id, found=found, in_line=in_line
        )

    async def _asked(self, command: Command) -> tuple[bytes, bytes]:
        """A question, and its answer."""
        participation = self._means.participation
        if command.history is not None:
            asked = command.history
            since = Position(asked.since.epoch, asked.since.offset) if asked.since is not None else None
            most = min(asked.limit, _HISTORY) if asked.limit >= 0 else _HISTORY
            position, found = await participation.history(self.consumer, asked.channel, since, most, backwards=asked.reverse)
            told = b",".join(each.publication() for each in found)
            return b"history", b'{"offset":%d,"epoch":"%b","publications":[%b]}' % (position.top, position.epoch.encode(), told)
        if command.presence is not None:
            there = await participation.present(self.consumer, command.presence.channel)
            told = b",".join(msgspec.json.encode(each.client) + b":" + each.json() for each in there)
            return b"presence", b'{"presence":{%b}}' % told
        if command.presence_stats is not None:
            there = await participation.present(self.consumer, command.presence_stats.channel)
            return b"presence_stats", msgspec.json.encode(
                {"num_clients": len(there), "num_users": len({each.member for each in there})}
            )
        if command.refresh is not None:
            ttl = self._identify(command.refresh.token)
            return b"refresh", msgspec.json.encode({"client": self.client, "expires": True, "ttl": ttl})
        if command.sub_refresh is not None:
            return b"sub_refresh", b"{}"
        if command.ping is not None:
            return b"ping", b"{}"
        raise Leave(wire.BAD_REQUEST, "not a command of the protocol")


def _passed(in_line: asyncio.Future[None] | None) -> None:
    if in_line is not None and not in_line.done():
        in_line.set_result(None)


def _subscribed(channel: Channel, joined: Joined, recovering: bool) -> bytes:
    if channel.settings.certainty == "ephemeral":
        return b"{}"
    said = {
        "recoverable": True, "positioned": True, "epoch": joined.position.epoch, "offset": joined.position.top,
        "was_recovering": recovering, "recovered": joined.recovered,
    }  # fmt: skip
    told = b",".join(each.publication(snapshot=joined.whole) for each in joined.missed)
    return msgspec.json.encode(said)[:-1] + b',"publications":[%b]}' % told


class _Named(msgspec.Struct):
    id: str = ""


_name_in: Final = msgspec.json.Decoder(_Named).decode


def _named(data: bytes) -> str:
    """What the sender of a message calls it: the member `id`, where it has one."""
    try:
        return _name_in(data).id
    except msgspec.MsgspecError:
        return ""
