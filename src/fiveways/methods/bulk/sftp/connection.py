"""One connection: who it is, what it may, and its bounds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final, cast

import asyncssh
from asyncssh.public_key import SSHOpenSSHCertificate, decode_ssh_certificate, decode_ssh_public_key

from fiveways.correlation import new_id
from fiveways.methods.bulk.sftp.channel import MOST_UNSENT, SftpChannel
from fiveways.methods.bulk.sftp.conversation import Conversation
from fiveways.methods.bulk.sftp.hot_path import FITS, ShortWay
from fiveways.methods.bulk.sftp.login import SIGNATURES
from fiveways.methods.bulk.sftp.partners import Partner
from fiveways.methods.bulk.sftp.sessions import Session

if TYPE_CHECKING:
    from fiveways.methods.bulk.sftp.server import SftpListener

logger: Final = logging.getLogger(__name__)

_MOST_WAITING: Final = 4 * 1024 * 1024
"""Bytes that wait for asyncssh while it has to wait itself; whoever sends more is no client."""


class Connection(ShortWay):
    """A connection to the server. Whatever is beyond its bounds ends it."""

    def __init__(self, server: SftpListener, options: asyncssh.SSHServerConnectionOptions) -> None:
        super().__init__(asyncio.get_running_loop(), options)
        self.server = server
        self.short = FITS and server.settings.hot_path
        self.address = ""
        self.port = 0
        self.channels: set[SftpChannel] = set()
        self.session: Session | None = None
        self.partner: Partner | None = None
        self.ready: asyncio.Task[None] | None = None
        """Telling of the session; nothing is answered before."""
        self.last_active = server.clock.monotonic()
        self.since = self.last_active
        self.why = ""
        """Why the server has closed it; '' where it has not."""
        self.conversations: list[Conversation] = []
        """Of all its channels, those that are closed as well."""
        self._agreed = ""
        self._tried = ""
        self._attempts = 0
        self._failures = 0
        self._proof: tuple[str, str, str] | None = None
        self._full = False
        self._rekeying: asyncio.TimerHandle | None = None

    # --- bounds --------------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has connected."""
        cast(asyncio.Transport, transport).set_write_buffer_limits(MOST_UNSENT, MOST_UNSENT // 4)
        peer = transport.get_extra_info("peername")
        self.address, self.port = (str(peer[0]), int(peer[1])) if peer else ("", 0)
        super().connection_made(transport)

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """Something has come that asyncssh takes in itself."""
        if len(self._inpbuf) + len(data) > _MOST_WAITING:
            self.leave("Too much at once")
            return
        super().data_received(data, datatype)

    def pause_writing(self) -> None:
        """The client does not take what it is sent: what it asks for is not read any more, whatever it is."""
        self._full = True
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It does again."""
        self._full = False
        if self._transport is not None:
            self._transport.resume_reading()
        self._advance()

    @property
    def congested(self) -> bool:
        """Whether answers would pile up: the client does not take them, or keys are being agreed on."""
        return self._full or self._rekeying is not None

    def active(self) -> None:
        """The client has asked for something, or taken something."""
        self.last_active = self.server.clock.monotonic()

    def _send_kexinit(self) -> None:
        super()._send_kexinit()
        if self.session is not None and self._rekeying is None:
            patience = self.server.settings.log_in.total_seconds()
            self._rekeying = self._loop.call_later(patience, self.leave, "No new keys were agreed on in time")

    def send_newkeys(self, k: bytes, h: bytes) -> None:
        """New keys are agreed on."""
        session = self.session
        if session is not None and (self._enc_alg_cs.decode(), self._enc_alg_sc.decode()) != (session.cipher, session.cipher_back):
            raise asyncssh.KeyExchangeFailed("New keys are for the same cipher")
        if self._kex is not None:
            self._agreed = self._kex.algorithm.decode()
        if self._rekeying is not None:
            self._rekeying.cancel()
            self._rekeying = None
            self._loop.call_soon(self._advance)
        super().send_newkeys(k, h)  # which sends what has waited, and with that may begin anew

    def _advance(self) -> None:
        for channel in tuple(self.channels):
            channel.advance()

    async def reload_config(self) -> None:
        """Nothing that asyncssh would read depends on who it is."""

    def leave(self, why: str) -> None:
        """Close it, and say why."""
        self.why = self.why or why
        if not self.closed:
            try:
                self._send_disconnect(asyncssh.DISC_BY_APPLICATION, why, "en")
            finally:
                self._force_close(None)

    # --- logging in ----------------------------------------------------------------------------------------------------------

    def made(self) -> None:
        """asyncssh is about to say its version."""
        why = self.server.admit(self)
        if why:
            self.why = why
            self.abort()

    def tried(self, name: str, partner: Partner | None) -> None:
        """A name is tried. Names that nobody has are not told of: somebody may have typed a password."""
        self._proof = None
        self._tried = partner.name if partner is not None else ""

    def send_userauth_failure(self, partial_success: bool) -> None:
        """What was tried was not right. Trying nothing, to be told what may be tried, is free once."""
        self._failures += 1
        if self._failures > self.server.settings.attempts + 1:
            self.why = "too many attempts"
            raise asyncssh.DisconnectError(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many attempts")
        super().send_userauth_failure(partial_success)

    async def validate_public_key(self, username: str, key_data: bytes, msg: bytes, signature: bytes) -> bool:
        """Whether a key or a certificate lets somebody in, and with `msg`, whether they have it."""
        self._attempts += 1
        if msg and _algorithm(signature) not in SIGNATURES:
            return False
        try:
            right = await super().validate_public_key(username, key_data, msg, signature)
        except (ValueError, asyncssh.Error):
            return False
        if right and msg:
            self._proof = _proof(key_data)
        return right

    def wrong_password(self, name: str) -> None:
        """Somebody has tried one that is not right."""
        self._attempts += 1
        self.server.wrong_password(self, name)

    def proved_by_password(self) -> None:
        """Somebody has tried one that is."""
        self._proof = ("password", "", "")

    def logged_in(self, partner: Partner) -> None:
        """Somebody is who they say."""
        by, key, certificate = self._proof or ("password", "", "")
        assert by in ("key", "certificate", "password")
        self.partner = partner
        self.session = Session(
            partner=partner.name,
            correlation=new_id(),
            address=self.address,
            port=self.port,
            cipher=self._enc_alg_cs.decode(),
            cipher_back=self._enc_alg_sc.decode(),
            key_exchange=self._agreed,
            client=str(self.get_extra_info("client_version", ""))[:255],
            by=by,  # type: ignore[arg-type]
            key=key,
            certificate=certificate,
        )
        self.active()
        self.server.logged_in(self)

    def gone(self, exc: Exception | None) -> None:
        """It is closed."""
        if self._rekeying is not None:
            self._rekeying.cancel()
        self.server.gone(self, exc)

    @property
    def attempted(self) -> bool:
        """Whether a key or a password was tried."""
        return self._attempts > 0

    @property
    def tried_name(self) -> str:
        """The partner whose name was tried; '' where there is none."""
        return self._tried

    # --- channels ------------------------------------------------------------------------------------------------------------

    def channel(self) -> SftpChannel:
        """A channel is asked for."""
        if self.session is None or self.partner is None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, "There is no session")
        if len(self._channels) >= self.server.settings.channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many channels in one connection")
        return SftpChannel(self, self.server.throttle(self.partner), self._begin)

    async def _begin(self) -> Conversation:
        assert self.session is not None
        if self.ready is not None:
            await asyncio.shield(self.ready)
        talk = self.server.conversation(self.session)
        self.conversations.append(talk)
        return talk

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Have something done that the server waits for when it stops."""
        return self.server.spawn(work)

    def watch(self, task: asyncio.Task[None]) -> None:
        """Have the server wait for what is done already when it stops."""
        self.server.watch(task)


def _algorithm(signature: bytes) -> str:
    return signature[4 : 4 + int.from_bytes(signature[:4], "big")].decode("ascii", "replace")


def _proof(key_data: bytes) -> tuple[str, str, str]:
    """By what, whose fingerprint, and which certificate."""
    try:
        certificate = decode_ssh_certificate(key_data)
    except asyncssh.KeyImportError:
        return "key", decode_ssh_public_key(key_data).get_fingerprint(), ""
    if not isinstance(certificate, SSHOpenSSHCertificate):
        return "certificate", certificate.key.get_fingerprint(), ""
    said, serial = str(certificate._key_id), certificate._serial  # noqa: SLF001 - asyncssh has no other way to them
    name = "".join(letter if letter.isprintable() else "?" for letter in said)[:200]
    return "certificate", certificate.signing_key.get_fingerprint(), f"{name} ({serial})"
