"""The SFTP server: its listener, whom it lets in, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import asyncssh

from fiveways.clock import Clock
from fiveways.methods.bulk.sftp.connection import Connection
from fiveways.methods.bulk.sftp.conversation import Conversation
from fiveways.methods.bulk.sftp.guessers import Guessers, address_of
from fiveways.methods.bulk.sftp.login import SIGNATURES, Login, same_password
from fiveways.methods.bulk.sftp.partners import Partner, within
from fiveways.methods.bulk.sftp.sessions import Event, Record, Session
from fiveways.methods.bulk.sftp.settings import SftpSettings
from fiveways.methods.bulk.sftp.throttle import Throttle
from fiveways.methods.bulk.tree import Tree

logger: Final = logging.getLogger(__name__)

_BACKLOG: Final = 128
_WINDOW: Final = 2 * 1024 * 1024
"""Bytes of a channel on their way; a larger window costs the client, and is no faster."""
_LARGEST_DATA: Final = 32 * 1024
"""Bytes of channel data in a packet, as RFC 4253 §6.1 has everybody take. OpenSSH's client sends no more whatever it may."""
_SWEEP: Final = 1.0
"""Seconds between two looks for sessions that are idle."""
_CLOSING: Final = 10.0
"""Seconds that the store has, at the end, to put away what was abandoned."""


