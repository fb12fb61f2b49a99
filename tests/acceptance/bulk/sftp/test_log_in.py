"""Who is let in, and who is not."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import asyncssh
import pytest
from tests.acceptance.bulk.sftp.conftest import Running, Start

from fiveways.clock import ManualClock
from fiveways.methods.bulk.sftp.partners import resolve
from fiveways.methods.bulk.sftp.passwords import hashed
from fiveways.methods.bulk.sftp.settings import Access, LockOut, SftpSettings

pytestmark = pytest.mark.anyio
HASH = hashed("correct horse")
DENIED = (asyncssh.PermissionDenied, asyncssh.ConnectionLost, ConnectionResetError, asyncssh.DisconnectError)


async def _comes_in(server: Running, **options: object) -> bool:
    try:
        async with asyncio.timeout(20), server.client(**options) as connection, connection.start_sftp_client() as client:
            await client.listdir("/")
    except DENIED:
        return False
    return True


async def test_a_key_lets_its_partner_in_and_nobody_else(start: Start) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    async with start() as server:
        assert await _comes_in(server)
        assert not await _comes_in(server, client_keys=[other])
        assert not await _comes_in(server, username="nobody")
        await server.until(lambda: len(server.events("bulk.session.refused")) == 2)
        assert [each.partner for each in server.events("bulk.session.refused")] == ["trust", ""]
        assert "nobody" not in str(server.told)


async def test_passwords(start: Start) -> None:
    async with start(access={"ward": Access(password=HASH)}) as server:
        with_password = {"username": "ward", "client_keys": None}
        assert await _comes_in(server, **with_password, password="correct horse")
        assert await _comes_in(server, **with_password, password="correct horse", preferred_auth="keyboard-interactive")
        assert not await _comes_in(server, **with_password, password="wrong")
        assert not await _comes_in(server, username="trust", client_keys=None, password="correct horse")
        assert not await _comes_in(server, username="nobody", client_keys=None, password="correct horse")
        session = server.events("bulk.session.opened")[0].session
        assert session is not None
        assert (session.by, session.key) == ("password", "")
        assert "horse" not in str(server.told)


async def test_certificates_of_an_authority_let_in_whom_they_name(start: Start, tmp_path: Path) -> None:
    authority, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    line = authority.export_public_key().decode().strip()
    access = {
        "ward": Access(certificate_authorities=(line,)),
        "lab": Access(certificate_authorities=(line,), principals=("northshire-lab", "spare")),
    }

    def certificate(*principals: str, by: asyncssh.SSHKey = authority, **options: object) -> list[object]:
        made = by.generate_user_certificate(key, "night extract", serial=17, principals=list(principals), **options)  # type: ignore[arg-type]
        return [(key, made)]

    async with start(access=access) as server:
        assert await _comes_in(server, username="ward", client_keys=certificate("ward"))
        assert await _comes_in(server, username="lab", client_keys=certificate("x", "spare"))
        session = server.events("bulk.session.opened")[0].session
        assert session is not None
        assert (session.by, session.key, session.certificate) == ("certificate", authority.get_fingerprint(), "night extract (17)")
        restricted = certificate("ward", force_command="internal-sftp", source_address=["127.0.0.0/8"])
        assert await _comes_in(server, username="ward", client_keys=restricted)
        for user, credentials in (
            ("lab", certificate("lab")),  # not among those that are listed
            ("ward", certificate("other")),
            ("ward", certificate()),  # of nobody is not of everybody
            ("ward", certificate("ward", valid_before="20200101")),
            ("ward", certificate("ward", source_address=["192.0.2.0/24"])),
            ("ward", certificate("ward", by=key)),
            ("trust", certificate("trust")),  # which trusts no authority
            ("ward", [key]),  # the key alone
            ("ward", [authority]),
        ):
            assert not await _comes_in(server, username=user, client_keys=credentials)


async def test_addresses(start: Start) -> None:
    here, elsewhere = (ip_network("127.0.0.0/8"),), (ip_network("192.0.2.0/24"), ip_network("::1/128"))
    async with start(SftpSettings(addresses=here), clock=None) as server:
        assert await _comes_in(server)
        key = server.partners["trust"].access.keys
        server.partners["trust"] = resolve("trust", Access(keys=key, addresses=elsewhere), server.folder)
        server.listener.reload()
        assert not await _comes_in(server)
    async with start(SftpSettings(addresses=elsewhere)) as server:
        assert not await _comes_in(server)
        assert not server.events("bulk.session.refused")


async def test_guessers_of_an_address_are_locked_out_for_a_time(start: Start) -> None:
    clock = ManualClock()
    settings = SftpSettings(lock_out=LockOut(failures=3))
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    async with start(settings, clock=clock) as server:
        for name in ("trust", "nobody", "somebody"):
            assert not await _comes_in(server, username=name, client_keys=[stranger])
        await server.until(lambda: server.events("bulk.locked_out"))
        assert not await _comes_in(server)  # whoever it is
        clock.advance(timedelta(minutes=15, seconds=1))
        assert await _comes_in(server)


async def test_passwords_of_a_name_that_somebody_guesses_are_not_looked_at_but_keys_are(start: Start) -> None:
    settings = SftpSettings(lock_out=LockOut(failures=2, never=(ip_network("127.0.0.1/32"),)))
    access = {"ward": Access(password=HASH, keys=("file:key.pub",))}
    async with start(settings, access=access) as server:
        for _ in range(2):
            assert not await _comes_in(server, username="ward", client_keys=None, password="wrong")
        assert not await _comes_in(server, username="ward", client_keys=None, password="correct horse")
        assert [each.partner for each in server.events("bulk.locked_out")] == ["ward"]
        assert await _comes_in(server, username="ward")


async def test_a_connection_has_so_many_attempts(start: Start) -> None:
    strangers = [asyncssh.generate_private_key("ssh-ed25519") for _ in range(10)]
    async with start(SftpSettings(attempts=3)) as server:
        assert await _comes_in(server, client_keys=[*strangers[:2], str(server.folder / "key")])
        assert not await _comes_in(server, client_keys=[*strangers, str(server.folder / "key")])
        await server.until(lambda: server.events("bulk.session.refused"))
        assert server.events("bulk.session.refused")[0].details["why"] == "too many attempts"


async def test_sessions_of_a_partner_and_of_all_have_a_limit(start: Start) -> None:
    async with start(SftpSettings(sessions_per_partner=2, channels=2)) as server:
        async with server.client() as one, server.client():
            await server.until(lambda: len(server.events("bulk.session.opened")) == 2)
            with pytest.raises(asyncssh.Error, match=r"2 sessions|closed"):
                async with server.client() as third:
                    await third.start_sftp_client()
            async with one.start_sftp_client(), one.start_sftp_client():
                with pytest.raises(asyncssh.ChannelOpenError):
                    await one.start_sftp_client()
            assert server.events("bulk.session.refused")[0].details["why"] == "There are 2 sessions of this partner already"
        await server.until(lambda: len(server.events("bulk.session.closed")) == 2)
        assert await _comes_in(server)


async def test_connections_that_do_not_log_in_are_bounded_and_ended(start: Start) -> None:
    async with start(SftpSettings(handshakes=2, log_in=timedelta(seconds=1))) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        assert await asyncio.wait_for(idle[2][0].read(), 5) == b""  # one too many
        assert (await asyncio.wait_for(idle[0][0].readline(), 5)).startswith(b"SSH-2.0-Fiveways")
        assert await asyncio.wait_for(idle[0][0].read(), 5) is not None  # and its time is over
        for _, writer in idle:
            writer.close()
        await server.until(lambda: not server.listener._connections)
        assert await _comes_in(server)


async def test_only_modern_algorithms_are_spoken(start: Start) -> None:
    async with start(SftpSettings(ciphers=("aes128-gcm@openssh.com", "aes128-ctr"))) as server:
        for options in (
            {"encryption_algs": ["chacha20-poly1305@openssh.com"]},
            {"encryption_algs": ["aes128-cbc"]},
            {"kex_algs": ["diffie-hellman-group14-sha1"]},
            {"mac_algs": ["hmac-sha1"], "encryption_algs": ["aes128-ctr"]},
        ):
            with pytest.raises(asyncssh.KeyExchangeFailed):
                async with server.client(**options):
                    pass
        rsa = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
        server.partners["old"] = resolve("old", Access(keys=(rsa.export_public_key().decode().strip(),)), server.folder)
        server.listener.reload()
        assert await _comes_in(server, username="old", client_keys=[rsa])
        assert not await _comes_in(server, username="old", client_keys=[rsa], signature_algs=["ssh-rsa"])
