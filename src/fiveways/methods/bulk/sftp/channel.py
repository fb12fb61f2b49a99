"""A channel of a session: SFTP and nothing else. Requests come in as bytes, go to the `Conversation`, and answers go out.

Nothing piles up: while an answer is awaited, while the client does not take what it asked for, or while the partner has had its
bytes for now, no further request is looked at, and no more of the stream is taken in than the channel's window.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Final

import asyncssh

from fiveways.methods.bulk.sftp import wire
from fiveways.methods.bulk.sftp.conversation import Answer, Conversation
from fiveways.methods.bulk.sftp.throttle import Throttle
from fiveways.methods.bulk.sftp.wire import Frames, Malformed, Packet

if TYPE_CHECKING:
    from fiveways.methods.bulk.sftp.connection import Connection

logger: Final = logging.getLogger(__name__)

MOST_UNSENT: Final = 1024 * 1024
"""Bytes of answers that wait for the client, in a channel and in a connection; then no request is looked at."""
_MOST_HELD: Final = 1024 * 1024
"""Bytes of requests in hand; then no more is read."""
_TURNS: Final = 64
"""Requests that one client is answered before others have their turn."""
_ONLY_SFTP: Final = "This server speaks SFTP only: there is no shell, and no command is run.\n"
_NO_SCP: Final = "This server speaks SFTP only: use scp without -O (it then speaks SFTP), or sftp.\n"


class SftpChannel(asyncssh.SSHServerSession[bytes]):
    """One channel; `start` tells of the tree once the session may begin."""

    def __init__(
        self, connection: Connection, throttle: Throttle | None, start: Callable[[], Coroutine[None, None, Conversation]]
    ) -> None:
        self._connection = connection
        self._throttle = throttle
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._frames = Frames()
        self._talk: Conversation | None = None
        self._refusal = ""
        self._working: asyncio.Task[None] | None = None
        self._unsent = self._unread = False
        self._asked_all = False
        """Whether the client asks nothing more."""
        self._over = False
        """Whether nothing more is answered: the channel is closed, or about to be."""
        self._parked: Packet | None = None
        self._timer: asyncio.TimerHandle | None = None

    # --- what asyncssh calls -------------------------------------------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """The channel is open."""
        self._channel = chan
        chan.set_write_buffer_limits(MOST_UNSENT, MOST_UNSENT // 4)
        self._connection.channels.add(self)

    def subsystem_requested(self, subsystem: str) -> bool:
        """SFTP is the one subsystem there is."""
        return subsystem == "sftp"

    def shell_requested(self) -> bool:
        """There is no shell, and the client is told so."""
        self._refusal = _ONLY_SFTP
        return True

    def exec_requested(self, command: str) -> bool:
        """No command is run; that which certificates are restricted to where they are for SFTP only is the subsystem."""
        if command != "internal-sftp":
            self._refusal = _NO_SCP if command.split(" ")[0] == "scp" else _ONLY_SFTP
        return True

    def session_started(self) -> None:
        """Begin."""
        assert self._channel is not None
        if self._refusal:
            self._channel.write_stderr(self._refusal.encode())
            self._channel.exit(1)
        else:
            self._working = self._connection.spawn(self._begin())

    def data_received(self, data: bytes | memoryview, datatype: int | None) -> None:
        """Take in what has come."""
        if self._refusal or self._over:
            return
        self._connection.active()
        frames = self._frames
        frames.add(data)
        if frames.held >= frames.need:
            self._advance()

    def eof_received(self) -> bool:
        """The client asks nothing more; what it has asked is answered first."""
        self._asked_all = True
        self._advance()
        return True

    def pause_writing(self) -> None:
        """The client does not take its answers."""
        self._unsent = True

    def resume_writing(self) -> None:
        """It does again."""
        self._unsent = False
        self._connection.active()
        self._advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """The channel is closed, however it came about: nothing that is open is kept."""
        self._channel = None
        self._connection.channels.discard(self)
        self._stop()

    # --- what the connection and the server call -----------------------------------------------------------------------------

    @property
    def working(self) -> bool:
        """Whether the store is waited for."""
        return self._working is not None

    @property
    def transferring(self) -> bool:
        """Whether files are open, or a request is being answered."""
        return self._working is not None or (self._talk is not None and self._talk.transferring)

    @property
    def conversation(self) -> Conversation | None:
        """What is talked about, once it has begun."""
        return self._talk

    def wind_up(self) -> None:
        """No file is opened any more; the channel ends once none is open."""
        if self._talk is not None:
            self._talk.accepting = False

    def advance(self) -> None:
        """What the connection had been waiting for is there."""
        self._advance()

    # --- the way of a request ------------------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        try:
            self._talk = await self._start()
        except Exception as error:
            logger.error("a session could not begin: %s", type(error).__name__, exc_info=error)
            self._working = None
            self._connection.leave("The session could not begin")
            return
        await self._work(None)

    def _advance(self) -> None:
        """Answer what can be answered without waiting; where it cannot, a task goes on from there."""
        if self._working is None and self._talk is not None:
            try:
                work = self._step()
            except Malformed as error:
                self._fail(error)
                return
            if work is not None:
                self._working = self._loop.create_task(self._work(work))
        self._balance()

    async def _work(self, work: Coroutine[object, object, Answer] | None) -> None:
        turns = 0
        try:
            while True:
                if work is not None:
                    self._send(await work)
                    turns += 1
                    if turns % _TURNS == 0:
                        await asyncio.sleep(0)
                if (work := self._step()) is None:
                    break
        except Malformed as error:
            self._fail(error)
        except Exception as error:
            logger.error("a channel failed: %s", type(error).__name__, exc_info=error)
            self._end(1)
        finally:
            self._working = None
            if self._over:
                self._stop()
        self._balance()

    def _step(self) -> Coroutine[object, object, Answer] | None:
        """Answer until something has to be waited for; what waits for the store is returned. Raises Malformed."""
        talk, turns = self._talk, 0
        assert talk is not None
        while not self._unsent and not self._over and self._timer is None and not self._connection.congested:
            packet, self._parked = self._parked, None
            if packet is None:
                packet = self._frames.next()
                if packet is None:
                    if self._asked_all:
                        self._end()
                    return None
                if self._throttle is not None and self._has_to_wait(packet, self._throttle):
                    return None
            answer = talk.take(packet)
            if not isinstance(answer, tuple):
                return answer
            self._send(answer)
            turns += 1
            if turns == _TURNS:
                self._timer = self._loop.call_later(0, self._go_on)
        return None

    def _has_to_wait(self, packet: Packet, throttle: Throttle) -> bool:
        """Whether the partner has had its bytes for now; then the packet's turn comes later."""
        size = len(packet.data)
        if packet.kind == wire.READ and len(packet.body) >= 4:
            size = min(int.from_bytes(packet.body[-4:], "big"), wire.LONGEST_DATA)
        wait = throttle.take(size) if size else 0.0
        if wait <= 0.001:
            return False
        self._parked = packet
        self._timer = self._loop.call_later(wait, self._go_on)
        return True

    def _go_on(self) -> None:
        self._timer = None
        self._connection.active()
        self._advance()

    def _send(self, answer: Answer) -> None:
        if self._channel is not None and not self._channel.is_closing():
            self._channel.writelines(answer)

    def _balance(self) -> None:
        """Read no more while there is enough in hand, and go on when there is room."""
        if self._channel is None:
            return
        if self._unread:
            if self._frames.held < _MOST_HELD // 2:
                self._unread = False
                self._channel.resume_reading()
        elif self._frames.held > _MOST_HELD:
            self._unread = True
            self._channel.pause_reading()

    def _fail(self, error: Malformed) -> None:
        """What came is not SFTP: nothing after it can be told apart."""
        if self._channel is not None:
            self._channel.write_stderr(f"What came is not SFTP: {error}\n".encode())
        self._end(1)

    def _end(self, code: int = 0) -> None:
        """Close the channel."""
        if self._channel is not None:
            self._channel.exit(code)
        self._stop()

    def _stop(self) -> None:
        """Answer nothing more. What is open is abandoned once the request under way is done with: a CLOSE stands."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._working is not None:
            self._connection.watch(self._working)
        elif self._talk is not None:
            self._connection.spawn(self._talk.abandon())