class SftpListener:
    """Listens for partners' SFTP clients. `start` it, `reload` it when accounts have changed, `stop` it."""

    def __init__(
        self,
        address: tuple[str, int],
        settings: SftpSettings,
        *,
        host_keys: Sequence[asyncssh.SSHKey],
        accounts: Callable[[], Mapping[str, Partner]],
        tree: Callable[[str, Session], Tree],
        record: Record,
        clock: Clock,
        shared: bool = False,
    ) -> None:
        """`address`: host and port; port 0 is any. `host_keys`: what the server proves itself with (`host_keys.host_keys`).
        `accounts`: who may come in, by name, as it is now. `tree`: a partner's files, for a session. `record`: whom sessions are
        told to. `shared`: whether other processes listen on the same port (SO_REUSEPORT)."""
        self.settings = settings
        self.clock = clock
        self.partners: Mapping[str, Partner] = {}
        self.passwords = False
        """Whether any partner has one."""
        self.names = Guessers(settings.lock_out, clock)
        self._addresses = Guessers(settings.lock_out, clock)
        self._address = address
        self._host_keys = list(host_keys)
        self._accounts = accounts
        self._tree = tree
        self._record = record
        self._shared = shared
        self._server: asyncio.Server | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._connections: set[Connection] = set()
        self._throttles: dict[str, Throttle] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopping = False

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._address[1]

    @property
    def sessions(self) -> list[Session]:
        """Who is logged in now."""
        return [connection.session for connection in self._connections if connection.session is not None]

    # --- its life ------------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind and begin to take connections; OSError where the address is taken or is none of this machine."""
        self._take_up()
        said = self.settings
        options = await asyncssh.SSHServerConnectionOptions.construct(
            server_factory=Login,
            server_version="Fiveways",
            server_host_keys=self._host_keys,
            kex_algs=said.key_exchanges,
            encryption_algs=said.ciphers,
            mac_algs=said.macs,
            compression_algs=None,
            signature_algs=SIGNATURES,
            host_based_auth=False,
            gss_host=None,
            allow_pty=False,
            line_editor=False,
            x11_forwarding=False,
            agent_forwarding=False,
            encoding=None,
            window=_WINDOW,
            max_pktsize=_LARGEST_DATA,
            login_timeout=said.log_in.total_seconds(),
            keepalive_interval=said.alive.total_seconds(),
            keepalive_count_max=3,
            rekey_bytes=said.rekey_after,
            rekey_seconds=said.rekey_every.total_seconds(),
        )
        host, port = self._address
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=self._shared)
        self._address = host, int(listening.getsockname()[1])
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self, options).inlet(), sock=listening)
        self._sweeping = asyncio.create_task(self._sweep())

    def reload(self) -> None:
        """Take up accounts as they are now. Sessions go on, but for those whose partner, or whose key, is not among them any more,
        or who may not come from where they are."""
        self._take_up()
        for connection in tuple(self._connections):
            session, old = connection.session, connection.partner
            if session is None or old is None:
                continue
            partner = self.partners.get(session.partner)
            if partner is None or not partner.admits(session.address) or not _still(session, old, partner):
                connection.leave("Access was withdrawn")
            else:
                connection.partner = partner

    def _take_up(self) -> None:
        self.partners = dict(self._accounts())
        self.passwords = any(partner.access.password is not None for partner in self.partners.values())

    async def stop(self, patience: float) -> None:
        """Take no more connections, open no more files, and let files that are open be closed, up to so many seconds; then cut what
        is left. Uploads that are cut are abandoned. Returns when all that is put away."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        deadline = self.clock.monotonic() + patience
        while True:
            for connection in tuple(self._connections):
                for channel in connection.channels:
                    channel.wind_up()
                if connection.session is None or not any(channel.transferring for channel in connection.channels):
                    connection.leave("The server stops")
            if not self._connections or self.clock.monotonic() >= deadline:
                break
            await asyncio.sleep(0.05)
        if self._connections:
            logger.warning("transfers were cut off by the stop of the server: %d sessions", len(self._connections))
        for connection in tuple(self._connections):
            connection.leave("The server stops")
        await asyncio.sleep(0)
        deadline = asyncio.get_running_loop().time() + _CLOSING
        while (self._tasks or self._connections) and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait([*self._tasks] or [asyncio.create_task(asyncio.sleep(0.01))], timeout=1.0)
        for task in tuple(self._tasks):
            logger.error("the store did not put away in time what was abandoned")
            task.cancel()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done that `stop` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self.watch(task)
        return task

    def watch(self, task: asyncio.Task[None]) -> None:
        """Have `stop` wait for something."""
        if task not in self._tasks:
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("something of a session failed: %s", type(error).__name__, exc_info=error)

    async def _sweep(self) -> None:
        """End sessions that have been idle for too long."""
        idle = self.settings.idle.total_seconds()
        while True:
            await asyncio.sleep(min(_SWEEP, idle / 4))
            late = self.clock.monotonic() - idle
            for connection in tuple(self._connections):
                waiting = connection.session is not None and not any(channel.working for channel in connection.channels)
                if waiting and connection.last_active <= late:
                    connection.leave("Nothing was asked for too long")

    # --- who comes in --------------------------------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> str:
        """Take in a connection; why it is not, or ''."""
        why = ""
        if self._stopping:
            why = "the server stops"
        elif not within(connection.address, self.settings.addresses):
            why = "an address that connections are not taken from"
        elif self._addresses.locked(address_of(connection.address)):
            why = "locked out"
        elif sum(1 for each in self._connections if each.session is None) >= self.settings.handshakes:
            why = "too many at once that have not logged in"
        self._connections.add(connection)
        return why

    def wrong_password(self, connection: Connection, name: str) -> None:
        """A password was tried that is none. Counts for the name, whether or not there is a partner of it."""
        self._failed(connection)
        if self.names.failed(name):
            known = name if name in self.partners else ""
            self._tell("bulk.locked_out", known, connection.address, None, {"why": "wrong passwords for one name"})

    def logged_in(self, connection: Connection) -> None:
        """Somebody is who they say."""
        session, partner = connection.session, connection.partner
        assert session is not None
        assert partner is not None
        self._addresses.succeeded(address_of(connection.address))
        if session.by == "password":
            self.names.succeeded(partner.name)
        others = [each.session for each in self._connections if each.session is not None and each is not connection]
        most = partner.access.sessions or self.settings.sessions_per_partner
        why = ""
        if len(others) >= self.settings.sessions:
            why = "The server has as many sessions as it takes"
        elif sum(1 for each in others if each.partner == partner.name) >= most:
            why = f"There are {most} sessions of this partner already"
        elif (known := self.partners.get(partner.name)) is None or not _still(session, partner, known):
            why = "Access was withdrawn"
        if why:
            connection.session = None
            connection.leave(why)
            self._tell("bulk.session.refused", partner.name, connection.address, None, {"why": why})
            return
        details: dict[str, str | int] = {}
        connection.ready = self.spawn(self._record("bulk.session.opened", partner.name, connection.address, session, details))

    def gone(self, connection: Connection, error: Exception | None) -> None:
        """A connection is closed."""
        if connection not in self._connections:
            return
        self._connections.discard(connection)
        why = connection.why or _reason(error)
        session = connection.session
        if session is not None:
            self.spawn(self._closed(connection, session, why))
        elif connection.attempted and connection.partner is None:
            self._failed(connection)
            if not self._addresses.locked(address_of(connection.address)):
                self._tell("bulk.session.refused", connection.tried_name, connection.address, None, {"why": why})

    async def _closed(self, connection: Connection, session: Session, why: str) -> None:
        """Tell of the end of a session, once what was open is put away."""
        if connection.ready is not None:
            await asyncio.wait([connection.ready])
        for talk in connection.conversations:
            await talk.ended.wait()
        details: dict[str, str | int] = {
            "why": why,
            "seconds": int(self.clock.monotonic() - connection.since),
            "bytes_in": sum(talk.bytes_in for talk in connection.conversations),
            "bytes_out": sum(talk.bytes_out for talk in connection.conversations),
            "kept": sum(talk.kept for talk in connection.conversations),
        }
        await self._record("bulk.session.closed", session.partner, session.address, session, details)

    def _failed(self, connection: Connection) -> None:
        """Somebody who is nobody, or no more than a guess."""
        if self._addresses.exempt(connection.address):
            return
        if self._addresses.failed(address_of(connection.address)):
            self._tell("bulk.locked_out", "", connection.address, None, {"why": "failed log-ins from one address"})

    def _tell(self, event: Event, partner: str, address: str, session: Session | None, details: dict[str, str | int]) -> None:
        self.spawn(self._record(event, partner, address, session, details))

    # --- what sessions have --------------------------------------------------------------------------------------------------

    def throttle(self, partner: Partner) -> Throttle | None:
        """What holds a partner's sessions to its rate; None where it has none."""
        rate = partner.access.rate
        if rate is None:
            return None
        throttle = self._throttles.get(partner.name)
        if throttle is None or throttle.rate != rate:
            throttle = self._throttles[partner.name] = Throttle(rate, self.clock)
        return throttle

    def conversation(self, session: Session) -> Conversation:
        """What a channel of a session asks is answered by this."""
        talk = Conversation(self._tree(session.partner, session), self.settings.open_files)
        talk.accepting = not self._stopping
        return talk


def _still(session: Session, old: Partner, new: Partner) -> bool:
    """Whether what somebody came in with would still let them in."""
    if session.by == "key":
        return session.key in new.keys.values()
    if session.by == "certificate":
        return session.key in new.authorities.values() and old.principals == new.principals
    return same_password(old, new)


def _reason(error: Exception | None) -> str:
    """Why a connection ended that the server did not close. What the client says is not repeated."""
    if error is None:
        return "the client left"
    if isinstance(error, asyncssh.ConnectionLost | OSError):
        return "the connection was lost"
    return f"the connection failed: {type(error).__name__}"
