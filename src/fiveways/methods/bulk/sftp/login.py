"""Logging in: who may, with what, how often, and from where. Whoever may not is not told why."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, cast

import asyncssh

from fiveways.methods.bulk.sftp import passwords
from fiveways.methods.bulk.sftp.partners import Partner

if TYPE_CHECKING:
    from fiveways.methods.bulk.sftp.channel import SftpChannel
    from fiveways.methods.bulk.sftp.connection import Connection

SIGNATURES: Final = (
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip
"""How keys may sign: no SHA-1."""


class Login(asyncssh.SSHServer):
    """What asyncssh asks about one connection."""

    _connection: Connection

    def __init__(self) -> None:
        self._partner: Partner | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Somebody has connected."""
        self._connection = cast("Connection", conn)
        self._connection.made()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._connection.gone(exc)

    def begin_auth(self, username: str) -> bool:
        """Somebody says who they are; it is looked up for each name that is tried."""
        partner = self._connection.server.partners.get(username)
        if partner is not None and not partner.admits(self._connection.address):
            partner = None
        self._partner = partner
        self._connection.tried(username, partner)
        self._connection.set_authorized_keys(partner.certificates if partner is not None else None)
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys are taken, whoever it is."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is one of the partner's."""
        return self._partner is not None and key.public_data in self._partner.keys

    def password_auth_supported(self) -> bool:
        """Passwords are taken, whoever it is, where any partner has one."""
        return self._connection.server.passwords

    async def validate_password(self, username: str, password: str) -> bool:
        """Whether it is the partner's; it takes as long where there is none."""
        server, partner = self._connection.server, self._partner
        known = partner.access.password if partner is not None else None
        if server.names.locked(username):
            known = None
        right = await passwords.matches(password, known or passwords.NOBODYS) and known is not None
        if right and self._partner is partner:
            self._connection.proved_by_password()
            return True
        self._connection.wrong_password(username)
        return False

    def auth_completed(self) -> None:
        """They are who they say."""
        assert self._partner is not None
        self._connection.logged_in(self._partner)

    def session_requested(self) -> SftpChannel:
        """A channel is asked for. Nothing else can be: forwarding of ports, sockets, agents, displays and devices is refused."""
        return self._connection.channel()


def same_password(old: Partner, new: Partner) -> bool:
    """Whether a partner's password is what it was."""
    return hmac.compare_digest(old.access.password or "", new.access.password or "")
