"""`fiveways serve`, one process: sockets, signals, readiness, and a stop that drains.

SIGHUP swaps the compiled deployment; SIGTERM and SIGINT stop taking requests, finish those under way, seal the audit and leave.
What came of the last reload is written to `reload.PID.json` in the data folder, where `fiveways reload` reads it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import json
import os
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from fiveways.errors import DeploymentError, FivewaysError
from fiveways.platform.app import app
from fiveways.platform.listeners import Listener, Listening, listen
from fiveways.platform.node_metrics import Slot
from fiveways.platform.platform import Platform

log = structlog.get_logger("fiveways.serve")

ROLES = ("gateway", "bulk", "realtime", "worker")
"""What a process can do: answer requests, take files over SFTP, hold real-time connections, and do the work that is nobody's
request (expiry, retention, deliveries, quality control)."""


def serves(role: str, listener: Listener) -> bool:
    """Whether a process of this role serves a listener."""
    return role == ("bulk" if listener.sftp is not None else "realtime" if listener.realtime is not None else "gateway")


Ready = Callable[[Mapping[str, Listener]], None]


class Serving:
    """A platform on its sockets, in this process."""

    def __init__(self, platform: Platform, listeners: Mapping[str, Listener], data: Path, *, shared: bool = False) -> None:
        self.platform = platform
        self.listeners = listeners
        self._data = data
        self._shared = shared
        self._servers: list[Listening] = []
        self._stop = asyncio.Event()
        self._reloads = 0
        self._reloading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open every socket; DeploymentError where one is taken."""
        application = app(self.platform)
        for listener in self.listeners.values():
            if listener.mllp is not None:
                server: Listening = self.platform.feed(listener, shared=self._shared)
            elif listener.sftp is not None:
                server = self.platform.sftp(listener, shared=self._shared)
            elif listener.realtime is not None:
                server = self.platform.live(listener, shared=self._shared)
            else:
                answering = self.platform.long_polling() if listener.long_poll else application
                server = listen(listener, answering, self.platform.base, shared=self._shared)
            try:
                await server.start()
            except OSError as error:
                reason = "something listens there already" if error.errno == errno.EADDRINUSE else str(error)
                raise DeploymentError(f"cannot listen on {listener.url.partition('//')[2]}: {reason}") from error
            self._servers.append(server)

    async def run(self) -> None:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload_soon)
        await self._stop.wait()

    async def close(self) -> None:
        """Take no more requests, finish those under way, and close the platform."""
        log.info("stopping", under_way=self.platform.running.compiled.gateway.active)
        await asyncio.gather(*(server.stop() for server in self._servers))
        await self.platform.close()
        reload_result(self._data, os.getpid()).unlink(missing_ok=True)
        log.info("stopped")

    def stop(self) -> None:
        """Have `run` return."""
        self._stop.set()

    def reload_soon(self) -> None:
        """Reload, one after another where asked again meanwhile."""
        before = self._reloading
        self._reloading = asyncio.get_running_loop().create_task(self._reload(before))

    async def _reload(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier is not None:
            await earlier
        self._reloads += 1
        result: dict[str, object] = {"pid": os.getpid(), "reload": self._reloads, "ok": True, "message": "reloaded"}
        before = self.platform.deployment.listeners
        try:
            await self.platform.reload()
            for server in self._servers:
                server.reload()
            if self.platform.deployment.listeners != before:
                result["message"] = "reloaded; listeners have changed too: restart to apply them"
            log.info("reloaded")
        except (FivewaysError, OSError) as error:
            result |= {"ok": False, "message": str(error)}
            log.error("reload refused; the old deployment goes on", reason=str(error))
        file = reload_result(self._data, os.getpid())
        temporary = file.with_suffix(".writing")
        temporary.write_text(json.dumps(result))
        temporary.replace(file)


def reload_result(data: Path, pid: int) -> Path:
    """The file in which a process says what came of its last reload."""
    return data / f"reload.{pid}.json"


class PidFile:
    """`fiveways.pid` in the data folder: held by one platform at a time; its lines are the processes that reload."""

    def __init__(self, data: Path) -> None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = data / "fiveways.pid"
        self._file = self._path.open("a+")

    def __enter__(self) -> Self:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = self._path.read_text().split()[:1]
            self._file.close()
            raise DeploymentError(
                f"a Fiveways is running with this data folder already (process {''.join(pid)}); "
                "`--processes --gateways N` runs several processes of one"
            ) from None
        self.write([])
        return self

    def write(self, children: Iterable[int]) -> None:
        """Note this process, and those that serve under it."""
        self._file.truncate(0)
        self._file.write("".join(f"{pid}\n" for pid in (os.getpid(), *children)))
        self._file.flush()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def _settle_memory() -> None:
    """What was made to start with stays: the garbage collector need not look at it again (a fifth of a million objects), and
    need not look as often for the little that requests leave in cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


async def serve(
    file: Path,
    data: Path,
    *,
    listeners: Mapping[str, Listener] | None = None,
    roles: tuple[str, ...] = ROLES,
    shared: bool = False,
    node: str = "",
    slot: Slot | None = None,
    ready: Ready | None = None,
) -> None:
    """Serve the deployment in `file` until a signal says stop. `shared`: other processes listen on the same sockets; `slot`: this
    one's place among them."""
    platform = await Platform.open(file, data, work="worker" in roles, node=node, slot=slot)
    declared = listeners or platform.deployment.listeners
    wanted = {name: each for name, each in declared.items() if any(serves(role, each) for role in roles)}
    serving = Serving(platform, wanted, data, shared=shared)
    try:
        await serving.start()
        _settle_memory()
        if ready is not None:
            ready(wanted)
        await serving.run()
    finally:
        await serving.close()
