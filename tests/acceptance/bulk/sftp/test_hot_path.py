"""The short way of packets: the same as asyncssh's own, and as strict."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncssh
import pytest
import uvloop
from tests.acceptance.bulk.sftp.conftest import Running, Start

from fiveways.methods.bulk.sftp import connection as module
from fiveways.methods.bulk.sftp import hot_path
from fiveways.methods.bulk.sftp.settings import SftpSettings

pytestmark = pytest.mark.anyio
CONTENT = random.Random(3).randbytes(2_000_003)


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The two event loops there are: transports differ in how they use buffers."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop} if request.param == "uvloop" else {}


def _served(server: Running) -> Any:
    return next(iter(server.listener._connections))


async def _there_and_back(client: Any, name: str) -> None:
    async with client.open(name, "wb") as file:
        await file.write(CONTENT)
    async with client.open(name, "rb") as file:
        assert await file.read() == CONTENT


async def test_it_is_taken_under_gcm_and_not_otherwise(start: Start) -> None:
    async with start(SftpSettings(ciphers=("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr"))) as server:
        for cipher, taken in (("aes128-gcm@openssh.com", True), ("aes256-gcm@openssh.com", True), ("aes256-ctr", False)):
            async with server.client(encryption_algs=[cipher]) as connection, connection.start_sftp_client() as client:
                await _there_and_back(client, f"/{cipher}")
                assert (type(_served(server)._recv_encryption) is hot_path.OneKey) is taken
                assert (type(_served(server)._send_encryption) is hot_path.OneKey) is taken
            await server.until(lambda: not server.listener._connections)


async def test_another_version_of_asyncssh_goes_its_own_way(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FITS", False)
    async with start() as server, server.client() as connection, connection.start_sftp_client() as client:
        await _there_and_back(client, "/there")
        assert type(_served(server)._recv_encryption) is not hot_path.OneKey
        assert type(_served(server).inlet()) is module.Connection


async def test_keys_change_from_both_sides_while_data_goes_both_ways(start: Start) -> None:
    async with start(SftpSettings(rekey_after=2**17)) as server:
        async with server.client(rekey_bytes=150_000) as connection, connection.start_sftp_client() as client:
            await asyncio.gather(*(_there_and_back(client, f"/{number}") for number in range(4)))
            assert type(_served(server)._recv_encryption) is hot_path.OneKey
            assert not _served(server).congested


async def test_no_ignore_is_sent_under_gcm(start: Start) -> None:
    async with start() as server, server.client() as connection, connection.start_sftp_client() as client:
        seen: list[int] = []
        original = connection.process_packet

        def noted(kind: int, *rest: Any) -> Any:
            seen.append(kind)
            return original(kind, *rest)

        connection.process_packet = noted
        await client.listdir("/")
        await _there_and_back(client, "/there")
        assert 2 not in seen  # MSG_IGNORE


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda data: _flipped(data),
        lambda data: (2**31).to_bytes(4, "big") + data[4:],
        lambda data: (17).to_bytes(4, "big") + data[4:],
        lambda data: bytes(4) + data[4:],
        lambda data: data + bytes(64),
        lambda data: data[: len(data) // 2],
    ],
    ids=["bit", "too-long", "no-blocks", "empty", "more", "part"],
)
async def test_what_is_not_what_was_sealed_ends_the_connection(start: Start, spoilt: Callable[[bytes], bytes]) -> None:
    async with start() as server:
        connection = await server.client()
        client: Any = await connection.start_sftp_client()
        file = await client.open("/there", "wb")
        await file.write(b"content")
        transport = connection._transport
        writing, send = asyncio.ensure_future(file.write(b"x" * 1000, 7)), transport.write
        connection._send = lambda data: send(spoilt(data))
        await asyncio.sleep(0.1)
        with suppress(RuntimeError, OSError):  # the server may have closed it
            transport.write_eof()
        await server.until(lambda: server.tree.abandoned == ["/there"])
        await server.until(lambda: not server.listener._connections)
        connection.abort()
        with pytest.raises((asyncssh.Error, OSError)):
            await writing
        assert server.tree.kept == []


async def test_a_stream_in_pieces_of_any_size_is_the_same(start: Start, tmp_path: Path) -> None:
    """A packet's parts may come one by one, and several packets at once."""
    pieces = random.Random(4)
    async with start() as server:

        async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", server.port)

            async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
                while data := await source.read(pieces.choice((1, 3, 17, 100, 1000, 65536))):
                    target.write(data)
                    await target.drain()
                    await asyncio.sleep(0)
                target.close()

            await asyncio.gather(pump(reader, onward), pump(onward_reader, writer), return_exceptions=True)

        between = await asyncio.start_server(through, "127.0.0.1", 0)
        port = between.sockets[0].getsockname()[1]
        options: Any = {"username": "trust", "client_keys": [str(server.folder / "key")], "known_hosts": None, "config": None}
        async with asyncssh.connect("127.0.0.1", port, **options) as connection, connection.start_sftp_client() as client:
            async with client.open("/there", "wb") as file:
                await file.write(CONTENT[:300_000])
            async with client.open("/there", "rb") as file:
                got: Any = await file.read()
                assert got == CONTENT[:300_000]
        between.close()
        await server.until(lambda: not server.listener._connections)
