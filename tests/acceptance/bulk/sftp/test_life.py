"""How sessions and the server end, and what becomes of uploads then."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from tests.acceptance.bulk.sftp.conftest import Start

from fiveways.methods.bulk.sftp import connection as connection_module
from fiveways.methods.bulk.sftp.partners import resolve
from fiveways.methods.bulk.sftp.settings import Access, SftpSettings

pytestmark = pytest.mark.anyio
ENDED = (asyncssh.Error, OSError)


async def test_a_close_keeps_and_everything_else_abandons(start: Start) -> None:
    async with start() as server, server.client() as connection:
        closed: Any = await connection.start_sftp_client()
        async with closed.open("/closed", "wb") as file:
            await file.write(b"whole")
        assert server.tree.kept == ["/closed"]
        for number, end in enumerate(("exit", "channel", "abort")):
            client: Any = await connection.start_sftp_client()
            file = await client.open(f"/{end}", "wb")
            await file.write(b"all of it")
            if end == "exit":
                client.exit()  # EOF on the channel, as a client that ends in good order has it
                await client.wait_closed()
            elif end == "channel":
                client._handler._writer.channel.abort()
            else:
                connection.abort()
            await server.until(lambda number=number: len(server.tree.abandoned) == number + 1)  # type: ignore[misc]
        assert server.tree.abandoned == ["/exit", "/channel", "/abort"]
        assert server.tree.kept == ["/closed"]


async def test_a_close_after_a_write_that_failed_keeps_nothing(start: Start) -> None:
    async with start(quota=1000) as server, server.client() as connection, connection.start_sftp_client() as client:
        file: Any = await client.open("/there", "wb")
        await file.write(b"x" * 900)
        with pytest.raises(asyncssh.SFTPFailure, match="quota"):
            await file.write(b"x" * 900)
        with pytest.raises(asyncssh.SFTPFailure, match="quota"):
            await file.write(b"x")  # it would fit, and the file would have a hole
        with pytest.raises(asyncssh.SFTPFailure, match="not kept"):
            await file.close()
        assert (server.tree.kept, server.tree.abandoned) == ([], ["/there"])


async def test_a_close_that_is_under_way_when_the_client_goes_stands(start: Start) -> None:
    async with start() as server:
        connection = await server.client()
        client: Any = await connection.start_sftp_client()
        file = await client.open("/there", "wb")
        await file.write(b"whole")
        going, gone = asyncio.Event(), asyncio.Event()
        talk = next(iter(server.listener._connections)).conversations[0]
        opened: Any = next(iter(talk._open.values()))
        kept = opened.writing.keep

        async def slowly() -> None:
            going.set()
            await gone.wait()
            await kept()

        opened.writing.keep = slowly
        closing = asyncio.create_task(file.close())
        await asyncio.wait_for(going.wait(), 5)
        connection.abort()
        await server.until(lambda: not server.listener._connections)
        gone.set()
        await server.until(lambda: server.tree.kept == ["/there"])
        assert server.tree.abandoned == []
        with pytest.raises(ENDED):
            await closing
        await server.until(lambda: server.events("bulk.session.closed"))
        assert server.events("bulk.session.closed")[0].details["kept"] == 1


async def test_a_stop_lets_transfers_end_and_cuts_those_that_do_not(start: Start) -> None:
    async with start() as server:
        one, two, idle = [await server.client() for _ in range(3)]
        clients: list[Any] = [await each.start_sftp_client() for each in (one, two)]
        files = [await client.open(f"/{number}", "wb") for number, client in enumerate(clients)]
        for file in files:
            await file.write(b"content")
        stopping = asyncio.create_task(server.listener.stop(1.0))
        await asyncio.wait_for(idle.wait_closed(), 5)  # it was doing nothing
        with pytest.raises(OSError, match="onnect"):
            await asyncio.open_connection("127.0.0.1", server.port)
        with pytest.raises(asyncssh.SFTPFailure, match="about to stop"):
            await clients[0].open("/new", "wb")
        await files[0].write(b" and more", 7)
        await files[0].close()
        await asyncio.wait_for(stopping, 10)
        assert server.tree.kept == ["/0"]
        assert server.tree.abandoned == ["/1"]
        assert len(server.events("bulk.session.closed")) == 3


async def test_a_reload_ends_sessions_of_partners_and_keys_that_are_gone(start: Start) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519")
    line = other.export_public_key().decode().strip()
    access = {"ward": Access(keys=(line,)), "lab": Access(keys=(line,))}
    async with start(access=access) as server:
        stays = await server.client()
        leaves = await server.client(username="ward", client_keys=[other])
        changed = await server.client(username="lab", client_keys=[other])
        await server.until(lambda: len(server.listener.sessions) == 3)
        del server.partners["ward"]
        server.partners["lab"] = resolve("lab", Access(keys=("file:key.pub",)), server.folder)
        server.partners["new"] = resolve("new", Access(keys=("file:key.pub",)), server.folder)
        server.listener.reload()
        await asyncio.wait_for(leaves.wait_closed(), 5)
        await asyncio.wait_for(changed.wait_closed(), 5)
        await server.until(lambda: [session.partner for session in server.listener.sessions] == ["trust"])
        async with server.client(username="new"), stays.start_sftp_client() as client:
            assert await client.listdir("/") == []
        stays.close()
        assert {each.details["why"] for each in server.events("bulk.session.closed")} >= {"Access was withdrawn"}


async def test_an_idle_session_is_ended_and_its_upload_abandoned(start: Start) -> None:
    async with start(SftpSettings(idle=timedelta(milliseconds=400))) as server:
        connection = await server.client()
        client: Any = await connection.start_sftp_client()
        file = await client.open("/there", "wb")
        await file.write(b"content")
        await asyncio.wait_for(connection.wait_closed(), 5)
        await server.until(lambda: server.tree.abandoned == ["/there"])
        await server.until(lambda: server.events("bulk.session.closed"))
        assert server.events("bulk.session.closed")[0].details["why"] == "Nothing was asked for too long"


async def test_a_partner_has_no_more_than_its_rate_over_all_its_sessions(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sent").write_bytes(b"x" * 400_000)
    access = {"slow": Access(keys=("file:key.pub",), rate=400_000)}
    async with start(access=access) as server:
        began = time.monotonic()
        await asyncio.gather(*(server.sftp(f"put sent there{number}", user="slow") for number in range(3)))
        assert 1.8 < time.monotonic() - began < 6  # 1.2 MB, of which the first 0.4 MB are free
        assert len(server.tree.kept) == 3


async def test_a_client_that_only_asks_takes_no_memory(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that are not SFTP's have answers too, which pile up where nobody takes them."""
    monkeypatch.setattr(connection_module, "MOST_UNSENT", 32 * 1024)
    async with start() as server:
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", server.port))
        connection = await asyncssh.connect(
            sock=narrow, username="trust", client_keys=[str(server.folder / "key")], known_hosts=None, config=None
        )
        await server.until(lambda: server.listener.sessions)
        connection._transport.pause_reading()  # type: ignore[union-attr]
        served: Any = next(iter(server.listener._connections))
        served.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        for _ in range(10):
            for _ in range(1000):
                connection._send_global_request(b"nobody-knows@this", want_reply=True)
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert served.congested
        assert served._transport.get_write_buffer_size() < 128 * 1024
        connection.abort()
        await server.until(lambda: not server.listener._connections)


async def test_a_client_that_does_not_take_what_it_asks_for_takes_no_memory(start: Start, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "big").write_bytes(bytes(30_000_000))
    async with start() as server:
        connection = await server.client(window=2**31 - 1)
        client: Any = await connection.start_sftp_client()
        file = await client.open("/big", "rb")
        connection._transport.pause_reading()
        reads = [asyncio.create_task(file.read(200_000, number * 200_000)) for number in range(150)]
        await asyncio.sleep(1)
        served = next(iter(server.listener._connections))
        talk = served.conversations[0]
        assert served.congested
        assert talk.bytes_out < 12_000_000  # what the sockets hold, and a MiB
        connection._transport.resume_reading()
        assert sum(map(len, await asyncio.gather(*reads))) == 30_000_000
        connection.close()
        await connection.wait_closed()
